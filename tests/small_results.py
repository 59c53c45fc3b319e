"""An EvalReport of 7 days, 3 score groups and 2 holding periods, and a backtest of 6 days, written by hand, with holes."""

from dataclasses import replace
from math import nan
from typing import Any

import numpy as np

from qts.backtest.results import BacktestResult, Records
from qts.backtest.statistics import statistics
from qts.daily_series import SeriesStats
from qts.evaluation import EvalReport
from qts.evaluation.results import (
    Coverage,
    Drift,
    FactorPortfolio,
    GroupFigures,
    HorizonFigures,
    NeutralFigures,
    Persistence,
)
from qts.rendering.document import Document, Plot, Sheet

DAYS = np.array(
    ["2023-12-27", "2023-12-28", "2023-12-29", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"],
    dtype="datetime64[D]",
)
RANK_IC = np.array([0.10, -0.02, nan, 0.04, 0.06, -0.08, 0.02])
SPREAD = np.array([0.004, -0.001, nan, 0.002, 0.003, -0.002, 0.001])


def stats(mean: float, t: float = 4.0, *, low: float = nan, high: float = nan, n: int = 60) -> SeriesStats:
    """Return figures of a series; the standard deviation is what the plain error and t make of it."""
    std = abs(mean / t) * n**0.5 if t else 1.0
    return SeriesStats(n, mean, std, mean / std, t, 0, 0.01, 0.5, -0.25, low, high, 0.625)


def horizon(held: int, mean: float, **changes: Any) -> HorizonFigures:
    """Return a holding period whose groups earn 3, 2 and 1 times as much as the lowest."""
    made = HorizonFigures(
        horizon=held, ic=stats(mean / 2, 2.5), rank_ic=stats(mean, 3.5, low=mean / 2, high=2 * mean),
        group_mean=np.array([0.006, 0.004, 0.002]) * held, group_error=np.array([0.001, 0.0005, 0.002]) * held,
        spread=stats(0.004 * held, 2.2), monotonicity=1.0, days=DAYS[1:6],
        curves=np.array([[1, 1, 1], [1.01, 1, 0.99], [1.02, nan, 0.98], [1.03, 1, 0.97], [1.04, 1, 0.96]]),
        turnover=0.34 / held, break_even_bps=6.2 * held,
    )  # fmt: skip
    return replace(made, **changes)


def group(name: str, rank_ic: SeriesStats, n_rows: int = 14) -> GroupFigures:
    return GroupFigures(name, n_rows, 2.5, stats(0.01, 1.0), rank_ic, 0.0011, 0.0007)


def small_report(**changes: Any) -> EvalReport:
    """Return a report in which all is there; `changes` replace its fields."""
    made = EvalReport(
        days=DAYS, n_names=np.array([5, 5, 1, 4, 5, 5, 5]), ic=RANK_IC / 2, rank_ic=RANK_IC, spread=SPREAD,
        mean_label=SPREAD / 2, quantiles=np.column_stack([SPREAD, 0 * SPREAD, -SPREAD]),
        summary={
            "ic": 0.01, "icir": 0.2, "rank_ic": 0.02, "rank_icir": 0.3, "rank_ic_t": 4.0, "n_days": 6, "mean_names": 4.8,
            "turnover": 0.34, "break_even_bps": 6.2, "lost": 0.25,
        },
        statistics={
            "ic": stats(0.01, 2.0), "rank_ic": stats(0.02, 4.0, low=0.01, high=0.03), "spread": stats(0.0012, 3.0),
        },
        horizons=(horizon(1, 0.02), horizon(3, 0.03)), decay=np.array([0.02, 0.015, 0.008, nan]),
        portfolio=FactorPortfolio(SPREAD / 4, SPREAD / 2, stats(0.0003, 2.5), 0.051, 2.1, 0.25, 0.9, 0.075, 1.5),
        persistence=(
            Persistence(1, np.array([nan, 0.9, nan, 0.7, 0.8, 0.8, 0.6]), np.full((7, 3), 0.3)),
            Persistence(5, np.full(7, nan), np.full((7, 3), nan)),
        ),
        groups={"industry": (group("banks", stats(0.05, 3.0)), group("steel", stats(nan, nan), 7))},
        neutral=(
            NeutralFigures((), stats(0.01), stats(0.02, 4.0, low=0.01, high=0.03), nan),
            NeutralFigures(("industry",), stats(0.008), stats(0.018, 3.0), 0.2),
            NeutralFigures(("industry", "size"), stats(0.004), stats(0.008, 2.4), 0.5),
        ),
        coverage=Coverage(
            {"rows": 40, "no score": 10, "judged": 30, "members without row": 3, "days": 7, "days without ic": 1}, 0.25,
            np.array([5, 4, 0, 4, 5, 5, 0]), np.array([5, 5, 5, 5, 5, 5, 0]),
        ),
        warnings=("fewer than 60 days",),
        context={
            "model": "gru", "seed": 3, "label": "Ref($close, -2)/Ref($close, -1) - 1", "label_ahead": 2, "lag": 1,
            "config": {"eval": {"quantiles": 3}},
        },
    )  # fmt: skip
    return replace(made, **changes)


def live() -> Drift:
    """Return three days after the test segment, one without RankIC."""
    days = np.array(["2024-01-08", "2024-01-09", "2024-01-10"], dtype="datetime64[D]")
    return Drift(days, np.array([0.03, nan, 0.01]), 0.02, 0.025, -0.01, 0.06)


def empty_report() -> EvalReport:
    """Return a report in which nothing could be told but that there were days."""
    none, unknown = np.full(7, nan), stats(nan, nan, n=0)
    return small_report(
        ic=none, rank_ic=none, spread=none, mean_label=none, quantiles=np.full((7, 3), nan),
        summary={"ic": nan, "rank_ic": nan}, statistics={"ic": unknown, "rank_ic": unknown, "spread": unknown},
        horizons=(), decay=np.array([]), portfolio=FactorPortfolio(none, none, unknown, nan, nan, nan, nan, nan, nan),
        persistence=(), groups={}, neutral=(), coverage=Coverage({}, nan, np.zeros(7, int), np.zeros(7, int)), context={},
    )  # fmt: skip


NET = np.array([0.0, 0.02, -0.05, 0.01, 0.03, -0.01])
COST = np.array([0.0, 0.001, 0.002, 0.0, 0.001, 0.0])
INDEX = np.array([0.01, nan, -0.02, 0.0, 0.02, 0.01])


def small_backtest(**changes: Any) -> BacktestResult:
    """Return a portfolio of 6 days, 4 orders, 3 trades and a last book of 2 names; `changes` replace columns of accounts."""
    n = len(NET)
    account = 100_000 * np.cumprod(1 + NET)
    accounts = {
        "datetime": DAYS[:n], "account": account, "cash": account / 20, "value": account * 19 / 20,
        "n_positions": np.array([0, 2, 2, 3, 2, 2]), "turnover": np.array([0, 0.9, 0.2, 0, 0.4, 0]), "cost": COST,
        "gross_return": NET + COST, "net_return": NET, "benchmark": INDEX, "universe": NET / 2,
        "n_blocked": np.array([0, 1, 1, 0, 0, 0]),
    } | changes  # fmt: skip
    orders = {
        "datetime": DAYS[[1, 1, 2, 4]], "instrument": np.array(["A", "B", "A", "C"]),
        "side": np.array(["buy", "buy", "sell", "buy"]), "wanted": np.full(4, 100.0),
        "dealt": np.array([100.0, 50, 0, 100]), "price": np.full(4, 9.0), "value": np.array([900.0, 450, 0, 900]),
        "cost": np.ones(4), "real_shares": np.full(4, 100.0), "real_price": np.full(4, 9.0),
        "reason": np.array(["", "volume", "limit_down", ""]),
    }  # fmt: skip
    trades = {
        "instrument": np.array(["A", "B", "C"]), "opened": DAYS[[1, 1, 4]],
        "closed": np.array([DAYS[3], DAYS[4], np.datetime64("NaT")]), "shares": np.full(3, 100.0),
        "paid": np.array([900.0, 450, 900]), "received": np.array([1000.0, 400, 950]),
        "profit": np.array([99.0, -51, 49]), "return": np.array([0.11, -0.113, 0.054]), "n_days": np.array([2, 3, 1]),
        "reason": np.array(["sold", "sold", "open"]),
    }  # fmt: skip
    positions = {
        "datetime": DAYS[[4, 5, 5]], "instrument": np.array(["B", "A", "C"]), "shares": np.array([50.0, 100, 300]),
        "price": np.array([9.0, 9.5, 4.0]), "value": np.array([450.0, 950, 1200]),
        "weight": np.array([0.1, 0.4, 0.55]), "n_days": np.array([3, 4, 1]),
    }  # fmt: skip
    return BacktestResult(
        settings={"rules": "exchange", "top_k": 2, "lag": 1, "account": 1e5, "fees": {"buy": 0.0005}},
        records=Records(accounts, orders, trades, positions),
        statistics=statistics(accounts, 252, trades=trades, orders=orders), warnings=("a short one",),
        blocked={"volume": 1, "limit_down": 1},
    )  # fmt: skip


def untraded_backtest() -> BacktestResult:
    """Return a portfolio that never traded and has neither index nor universe."""
    made = small_backtest(
        benchmark=np.full(6, nan),
        universe=np.full(6, nan),
        **dict.fromkeys(("net_return", "gross_return", "cost"), np.zeros(6)),
    )
    none = {
        name: {column: values[:0] for column, values in getattr(made.records, name).items()}
        for name in ("orders", "trades", "positions")
    }
    records = replace(made.records, **none)
    return replace(made, records=records, blocked={}, warnings=())


def block(document: Document, key: str) -> Any:
    """Return the one table or plot of that name."""
    (found,) = (one for one in document.blocks() if one.key == key)
    return found


def assert_sound(document: Document) -> None:
    """Assert that names stand once, that plots have the columns they name, all of one length, and numbers their kind."""
    keys = [one.key for one in document.blocks()]
    assert len(keys) == len(set(keys))
    for one in document.blocks():
        if isinstance(one, Plot):
            named = {
                one.x,
                one.z,
                one.rows,
                *(name for trace in one.traces for name in (trace.y, trace.to, trace.error)),
            }
            assert named - {""} <= set(one.data), one.key
            assert len({len(values) for values in one.data.values()}) == 1, one.key
            assert all(value is None or value == value for values in one.data.values() for value in values), one.key
        if isinstance(one, Sheet):
            _assert_columns(one)


def _assert_columns(sheet: Sheet) -> None:
    keys = {column.key for column in sheet.columns}
    assert len(keys) == len(sheet.columns)
    for row in sheet.rows:
        assert keys & set(row), sheet.key
        for column in sheet.columns:
            if column.kind == "text":
                assert not isinstance(row.get(column.key), int | float | np.number), (sheet.key, column.key)
