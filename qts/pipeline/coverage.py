"""Coverage: who has bars when, small enough to be drawn."""

from dataclasses import dataclass

import duckdb
import numpy as np

from qts.columns import CLOSE, DATETIME, INSTRUMENT
from qts.expr.quote import quote_text

MOST_ROWS, MOST_COLUMNS = 400, 240
"""The largest picture; past it neighbours share a row, and months become quarters or years."""
OUTSIDE = -1
"""Before an instrument's first bar and after its last."""


@dataclass(frozen=True)
class Coverage:
    """Share of a period's days on which an instrument, or a band of neighbours, has a bar."""

    names: list[str]
    """A row each: an instrument, or the first and last of a band."""
    periods: list[str]
    """A column each: its first day."""
    percent: np.ndarray
    """int8 (rows, columns), 0 to 100, or OUTSIDE."""


def cover(connection: duckdb.DuckDBPyConnection, relation: str) -> Coverage:
    """Return the coverage of a table of bars, by month if they are not too many."""
    for unit in ("month", "quarter", "year"):
        period = f"CAST(date_trunc({quote_text(unit)}, {DATETIME}) AS DATE)"
        periods = connection.execute(
            f"SELECT {period}, count(DISTINCT {DATETIME}) FROM {relation} GROUP BY 1 ORDER BY 1"
        ).fetchall()
        if len(periods) <= MOST_COLUMNS:
            break
    rows = connection.execute(f"SELECT DISTINCT {INSTRUMENT} FROM {relation} ORDER BY 1").fetchall()
    names = [name for (name,) in rows]
    cells = connection.execute(
        f"SELECT dense_rank() OVER (ORDER BY {INSTRUMENT}) - 1 AS i, dense_rank() OVER (ORDER BY period) - 1 AS p, n FROM "
        f"(SELECT {INSTRUMENT}, {period} AS period, count({CLOSE}) AS n FROM {relation} GROUP BY ALL)"
    ).fetchnumpy()
    n_bars = np.zeros((len(names), len(periods)))
    n_bars[cells["i"], cells["p"]] = cells["n"]
    n_days = np.where(_lives(n_bars > 0), [float(n) for _, n in periods], 0.0)
    starts = np.arange(0, len(names), -(-len(names) // MOST_ROWS))
    n_bars, n_days = np.add.reduceat(n_bars, starts), np.add.reduceat(n_days, starts)
    share = np.divide(100 * n_bars, n_days, out=np.full(n_days.shape, float(OUTSIDE)), where=n_days > 0)
    bands = zip(starts, [*(starts[1:] - 1), len(names) - 1], strict=True)
    told = [names[first] if first == last else f"{names[first]} … {names[last]}" for first, last in bands]
    return Coverage(told, [str(day) for day, _ in periods], np.rint(share).astype(np.int8))


def _lives(has_bar: np.ndarray) -> np.ndarray:
    """Return, by row, whether a column lies between the first and the last with a bar."""
    begun = np.logical_or.accumulate(has_bar, axis=1)
    goes_on = np.logical_or.accumulate(has_bar[:, ::-1], axis=1)[:, ::-1]
    return begun & goes_on
