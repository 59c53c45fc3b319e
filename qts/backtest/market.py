"""The market a portfolio trades in: one grid a field, a line a day, a column a name."""

from dataclasses import dataclass

import numpy as np


def positive(grid: np.ndarray) -> np.ndarray:
    """Return a grid with NaN for what no price, limit or factor can be: zero, a negative number, infinity."""
    with np.errstate(invalid="ignore"):
        is_wrong = (grid <= 0) | np.isinf(grid)
    return np.where(is_wrong, np.nan, grid) if is_wrong.any() else grid


@dataclass(frozen=True)
class Market:
    """Prices as they are traded, and who is a member; prices and volumes are adjusted ones.

    Days are those of the calendar from the first on which a score could be traded (or the day before it) to the last.
    """

    days: np.ndarray
    """(n_days,) datetime64[D], ascending, without gaps in the calendar."""
    instruments: np.ndarray
    """(n_names,) str, sorted."""
    open: np.ndarray
    """(n_days, n_names) float64, NaN where there is no bar."""
    high: np.ndarray
    """(n_days, n_names)."""
    low: np.ndarray
    """(n_days, n_names)."""
    close: np.ndarray
    """(n_days, n_names)."""
    vwap: np.ndarray
    """(n_days, n_names); where the bars have none, the mean of open, high, low and close."""
    volume: np.ndarray
    """(n_days, n_names); 0 or NaN on a day without trading."""
    adj_factor: np.ndarray
    """(n_days, n_names) adjusted price over real price, NaN where unknown."""
    previous_close: np.ndarray
    """(n_days, n_names) the last close before the day, however long ago; NaN before the first."""
    n_before: np.ndarray
    """(n_days, n_names) int, bars the name has had before the day; counts from the start of the bars."""
    up_limit: np.ndarray | None = None
    """(n_days, n_names) the highest price allowed, where the bars have such a column."""
    down_limit: np.ndarray | None = None
    """(n_days, n_names) the lowest."""
    special: np.ndarray | None = None
    """(n_days, n_names) bool: under special treatment (ST), where the bars say so."""
    benchmark: np.ndarray | None = None
    """(n_days,) return of the index from the day before; None: there is no index."""
    universe: np.ndarray | None = None
    """(n_days,) mean return of the members that traded on both days, equally weighted; None: unknown."""
    starts_listed: bool = True
    """Whether the bars begin in mid-history: names of the first day were listed before."""
