"""Verdicts on a portfolio: each on both sides of its threshold."""

from dataclasses import replace

import numpy as np
import pytest

from qts.backtest.results import BacktestResult
from qts.rendering.portfolio_verdicts import PORTFOLIO_RULES, portfolio_verdicts
from tests.small_results import DAYS, small_backtest, untraded_backtest


def said(name: str, backtest: BacktestResult) -> str:
    (rule,) = (rule for rule in PORTFOLIO_RULES if rule.name == name)
    return rule.says(backtest)


def changed(**figures: float) -> BacktestResult:
    made = small_backtest()
    return replace(made, statistics={**made.statistics, **figures})


def of_days(n: int, net: np.ndarray, index: np.ndarray, excess: float) -> BacktestResult:
    """Return a portfolio of n days with these returns."""
    made = small_backtest()
    accounts = {name: np.resize(column, n) for name, column in made.records.accounts.items()}
    accounts |= {"datetime": DAYS[0] + np.arange(n), "net_return": net, "benchmark": index}
    records = replace(made.records, accounts=accounts)
    return replace(made, records=records, statistics={"index_annual_excess": excess})


@pytest.mark.parametrize(
    ("mean", "excess", "told", "judged"),
    [
        (0.0010, 0.03, "3.0 % a year more than the index", "more than chance would have it."),
        (0.0001, 0.03, "3.0 % a year more than the index", "this cannot be told from chance."),
        (-0.0010, -0.03, "3.0 % a year less than the index", "more than chance would have it."),
        (0.0010, -0.001, "0.1 % a year less than the index", "this cannot be told from chance."),
    ],
)
def test_an_excess_is_judged_by_the_t_of_daily_differences(mean: float, excess: float, told: str, judged: str) -> None:
    n = 600
    daily = np.random.default_rng(1).normal(size=n)
    daily = mean + 0.0102 * (daily - daily.mean()) / daily.std(ddof=1)
    text = said("index", of_days(n, daily, np.zeros(n), excess))
    assert text.startswith(f"After cost the portfolio earned {told} (t ")
    assert text.endswith(judged)


@pytest.mark.parametrize(("n", "is_told"), [(19, False), (20, True)])
def test_no_excess_a_year_is_told_of_a_few_days(n: int, is_told: bool) -> None:
    daily = 0.01 + 0.001 * np.random.default_rng(1).normal(size=n)
    assert bool(said("index", of_days(n, daily, np.zeros(n), 3.0))) == is_told


def test_the_t_of_an_excess_is_over_the_days_that_the_index_lacks() -> None:
    n = 300
    rng = np.random.default_rng(2)
    index = rng.normal(size=n) / 100
    gap = index.copy()
    gap[100], gap[101] = np.nan, (1 + index[100]) * (1 + index[101]) - 1
    net = index + 0.001 + 0.003 * rng.normal(size=n)
    whole, holed = (of_days(n, net, one, 0.2) for one in (index, gap))
    t = [float(said("index", one).split("(t ")[1].split(")")[0]) for one in (whole, holed)]
    assert t[0] > 4
    assert t[1] == pytest.approx(t[0], abs=0.1)


@pytest.mark.parametrize(("n", "is_told"), [(249, True), (250, False)])
def test_less_than_a_year_is_too_short(n: int, is_told: bool) -> None:
    backtest = of_days(n, np.zeros(n), np.zeros(n), 0.0)
    assert bool(said("short", backtest)) == is_told


@pytest.mark.parametrize(("t", "words"), [(1.96, "is told from 0."), (1.95, "cannot be told from 0.")])
def test_alpha_is_what_beta_leaves(t: float, words: str) -> None:
    figures = {"index_alpha": 0.05, "index_alpha_t": t, "index_beta": 1.1}
    text = said("alpha", replace(of_days(20, np.zeros(20), np.zeros(20), 0.0), statistics=figures))
    assert not said("alpha", replace(of_days(19, np.zeros(19), np.zeros(19), 0.0), statistics=figures))
    assert "1.10 times as far" in text
    assert text.endswith(words)


def test_cost_is_told_where_it_takes_half_or_all() -> None:
    assert not said("cost", changed(gross_total_return=0.2, total_return=0.1, cost_share=0.49))
    assert "Cost took 50 %" in said("cost", changed(gross_total_return=0.2, total_return=0.1, cost_share=0.5))
    assert "after cost it lost" in said("cost", changed(gross_total_return=0.2, total_return=-0.1, cost_share=1.4))
    assert not said("cost", changed(gross_total_return=-0.1, total_return=-0.2, cost_share=np.nan))


def test_the_deepest_fall_has_its_days() -> None:
    text = said("fall", small_backtest())
    assert text == "The portfolio's deepest fall, 5.0 %, went from 2023-12-28 to 2023-12-29; it is still below."
    back = small_backtest(net_return=np.array([-0.1, 0.2, 0, 0, 0, 0]))
    assert (
        said("fall", back)
        == "The portfolio's deepest fall, 10.0 %, went from its start to 2023-12-27; it was back on 2023-12-28."
    )


def test_blocked_orders_are_told_from_a_share_on() -> None:
    assert not said("blocked", changed(blocked_share=0.049))
    assert (
        said("blocked", changed(blocked_share=0.05)) == "5 % of the orders were cut or blocked, most by limit down (1)."
    )


@pytest.mark.parametrize(("capacity", "is_told"), [(99_999.0, True), (100_000.0, False), (np.nan, False)])
def test_an_account_above_its_capacity_is_told(capacity: float, is_told: bool) -> None:
    assert bool(said("capacity", changed(capacity=capacity))) == is_told


def test_without_index_trades_and_falls_little_is_said() -> None:
    assert portfolio_verdicts(untraded_backtest()) == ("The portfolio has only 6 days: its figures say little.",)
