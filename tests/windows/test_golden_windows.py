"""Windows against the reference's sampler: which row every step of every sample holds."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qts.windows import View
from qts.windows.view import ABSENT

GOLDEN = Path(__file__).parents[1] / "golden"
RECORD = json.loads((GOLDEN / "windows/windows.json").read_text())
PICKED = np.load(GOLDEN / "windows/windows.npz")
CALENDAR = np.array((GOLDEN / "bars/calendar.txt").read_text().split(), dtype="datetime64[D]")


def gather(case: str) -> np.ndarray:
    """Return (n, step_len) rows of the reference's view for every sample of a case, in its order."""
    segment, step_len, fill = case.split("_", 2)
    table = pq.read_table(GOLDEN / f"pipeline/{RECORD['cases'][case]['view']}.parquet")
    day = np.searchsorted(CALENDAR, table["datetime"].to_numpy().astype("datetime64[D]"))
    instrument = np.unique(table["instrument"].to_pylist(), return_inverse=True)[1]
    order = np.lexsort((day, instrument))
    day, instrument = day[order], instrument[order]
    view = View.of_rows(np.arange(len(day)), instrument, day)
    first, last = np.searchsorted(CALENDAR, np.array(RECORD["segments"][segment], dtype="datetime64[D]"))
    inside = (day >= first) & (day <= last)
    rows = view.gather(instrument[inside], day[inside], int(step_len), fill.replace("_", "+"))
    return np.where(rows == ABSENT, -1, order[rows]).astype("<i4")


@pytest.mark.parametrize("case", RECORD["cases"])
def test_every_window_holds_the_reference_s_rows(case: str) -> None:
    rows = gather(case)
    assert len(rows) == RECORD["cases"][case]["samples"]
    assert np.array_equal(rows[PICKED[f"{case}.pos"]], PICKED[f"{case}.rows"])
    assert hashlib.sha256(rows.tobytes()).hexdigest() == RECORD["cases"][case]["gather_sha256_all_samples"]
