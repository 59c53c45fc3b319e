"""The tables of a backtest as the series that figures are taken from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qts.backtest.results import Columns
from qts.columns import DATETIME
from qts.daily_series import Line, customary_lag, ols_hac


@dataclass(frozen=True)
class Versus:
    """The account beside a benchmark, over intervals at whose ends the benchmark is known; most are of one day."""

    end: np.ndarray
    """(n_known,) int, the row of the accounts on which each interval ends."""
    n_days: np.ndarray
    """(n_known,) int, days of each interval."""
    net: np.ndarray
    """(n_known,) net returns of the account."""
    gross: np.ndarray
    """(n_known,) returns before cost."""
    benchmark: np.ndarray
    """(n_known,) returns of the benchmark."""

    @cached_property
    def excess(self) -> np.ndarray:
        """(n_known,) net return minus the benchmark's."""
        return self.net - self.benchmark

    @cached_property
    def line(self) -> Line:
        """The net returns on the benchmark's, an interval."""
        return ols_hac(self.net, self.benchmark, customary_lag(len(self.net)))

    def intervals_per_year(self, days_per_year: float) -> float:
        """Return how many of the intervals a year has, for annual figures."""
        return days_per_year * len(self.n_days) / int(self.n_days.sum()) if len(self.n_days) else days_per_year

    def grown(self, n_rows: int, *, is_gross: bool = False) -> np.ndarray:
        """Return (n_rows,) how much more the account has grown than the benchmark since the comparison began, as a share.

        A row inside an interval has what stood at its begin; rows before the first and after the last have NaN.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            grown = np.cumprod(1 + (self.gross if is_gross else self.net)) / np.cumprod(1 + self.benchmark) - 1
        at = np.searchsorted(self.end, np.arange(n_rows), side="right") - 1
        is_inside = (at >= 0) & (np.arange(n_rows) <= self.end.max(initial=-1))
        return np.where(is_inside, np.append(grown, np.nan)[at], np.nan)


SPANNING = frozenset({"benchmark"})
"""Columns whose return after days without one is over all of these days; a day that others lack is left out on both sides."""


def beside(accounts: Columns, column: str) -> Versus:
    """Return the account beside one of its benchmarks, a column of the accounts: both over the same intervals.

    The index's return is from its close before, be that days ago: the account's returns of these days are compounded.
    Days before the first return and after the last one are not compared.
    """
    other = accounts[column]
    end = np.flatnonzero(np.isfinite(other))
    n_days = np.diff(end, prepend=end[:1] - 1) if column in SPANNING else np.ones(len(end), dtype=np.int64)
    net, gross = (_compounded(accounts[name], end, n_days) for name in ("net_return", "gross_return"))
    return Versus(end, n_days, net, gross, other[end])


def _compounded(returns: np.ndarray, end: np.ndarray, n_days: np.ndarray) -> np.ndarray:
    """Return (n_known,) what daily returns make over intervals that end on the rows `end`."""
    found = returns[end].copy()
    for at in np.flatnonzero(n_days > 1):  # few, and what is a single day stays as it is to the last bit
        found[at] = np.prod(1 + returns[end[at] - n_days[at] + 1 : end[at] + 1]) - 1
    return found


@dataclass(frozen=True)
class Account:
    """What happened, as arrays."""

    accounts: Columns
    """Table, a row a day."""
    days_per_year: float
    """Days a year, for annual figures."""
    trades: Columns | None = None
    """Table, a row a holding."""
    orders: Columns | None = None
    """Table, a row an order."""

    @cached_property
    def net(self) -> np.ndarray:
        """(n_days,) returns after cost."""
        return self.accounts["net_return"]

    @cached_property
    def gross(self) -> np.ndarray:
        """(n_days,) returns before cost."""
        return self.accounts["gross_return"]

    @cached_property
    def cost(self) -> np.ndarray:
        """(n_days,) cost as a share of the account the day before."""
        return self.accounts["cost"]

    @cached_property
    def turnover(self) -> np.ndarray:
        """(n_days,) half of what was bought and sold, as a share of the account the day before."""
        return self.accounts["turnover"] / 2

    @cached_property
    def index(self) -> Versus:
        """The account beside the index."""
        return beside(self.accounts, "benchmark")

    @cached_property
    def universe(self) -> Versus:
        """The account beside the mean of the universe's names."""
        return beside(self.accounts, "universe")

    @cached_property
    def closed(self) -> Columns:
        """The trades that came to an end."""
        if self.trades is None:
            return {"profit": np.empty(0), "n_days": np.empty(0)}
        ended = self.trades["reason"] != "open"
        return {name: column[ended] for name, column in self.trades.items()}

    @cached_property
    def share_per_money(self) -> np.ndarray:
        """(n_dealt,) each order's share of its name's volume that day, for every unit of money in the account."""
        if self.orders is None or "volume_share" not in self.orders:
            return np.empty(0)
        at = np.searchsorted(self.accounts[DATETIME], self.orders[DATETIME])
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self.orders["volume_share"] / self.accounts["account"][at]
        return found[np.isfinite(found) & (found > 0)]
