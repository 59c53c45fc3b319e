"""Limits by board and day, judged by real prices at the time of the deal."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from qts.backtest.fees import STAMP_DUTY
from qts.backtest.prepared import prepare
from qts.backtest.price_limits import PRICE_LIMITS, limit_shares
from tests.backtest.markets import NAN, config_of, market_of


@pytest.mark.parametrize(
    ("day", "shares"),
    [
        ("2020-08-21", [0.1, 0.1, 0.2, 0.3, 0.1]),
        ("2020-08-24", [0.1, 0.2, 0.2, 0.3, 0.1]),
        ("2024-01-02", [0.1, 0.2, 0.2, 0.3, 0.1]),
    ],
)
def test_shares_go_by_board_and_day(day: str, shares: list[float]) -> None:
    market = market_of([[10.0] * 5], first=day, instruments=["SH600000", "SZ300001", "SH688001", "BJ830001", "X"])
    assert limit_shares(market, config_of())[0].tolist() == shares


def test_special_treatment_narrows_the_limit_of_the_main_boards_alone() -> None:
    names = ["SH600000", "SZ300001", "SH688001", "BJ830001"]
    market = market_of([[10.0] * 4], instruments=names, special=[[True] * 4])
    assert limit_shares(market, config_of())[0].tolist() == [0.05, 0.2, 0.2, 0.3]


@pytest.mark.parametrize(
    ("day", "instrument", "free_days"),
    [
        ("2023-04-07", "SH600000", 1),
        ("2023-04-10", "SH600000", 5),
        ("2020-08-21", "SZ300001", 1),
        ("2020-08-24", "SZ300001", 5),
        ("2020-08-21", "SH688001", 5),
        ("2024-01-02", "BJ830001", 1),
        ("2024-01-02", "X", 0),
    ],
)
def test_first_days_of_a_listing_are_free(day: str, instrument: str, free_days: int) -> None:
    free = []
    for n_before in range(7):
        market = market_of([[10.0, 10.0]], first=day, instruments=[instrument, "SH600009"], n_before=[[n_before, 50]])
        free.append(bool(np.isnan(limit_shares(market, config_of())[0, 0])))
    assert free == [n_before < free_days for n_before in range(7)]


@pytest.mark.parametrize(("starts_listed", "is_free"), [(True, [False, True]), (False, [True, True])])
def test_names_of_the_bars_first_day_are_no_listings(starts_listed: bool, is_free: list[bool]) -> None:
    market = market_of(
        [[10.0, NAN], [10.0, 10.0]],
        n_before=[[0, 0], [1, 0]],
        instruments=["SH688001", "SH688002"],
        starts_listed=starts_listed,
    )
    assert np.isnan(limit_shares(market, config_of()))[1].tolist() == is_free


def stored(value: float) -> np.ndarray:
    """Return one cell as bars keep it, in 32 bits."""
    return np.array([[value]], dtype=np.float32).astype(float)


def at_limit(before: float, price: float, factor: float = 1.0, **fields: Any) -> tuple[bool, bool]:
    """Return whether a real price after a real close stands at the upper and at the lower limit of 10 %."""
    bars = {"adj_factor": stored(factor), "previous_close": stored(before * factor), **fields}
    prepared = prepare(market_of(stored(price * factor), **bars), config_of())
    return bool(prepared.at_up[0, 0]), bool(prepared.at_down[0, 0])


@pytest.mark.parametrize(
    ("before", "price", "expected"),
    [
        (10.0, 11.0, (True, False)),
        (10.0, 10.99, (False, False)),
        (4.05, 4.46, (True, False)),  # 4.455, half up
        (4.05, 4.45, (False, False)),
        (4.05, 3.65, (False, True)),  # 3.645, half up
        (4.05, 3.66, (False, False)),
        (8.85, 9.73, (False, False)),  # 9.735, half up
        (23.45, 25.79, (False, False)),  # 25.795
        (1.04, 1.14, (True, False)),  # a change of 9.6 %
    ],
)
@pytest.mark.parametrize("factor", [1.0, 7.3, 0.013])
def test_a_limit_is_a_real_price_rounded_half_up(
    before: float, price: float, factor: float, expected: tuple[bool, bool]
) -> None:
    assert at_limit(before, price, factor) == expected


def test_a_limit_after_a_split_goes_by_the_adjusted_close_before() -> None:
    assert at_limit(5.0, 5.5, factor=2.0) == (True, False)


def test_without_an_adj_factor_the_change_is_compared() -> None:
    assert at_limit(10.0, 10.99, adj_factor=[[NAN]]) == (True, False)
    assert at_limit(10.0, 10.97, adj_factor=[[NAN]]) == (False, False)
    assert at_limit(10.0, 9.01, adj_factor=[[NAN]]) == (False, True)


def test_without_a_close_before_there_is_no_limit() -> None:
    assert at_limit(NAN, 30.0) == (False, False)


def test_limits_of_the_bars_come_first_and_gaps_in_them_are_derived() -> None:
    assert at_limit(10.0, 10.5, up_limit=[[10.5]]) == (True, False)
    assert at_limit(10.0, 11.0, up_limit=[[12.0]]) == (False, False)
    assert at_limit(10.0, 9.5, down_limit=[[9.5]]) == (False, True)
    assert at_limit(10.0, 11.0, up_limit=[[NAN]]) == (True, False)


def test_a_share_holds_for_all_and_none_for_nobody() -> None:
    market = market_of([[10.0, 10.0], [10.5, 11.0]], instruments=["SH688001", "SH600000"])
    assert prepare(market, config_of(price_limits=0.05)).at_up[1].tolist() == [True, True]
    assert prepare(market, config_of(price_limits="by_board")).at_up[1].tolist() == [False, True]
    assert prepare(market, config_of(price_limits="none")).at_up[1].tolist() == [False, False]


def test_the_open_is_judged_when_the_deal_is_at_the_open() -> None:
    market = market_of([[10.0, 10.0], [11.0, 10.5]], open=[[10.0, 10.0], [10.2, 11.0]])
    assert prepare(market, config_of(deal_price="open")).can_buy[1].tolist() == [True, False]
    assert prepare(market, config_of(deal_price="close")).can_buy[1].tolist() == [False, True]
    assert prepare(market, config_of(deal_price="open", rules="qlib")).can_buy[1].tolist() == [False, True]


def test_each_side_is_judged_at_its_own_price() -> None:
    market = market_of([[10.0], [11.0]], open=[[10.0], [9.0]])
    prepared = prepare(market, config_of(deal_price="close", sell_price="open"))
    assert (prepared.can_buy[1, 0], prepared.can_sell[1, 0]) == (False, False)
    market = market_of([[10.0], [9.0]], open=[[10.0], [11.0]])
    prepared = prepare(market, config_of(deal_price="close", sell_price="open"))
    assert (prepared.can_buy[1, 0], prepared.can_sell[1, 0]) == (True, True)


def test_at_the_mean_price_only_a_day_that_never_left_its_limit_blocks() -> None:
    market = market_of([[10.0, 10.0], [11.0, 11.0]], low=[[10.0, 10.0], [11.0, 10.4]])
    assert prepare(market, config_of(deal_price="vwap")).can_buy[1].tolist() == [False, True]


def test_qlib_looks_at_the_day_s_change_and_at_both_sides_by_default() -> None:
    market = market_of([[10.0, 10.0], [10.94, 10.96]])
    both = prepare(market, config_of(rules="qlib"))
    assert (both.can_buy[1].tolist(), both.can_sell[1].tolist()) == ([True, False], [True, False])
    one = prepare(market, config_of(rules="qlib", both_sides_at_limit=False))
    assert (one.can_buy[1].tolist(), one.can_sell[1].tolist()) == ([True, False], [True, True])


@pytest.mark.parametrize("board", sorted({limit.board for limit in PRICE_LIMITS}))
def test_rows_of_a_board_are_in_the_order_of_their_days(board: str) -> None:
    days = [limit.since for limit in PRICE_LIMITS if limit.board == board]
    assert days == sorted(set(days))


def test_rows_of_the_stamp_duty_are_in_the_order_of_their_days() -> None:
    assert all(one.since < next_one.since for one, next_one in pairwise(STAMP_DUTY))


@pytest.mark.parametrize("wrong", [0.0, -1.0])
@pytest.mark.parametrize("rules", ["exchange", "qlib"])
def test_a_limit_column_of_zero_is_no_limit_and_is_derived(wrong: float, rules: str) -> None:
    close = [[10.0, 10.0], [10.2, 11.0]]
    keys = {"rules": rules, "both_sides_at_limit": False}
    derived = prepare(market_of(close), config_of(**keys))
    given = prepare(market_of(close, up_limit=[[wrong] * 2] * 2, down_limit=[[wrong] * 2] * 2), config_of(**keys))
    assert given.can_buy.tolist() == derived.can_buy.tolist() == [[True, True], [True, False]]
    assert given.can_sell.tolist() == derived.can_sell.tolist() == [[True, True], [True, True]]
