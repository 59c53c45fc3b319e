"""A backtest by month and by year, its worst falls, and its figures over a moving year."""

from collections.abc import Iterator
from dataclasses import asdict
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from qts.backtest.account import Versus, beside
from qts.backtest.results import Columns
from qts.backtest.risk import NAN, QLIB_DAYS_PER_YEAR, annual_ratio, compounded, deepest, risk_analysis, spread
from qts.columns import DATETIME
from qts.daily_series import drawdowns

Row = dict[str, Any]


def monthly(accounts: Columns, days_per_year: float) -> list[Row]:
    """Return a row a month, the earliest first; `period` is "2024-03", the other keys are those of `yearly`."""
    return list(_by_period(accounts, "M", days_per_year))


def yearly(accounts: Columns, days_per_year: float) -> list[Row]:
    """Return a row a year, the earliest first.

    Keys: period ("2024"), n_days; net, gross, benchmark, universe: compounded over the period; excess, universe_excess: net
    minus them over the intervals that end in the period; volatility, sharpe: annual; max_drawdown: from the account at the period's
    start; turnover: one side, summed; cost: summed. NaN where there is none.
    """
    return list(_by_period(accounts, "Y", days_per_year))


def worst_drawdowns(accounts: Columns, n: int = 5) -> list[Row]:
    """Return the n deepest falls of the account as rows, keys as the fields of `Drawdown`."""
    return [asdict(fall) for fall in drawdowns(accounts[DATETIME], accounts["net_return"], n)]


def published_risk(accounts: Columns) -> list[Row]:
    """Return Qlib's five figures of the excess over the index, without and with cost, in both of its modes.

    Keys: series (excess_return_without_cost, excess_return_with_cost), mode (sum, product) and those of `risk_analysis`.
    """
    index = beside(accounts, "benchmark")
    a_year = index.intervals_per_year(QLIB_DAYS_PER_YEAR)
    series = {"excess_return_without_cost": index.gross - index.benchmark, "excess_return_with_cost": index.excess}
    modes: tuple[Literal["sum", "product"], ...] = ("sum", "product")
    return [
        {"series": name, "mode": mode, **risk_analysis(values, a_year, mode=mode)}
        for name, values in series.items()
        for mode in modes
    ]


def rolling(accounts: Columns, days_per_year: float, window: int = 250) -> dict[str, np.ndarray]:
    """Return datetime, and sharpe, volatility, beta and universe_beta over the last `window` days, (n_days,) each.

    NaN until so many days have passed, and where the spread is 0. A beta is over as many returns of the benchmark, and NaN
    on days without one.
    """
    net = accounts["net_return"]
    deviation = _spread(net, window)
    figures = {
        "sharpe": _ratio(_mean(net, window), deviation) * sqrt(days_per_year),
        "volatility": deviation * sqrt(days_per_year),
    }
    for name, column in (("beta", "benchmark"), ("universe_beta", "universe")):
        known = beside(accounts, column)
        with np.errstate(invalid="ignore"):
            together = (
                _spread(known.net + known.benchmark, window) ** 2 - _spread(known.net - known.benchmark, window) ** 2
            )
        figures[name] = np.full(len(net), NAN)
        figures[name][known.end] = _ratio(together / 4, _spread(known.benchmark, window) ** 2)
    return {DATETIME: accounts[DATETIME], **figures}


def _by_period(accounts: Columns, unit: Literal["M", "Y"], days_per_year: float) -> Iterator[Row]:
    period = accounts[DATETIME].astype(f"datetime64[{unit}]")
    index, universe = (beside(accounts, column) for column in ("benchmark", "universe"))
    for one in np.unique(period):
        inside = {name: column[period == one] for name, column in accounts.items()}
        net = inside["net_return"]
        yield {
            "period": str(one),
            "n_days": len(net),
            "net": compounded(net),
            "gross": compounded(inside["gross_return"]),
            **_beside(index, period[index.end] == one, "benchmark", "excess"),
            **_beside(universe, period[universe.end] == one, "universe", "universe_excess"),
            "volatility": spread(net) * sqrt(days_per_year),
            "sharpe": annual_ratio(net, days_per_year),
            "max_drawdown": deepest(net),
            "turnover": float(inside["turnover"].sum()) / 2,
            "cost": float(inside["cost"].sum()),
        }


def _beside(versus: Versus, is_inside: np.ndarray, name: str, excess: str) -> Row:
    earned = compounded(versus.benchmark[is_inside])
    return {name: earned, excess: compounded(versus.net[is_inside]) - earned}


def _windows(values: np.ndarray, window: int) -> np.ndarray:
    """Return (n_days, window) each day's last values, NaN before the first day."""
    return sliding_window_view(np.concatenate([np.full(window, NAN), values]), window)[1:]


def _mean(values: np.ndarray, window: int) -> np.ndarray:
    return _windows(values, window).mean(axis=1)


def _spread(values: np.ndarray, window: int) -> np.ndarray:
    """Return standard deviations, ddof 1; 0 where all are equal, which rounding would hide."""
    windows = _windows(values, window)
    return np.where(windows.max(axis=1) == windows.min(axis=1), 0.0, windows.std(axis=1, ddof=1))


def _ratio(value: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return value over spread, NaN where the spread is 0 but for rounding."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-12 * np.abs(value), value / spread, NAN)
