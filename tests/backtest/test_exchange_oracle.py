"""The exchange's rules on drawn markets: equal to a slow second telling, and true to what no rule may break."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from qts.backtest.engine import run_backtest, run_grid
from qts.backtest.market import Market
from qts.backtest.results import BacktestResult
from qts.config import BacktestConfig
from tests.backtest.exchange_oracle import Oracle, Told
from tests.backtest.markets import random_config, random_market, random_scores

SEEDS = range(60)
FIRSTS = ("2020-08-17", "2023-04-04", "2023-08-21")
"""Days shortly before a limit or a duty changed."""

Case = tuple[Market, np.ndarray, BacktestConfig]


def case_of(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    market = random_market(rng, FIRSTS[seed % len(FIRSTS)])
    return market, random_scores(rng, market), random_config(rng)


@pytest.fixture(scope="module")
def both() -> list[tuple[Case, BacktestResult, Told]]:
    """Every case, as the engine and as the oracle tell it."""
    cases = [case_of(seed) for seed in SEEDS]
    return [(case, run_backtest(*case), Oracle(*case).run()) for case in cases]


def rows(table: Any, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].tolist() for name in names), strict=True))


def test_accounts_are_those_of_the_oracle(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for _, result, told in both:
        np.testing.assert_allclose(result.records.accounts["cash"], told.cash, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(result.records.accounts["account"], told.account, rtol=1e-9)


def test_holdings_are_those_of_the_oracle(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for _, result, told in both:
        held: list[dict[str, float]] = [{} for _ in told.held]
        days = result.days.tolist()
        for day, name, shares in rows(result.records.positions, "datetime", "instrument", "shares"):
            held[days.index(day)][name] = shares
        assert [sorted(day) for day in held] == [sorted(day) for day in told.held]
        for ours, theirs in zip(held, told.held, strict=True):
            np.testing.assert_allclose([ours[name] for name in sorted(ours)], [theirs[name] for name in sorted(ours)])


def test_orders_and_their_reasons_are_those_of_the_oracle(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for (market, _, _), result, told in both:
        days = market.days.tolist()
        ours = [
            (days.index(day), *rest)
            for day, *rest in rows(result.records.orders, "datetime", "instrument", "side", "reason")
        ]
        assert ours == [(day, name, side, reason) for day, name, side, _, _, _, reason in told.orders]
        theirs = np.array([(dealt, cost) for _, _, _, dealt, _, cost, _ in told.orders]).reshape(-1, 2)
        np.testing.assert_allclose(result.records.orders["dealt"], theirs[:, 0], rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(result.records.orders["cost"], theirs[:, 1], rtol=1e-9, atol=1e-6)


def test_trades_that_ended_are_those_of_the_oracle(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for (market, _, _), result, told in both:
        days = market.days.tolist()
        ended = [
            row for row in rows(result.records.trades, "instrument", "opened", "closed", "reason") if row[3] != "open"
        ]
        assert sorted((name, days.index(a), days.index(b), reason) for name, a, b, reason in ended) == sorted(
            told.ended
        )


def test_the_cases_hold_every_reason_and_end(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    reasons = Counter(reason for _, result, _ in both for reason in result.records.orders["reason"].tolist())
    assert set(reasons) == {"", "suspended", "limit_up", "limit_down", "held_too_short", "lot", "cash", "volume"}
    assert {"sold", "written_off", "open"} == {
        end for _, result, _ in both for end in result.records.trades["reason"].tolist()
    }


def test_cash_is_never_negative_and_the_account_is_cash_and_value(
    both: list[tuple[Case, BacktestResult, Told]],
) -> None:
    for _, result, _ in both:
        accounts, positions = result.records.accounts, result.records.positions
        assert (accounts["cash"] >= 0).all()
        summed = [positions["value"][positions["datetime"] == day].sum() for day in accounts["datetime"]]
        np.testing.assert_allclose(accounts["value"], summed)
        np.testing.assert_allclose(accounts["account"], accounts["cash"] + accounts["value"])


def test_returns_multiply_to_the_account(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for (_, _, config), result, _ in both:
        accounts = result.records.accounts
        np.testing.assert_allclose(config.account * np.cumprod(1 + accounts["net_return"]), accounts["account"])
        np.testing.assert_allclose(accounts["gross_return"], accounts["net_return"] + accounts["cost"], atol=1e-15)


def test_profits_of_trades_sum_to_that_of_the_account(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for (_, _, config), result, _ in both:
        earned = result.records.accounts["account"][-1] - config.account
        np.testing.assert_allclose(result.records.trades["profit"].sum(), earned, rtol=1e-9, atol=1e-6 * config.account)


def test_never_more_than_top_k_names_are_held(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for (_, _, config), result, _ in both:
        assert (result.records.accounts["n_positions"] <= config.top_k).all()


def test_nothing_is_sold_on_the_day_it_was_bought(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for _, result, _ in both:
        orders = result.records.orders
        dealt = [(day, name) for day, name, shares in rows(orders, "datetime", "instrument", "dealt") if shares > 0]
        assert len(dealt) == len(set(dealt))


def test_an_order_is_dealt_in_full_or_has_a_reason(both: list[tuple[Case, BacktestResult, Told]]) -> None:
    for _, result, _ in both:
        orders = result.records.orders
        is_full = np.isclose(orders["dealt"], orders["wanted"], rtol=1e-9) & (orders["dealt"] > 0)
        np.testing.assert_array_equal(is_full, orders["reason"] == "")
        assert sum(result.blocked.values()) == np.count_nonzero(~is_full) == result.records.accounts["n_blocked"].sum()


def test_a_grid_gives_what_single_backtests_give() -> None:
    market, scores, config = case_of(5)
    changes = [{"top_k": 3, "n_drop": 1}, {"rules": "qlib"}, {"deal_price": "open"}, {"lag": 2}, {}]
    configs = [BacktestConfig.model_validate({**config.model_dump(), **change}) for change in changes]
    for changed, together in zip(configs, run_grid(market, scores, configs), strict=True):
        alone = run_backtest(market, scores, changed)
        assert together.settings == alone.settings
        for name, column in alone.records.accounts.items():
            np.testing.assert_array_equal(together.records.accounts[name], column)


def test_the_same_scores_give_the_same_bits() -> None:
    case = case_of(11)
    first, second = run_backtest(*case).records, run_backtest(*case).records
    for name, column in first.orders.items():
        np.testing.assert_array_equal(second.orders[name], column)
