"""What an ingest's kinds of work take; measured on the daily bars of 800 stocks over 20 years (2.6 million rows), two cores."""

from typing import NamedTuple

from qts.pipeline.compute import STREAMED_BYTES, WINDOWED_BYTES


class Cost(NamedTuple):
    """What one unit of a kind of work takes."""

    nanoseconds: float
    """Of one core."""
    n_bytes: float
    """Of memory while it is done."""
    unit: str


COSTS = {
    "start": Cost(0.2e9, 150e6, "an ingest: the interpreter, its modules, the commit"),
    "survey": Cost(120, 0, "a row of the source: read and compared with what the store was made from"),
    "read": Cost(800, 100, "a row that arrives: read, sorted, judged"),
    "panel": Cost(800, 60, "a row of the panel: laid out, its label computed"),
    "factor": Cost(27, STREAMED_BYTES, "a value of a factor: computed row by row or from lags, and written"),
    "rolling": Cost(21, 0, "a rolling window of a factor, each one once, and a row of the panel"),
    "windowed": Cost(250, WINDOWED_BYTES, "a value of a factor that cannot stream"),
}
"""Kind of work → what it takes; the memory of `factor` and `windowed` is for rows of the buckets at work alone."""

LEAST_MEMORY = 250_000_000
"""Bytes that an ingest takes besides those of the smallest buckets at work."""

VALUE_BYTES = 3.4
"""Size of a value in a part."""

ROW_GROUP_ROWS = 122_880
"""Rows of a part that its writer holds in memory."""
