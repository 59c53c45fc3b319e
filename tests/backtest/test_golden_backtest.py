"""The rules of `qlib` against what pyqlib 0.9.7 answered: every order, every holding, every day's account."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qts.backtest.engine import run_backtest
from qts.backtest.results import BacktestResult
from qts.config import BacktestConfig
from tests.backtest.markets import golden_market, golden_scores, worked_example
from tests.conftest import GOLDEN

TRUTH = json.loads((GOLDEN / "backtest/backtest.json").read_text())
NOT_ISSUED = ["suspended", "limit_up", "limit_down", "held_too_short"]
"""Reasons of orders that the reference plans, but never issues."""

RANKED_LAST = {"g_top5_drop1_small_cash": "SH600028", "h_top5_drop1_nounit_impact": "SH600028"}
"""Set → the name that the order of a Python set put last on the one day where it decides."""


def config_as_given(strategy: dict[str, Any], exchange: dict[str, Any], account: float) -> BacktestConfig:
    """Return our config of a run of the reference."""
    deal = exchange["deal_price"]
    buy, sell = (name.removeprefix("$") for name in (deal if isinstance(deal, list) else [deal, deal]))
    volume = exchange.get("volume_threshold")
    return BacktestConfig.model_validate(
        {
            "rules": "qlib",
            "top_k": strategy["topk"],
            "n_drop": strategy["n_drop"],
            "hold_days": strategy.get("hold_thresh", 1),
            "only_tradable": strategy.get("only_tradable", False),
            "both_sides_at_limit": strategy.get("forbid_all_trade_at_limit", True),
            "exposure": strategy.get("risk_degree", 0.95),
            "account": float(account),
            "price_limits": exchange["limit_threshold"],
            "deal_price": buy,
            "sell_price": sell,
            "fees": [{"since": "1990-01-01", "buy": exchange["open_cost"], "sell": exchange["close_cost"]}],
            "min_cost": float(exchange["min_cost"]),
            "impact": exchange.get("impact_cost", 0.0),
            "lot": exchange.get("trade_unit", 100) or 1,
            "max_volume": float(volume["all"][1].split("*")[0]) if volume else None,
        }
    )


def frame(table: Any, *, keys: list[str]) -> pd.DataFrame:
    """Return a table in the order of its keys."""
    made = pd.DataFrame({name: np.asarray(column) for name, column in table.items()})
    made["datetime"] = pd.to_datetime(made["datetime"])
    return made.sort_values(keys).reset_index(drop=True)


@pytest.fixture(scope="module", params=sorted(TRUTH["sets"]))
def case(request: pytest.FixtureRequest) -> tuple[str, BacktestResult]:
    name, given = request.param, TRUTH["sets"][request.param]
    market = golden_market(GOLDEN, "2022-03-29", TRUTH["end"])
    config = config_as_given(given["strategy"], given["exchange"], given["account"])
    return name, run_backtest(market, golden_scores(GOLDEN, market, RANKED_LAST.get(name, "")), config)


def truth_of(table: str, name: str, *, keys: list[str]) -> pd.DataFrame:
    read = pd.read_parquet(GOLDEN / f"backtest/{table}.parquet")
    return frame(read[read["set"] == name], keys=keys)


def test_every_day_of_the_account_is_that_of_the_reference(case: tuple[str, BacktestResult]) -> None:
    name, result = case
    want, got = truth_of("report", name, keys=["datetime"]), frame(result.records.accounts, keys=["datetime"])
    assert list(got["datetime"]) == list(want["datetime"])
    for money in ("account", "value", "cash"):
        np.testing.assert_allclose(got[money], want[money], rtol=1e-9, atol=1e-6)
    rates = {"gross_return": want["return"], "turnover": want["turnover"], "cost": want["cost"]}
    for ours, theirs in {**rates, "net_return": want["return"] - want["cost"]}.items():
        np.testing.assert_allclose(got[ours], theirs, rtol=0, atol=1e-12)


def test_every_holding_is_that_of_the_reference(case: tuple[str, BacktestResult]) -> None:
    name, result = case
    keys = ["datetime", "instrument"]
    want, got = truth_of("positions", name, keys=keys), frame(result.records.positions, keys=keys)
    pd.testing.assert_frame_equal(got[keys], want[keys], check_dtype=False)
    np.testing.assert_array_equal(got["n_days"], want["count_day"])
    for ours, theirs in {"shares": "amount", "price": "price", "weight": "weight"}.items():
        np.testing.assert_allclose(got[ours], want[theirs], rtol=1e-9)


def test_every_order_is_that_of_the_reference(case: tuple[str, BacktestResult]) -> None:
    name, result = case
    keys = ["datetime", "instrument", "trade_dir"]
    got = pd.DataFrame(result.records.orders)
    got["trade_dir"] = (got["side"] == "buy").astype(float)
    want, got = truth_of("orders", name, keys=keys), frame(got[~got["reason"].isin(NOT_ISSUED)], keys=keys)
    pd.testing.assert_frame_equal(got[keys], want[keys], check_dtype=False)
    for ours, theirs in {
        "wanted": "amount",
        "dealt": "deal_amount",
        "value": "trade_value",
        "cost": "trade_cost",
    }.items():
        np.testing.assert_allclose(got[ours], want[theirs].abs(), rtol=1e-9, atol=1e-6)


def test_the_worked_example_comes_out_as_written(golden: Path) -> None:
    market, scores, truth = worked_example(golden)
    exchange = {
        key: truth["config"][key] for key in ("limit_threshold", "deal_price", "open_cost", "close_cost", "min_cost")
    }
    strategy = {key: truth["config"][key] for key in ("topk", "n_drop", "hold_thresh", "risk_degree")}
    records = run_backtest(market, scores, config_as_given(strategy, exchange, truth["config"]["account"])).records

    orders = [
        (str(day), name, side, dealt, price, cost)
        for day, name, side, dealt, price, cost, reason in zip(
            *(
                records.orders[key].tolist()
                for key in ("datetime", "instrument", "side", "dealt", "price", "cost", "reason")
            ),
            strict=True,
        )
        if reason not in NOT_ISSUED
    ]
    keys = ("date", "stock", "side", "deal_amount", "price", "cost")
    assert orders == [tuple(order[key] for key in keys) for order in truth["orders"]]

    report = truth["report"]
    assert [str(day) for day in records.accounts["datetime"]] == list(report)
    for ours, theirs in {
        "account": "account",
        "cash": "cash",
        "gross_return": "return",
        "turnover": "turnover",
    }.items():
        np.testing.assert_allclose(records.accounts[ours], [day[theirs] for day in report.values()], rtol=0, atol=1e-9)

    held: dict[str, dict[str, float]] = {day: {} for day in report}
    for day, name, shares in zip(
        *(records.positions[key] for key in ("datetime", "instrument", "shares")), strict=True
    ):
        held[str(day)][str(name)] = float(shares)
    assert held == {
        day: {name: stock["amount"] for name, stock in book["stocks"].items()}
        for day, book in truth["positions"].items()
    }
