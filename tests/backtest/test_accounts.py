"""Money: sizes of purchases, costs, lots, volume, the dead, and what the tables say of them."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from qts.backtest.engine import run_backtest
from qts.backtest.portfolio import Portfolio
from qts.backtest.results import BacktestResult
from qts.errors import ConfigError, InputError
from tests.backtest.markets import NAN, config_of, market_of
from tests.backtest.small_runs import FLAT, held, orders, run

RANKED = [[4, 3, 2, 1]] * 5


def test_purchases_bring_the_account_to_its_exposure() -> None:
    result = run(FLAT, RANKED, exposure=0.8)
    assert result.records.positions["value"][:2] == pytest.approx([40_000, 40_000])


def test_a_swap_spends_what_exposure_leaves_and_not_a_share_of_the_cash() -> None:
    swapped = [[4, 3, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1]]
    assert run(FLAT, swapped, exposure=0.8).records.accounts["value"].tolist() == pytest.approx([80_000] * 4)
    assert run(FLAT, swapped, exposure=0.8, rules="qlib").records.accounts["value"][1] == pytest.approx(88_000)


def test_what_stays_is_worth_its_price_at_the_time_of_the_deal() -> None:
    close = [[10.0, 10, 10]] * 2 + [[20.0, 10, 10]] * 2
    opening = [[10.0, 10, 10]] * 2 + [[15.0, 10, 10]] + [[20.0, 10, 10]]
    scores = [[4, 3, 2], [4, 0, 2], [4, 0, 2], [4, 0, 2]]
    result = run(close, scores, {"open": opening}, deal_price="open", lot=1, price_limits="none")
    held_before, sold = 4_750 * 15.0, 4_750 * 10.0
    account = 5_000 + sold + held_before
    bought = result.records.orders["value"][-1]
    assert bought == pytest.approx(min(0.95 * account - held_before, 5_000 + sold), abs=10)


def test_full_exposure_leaves_cash_for_the_cost() -> None:
    result = run(FLAT, RANKED, exposure=1.0, lot=1, commission=0.001, fees=(), min_cost=5.0)
    assert (result.records.orders["reason"] == "").all()
    assert 0 <= result.records.accounts["cash"][0] < 20


def test_a_purchase_is_cut_to_lots_of_real_shares_name_by_name_and_day_by_day() -> None:
    factor = [[2.0, 0.5, NAN]] * 2
    result = run([[7.0, 7.0, 7.0]] * 2, [[3, 2, 1]] * 2, {"adj_factor": factor}, top_k=3, account=10_000.0)
    bought = result.records.orders
    assert bought["dealt"].tolist() == [450.0, 400.0, 400.0]
    assert bought["real_shares"][:2].tolist() == [900.0, 200.0]
    assert bought["real_price"][:2].tolist() == [3.5, 14.0]
    assert "1 of 3 purchases: no adj_factor" in " ".join(result.warnings)


def test_one_unknown_factor_switches_all_lots_off_under_the_rules_of_qlib() -> None:
    result = run([[7.0, 7.0]] * 2, [[2, 1]] * 2, {"adj_factor": [[1.0, NAN]] * 2}, account=10_000.0, rules="qlib")
    assert result.records.orders["dealt"] == pytest.approx([4_750 / 7] * 2)
    assert "no order is rounded to lots" in " ".join(result.warnings)


def test_a_sale_of_the_whole_holding_may_be_an_odd_lot() -> None:
    factor = [[1.0, 1.0]] * 2 + [[0.9, 1.0]] * 2
    result = run(
        [[10.0, 10.0]] * 4, [[2, 1], [2, 1], [1, 2], [1, 2]], {"adj_factor": factor}, top_k=1, account=10_000.0
    )
    sold = result.records.orders["side"] == "sell"
    assert result.records.orders["real_shares"][sold].tolist() == [810.0]
    assert held(result) == ["0", "0", "1"]


def test_an_account_too_small_for_a_lot_says_so() -> None:
    result = run([[500.0, 500.0]] * 3, [[2, 1]] * 3, account=20_000.0)
    assert set(result.records.orders["reason"]) == {"lot"}
    assert result.records.accounts["account"].tolist() == [20_000.0, 20_000.0]
    assert any(text.startswith("nothing was ever bought: with an account of 20,000") for text in result.warnings)


def told_of_purchases(result: BacktestResult) -> str:
    """Return the one warning about purchases or the exposure."""
    (text,) = (text for text in result.warnings if "bought" in text or "exposure" in text)
    return text


@pytest.mark.parametrize(
    ("market", "keys", "why"),
    [
        ({"volume": [[1_000.0] * 4] * 5}, {"max_volume": 0.01}, "volume cut or blocked 8 of 8 purchases"),
        ({"volume": [[0.0] * 4] * 5}, {}, "suspended cut or blocked 8 of 8 purchases"),
        ({"up_limit": [[10.0] * 4] * 5}, {}, "limit_up cut or blocked 8 of 8 purchases"),
        ({"up_limit": [[10.0] * 4] * 4 + [[NAN] * 4], "volume": [[1e9] * 4] * 4 + [[0.0] * 4]}, {},
         "limit_up cut or blocked 6 of 8 purchases"),
        ({}, {"min_cost": 6e4}, "with an account of 100,000 and top_k = 2, no part of it pays for min_cost = 60000"),
        ({"up_limit": [[10.0] * 4] * 5, "close": [[11.0] * 4] * 5}, {"rules": "qlib", "only_tradable": True,
         "price_limits": 0.01}, "no candidate could be traded"),
    ],
    ids=["volume", "suspended", "limit", "mostly limit", "min_cost", "qlib"],
)  # fmt: skip
def test_an_account_that_never_bought_says_why(market: dict[str, Any], keys: dict[str, Any], why: str) -> None:
    close = [[10.0 * 1.1**at] * 4 for at in range(5)] if "rules" in keys else FLAT
    grids = {name: grid for name, grid in market.items() if name != "close"}
    result = run(close, RANKED, grids, **keys)
    assert result.records.accounts["account"].tolist() == [100_000.0] * 4
    assert told_of_purchases(result) == f"nothing was ever bought: {why}"


def test_an_account_that_stays_mostly_in_cash_says_why() -> None:
    close, scores = [[10.0] * 4] * 30, [[4, 3, 2, 1]] * 30
    told = told_of_purchases(run(close, scores, {"volume": [[20_000.0] * 4] * 30}, max_volume=0.1))
    assert told == (
        "40% of the account was in stocks after the first 20 days, where exposure asks for 95%: volume cut or blocked "
        "2 of 2 purchases"
    )
    for quiet in (run(close, scores), run(close, scores, exposure=0.3), run(close[:20], scores[:20], exposure=0.3)):
        assert not any("exposure" in text for text in quiet.warnings)


@pytest.mark.parametrize("rules", ["exchange", "qlib"])
@pytest.mark.parametrize("wrong", [0.0, -3.0, float("inf")])
@pytest.mark.parametrize("field", ["adj_factor", "close", "open", "previous_close"])
def test_a_number_that_no_price_or_factor_can_be_is_unknown(field: str, wrong: float, rules: str) -> None:
    """A run on it is that on a market where nothing stands in its place."""
    scores = [[4, 3, 2, 1], [4, 3, 2, 1], [1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4]]
    found = []
    for value in (wrong, NAN):
        grid = np.full((5, 4), 1.0 if field == "adj_factor" else 10.0)
        grid[1:4, :2] = value
        market = {"volume": [[1e9] * 4] * 5, **({field: grid} if field != "close" else {"previous_close": FLAT})}
        close = grid if field == "close" else FLAT
        found.append(run(close, scores, market, rules=rules, deal_price="open" if field == "open" else "close"))
    for name, column in found[0].records.accounts.items():
        np.testing.assert_array_equal(column, found[1].records.accounts[name])
    assert orders(found[0]) == orders(found[1])


@pytest.mark.parametrize("rules", ["exchange", "qlib"])
def test_an_order_worth_nothing_is_not_dealt(rules: str) -> None:
    result = run(FLAT, RANKED, rules=rules, lot=1, account=1e-6, exposure=1.0)
    table = result.records.orders
    assert set(zip(table["dealt"].tolist(), table["reason"].tolist(), strict=True)) == {(0.0, "lot")}
    assert result.records.positions["shares"].size == 0


def test_volume_cuts_an_order_before_it_is_rounded_to_lots() -> None:
    result = run([[10.0, 10.0]] * 2, [[2, 1]] * 2, {"volume": [[1_990.0, 1e9]] * 2}, max_volume=0.1, top_k=2)
    table = result.records.orders
    assert (table["wanted"][0], table["dealt"][0], table["reason"][0]) == (4_700.0, 100.0, "volume")
    assert table["volume_share"][0] == pytest.approx(100 / 1_990)
    assert (table["dealt"][1], table["reason"][1]) == (4_700.0, "")


def test_a_sale_that_volume_cuts_frees_no_place() -> None:
    volume = [[1e9, 1e9]] * 2 + [[20_000.0, 1e9]] * 3
    result = run([[10.0, 10.0]] * 5, [[2, 1]] + [[1, 2]] * 4, {"volume": volume}, max_volume=0.25, top_k=1)
    assert held(result) == ["0", "0", "1", "1"]
    assert result.records.trades["n_days"].tolist() == [2, 1]


def test_slippage_moves_the_price_against_the_account() -> None:
    result = run(FLAT, [[4, 3, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1], [4, 0, 2, 1]], slippage_bps=50.0)
    table = result.records.orders
    assert table["price"] == pytest.approx(np.where(table["side"] == "buy", 10.05, 9.95))
    assert result.records.accounts["account"][0] == pytest.approx(100_000 - 9_400 * 0.05)


def test_impact_grows_with_the_square_of_the_share_of_the_day() -> None:
    costs = [
        run([[10.0]] * 2, [[1]] * 2, {"volume": [[volume]] * 2}, impact=0.1, top_k=1).records.orders["cost"][0]
        for volume in (1e6, 1e5)
    ]
    assert costs == pytest.approx([95_000 * 0.1 * 0.0095**2, 95_000 * 0.1 * 0.095**2])


def test_a_cost_is_no_less_than_the_smallest() -> None:
    result = run(FLAT, RANKED, account=4_000.0, min_cost=5.0)
    assert result.records.orders["cost"].tolist() == [5.0, 5.0]


def test_a_purchase_that_cash_misses_by_a_rounding_error_is_a_lot_smaller() -> None:
    result = run([[10.0]] * 2, [[1]] * 2, account=2_000.0 - 5e-7, exposure=1.0, top_k=1)
    assert result.records.orders["dealt"].tolist() == [100.0]


def test_a_sale_that_cannot_pay_its_cost_is_left() -> None:
    close = [[10.0, 10.0]] * 2 + [[0.04, 10.0]]
    result = run(
        close, [[2, 1], [1, 2], [1, 2]], account=1_005.0, exposure=1.0, min_cost=5.0, top_k=1, price_limits="none"
    )
    assert orders(result) == [(0, "0", "buy", ""), (1, "0", "sell", "cash")]
    assert held(result) == ["0", "0"]


def test_no_rate_at_all_divides_by_nothing() -> None:
    result = run(FLAT, RANKED, exposure=1.0, min_cost=5.0)
    assert result.records.accounts["cash"].min() >= 0


def test_the_stamp_duty_is_halved_on_its_day() -> None:
    market = market_of([[10.0, 10.0]] * 5, first="2023-08-25")
    scores = np.array([[2, 1], [1, 2], [2, 1], [1, 2], [2, 1]], dtype=float)
    table = run_backtest(market, scores, config_of(top_k=1, fees=(), commission=0.0)).records.orders
    sales = table["side"] == "sell"
    assert table["datetime"][sales].astype(str).tolist() == ["2023-08-27", "2023-08-28", "2023-08-29"]
    assert table["cost"][sales] / table["value"][sales] == pytest.approx([0.001, 0.0005, 0.0005])
    assert (table["cost"][~sales] == 0).all()


def test_fees_of_qlib_are_constant() -> None:
    market = market_of([[10.0, 10.0]] * 5, first="2023-08-25")
    scores = np.array([[2, 1], [1, 2], [2, 1], [1, 2], [2, 1]], dtype=float)
    table = run_backtest(market, scores, config_of(top_k=1, fees=(), commission=0.0005, rules="qlib")).records.orders
    rates = np.where(table["side"] == "sell", 0.0015, 0.0005)
    assert table["cost"] / table["value"] == pytest.approx(rates)


def test_fees_that_begin_after_the_first_trade_are_refused() -> None:
    with pytest.raises(ConfigError, match="fees begin on 2024-01-05, the first trade could be on 2024-01-03"):
        run(FLAT, RANKED, fees=[{"since": "2024-01-05", "buy": 0.0, "sell": 0.0}])


def test_a_dead_holding_is_written_off_after_its_days() -> None:
    close = [[10.0, 10, 10, 10]] * 2 + [[NAN, 10, 10, 10]] * 4
    result = run(close, [[4, 3, 2, 1]] + [[NAN, 3, 2, 1]] * 5, write_off_days=3, write_off_share=0.25)
    assert held(result) == ["01", "01", "01", "12", "12"]
    lost = result.records.trades["reason"] == "written_off"
    assert result.records.trades["return"][lost].tolist() == [-0.75]
    assert result.records.trades["n_days"][lost].tolist() == [3]
    assert result.records.accounts["account"][3] == pytest.approx(100_000 - 0.75 * 47_000)
    assert any(text.startswith("1 holdings without a quote for 3 days were closed at 25%") for text in result.warnings)


def test_an_account_that_lost_everything_stands_still() -> None:
    assert Portfolio.returns(before=100.0, after=0.0, cost=1.0) == pytest.approx((-0.99, -1.0, 0.01))
    assert Portfolio.returns(before=0.0, after=0.0, cost=0.0) == (0.0, 0.0, 0.0)


def test_suspended_is_no_bar_or_no_volume() -> None:
    volume = [[1e9] * 4] + [[0.0, NAN, 1e9, 1e9]] + [[1e9] * 4] * 3
    result = run(FLAT, RANKED, {"volume": volume})
    assert orders(result)[:2] == [(0, "0", "buy", "suspended"), (0, "1", "buy", "suspended")]
    assert held(result)[0] == "23"
    assert held(run(FLAT, RANKED, {"volume": volume}, rules="qlib"))[0] == "01"


def test_a_suspended_holding_keeps_its_last_price() -> None:
    result = run([[10.0, 10.0], [12.0, 10.0], [NAN, 10.0], [6.0, 10.0]], [[2, 1]] * 4, price_limits="none")
    prices = result.records.positions["price"][result.records.positions["instrument"] == "SH600000"]
    assert prices.tolist() == [12.0, 12.0, 6.0]


def test_a_purchase_at_the_open_earns_the_day() -> None:
    close = [[10.0], [10.5], [10.5]]
    result = run(close, [[1]] * 3, {"open": [[10.0], [10.0], [10.5]]}, deal_price="open", top_k=1)
    assert result.records.accounts["net_return"].tolist() == pytest.approx([0.0475, 0.0])


def test_a_deal_without_a_price_is_made_at_the_close() -> None:
    result = run(FLAT, RANKED, {"open": [[NAN] * 4] * 5}, deal_price="open")
    assert set(result.records.orders["price"].tolist()) == {10.0}


def test_the_first_day_returns_on_the_cash_it_began_with() -> None:
    result = run(FLAT, RANKED, commission=0.001, fees=(), exposure=0.8)
    accounts = result.records.accounts
    assert accounts["net_return"][0] == pytest.approx(-0.0008, rel=1e-3)
    assert accounts["gross_return"][0] == pytest.approx(0.0, abs=1e-15)
    assert accounts["turnover"][0] == pytest.approx(0.8, rel=1e-3)


def test_a_trade_tells_a_holding_from_purchase_to_sale() -> None:
    close = [[10.0, 10.0]] * 2 + [[10.5, 10.0]] * 2 + [[10.5, 10.2]]
    result = run(close, [[2, 1], [2, 1], [1, 2], [1, 2], [1, 2]], top_k=1, exposure=0.5, account=20_000.0)
    trades = result.records.trades
    assert trades["instrument"].tolist() == ["SH600000", "SH600001"]
    assert trades["opened"].astype(str).tolist() == ["2024-01-03", "2024-01-05"]
    assert [str(day) for day in trades["closed"]] == ["2024-01-05", "NaT"]
    assert trades["shares"].tolist() == [1_000.0, 1_000.0]
    assert trades["profit"].tolist() == pytest.approx([500.0, 200.0])
    assert trades["return"].tolist() == pytest.approx([0.05, 0.02])
    assert (trades["n_days"].tolist(), trades["reason"].tolist()) == ([2, 1], ["sold", "open"])


def test_benchmark_and_universe_stand_beside_the_account() -> None:
    market = {"benchmark": [0.0, 0.01, 0.02, 0.03, 0.04], "universe": None}
    accounts = run(FLAT, RANKED, {"benchmark": market["benchmark"]}, rules="qlib").records.accounts
    assert accounts["benchmark"].tolist() == [0.01, 0.02, 0.03, 0.04]
    assert np.isnan(accounts["universe"]).all()


@pytest.mark.parametrize(
    ("keys", "want"),
    [
        ({}, [0.0, 0.02, 0.03, 0.04]),
        ({"deal_price": "open"}, [0.01, 0.02, 0.03, 0.04]),
        ({"deal_price": "vwap"}, [0.01, 0.02, 0.03, 0.04]),
        ({"deal_price": "close", "sell_price": "open"}, [0.0, 0.02, 0.03, 0.04]),
    ],
)
def test_benchmarks_stand_still_until_the_account_has_bought(keys: dict[str, str], want: list[float]) -> None:
    returns = [0.0, 0.01, 0.02, 0.03, 0.04]
    accounts = run(FLAT, RANKED, {"benchmark": returns, "universe": returns}, **keys).records.accounts
    assert accounts["benchmark"].tolist() == accounts["universe"].tolist() == want


def test_days_before_the_first_purchase_do_not_count_against_it() -> None:
    blocked = {
        "volume": [[1e9] * 4, [0.0] * 4, [0.0] * 4, [1e9] * 4, [1e9] * 4],
        "benchmark": [0.0, 0.01, 0.02, 0.03, 0.04],
    }
    result = run(FLAT, RANKED, blocked)
    assert result.records.accounts["benchmark"].tolist() == [0.0, 0.0, 0.0, 0.04]
    assert result.statistics["index_annual_excess_sum"] == pytest.approx(-0.04 / 4 * 252)


def test_days_that_the_index_lacks_are_counted() -> None:
    inner = run(FLAT, RANKED, {"benchmark": [0.0, 0.01, NAN, 0.03, 0.04]})
    assert inner.records.accounts["benchmark"].tolist() == pytest.approx([0.0, NAN, 0.03, 0.04], nan_ok=True)
    assert any(text.startswith("the index lacks 1 of 4 days") for text in inner.warnings)
    eve = run(FLAT, RANKED, {"benchmark": [0.0, NAN, 0.02, 0.03, 0.04]})  # 0.02 is over two days, the first is not ours
    assert eve.records.accounts["benchmark"].tolist() == pytest.approx([NAN, NAN, 0.03, 0.04], nan_ok=True)
    none = run(FLAT, RANKED, {"benchmark": [NAN] * 5})
    assert "the index has no return on any of 4 days: nothing is compared with it" in none.warnings
    assert not any("index" in text for text in run(FLAT, RANKED).warnings)


def test_a_backtest_without_a_score_to_trade_is_refused() -> None:
    with pytest.raises(InputError, match="no score can be traded: 1 days have scores"):
        run(FLAT, [[NAN] * 4] * 4 + [[4, 3, 2, 1]])


def test_an_infinite_score_is_refused() -> None:
    with pytest.raises(InputError, match="1 scores are infinite"):
        run(FLAT, [[float("inf"), 3, 2, 1]] + [[4, 3, 2, 1]] * 4)


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 3\), the market has \(5, 4\)"):
        run(FLAT, np.zeros((2, 3)))


def test_days_of_tied_scores_are_counted() -> None:
    result = run(FLAT, [[1, 1, 1, 2], [4, 3, 2, 1], [1, 1, 2, 2], [4, 3, 3, 1], [1, 1, 1, 1]])
    assert any(text.startswith("more than half of the scores are tied on 2 of 4 days") for text in result.warnings)


def test_holdings_kept_for_want_of_a_score_are_told() -> None:
    left = [[4, 3, 2, 1]] + [[NAN, 3, 2, 1]] * 4
    told = "38% of the holdings had no score, as names that left the universe"
    assert any(text.startswith(told) for text in run(FLAT, left, unscored_days=0).warnings)
    assert not any("had no score" in text for text in run(FLAT, left, unscored_days=1).warnings)
    assert not any("had no score" in text for text in run(FLAT, RANKED).warnings)


def limits_told(last: list[float]) -> list[str]:
    return [text for text in run([*FLAT[:4], last], RANKED).warnings if "price limit" in text]


def test_limits_that_nobody_hits_are_told() -> None:
    assert limits_told([10.2] * 4) == ["none of 16 bars is at a price limit: are price_limits right for this market?"]


def test_limits_that_many_hit_are_told() -> None:
    assert limits_told([11.0] * 4) == ["4 of 16 bars (25%) are at a price limit: are price_limits right?"]


def test_limits_that_some_hit_are_no_news() -> None:
    assert limits_told([11.0, 10.0, 10.0, 10.0]) == []


PAIRS = [("open", "vwap"), ("open", "close"), ("vwap", "close")]


@pytest.mark.parametrize(("buying", "selling"), PAIRS)
def test_sales_later_in_the_day_than_the_purchases_they_pay_for_are_refused(buying: str, selling: str) -> None:
    with pytest.raises(ValidationError, match="the same money would earn the time between twice"):
        config_of(deal_price=buying, sell_price=selling)
    assert config_of(deal_price=buying, sell_price=selling, rules="qlib").sell_price == selling
    assert config_of(deal_price=selling, sell_price=buying).sell_price == buying


@pytest.mark.parametrize(("selling", "buying"), [*PAIRS, ("open", None), ("vwap", None), ("close", None)])
def test_money_earns_a_day_once(selling: str, buying: str | None) -> None:
    """Both names rise by a tenth between open and close of one day; swapped that day, the account cannot gain more."""
    grids = {"open": [[10.0, 10.0]] * 3 + [[11.0, 11.0]], "vwap": [[10.0, 10.0]] * 2 + [[10.5, 10.5], [11.0, 11.0]]}
    close = [[10.0, 10.0]] * 2 + [[11.0, 11.0]] * 2
    keys = {"top_k": 1, "exposure": 1.0, "lot": 1, "price_limits": "none"}
    result = run(
        close, [[2, 1], [1, 2], [1, 2], [1, 2]], grids, deal_price=buying or selling, sell_price=selling, **keys
    )
    assert held(result)[:2] == ["0", "1"]
    assert result.records.accounts["account"][-1] <= 110_000 * (1 + 1e-9)


def special_told(close: list[list[float]], **market: Any) -> list[str]:
    names = ["SH600000", "SZ000001", "SZ300001", "SH600003"]
    found = run_backtest(market_of(close, instruments=names, **market), np.ones((len(close), 4)), config_of())
    return [text for text in found.warnings if "special" in text]


def test_names_that_stand_still_at_a_twentieth_are_told_unless_who_is_special_is_known() -> None:
    falling = [[10.0 * 0.95**at, 10.0, 10.0 * 0.95**at, 10.0 * 0.98**at] for at in range(5)]
    (told,) = special_told(falling)
    assert told.startswith("4 bars of 1 names on the main boards had one price all day, about 5% from the close before")
    whole = np.ones((5, 4))
    assert special_told(falling, special=whole > 1) == []
    assert special_told(falling, high=np.array(falling) * 1.01) == []
    assert special_told(falling[:3]) == []
    assert special_told(falling, up_limit=whole * 99, down_limit=whole * 0.1) == []
