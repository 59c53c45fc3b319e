"""Backtests of a few names and days, and their tables in a few letters."""

from typing import Any

import numpy as np

from qts.backtest.engine import run_backtest
from qts.backtest.results import BacktestResult
from tests.backtest.markets import config_of, market_of

FLAT = [[10.0, 10.0, 10.0, 10.0]] * 5
"""Four names, five days, nothing moves."""


def run(close: Any, scores: Any, market: dict[str, Any] | None = None, **keys: Any) -> BacktestResult:
    """Return the backtest of closes and scores; what is no key of the config goes to the market."""
    return run_backtest(market_of(close, **(market or {})), np.array(scores, dtype=float), config_of(**keys))


def held(result: BacktestResult) -> list[str]:
    """Return the names held at the end of each day, as digits."""
    positions = result.records.positions
    return ["".join(name[-1] for name in positions["instrument"][positions["datetime"] == day]) for day in result.days]


def orders(result: BacktestResult) -> list[tuple[int, str, str, str]]:
    """Return (day of the report, name as a digit, side, reason) of every order."""
    table, first = result.records.orders, result.days[0]
    day = (table["datetime"] - first).astype(int).tolist()
    names = [name[-1] for name in table["instrument"].tolist()]
    return list(zip(day, names, table["side"].tolist(), table["reason"].tolist(), strict=True))
