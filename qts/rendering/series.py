"""Daily arrays as plots and tables take them: rounded lists, sums so far, moving and monthly means."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qts.daily_series import drawdown
from qts.evaluation.series import mean_of_known
from qts.rendering.document import Kind, Plot

Data = dict[str, Sequence[Any]]
"""Columns of a plot."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Columns of a month heat map."""


def rounded(values: np.ndarray | Sequence[float], digits: int = 5) -> list[float | None]:
    """Return values with so many significant digits; None where there is none."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]


def day_names(days: np.ndarray) -> list[str]:
    """Return days as text."""
    return [str(day) for day in days.astype("datetime64[D]")]


def so_far(values: np.ndarray) -> np.ndarray:
    """Return (n_days,) sums up to each day; a day without a value adds nothing."""
    return np.cumsum(np.nan_to_num(values))


def grown(returns: np.ndarray) -> np.ndarray:
    """Return (n_days,) what 1 has become at the end of each day, compounded; a day without a return adds nothing."""
    return np.cumprod(1 + np.nan_to_num(returns))


def fallen(returns: np.ndarray) -> np.ndarray:
    """Return (n_days,) how far what 1 has become lies below its peak; a day without a return adds nothing."""
    return drawdown(np.nan_to_num(returns))


def moving_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Return (n_days,) the mean of each day and the `width` - 1 before it; NaN where fewer than half have a value."""
    known = ~np.isnan(values)
    total, count = (_moving_sum(column, width) for column in (np.nan_to_num(values), known.astype(np.float64)))
    return np.where(2 * count >= width, total / np.maximum(count, 1), np.nan)


def _moving_sum(values: np.ndarray, width: int) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    return sums[ends] - sums[np.maximum(ends - width, 0)]


def by_period(days: np.ndarray, unit: str) -> list[tuple[str, np.ndarray]]:
    """Return each month ("M") or year ("Y") that has a day, with the (n_days,) mask of its days."""
    periods = days.astype(f"datetime64[{unit}]")
    return [(str(period), periods == period) for period in np.unique(periods)]


def month_plot(
    key: str,
    title: str,
    days: np.ndarray,
    values: np.ndarray,
    *,
    kind: Kind = "fixed",
    reduce: Callable[[np.ndarray], float] = mean_of_known,
) -> Plot:
    """Return a heat map with a row a year and a column a month."""
    months = dict(by_period(days, "M"))
    years = sorted({month[:4] for month in months})
    cells = [(year, f"{year}-{at:02d}") for year in years for at in range(1, 13)]
    found = [reduce(values[months[month]]) if month in months else math.nan for _, month in cells]
    data: Data = {"year": [year for year, _ in cells], "month": list(MONTHS) * len(years), "value": rounded(found)}
    return Plot(key, title, data, x="month", rows="year", z="value", kind=kind)


def histogram(values: np.ndarray, n_bins: int = 40) -> dict[str, list[float | None]]:
    """Return the middles of equal bins ("middle"), their counts ("days") and those of a normal ("normal").

    The normal has the mean and standard deviation of the values; where the bars stand above it, days are more frequent.
    """
    known = values[np.isfinite(values)]
    if len(known) < 2 or known.min() == known.max():
        return {
            "middle": rounded(known[:1]),
            "days": rounded([float(len(known))][: len(known)]),
            "normal": [None] * len(known[:1]),
        }
    counts, edges = np.histogram(known, bins=n_bins)
    middle, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    mean, std = known.mean(), known.std(ddof=1)
    normal = len(known) * width / (std * math.sqrt(2 * math.pi)) * np.exp(-(((middle - mean) / std) ** 2) / 2)
    return {"middle": rounded(middle), "days": rounded(counts), "normal": rounded(normal, 4)}
