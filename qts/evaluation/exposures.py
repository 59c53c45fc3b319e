"""What is known of a name besides its score, from prices up to the score's day: size and beta."""

from collections.abc import Mapping

import numpy as np

from qts.evaluation.signal import Prices

SIZE_DAYS, SIZE_LEAST = 20, 10
"""Days whose traded value is averaged, and how many of them must be known."""
BETA_DAYS, BETA_LEAST = 60, 30
"""Days whose returns give the slope, and how many of them must be known."""
NAMES_AT_A_TIME = 64
"""Few enough for their prices to stay near the processor."""

SIZE, BETA = "size", "beta"


def exposures_of(prices: Prices, at: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return size and beta, (n_days, n_names) float64 each, NaN where too little is known.

    at (n_days,) int: the line of each day in the prices, -1 where they lack it. Size is the log of the mean traded
    value of the last 20 days; beta is the slope of the last 60 one-day returns on their equally weighted mean over
    all names. Both end with the close of the day itself.
    """
    shape = (len(at), prices.close.shape[1])
    found = {SIZE: np.full(shape, np.nan), BETA: np.full(shape, np.nan)}
    known = np.flatnonzero(at >= 0)
    if not len(known):
        return found
    market = _market(prices)
    for first in range(0, shape[1], NAMES_AT_A_TIME):
        names = slice(first, first + NAMES_AT_A_TIME)
        found[SIZE][known, names] = sizes(prices.value[:, names])[at[known]]
        found[BETA][known, names] = betas(_returns(prices.close[:, names]), market)[at[known]]
    return found


def sizes(value: np.ndarray) -> np.ndarray:
    """Return (n_price_days, n_names) logs of the mean traded value of the last 20 days; NaN below 10 of them."""
    taken = np.isfinite(value)
    n, total = (
        _last(part, SIZE_DAYS) for part in (taken.astype(np.float64), np.where(taken, value, 0.0).astype(np.float64))
    )
    can = (n >= SIZE_LEAST) & (total > 0)
    return np.log(np.divide(total, n, where=can, out=np.ones(n.shape)), where=can, out=np.full(n.shape, np.nan))


def betas(returns: np.ndarray, market: np.ndarray) -> np.ndarray:
    """Return (n_price_days, n_names) slopes of the last 60 returns on the market's (n_price_days,); NaN below 30."""
    taken = ~np.isnan(returns) & ~np.isnan(market)[:, None]
    y, x = np.where(taken, returns, 0.0), np.where(taken, np.nan_to_num(market)[:, None], 0.0)
    n, sum_x, sum_y, sum_xx, sum_xy = (
        _last(part, BETA_DAYS) for part in (taken.astype(np.float64), x, y, x * x, x * y)
    )
    spread = n * sum_xx - sum_x * sum_x
    can = (n >= BETA_LEAST) & (spread > 1e-9 * n * sum_xx)
    return np.divide(n * sum_xy - sum_x * sum_y, spread, where=can, out=np.full(n.shape, np.nan))


def _returns(close: np.ndarray) -> np.ndarray:
    """Return (n_price_days, n_names) one-day returns, NaN where they are not finite."""
    close, returns = close.astype(np.float64, copy=False), np.full(close.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        returns[1:] = close[1:] / close[:-1] - 1.0
    returns[np.isinf(returns)] = np.nan
    return returns


def _market(prices: Prices) -> np.ndarray:
    """Return (n_price_days,) mean one-day returns of all names that have one."""
    total, n = np.zeros((2, len(prices.days)))
    for first in range(0, prices.close.shape[1], NAMES_AT_A_TIME):
        returns = _returns(prices.close[:, first : first + NAMES_AT_A_TIME])
        total += np.nansum(returns, axis=1)
        n += np.count_nonzero(~np.isnan(returns), axis=1)
    return np.divide(total, n, where=n > 0, out=np.full(len(n), np.nan))


def _last(values: np.ndarray, n_days: int) -> np.ndarray:
    """Return (n_price_days, n_names) sums of each column's last `n_days` values, its own included.

    Put together from sums over 1, 2, 4, … days: as cheap as a cumulative sum, and no rounding of earlier days is left.
    """
    found, reach, power = np.zeros(values.shape), 0, values
    for bit in range(n_days.bit_length()):
        if n_days >> bit & 1:
            found[reach:] += power[: max(len(power) - reach, 0)]
            reach += 1 << bit
        grown = power.copy()
        grown[1 << bit :] += power[: -(1 << bit)]
        power = grown
    return found
