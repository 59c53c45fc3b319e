"""Figures of a series of daily returns: what it earned, how unevenly, and the five figures of Qlib's tables."""

from math import sqrt
from typing import Literal

import numpy as np

from qts.daily_series import drawdown, safe_ratio

NAN = float("nan")
QLIB_DAYS_PER_YEAR = 238


def mean(values: np.ndarray) -> float:
    """Return the mean of (n,) values; NaN of none."""
    return float(values.mean()) if len(values) else NAN


def spread(values: np.ndarray) -> float:
    """Return the standard deviation of (n,) values, ddof 1; NaN of fewer than two."""
    return float(values.std(ddof=1)) if len(values) > 1 else NAN


def compounded(returns: np.ndarray) -> float:
    """Return what (n_days,) returns make together; NaN of none."""
    return float(np.prod(1 + returns)) - 1 if len(returns) else NAN


def annual_return(returns: np.ndarray, days_per_year: float) -> float:
    """Return the compounded return a year; -1 where all was lost, NaN where it is larger than a number can be."""
    if not len(returns):
        return NAN
    growth = max(compounded(returns) + 1, 0.0)
    with np.errstate(over="ignore"):
        found = float(np.float64(growth) ** (days_per_year / len(returns))) - 1
    return found if np.isfinite(found) else NAN


def annual_ratio(returns: np.ndarray, days_per_year: float) -> float:
    """Return the mean over the standard deviation, a year: a Sharpe ratio without a rate, of excess an information ratio."""
    return safe_ratio(mean(returns), spread(returns)) * sqrt(days_per_year)


def sortino(returns: np.ndarray, days_per_year: float) -> float:
    """Return the mean over the root of the mean square of losses, all days counted, a year (Sortino & Price, 1994)."""
    return safe_ratio(mean(returns), sqrt(mean(np.minimum(returns, 0) ** 2))) * sqrt(days_per_year)


def deepest(returns: np.ndarray) -> float:
    """Return the maximum drawdown of the compounded account from a start of 1, 0 or less; NaN of no days."""
    return float(drawdown(returns).min()) if len(returns) else NAN


def summed_drawdown(returns: np.ndarray) -> float:
    """Return the deepest fall of summed returns from their peak as published tables have it.

    It is in points, not a share, and knows no start: a loss on the first day is none. NaN of no days.
    """
    path = np.cumsum(returns)
    return float((path - np.maximum.accumulate(path)).min()) if len(path) else NAN


def risk_analysis(
    returns: np.ndarray, days_per_year: float = QLIB_DAYS_PER_YEAR, mode: Literal["sum", "product"] = "sum"
) -> dict[str, float]:
    """Return mean, std, annualized_return, information_ratio and max_drawdown of (n_days,) returns as Qlib defines them.

    Mode sum adds returns up, and product compounds them: its mean is geometric, its std that of logarithms. Days that are
    NaN are left out. Both drawdowns lack a start. Where the standard deviation is 0 the ratio is NaN, and not infinite.
    """
    known = returns[np.isfinite(returns)]
    if mode == "sum":
        centre, deviation, worst = mean(known), spread(known), summed_drawdown(known)
        annual = centre * days_per_year
    else:
        growth = np.cumprod(1 + known)
        centre, deviation = annual_return(known, 1), spread(np.log1p(known)) if (known > -1).all() else NAN
        annual = annual_return(known, days_per_year)
        worst = float((growth / np.maximum.accumulate(growth) - 1).min()) if len(known) else NAN
    return {
        "mean": centre,
        "std": deviation,
        "annualized_return": annual,
        "information_ratio": safe_ratio(centre, deviation) * sqrt(days_per_year),
        "max_drawdown": worst,
    }
