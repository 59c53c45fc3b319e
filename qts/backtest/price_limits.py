"""How far a price may move in a day: a table of the boards' rules, and who stands at his limit."""

from dataclasses import dataclass

import numpy as np

from qts.backtest.market import Market
from qts.boards import UNKNOWN, board_of
from qts.config import BacktestConfig

QLIB_LIMIT = 0.095
"""The change of a day that the rules of `qlib` take for a limit where the config names none."""

TICK = 0.01
"""The smallest step of a real price."""

SLACK = 0.002
"""How much nearer than its share a change counts as a limit, where real prices are unknown and cannot be rounded."""


@dataclass(frozen=True)
class PriceLimit:
    """The rule of one board from a day on."""

    board: str
    since: str
    share: float
    special_share: float
    """The same for names under special treatment (ST)."""
    free_days: int
    """First bars of a name that have no limit."""


PRICE_LIMITS = (
    PriceLimit("Shanghai main", "1996-12-16", 0.10, 0.05, 1),
    PriceLimit("Shanghai main", "2023-04-10", 0.10, 0.05, 5),
    PriceLimit("Shenzhen main", "1996-12-16", 0.10, 0.05, 1),
    PriceLimit("Shenzhen main", "2023-04-10", 0.10, 0.05, 5),
    PriceLimit("ChiNext", "2009-10-30", 0.10, 0.10, 1),
    PriceLimit("ChiNext", "2020-08-24", 0.20, 0.20, 5),
    PriceLimit("STAR", "2019-07-22", 0.20, 0.20, 5),
    PriceLimit("Beijing", "2021-11-15", 0.30, 0.30, 1),
    PriceLimit(UNKNOWN, "1990-12-19", 0.10, 0.10, 0),
)
"""Rules of the Shanghai, Shenzhen and Beijing exchanges; a board's rows in the order of their days. Before a board's first row
that row holds: bars of a code from before then are rare and are most likely another listing's."""


def limit_shares(market: Market, config: BacktestConfig) -> np.ndarray:
    """Return (n_days, n_names) the largest move of a day as a share of the close before, NaN where there is no limit."""
    if config.price_limits == "none":
        return np.full(market.close.shape, np.nan)
    if config.price_limits != "by_board":
        return np.full(market.close.shape, config.price_limits)
    if config.rules == "qlib":
        return np.full(market.close.shape, QLIB_LIMIT)
    return _shares_by_board(market)


def is_at_limit(
    market: Market, price: np.ndarray, shares: np.ndarray, limit: np.ndarray | None, sign: int
) -> np.ndarray:
    """Return (n_days, n_names) whether an adjusted price stands at the upper (`sign` 1) or the lower (-1) limit.

    The limit is that of the bars, `limit`, where they have one. Otherwise it is the real close before, as today's adjustment
    states it, times (1 ± share), rounded half up to a tick. Without an adj_factor there is no tick to round to, and the change
    itself is compared.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        reference = market.previous_close / market.adj_factor
        derived = _round_half_up(reference * (1 + sign * shares))
        hit = sign * (price / market.adj_factor - derived) >= -TICK / 2
        by_change = sign * (price / market.previous_close - 1) >= shares - SLACK
        hit = np.where(np.isnan(market.adj_factor), by_change, hit)
        if limit is not None:
            hit = np.where(np.isnan(limit), hit, sign * (price / limit - 1) >= -1e-5)
    return hit


def _round_half_up(price: np.ndarray) -> np.ndarray:
    """Round to ticks; a hundredth of a tick is added because prices that were stored in 32 bits fall short of the half."""
    return np.floor(price / TICK + 0.51) * TICK


def _shares_by_board(market: Market) -> np.ndarray:
    boards = [limit.board for limit in PRICE_LIMITS]
    names = sorted(set(boards))
    board = np.array([names.index(board_of(str(instrument))) for instrument in market.instruments], dtype=np.int64)
    rules = np.stack([_rules_of(name, market.days) for name in names], axis=1)  # (n_days, n_boards)
    column = {
        key: np.array([getattr(limit, key) for limit in PRICE_LIMITS])
        for key in ("share", "special_share", "free_days")
    }
    rule = rules[:, board]  # (n_days, n_names)
    shares = column["share"][rule]
    if market.special is not None:
        shares = np.where(market.special, column["special_share"][rule], shares)
    is_free = (market.n_before < column["free_days"][rule]) & ~_is_old(market)
    return np.where(is_free, np.nan, shares)


def _rules_of(board: str, days: np.ndarray) -> np.ndarray:
    """Return (n_days,) the row of PRICE_LIMITS that holds on each day."""
    rows = [row for row, limit in enumerate(PRICE_LIMITS) if limit.board == board]
    since = np.array([PRICE_LIMITS[row].since for row in rows], dtype="datetime64[D]")
    return np.array(rows)[np.maximum(np.searchsorted(since, days, side="right") - 1, 0)]


def _is_old(market: Market) -> np.ndarray:
    """Return (n_names,) who was listed before the bars begin, so that few bars before a day do not make it a first day."""
    n_before = market.n_before[0]
    longest = n_before.max(initial=0)
    if not market.starts_listed or longest >= max(limit.free_days for limit in PRICE_LIMITS):
        return np.zeros(len(n_before), dtype=bool)
    return (n_before == longest) & ((longest > 0) | ~np.isnan(market.close[0]))
