"""The tables of a backtest, gathered while it runs."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from qts.backtest.account import SPANNING
from qts.backtest.book import Book, Trade
from qts.backtest.prepared import Prepared
from qts.backtest.results import Columns, Records
from qts.config import BacktestConfig


class Order(NamedTuple):
    """One order as it was wanted and dealt; rows and names are those of the market."""

    row: int
    name: int
    side: str
    wanted: float
    dealt: float
    price: float
    value: float
    cost: float
    reason: str


class DayEnd(NamedTuple):
    """The end of a day."""

    account: float
    cash: float
    value: float
    n_positions: int
    turnover: float
    cost: float
    gross_return: float
    net_return: float
    n_blocked: int


class Recorder:
    """Takes down what happens, and writes it out as tables at the end."""

    def __init__(self, prepared: Prepared, config: BacktestConfig, first: int) -> None:
        self.market = prepared.market
        self.config = config
        self.mark = prepared.mark
        self.first = first
        self.orders: list[Order] = []
        self.accounts: list[DayEnd] = []
        self._positions: list[tuple[np.ndarray, ...]] = []

    def positions(self, row: int, book: Book, held: np.ndarray) -> None:
        """Take down what is held at the end of a day."""
        self._positions.append((np.full(len(held), row), held, book.shares[held], book.n_days[held]))

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and columns of the market's grids that were held, day by day."""
        row, name, _, _ = (np.concatenate(parts) for parts in zip(*self._positions, strict=True))
        return row, name

    def reasons(self) -> dict[str, int]:
        """Return reason → orders that were not dealt in full."""
        return dict(sorted(Counter(order.reason for order in self.orders if order.reason).items()))

    def records(self, trades: list[Trade]) -> Records:
        """Return the tables."""
        accounts = self._account_table()
        return Records(accounts, self._order_table(), self._trade_table(trades), self._position_table(accounts))

    def _account_table(self) -> Columns:
        days = self.market.days[self.first :]
        nothing = np.full(len(days), np.nan)
        table = {"datetime": days, **_table(self.accounts, DayEnd)}
        begin = self._begin()
        for name in ("benchmark", "universe"):
            returns = getattr(self.market, name)
            table[name] = nothing if returns is None else _since(returns, begin, spans=name in SPANNING)[self.first :]
        table["n_blocked"] = table.pop("n_blocked")
        return table

    def _begin(self) -> int:
        """Return the first row on which the account's holdings earn: that of the first purchase, or the one after it."""
        bought = next((order.row for order in self.orders if order.side == "buy" and order.dealt), None)
        return 0 if bought is None or self.config.rules == "qlib" else bought + (self.config.deal_price == "close")

    def _order_table(self) -> Columns:
        table = _table(self.orders, Order)
        row, name = table.pop("row"), table.pop("name")
        factor = self.market.adj_factor[row, name]
        table["real_shares"], table["real_price"] = table["dealt"] * factor, table["price"] / factor
        with np.errstate(invalid="ignore", divide="ignore"):
            share = table["dealt"] / self.market.volume[row, name]
        table["volume_share"] = np.where(np.isfinite(share), share, np.nan)
        table["reason"] = table.pop("reason")
        return {"datetime": self.market.days[row], "instrument": self.market.instruments[name], **table}

    def _trade_table(self, trades: list[Trade]) -> Columns:
        table = _table(trades, Trade)
        closed = np.where(table["closed"] < 0, np.datetime64("NaT"), self.market.days[table["closed"]])
        profit = table["received"] - table["paid"]
        return {
            "instrument": self.market.instruments[table["name"]],
            "opened": self.market.days[table["opened"]],
            "closed": closed,
            **{name: table[name] for name in ("shares", "paid", "received")},
            "profit": profit,
            "return": profit / table["paid"],
            "n_days": table["n_days"],
            "reason": table["reason"],
        }

    def _position_table(self, accounts: Columns) -> Columns:
        row, name, shares, n_days = (np.concatenate(parts) for parts in zip(*self._positions, strict=True))
        price = self.mark[row, name]
        value = shares * price
        return {
            "datetime": self.market.days[row],
            "instrument": self.market.instruments[name],
            "shares": shares,
            "price": price,
            "value": value,
            "weight": value / accounts["account"][row - self.first],
            "n_days": n_days,
        }


def _since(returns: np.ndarray, begin: int, *, spans: bool) -> np.ndarray:
    """Return a benchmark's returns as if it too were bought on the eve of row `begin`: until then it stands still.

    Where the index has no return on that eve, the first one after it reaches further back: nothing is known up to it.
    """
    found = returns.copy()
    found[:begin] = 0.0
    if spans and begin > 0 and np.isnan(returns[begin - 1]):
        known = np.flatnonzero(np.isfinite(returns[begin:]))
        found[: begin + int(known[0]) + 1 if len(known) else None] = np.nan
    return found


KINDS = {"int": np.int64, "float": np.float64, "str": np.str_}
"""Annotation → the type of a column, so that an empty table has types too."""


def _table(rows: list[Order] | list[DayEnd] | list[Trade], kind: type) -> dict[str, np.ndarray]:
    """Return a column a field."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(kind.__annotations__)
    return {
        name: np.array(column, dtype=KINDS[given.__name__])
        for (name, given), column in zip(kind.__annotations__.items(), columns, strict=True)
    }
