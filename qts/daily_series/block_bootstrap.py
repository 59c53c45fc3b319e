"""Intervals without a formula: means of series that are put together from whole blocks of days."""

from math import ceil

import numpy as np


def block_length(n: int, lag: int) -> int:
    """Return the days of a block for n days alike up to `lag` days apart: 2 (lag + 1), or the cube root of n if longer.

    The cube root is the order that is best for the variance of a mean (Hall, Horowitz & Jing, 1995, Biometrika 82). A
    block of lag + 1 days cuts half of the pairs that are alike, and its intervals are too short: twice that holds the mean
    of returns over 20 days about as often as longer blocks do.
    """
    return min(max(2 * (lag + 1), ceil(round(n ** (1 / 3), 9))), max(n, 1))


def bootstrap_means(daily: np.ndarray, n_days: int, draws: int, seed: int, block: int) -> np.ndarray:
    """Return (draws,) means of `n_days` days drawn from a series as blocks; the series is a circle, and the last block is cut.

    NaN days keep their places and do not count; a draw of such days alone is NaN, and so is every draw of a series with
    fewer values than two blocks have, because its draws would all be alike. This is the circular block bootstrap of Politis
    & Romano (1992). Differences of cumulative sums give a block's sum at once, so that no day is gathered.
    """
    known = np.isfinite(daily)
    n = len(daily)
    if known.sum() < 2 * block:
        return np.full(draws, np.nan)
    centre = float(daily[known].mean())
    n_whole, rest = divmod(n_days, block)
    first = np.random.default_rng(seed).integers(0, n, (draws, n_whole + (rest > 0)))
    total, count = (
        _block_sums(values, first[:, :n_whole], block) + _block_sums(values, first[:, n_whole:], rest)
        for values in (np.where(known, daily - centre, 0.0), known.astype(np.float64))
    )
    return np.where(count > 0, centre + total / np.maximum(count, 1), np.nan)


def paired_bootstrap(a: np.ndarray, b: np.ndarray, draws: int, seed: int, block: int) -> np.ndarray:
    """Return (draws,) means of b minus a, two series (n_days,) of the same days: every draw takes the same days of both."""
    return bootstrap_means(b - a, len(a), draws, seed, block)


def interval(means: np.ndarray, share: float = 0.95) -> tuple[float, float]:
    """Return the ends of the interval that holds `share` of the draws in its middle; NaN without draws."""
    known = means[np.isfinite(means)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _block_sums(values: np.ndarray, first: np.ndarray, block: int) -> np.ndarray:
    """Return (draws,) sums over the blocks that begin at `first` (draws, n_blocks), days of a circle."""
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:block]]))])
    return (sums[first + block] - sums[first]).sum(axis=1)
