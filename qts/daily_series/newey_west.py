"""Errors of means and of lines where neighbouring days are alike (Newey & West, 1987).

A lag counts places in the series, NaN days included: a pair of days `lag` places apart counts if both have a value. That
is the estimator of Parzen (1963) for series with gaps, and with Bartlett's weights it is never negative.
"""

from dataclasses import dataclass

import numpy as np

NAN = float("nan")
_ROUNDING = 1e-12
"""What is smaller than this share of a figure is rounding."""


@dataclass(frozen=True)
class Line:
    """A straight line through the days that have both values: y = alpha + beta x."""

    alpha: float
    """Intercept, in the unit of y a day."""
    beta: float
    """Slope."""
    alpha_t: float
    """Intercept over its Newey-West error."""
    beta_t: float
    """Slope over its Newey-West error."""
    r2: float
    """Share of y's variance that the line explains."""
    n: int
    """Days with both values."""


def customary_lag(n: int) -> int:
    """Return the lag for n days of which nothing is known beforehand: 4 (n / 100) ^ (2 / 9), as Newey & West (1994) begin."""
    return int(4 * (n / 100) ** (2 / 9))


def newey_west_error(daily: np.ndarray, lag: int) -> float:
    """Return the standard error of the mean of a series (n_days,), Bartlett's weights up to `lag`.

    Lag 0 is the plain error, the standard deviation with n - 1 over the root of n; other lags have the same n / (n - 1).
    NaN with fewer than two values, or no more than the lag and one: that many days say nothing of how alike they are.
    """
    known = np.isfinite(daily)
    n = int(known.sum())
    if n <= lag + 1:
        return NAN
    away = np.where(known, daily - daily[known].mean(), 0.0)
    return float(np.sqrt(_long_run_sum(away, lag) / (n * (n - 1))))


def ols_hac(y: np.ndarray, x: np.ndarray, lag: int) -> Line:
    """Return the least-squares line of y (n_days,) on x (n_days,), with Newey-West errors up to `lag`.

    The errors have the factor n / (n - 2); at lag 0 they are White's HC1. All is NaN where x is the same on all days;
    a t is NaN with fewer than three days, or no more than the lag and one, and where the line goes through every point.
    """
    both = np.isfinite(y) & np.isfinite(x)
    n = int(both.sum())
    mean_x, mean_y = (float(v[both].mean()) if n else NAN for v in (x, y))
    dx, dy = (np.where(both, v - mean, 0.0) for v, mean in ((x, mean_x), (y, mean_y)))
    square = float(dx @ dx)
    if not square > n * (_ROUNDING * mean_x) ** 2:
        return Line(NAN, NAN, NAN, NAN, NAN, n)
    beta = float(dx @ dy) / square
    alpha = mean_y - beta * mean_x
    total, off = float(dy @ dy), dy - beta * dx
    if float(off @ off) <= _ROUNDING**2 * (total + n * mean_y**2):
        off = np.zeros_like(off)
    errors = [
        float(np.sqrt(_long_run_sum(off * pull, lag) * n / (n - 2))) if n > max(lag + 1, 2) else NAN
        for pull in (1 / n - mean_x * dx / square, dx / square)
    ]
    return Line(
        alpha,
        beta,
        safe_ratio(alpha, errors[0]),
        safe_ratio(beta, errors[1]),
        1 - safe_ratio(float(off @ off), total),
        n,
    )


def safe_ratio(value: float, spread: float) -> float:
    """Return value over spread; NaN where the spread is 0 but for rounding, so that no figure is ever infinite."""
    return value / spread if spread > _ROUNDING * abs(value) else NAN


def _long_run_sum(away: np.ndarray, lag: int) -> float:
    """Return the sum of squares of deviations (n_days,), 0 on days without, plus twice the weighted sums of lagged pairs."""
    found = float(away @ away)
    for k in range(1, min(lag, len(away) - 1) + 1):
        found += 2 * (1 - k / (lag + 1)) * float(away[k:] @ away[:-k])
    return max(found, 0.0)
