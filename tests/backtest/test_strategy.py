"""Whom an account sells and buys: a test for each trap that followers of a score fall into."""

import numpy as np
import pytest

from qts.backtest.prepared import prepare
from qts.backtest.ranking import Ranking
from qts.backtest.strategy import Day, choose
from tests.backtest.markets import NAN, config_of, market_of
from tests.backtest.small_runs import FLAT, held, orders, run


def test_a_score_is_traded_the_day_after() -> None:
    result = run(FLAT, [[4, 3, 2, 1], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])
    assert held(result) == ["01", "13", "23", "23"]
    assert str(result.days[0]) == "2024-01-03"


def test_lag_2_trades_a_score_a_day_later_still() -> None:
    result = run(FLAT, [[4, 3, 2, 1]] * 5, lag=2)
    assert (str(result.days[0]), held(result)) == ("2024-01-04", ["01", "01", "01"])


def test_the_report_begins_on_the_first_day_with_a_score_to_trade() -> None:
    none = [NAN] * 4
    result = run(FLAT, [none, none, [4, 3, 2, 1], none, none])
    assert (str(result.days[0]), held(result)) == ("2024-01-05", ["01", "01"])


def test_the_last_day_of_the_calendar_is_traded() -> None:
    result = run(FLAT, [[NAN] * 4] * 3 + [[4, 3, 2, 1]] + [[NAN] * 4])
    assert held(result) == ["01"]


def test_equal_scores_are_taken_by_name() -> None:
    assert held(run(FLAT, [[1, 1, 1, 1]] * 5))[0] == "01"


def test_a_candidate_that_scores_no_better_replaces_nobody() -> None:
    assert held(run(FLAT, [[1, 2, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]])) == [
        "01",
        "01",
        "01",
        "03",
    ]


def test_a_name_without_a_score_is_not_bought_though_places_are_free() -> None:
    assert held(run(FLAT, [[NAN, 2, NAN, NAN]] * 5)) == ["1"] * 4


def test_a_held_name_without_a_score_stays() -> None:
    scores = [[4, 3, 2, 1], [NAN, 3, 2, 1], [NAN, 3, 2, 1], [NAN] * 4, [NAN] * 4]
    assert held(run(FLAT, scores, unscored_days=0)) == ["01"] * 4
    assert held(run(FLAT, scores)) == ["01"] * 4  # two days without are no five


def test_a_held_name_is_sold_after_so_many_days_without_a_score() -> None:
    gone = [[4, 3, 2, 1]] + [[NAN, 3, 2, 1]] * 4
    assert held(run(FLAT, gone, unscored_days=2)) == ["01", "01", "12", "12"]
    back = [[4, 3, 2, 1], [NAN, 3, 2, 1], [4, 3, 2, 1], [NAN, 3, 2, 1], [NAN, 3, 2, 1]]
    assert held(run(FLAT, back, unscored_days=2)) == ["01"] * 4
    silent = [[4, 3, 2, 1], [NAN, 3, 2, 1], [NAN] * 4, [NAN, 3, 2, 1], [NAN] * 4]  # a day without any score is none
    assert held(run(FLAT, silent, unscored_days=2)) == ["01", "01", "01", "12"]


def test_a_held_name_without_a_score_is_sold_first_where_the_config_says_so() -> None:
    scores = [[4, 3, 2, 1], [NAN, 3, 2, 4], [NAN, 3, 2, 1], [NAN] * 4, [NAN] * 4]
    assert held(run(FLAT, scores, unscored_days=1)) == ["01", "13", "12", "12"]


def test_it_is_sold_even_if_nobody_takes_its_place() -> None:
    scores = [[4, 3, NAN, NAN], [NAN, 3, NAN, NAN], [NAN, 3, NAN, NAN], [NAN] * 4, [NAN] * 4]
    assert held(run(FLAT, scores, unscored_days=1)) == ["01", "1", "1", "1"]


def test_a_day_without_any_score_trades_nothing() -> None:
    result = run(FLAT, [[4, 3, 2, 1], [NAN] * 4, [1, 2, 3, 4], [NAN] * 4, [NAN] * 4], unscored_days=1)
    assert held(result) == ["01", "01", "13", "13"]


def test_n_drop_0_buys_and_holds() -> None:
    result = run(FLAT, [[4, 3, 2, 1], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]], n_drop=0)
    assert held(result) == ["01"] * 4
    assert len(orders(result)) == 2


def test_n_drop_0_churns_everything_under_the_rules_of_qlib() -> None:
    assert held(run(FLAT, [[4, 3, 2, 1]] * 5, n_drop=0, rules="qlib")) == ["01", "", "01", ""]


def test_a_universe_no_larger_than_top_k_does_not_churn() -> None:
    result = run(FLAT, [[4, 3, NAN, NAN], [3, 4, NAN, NAN], [4, 3, NAN, NAN], [3, 4, NAN, NAN], [4, 3, NAN, NAN]])
    assert held(result) == ["01"] * 4
    np.testing.assert_array_equal(result.records.accounts["turnover"][1:], 0)


def test_a_dead_holding_never_freezes_the_book() -> None:
    close = [[10.0, 10, 10, 10]] * 2 + [[NAN, 10, 10, 10]] * 3
    scores = [[4, 3, 2, 1], [4, 3, 2, 1], [0, 1, 2, 3], [0, 3, 2, 1], [0, 1, 2, 3]]
    assert held(run(close, scores)) == ["01", "01", "03", "01"]
    assert held(run(close, scores, rules="qlib")) == ["01", "01", "013", "013"]


def test_buys_are_planned_from_sales_that_come_about() -> None:
    close = [[10.0, 10, 10, 10]] * 2 + [[10.0, NAN, 10, 10]] + [[10.0, 10, 10, 10]] * 2
    scores = [[4, 3, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1]]
    result = run(close, scores)
    assert held(result) == ["01", "01", "02", "02"]
    assert orders(result)[2] == (1, "1", "sell", "suspended")
    assert result.blocked == {"suspended": 1}
    assert result.records.accounts["n_blocked"].tolist() == [0, 1, 0, 0]


def test_a_name_that_cannot_be_bought_leaves_its_place_to_the_next() -> None:
    close = [[10.0, 10, 10, 10], [11.0, 10, 10, 10], [11.0, 10, 10, 10], [11.0] + [10] * 3, [11.0] + [10] * 3]
    result = run(close, [[4, 3, 2, 1], [4, 1, 2, 3], [4, 1, 2, 3], [4, 1, 2, 3], [4, 1, 2, 3]])
    assert orders(result)[:3] == [(0, "0", "buy", "limit_up"), (0, "1", "buy", ""), (0, "2", "buy", "")]
    assert held(result) == ["12", "02", "03", "03"]


def test_the_place_of_who_could_not_be_bought_stays_in_cash_if_there_is_no_next() -> None:
    close = [[10.0, 10], [11.0, 10], [11.0, 10]]
    result = run(close, [[4, 3], [4, 3], [4, 3]], exposure=0.8)
    assert held(result) == ["1", "01"]
    assert result.records.accounts["value"][0] == pytest.approx(40_000)


def test_names_at_the_lower_limit_can_be_bought_and_at_the_upper_sold() -> None:
    close = [[10.0, 10, 10, 10]] * 2 + [[11.0, 10, 9, 10]] + [[11.0, 10, 9, 10]] * 2
    scores = [[4, 3, 2, 1], [0, 3, 4, 1], [0, 3, 4, 1], [0, 3, 4, 1], [0, 3, 4, 1]]
    assert held(run(close, scores)) == ["01", "12", "12", "12"]
    assert held(run(close, scores, rules="qlib")) == ["01", "01", "12", "12"]


def test_hold_days_counts_days() -> None:
    result = run(FLAT, [[4, 3, 2, 1]] + [[0, 3, 2, 1]] * 4, hold_days=3)
    assert held(result) == ["01", "01", "01", "12"]
    assert orders(result)[2:4] == [(1, "0", "sell", "held_too_short"), (2, "0", "sell", "held_too_short")]


def test_at_most_n_drop_names_are_swapped_a_day() -> None:
    close = [[10.0] * 6] * 4
    result = run(close, [[6, 5, 4, 3, 2, 1]] + [[1, 2, 3, 4, 5, 6]] * 3, top_k=3, n_drop=2)
    assert held(result) == ["012", "245", "345"]


def test_an_over_full_book_shrinks_to_top_k() -> None:
    market, config = market_of([[10.0] * 6] * 2), config_of(top_k=2, n_drop=1)
    scores = Ranking(np.array([[6.0, 5, 4, 3, 2, 1]] * 2))
    day = Day(row=1, scored=0, held=np.array([1, 2, 3, 4, 5]), n_days=np.full(6, 9))
    choice = choose(day, scores, prepare(market, config), config)
    assert choice.sells.tolist() == [5, 4, 3, 2]
    assert choice.buys[: config.top_k - 1].tolist() == [0]


def test_an_over_full_book_sheds_whom_it_can() -> None:
    market, config = market_of([[10.0] * 4, [10.0, 10, 10, NAN]]), config_of(top_k=2, n_drop=0)
    scores = Ranking(np.array([[4.0, 3, 2, 1]] * 2))
    day = Day(row=1, scored=0, held=np.array([0, 1, 2, 3]), n_days=np.full(4, 9))
    choice = choose(day, scores, prepare(market, config), config)
    assert (choice.sells.tolist(), choice.blocked_sells.tolist()) == ([2, 1], [3])


def test_among_tradable_names_qlib_takes_one_at_least() -> None:
    scores = [[4, 3, 2, 1]] + [[1, 2, 3, 4]] * 4
    assert held(run(FLAT, scores, rules="qlib", n_drop=0, only_tradable=True)) == ["01", "13", "23", "23"]
