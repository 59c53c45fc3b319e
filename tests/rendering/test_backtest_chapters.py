"""A backtest as chapters: values, falls, orders, trades and the last book, by plain arithmetic."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from qts.backtest.results import BacktestResult
from qts.rendering.backtest_chapters import WINDOW, backtest_chapters, portfolio_sheet
from qts.rendering.document import Document
from tests.small_results import COST, DAYS, INDEX, NET, assert_sound, block, small_backtest, untraded_backtest


def document_of(backtest: BacktestResult) -> Document:
    return Document("test/1", "test", backtest_chapters(backtest))


def test_value_is_compounded_and_a_day_without_index_counts_as_0() -> None:
    data = block(document_of(small_backtest()), "net_value").data
    value, gross, index, expected = 1.0, 1.0, 1.0, []
    for at in range(6):
        value, gross = value * (1 + NET[at]), gross * (1 + NET[at] + COST[at])
        index *= 1.0 if np.isnan(INDEX[at]) else 1 + INDEX[at]
        expected.append((value, gross, index))
    found = zip(data["net_return"], data["gross_return"], data["benchmark"], strict=True)
    assert np.array(list(found)) == pytest.approx(np.array(expected), rel=1e-4)


def test_excess_is_value_over_value_before_and_after_cost() -> None:
    data = block(document_of(small_backtest()), "excess").data
    value, index = np.prod(1 + NET), np.prod(1 + np.nan_to_num(INDEX))
    assert data["after_benchmark"][-1] == pytest.approx(value / index - 1, rel=1e-4)
    assert data["before_benchmark"][-1] == pytest.approx(np.prod(1 + NET + COST) / index - 1, rel=1e-4)


def test_excess_stands_still_where_the_index_is_missing_and_begins_with_it() -> None:
    holed = small_backtest(benchmark=np.array([nan, 0.01, nan, 0.02, 0.0, nan]))
    data = block(document_of(holed), "excess").data["after_benchmark"]
    net, index = 1 + NET, 1.01 * 1.02
    want = [net[1] / 1.01, net[1] / 1.01, net[1:4].prod() / index, net[1:5].prod() / index]
    assert data[1:5] == pytest.approx([value - 1 for value in want], rel=1e-4)
    assert (data[0], data[5]) == (None, None)


def test_a_loss_on_the_first_day_is_a_fall_from_the_start() -> None:
    document = document_of(small_backtest(net_return=np.array([-0.1, 0.05, 0, 0, 0, 0])))
    assert block(document, "drawdown").data["portfolio"][:2] == pytest.approx([-0.1, -0.055])
    (fall,) = block(document, "drawdowns").rows
    assert (fall["peak"], fall["trough"], fall["recovery"]) == (None, "2023-12-27", None)


def test_without_benchmarks_nothing_is_beside_the_portfolio() -> None:
    document = document_of(untraded_backtest())
    assert_sound(document)
    keys = {one.key for one in document.blocks()}
    assert not keys & {
        "excess",
        "published_risk",
        "statistics_index",
        "statistics_universe",
        "best_trades",
        "days_held",
    }
    assert [trace.name for trace in block(document, "net_value").traces] == ["after cost", "before cost"]
    assert block(document, "last_book").rows == []
    assert block(document, "blocked").rows == []


def test_a_portfolio_without_a_day_says_so() -> None:
    made = small_backtest()
    accounts = {name: column[:0] for name, column in made.records.accounts.items()}
    chapters = backtest_chapters(replace(made, records=replace(made.records, accounts=accounts)))
    assert [chapter.blocks for chapter in chapters] == [("The portfolio has no day.",)]


def test_statistics_that_say_nothing_are_left_out() -> None:
    made = small_backtest()
    told = [row["figure"] for row in portfolio_sheet(made).rows]
    assert "Sharpe ratio" in told
    none = replace(made, statistics={**made.statistics, "sharpe": nan})
    assert [row["figure"] for row in portfolio_sheet(none).rows] == [name for name in told if name != "Sharpe ratio"]


def test_statistics_stand_by_section_each_once() -> None:
    document = document_of(small_backtest())
    assert_sound(document)
    rows = [row["figure"] for one in document.blocks() if one.key.startswith("statistics_") for row in one.rows]
    assert len(rows) == len(set(rows))
    assert {"Days", "Max drawdown", "Alpha to the index", "Beta to the universe", "Turnover"} <= set(rows)


def test_months_and_years_are_compounded() -> None:
    document = document_of(small_backtest())
    first, second = block(document, "years").rows
    assert (first["period"], first["net"]) == ("2023", pytest.approx(1.02 * 0.95 - 1))
    assert second["net"] == pytest.approx(1.01 * 1.03 * 0.99 - 1)
    heat = block(document, "net_return_by_month").data
    assert heat["value"][11] == pytest.approx(1.02 * 0.95 - 1, rel=1e-4)
    assert heat["value"][12] == pytest.approx(1.01 * 1.03 * 0.99 - 1, rel=1e-4)
    assert block(document, "turnover_by_month").data["turnover"] == pytest.approx([0.55, 0.2])


def test_a_moving_year_is_drawn_once_a_year_has_passed() -> None:
    assert not any(one.key.startswith("moving") for one in document_of(small_backtest()).blocks())
    n = WINDOW + 2
    rng = np.random.default_rng(0)
    made = small_backtest()
    accounts = {name: np.resize(column, n) for name, column in made.records.accounts.items()}
    net, index = rng.normal(size=(2, n)) / 100
    accounts |= {"datetime": DAYS[0] + np.arange(n), "net_return": net, "benchmark": index}
    document = document_of(replace(made, records=replace(made.records, accounts=accounts)))
    data = block(document, "moving_beta").data
    expected = [
        np.cov(net[at : at + WINDOW], index[at : at + WINDOW])[0, 1] / index[at : at + WINDOW].var(ddof=1)
        for at in range(3)
    ]
    assert data["beta"] == pytest.approx(expected, rel=1e-3)
    assert_sound(document)


def test_orders_are_counted_by_what_blocked_them() -> None:
    rows = block(document_of(small_backtest()), "blocked").rows
    assert rows == [
        {"reason": "limit down", "orders": 1, "share": 0.25, "buys": 0, "sells": 1},
        {"reason": "volume", "orders": 1, "share": 0.25, "buys": 1, "sells": 0},
    ]


def test_trades_are_ranked_by_profit_and_only_closed_ones_have_a_length() -> None:
    document = document_of(small_backtest())
    assert [row["instrument"] for row in block(document, "best_trades").rows] == ["A", "C", "B"]
    assert [row["instrument"] for row in block(document, "worst_trades").rows] == ["B", "C", "A"]
    assert block(document, "days_held").data == {"days_held": [0, 1, 2, 3], "holdings": [0, 0, 1, 1]}


def test_the_last_book_is_that_of_the_last_day_by_weight() -> None:
    rows = block(document_of(small_backtest()), "last_book").rows
    assert [(row["instrument"], row["weight"]) for row in rows] == [("C", 0.55), ("A", 0.4)]


def test_rules_are_echoed_with_what_is_nested_in_them() -> None:
    rows = {row["setting"]: row["value"] for row in block(document_of(small_backtest()), "settings").rows}
    assert rows["top_k"] == "2"
    assert rows["fees.buy"] == "0.0005"
