"""A daily series in a dozen figures."""

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from qts.daily_series.block_bootstrap import block_length, bootstrap_means, interval
from qts.daily_series.newey_west import newey_west_error, safe_ratio


@dataclass(frozen=True)
class SeriesStats:
    """A daily series in figures; days that are NaN are left out."""

    n: int
    """Days with a value."""
    mean: float
    """Mean."""
    std: float
    """Standard deviation, ddof 1."""
    ratio: float
    """Mean over standard deviation; not annualised."""
    t: float
    """Mean over its Newey-West standard error."""
    lag: int
    """The lag of that error; 0 is the plain one."""
    p: float
    """Two-sided, normal."""
    skew: float
    """Third standardised moment."""
    kurtosis: float
    """Fourth standardised moment minus 3."""
    low: float
    """Lower end of the 95 % interval of the mean, by block bootstrap."""
    high: float
    """Upper end."""
    positive: float
    """Share of days above 0."""


def describe(daily: np.ndarray, lag: int, *, draws: int = 1000, seed: int = 0) -> SeriesStats:
    """Return the figures of a series (n_days,) whose days are alike up to `lag` days apart.

    Days without a finite value are left out of every figure, but keep their places: lags and blocks count days of the
    series. What a series is too short or too even for is NaN: an interval takes two blocks. No draws: no interval.
    """
    known = daily[np.isfinite(daily)]
    n = len(known)
    mean = float(known.mean()) if n else float("nan")
    std = _spread(known) if n > 1 else float("nan")
    t = safe_ratio(mean, newey_west_error(daily, lag))
    skew, kurtosis = _shape(known - mean, mean)
    low, high = interval(bootstrap_means(daily, len(daily), draws, seed, block_length(len(daily), lag)))
    positive = float((known > 0).mean()) if n else float("nan")
    return SeriesStats(
        n, mean, std, safe_ratio(mean, std), t, lag, erfc(abs(t) / sqrt(2)), skew, kurtosis, low, high, positive
    )


def _spread(known: np.ndarray) -> float:
    """Return the standard deviation, ddof 1; 0 where all are equal, which rounding would hide."""
    return float(known.std(ddof=1)) if known.min() < known.max() else 0.0


def _shape(away: np.ndarray, mean: float) -> tuple[float, float]:
    """Return skew and excess kurtosis of deviations from the mean, by moments that divide by n; NaN where all are equal."""
    spread = float(np.sqrt((away**2).mean())) if len(away) else float("nan")
    if not spread > 1e-12 * abs(mean):
        return float("nan"), float("nan")
    return float(((away / spread) ** 3).mean()), float(((away / spread) ** 4).mean()) - 3
