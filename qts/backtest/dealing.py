"""One order at a time: what of it is dealt, at what price and cost."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qts.backtest.fees import fee_rates
from qts.backtest.prepared import Prepared
from qts.config import BacktestConfig

WORTHLESS = 1e-5
"""Money up to which an order is not dealt, as in Qlib."""


class Deal(NamedTuple):
    """What became of an order; amounts are adjusted shares."""

    dealt: float
    price: float
    value: float
    cost: float
    reason: str
    """Empty if dealt in full."""

    def if_worth_it(self) -> "Deal":
        """Return the deal, or that nothing is dealt where it comes to no money."""
        return self if self.value > WORTHLESS else Deal(0.0, self.price, 0.0, 0.0, self.reason or "lot")


@dataclass(frozen=True)
class Lots:
    """Rounding to whole lots of real shares, for each name and day by its own adj_factor."""

    size: int
    slack: float
    """Share of a lot that may be missing from a full one."""
    factor: np.ndarray
    """(n_days, n_names) 1 where a lot counts adjusted shares."""
    is_on: bool = True

    def floor(self, amount: float, row: int, name: int) -> float:
        """Return the most adjusted shares, up to `amount`, that are whole lots."""
        if not self.is_on:
            return amount
        factor = float(self.factor[row, name])
        return (amount * factor / self.size + self.slack) // 1 * self.size / factor

    def one(self, row: int, name: int) -> float:
        """Return one lot in adjusted shares."""
        return self.size / float(self.factor[row, name]) if self.is_on else 0.0


def lots_of(prepared: Prepared, config: BacktestConfig, first: int) -> Lots:
    """Return the lots under the config's rules.

    Where the adj_factor is unknown, an exchange's lot counts adjusted shares of that name and day alone. Under the rules of
    `qlib` one unknown factor on any day traded, from row `first` on, lets every order be any number of shares, as lot = 1 does;
    a tenth of a share may be missing there.
    """
    factor = prepared.market.adj_factor
    if config.rules == "exchange":
        return Lots(config.lot, 1e-9, np.where(np.isnan(factor), 1.0, factor))
    is_known = not (np.isnan(factor) & ~np.isnan(prepared.market.close))[first:].any()
    return Lots(config.lot, 0.1 / config.lot, factor, is_on=is_known and config.lot > 1)


class Desk:
    """Deals orders against prices, fees, volume and cash; knows nothing of scores."""

    def __init__(self, prepared: Prepared, config: BacktestConfig, first: int) -> None:
        self.prepared, self.config, self.first = prepared, config, first
        self.lots = lots_of(prepared, config, first)
        rates = fee_rates(prepared.market.days[first:], config)
        self._buy_rate, self._sell_rate = (rate.tolist() for rate in rates)
        self._slip = config.slippage_bps / 1e4

    def buy_price(self, row: int, name: int) -> float:
        """Return what a purchase pays for a share, slippage included."""
        return float(self.prepared.buy_price[row, name]) * (1 + self._slip)

    def sell_price(self, row: int, name: int) -> float:
        """Return what a sale gets for a share, slippage taken off."""
        return float(self.prepared.sell_price[row, name]) * (1 - self._slip)

    def affordable(self, row: int, cash: float, rate: float | None = None) -> float:
        """Return the largest value that cash pays for together with its cost; `rate` None: that of the day."""
        rate = self._buy_rate[row - self.first] if rate is None else rate
        return max(min(cash / (1 + rate), cash - self.config.min_cost), 0.0)

    def sell(self, row: int, name: int, held: float, cash: float) -> Deal:
        """Return the sale of a whole holding, or of what volume allows of it."""
        price = self.sell_price(row, name)
        amount, reason = self._within_volume(held, row, name)
        rate = self._sell_rate[row - self.first] + self._impact(amount * price, price, row, name)
        if reason:
            amount = self.lots.floor(amount, row, name)
        value, cost = self._value_and_cost(amount, price, rate)
        if cash + value < cost:
            return Deal(0.0, price, 0.0, 0.0, "cash")
        return Deal(amount, price, value, cost, reason).if_worth_it()

    def buy(self, row: int, name: int, wanted: float, cash: float) -> Deal:
        """Return the purchase of `wanted` shares, or of what volume, cash and lots allow of them."""
        price = self.buy_price(row, name)
        amount, reason = self._within_volume(wanted, row, name)
        rate = self._buy_rate[row - self.first] + self._impact(amount * price, price, row, name)
        value, cost = self._value_and_cost(amount, price, rate)
        if cash < cost:
            return Deal(0.0, price, 0.0, 0.0, "cash")
        if cash < (value + cost) * (1 - 1e-12):
            amount, reason = min(self.affordable(row, cash, rate) / price, amount), "cash"
        amount = self.lots.floor(amount, row, name)
        value, cost = self._value_and_cost(amount, price, rate)
        if self.config.rules == "exchange" and value + cost > cash:
            amount = max(amount - self.lots.one(row, name), 0.0)
            value, cost = self._value_and_cost(amount, price, rate)
        is_full = amount >= wanted * (1 - 1e-9) and amount > 0
        return Deal(amount, price, value, cost, "" if is_full else reason or "lot").if_worth_it()

    def _within_volume(self, amount: float, row: int, name: int) -> tuple[float, str]:
        if self.config.max_volume is None:
            return amount, ""
        volume = float(self.prepared.market.volume[row, name])
        cap = self.config.max_volume * volume if volume > 0 else 0.0
        return (cap, "volume") if cap < amount else (amount, "")

    def _impact(self, value: float, price: float, row: int, name: int) -> float:
        """Return the rate that an order's size adds: the square of its share of the day's traded value."""
        if not self.config.impact:
            return 0.0
        traded = float(self.prepared.market.volume[row, name]) * price
        return self.config.impact * (value / traded) ** 2 if traded > 0 else self.config.impact

    def _value_and_cost(self, amount: float, price: float, rate: float) -> tuple[float, float]:
        value = amount * price
        return value, max(value * rate, self.config.min_cost) if value > WORTHLESS else 0.0
