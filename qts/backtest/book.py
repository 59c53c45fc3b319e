"""What an account holds, and the story of each holding."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Trade(NamedTuple):
    """One holding from its purchase to its end; rows are those of the market's days."""

    name: int
    opened: int
    closed: int
    """-1: still held."""
    shares: float
    paid: float
    received: float
    """After cost; of what is still held, its value."""
    n_days: int
    reason: str


@dataclass
class Book:
    """Cash, and one cell a name: shares held and what has been paid and received for them."""

    cash: float
    shares: np.ndarray
    """(n_names,) adjusted shares."""
    n_days: np.ndarray
    """(n_names,) ends of days the holding has seen."""
    opened: np.ndarray
    """(n_names,) row of the day it was bought."""
    bought: np.ndarray
    """(n_names,) shares then bought."""
    paid: np.ndarray
    """(n_names,) cost included."""
    received: np.ndarray
    """(n_names,) for what is already sold, cost taken off."""
    trades: list[Trade] = field(default_factory=list)

    @classmethod
    def of(cls, cash: float, n_names: int) -> "Book":
        """Return a book of cash alone."""
        shares, bought, paid, received = np.zeros((4, n_names))
        n_days, opened = np.zeros((2, n_names), dtype=np.int64)
        return cls(cash, shares, n_days, opened, bought, paid, received)

    def held(self) -> np.ndarray:
        """Return the columns of the names held."""
        return np.flatnonzero(self.shares)

    def buy(self, row: int, name: int, shares: float, value: float, cost: float) -> None:
        """Take in a new holding."""
        self.cash -= value + cost
        self.shares[name] = self.bought[name] = shares
        self.paid[name], self.received[name] = value + cost, 0.0
        self.opened[name], self.n_days[name] = row, 0

    def sell(self, row: int, name: int, shares: float, value: float, cost: float) -> None:
        """Give away a holding or a part of it."""
        self.cash += value - cost
        self.received[name] += value - cost
        rest = self.shares[name] - shares
        if rest > 1e-9 * self.shares[name]:
            self.shares[name] = rest
        else:
            self._close(row, name, "sold")

    def write_off(self, row: int, name: int, value: float) -> None:
        """Close a holding that nobody will ever buy, for what is paid out."""
        self.cash += value
        self.received[name] += value
        self._close(row, name, "written_off")

    def finish(self, row: int, mark: np.ndarray) -> None:
        """Tell the story of what is still held on the last day, `mark` (n_names,) being its prices."""
        for name in self.held().tolist():
            self.received[name] += self.shares[name] * mark[name]
            self._tell(name, -1, row, "open")

    def _close(self, row: int, name: int, reason: str) -> None:
        self._tell(name, row, row, reason)
        self.shares[name] = 0.0

    def _tell(self, name: int, closed: int, last: int, reason: str) -> None:
        opened = int(self.opened[name])
        money = float(self.bought[name]), float(self.paid[name]), float(self.received[name])
        self.trades.append(Trade(name, opened, closed, *money, n_days=last - opened, reason=reason))
