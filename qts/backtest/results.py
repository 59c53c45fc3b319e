"""What a backtest leaves: tables of orders, trades, positions and accounts, and figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Columns = Mapping[str, np.ndarray]
"""A table: name → (n_rows,)."""


@dataclass(frozen=True)
class Records:
    """Everything that happened, a table a kind; days are datetime64[D], names str, money and shares float64."""

    accounts: Columns
    """A row a day: datetime, account, cash, value, n_positions, turnover, cost, gross_return (before cost), net_return,
    benchmark, universe, n_blocked. turnover and cost are shares of the account the day before; turnover counts buys and sells."""
    orders: Columns
    """A row an order, planned or dealt: datetime, instrument, side (buy, sell), wanted (adjusted shares), dealt, price, value,
    cost, real_shares, real_price, volume_share (of the day's volume), reason: empty if dealt in full, else what blocked or cut
    it: suspended, limit_up, limit_down, held_too_short, lot, cash, volume."""
    trades: Columns
    """A row a holding: instrument, opened, closed (NaT: still held), shares, paid, received, profit (after cost; of what is
    still held, at its last price), return, n_days (days of the calendar held), reason (sold, written_off, open)."""
    positions: Columns
    """A row a day and name held at its end: datetime, instrument, shares, price, value, weight, n_days."""


@dataclass(frozen=True)
class BacktestResult:
    """One portfolio over a span of days."""

    settings: Mapping[str, Any]
    """The rules as they were used, echoed in every report."""
    records: Records
    """Tables."""
    statistics: Mapping[str, float]
    """Name → figure: see STATISTICS."""
    warnings: tuple[str, ...] = ()
    """What a reader must know first."""
    blocked: Mapping[str, int] = field(default_factory=dict)
    """Reason → orders that were not dealt in full."""

    @property
    def days(self) -> np.ndarray:
        """(n_days,) datetime64[D]."""
        return self.records.accounts["datetime"]
