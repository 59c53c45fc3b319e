"""The tables of a backtest as the series that figures are taken from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qts.backtest.results import Columns
from qts.columns import DATETIME
from qts.daily_series import Line, customary_lag, ols_hac


@dataclass(frozen=True)
class Versus:
    """The account beside a benchmark, over the days for which the benchmark has a return."""

    net: np.ndarray
    """(n_known,) net returns of the account."""
    benchmark: np.ndarray
    """(n_known,) returns of the benchmark."""

    @cached_property
    def excess(self) -> np.ndarray:
        """(n_known,) net return minus the benchmark's."""
        return self.net - self.benchmark

    @cached_property
    def line(self) -> Line:
        """The net returns on the benchmark's, a day."""
        return ols_hac(self.net, self.benchmark, customary_lag(len(self.net)))


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
        return self._versus("benchmark")

    @cached_property
    def universe(self) -> Versus:
        """The account beside the mean of the universe's names."""
        return self._versus("universe")

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

    def _versus(self, column: str) -> Versus:
        benchmark = self.accounts[column]
        known = np.isfinite(benchmark)
        return Versus(self.net[known], benchmark[known])
