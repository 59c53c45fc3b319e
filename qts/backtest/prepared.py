"""What a market says under one set of rules: who can trade each day, at what price, and what a holding is worth."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qts.backtest.market import Market, positive
from qts.backtest.price_limits import is_at_limit, limit_shares
from qts.config import BacktestConfig


@dataclass(frozen=True)
class Prepared:
    """Grids (n_days, n_names) that every backtest with the same `key` shares; prices are adjusted ones."""

    market: Market
    """The market without numbers that no price, limit or factor can be."""
    suspended: np.ndarray
    """Whether there was no trading."""
    at_up: np.ndarray
    """Whether the price of a purchase stands at the upper limit."""
    at_down: np.ndarray
    """Whether the price of a sale stands at the lower limit."""
    can_buy: np.ndarray
    """Whether a purchase is possible."""
    can_sell: np.ndarray
    """Whether a sale is possible."""
    buy_price: np.ndarray
    """What a purchase pays before slippage, NaN where there is no bar."""
    sell_price: np.ndarray
    """What a sale gets before slippage."""
    mark: np.ndarray
    """What a share is worth at the end of the day: its last close."""
    worth: np.ndarray
    """What a share is worth at the time of the deal: the price of a sale, or the last close of who does not trade."""
    n_quiet: np.ndarray
    """Days since the last one with trading, 0 on such a day."""

    def reason(self, row: int, name: int, side: str) -> str:
        """Return why a name could not be bought or sold on a day."""
        if self.suspended[row, name]:
            return "suspended"
        first, second = (self.at_up, "limit_up"), (self.at_down, "limit_down")
        if side == "sell":
            first, second = second, first
        return first[1] if first[0][row, name] else second[1]


def preparation_key(config: BacktestConfig) -> tuple[object, ...]:
    """Return what of a config decides the grids: backtests with equal keys may share them."""
    is_both = config.rules == "qlib" and config.both_sides_at_limit
    return config.rules, config.price_limits, config.deal_price, config.sell_price or config.deal_price, is_both


def prepare(market: Market, config: BacktestConfig) -> Prepared:
    """Return the grids of a market under the config's rules."""
    market = _positive(market)
    suspended = np.isnan(market.close)
    if config.rules == "exchange":
        suspended |= ~(market.volume > 0)
    buying, selling = config.deal_price, config.sell_price or config.deal_price
    at_up = _at_limit(market, config, buying, 1) & ~suspended
    at_down = _at_limit(market, config, selling, -1) & ~suspended
    either = at_up | at_down
    is_both = config.rules == "qlib" and config.both_sides_at_limit
    mark = _carry_forward(market)
    sell_price = _deal_price(market, selling)
    row = np.arange(len(suspended))[:, None]
    return Prepared(
        market=market,
        suspended=suspended,
        at_up=at_up,
        at_down=at_down,
        can_buy=~(suspended | (either if is_both else at_up)),
        can_sell=~(suspended | (either if is_both else at_down)),
        buy_price=_deal_price(market, buying),
        sell_price=sell_price,
        mark=mark,
        worth=np.where(suspended, mark, sell_price),
        n_quiet=row - np.maximum.accumulate(np.where(suspended, -1, row), axis=0),
    )


POSITIVE = ("open", "high", "low", "close", "vwap", "previous_close", "adj_factor", "up_limit", "down_limit")
"""Grids of a market in which 0 and less mean that nothing is known."""


def _positive(market: Market) -> Market:
    grids: dict[str, Any] = {name: positive(grid) for name in POSITIVE if (grid := getattr(market, name)) is not None}
    return replace(market, **grids)


def _at_limit(market: Market, config: BacktestConfig, deal: str, sign: int) -> np.ndarray:
    """Return who stands at a limit: `qlib` looks at the day's change, whatever the deal; an exchange at the deal.

    A mean price says little about the limit, so there a day counts that never left it.
    """
    shares = limit_shares(market, config)
    if config.rules == "qlib":
        with np.errstate(invalid="ignore", divide="ignore"):
            return sign * (market.close / market.previous_close - 1) >= shares
    price = _deal_price(market, deal)
    if deal == "vwap":
        price = market.low if sign > 0 else market.high
    limit = market.up_limit if sign > 0 else market.down_limit
    return is_at_limit(market, price, shares, limit if config.price_limits == "by_board" else None, sign)


def _deal_price(market: Market, deal: str) -> np.ndarray:
    """Return the price of a deal; where there is none, the close."""
    price: np.ndarray = getattr(market, deal)
    return np.where(price > 1e-8, price, market.close)


def _carry_forward(market: Market) -> np.ndarray:
    """Return the last close up to each day."""
    close = np.vstack([market.previous_close[:1], market.close])
    row = np.maximum.accumulate(np.where(np.isnan(close), 0, np.arange(len(close))[:, None]), axis=0)
    return np.take_along_axis(close, row, axis=0)[1:]
