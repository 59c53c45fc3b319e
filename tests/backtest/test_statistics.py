"""Figures of an account: the published ones against the reference, the others against pandas and plain loops."""

import json
from math import sqrt
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from qts.backtest.periods import monthly, published_risk, rolling, worst_drawdowns, yearly
from qts.backtest.risk import risk_analysis
from qts.backtest.statistics import STATISTICS, statistics
from qts.daily_series import ols_hac, probabilistic_sharpe
from qts.rendering.document import Kind

GOLDEN = Path(__file__).parents[1] / "golden/backtest"
SETS = json.loads((GOLDEN / "backtest.json").read_text())["sets"]
WORKED = json.loads((GOLDEN / "worked_example.json").read_text())
NAN = float("nan")
Accounts = dict[str, np.ndarray]

NET = [0.01, -0.02, 0.015, 0.0, -0.01, 0.02, 0.005]
COST = [0.001, 0.002, 0.0, 0.001, 0.001, 0.003, 0.0]
INDEX = [NAN, -0.01, 0.01, 0.002, -0.012, 0.008, 0.001]
UNIVERSE = [0.002, -0.015, 0.011, 0.001, -0.008, 0.012, 0.004]


def accounts_of(net: list[float], cost: list[float], index: list[float], universe: list[float]) -> Accounts:
    """Return a table of accounts that began with 1000 on the last days of 2023; three quarters are in stocks."""
    days = np.array(
        ["2023-12-27", "2023-12-28", "2023-12-29", "2024-01-02", "2024-01-31", "2024-02-01", "2024-02-02"],
        "datetime64[D]",
    )[: len(net)]
    money = 1000 * np.cumprod(1 + np.array(net))
    return {
        "datetime": days,
        "account": money,
        "cash": money / 4,
        "value": money * 3 / 4,
        "n_positions": np.array([2, 3, 3, 4, 3, 3, 2])[: len(net)],
        "turnover": np.array([1.0, 0.4, 0.0, 0.2, 0.2, 0.6, 0.0])[: len(net)],
        "cost": np.array(cost),
        "gross_return": np.array(net) + np.array(cost),
        "net_return": np.array(net),
        "benchmark": np.array(index),
        "universe": np.array(universe),
        "n_blocked": np.zeros(len(net)),
    }


def seven_days() -> Accounts:
    return accounts_of(NET, COST, INDEX, UNIVERSE)


def trades() -> Accounts:
    return {
        "profit": np.array([30.0, -10.0, 12.0, -4.0, 99.0]),
        "n_days": np.array([4, 2, 3, 1, 6]),
        "reason": np.array(["sold", "sold", "sold", "written_off", "open"]),
    }


def orders() -> Accounts:
    return {
        "datetime": np.array(["2023-12-27", "2023-12-27", "2024-01-31", "2024-02-01"], "datetime64[D]"),
        "reason": np.array(["", "limit_up", "", "lot"]),
        "volume_share": np.array([0.02, NAN, 0.04, 0.06]),
    }


@pytest.mark.parametrize("name", SETS)
def test_risk_analysis_is_the_reference_s(name: str) -> None:
    report = pd.read_parquet(GOLDEN / "report.parquet").query("set == @name")
    excess = report["return"] - report["bench"]
    series = {
        "excess_return_without_cost": excess,
        "excess_return_with_cost": excess - report["cost"],
        "benchmark": report["bench"],
        "return": report["return"],
    }
    for key, want in SETS[name]["risk_analysis"].items():
        which, mode = key.split("|")
        assert risk_analysis(series[which].to_numpy(), mode=mode) == pytest.approx(want, abs=1e-9), key


def worked_accounts() -> Accounts:
    report = WORKED["report"].values()
    gross, cost, index = (np.array([day[key] for day in report]) for key in ("return", "cost", "bench"))
    return {"gross_return": gross, "cost": cost, "benchmark": index, "net_return": gross - cost}


def test_the_published_figures_of_the_worked_example_are_the_reference_s() -> None:
    want = WORKED["risk_analysis"]
    rows = {(row["series"], row["mode"]): row for row in published_risk(worked_accounts())}
    for key, name in (
        (("excess_return_without_cost", "sum"), "excess_return_without_cost"),
        (("excess_return_with_cost", "sum"), "excess_return_with_cost"),
        (("excess_return_with_cost", "product"), "excess_return_with_cost_product_mode"),
    ):
        assert {k: v for k, v in rows[key].items() if k not in {"series", "mode"}} == pytest.approx(
            want[name], abs=2e-7
        )
    assert len(rows) == 4


def test_published_drawdowns_know_no_start() -> None:
    returns = np.array([-0.1, 0.05, 0.02])
    assert risk_analysis(returns)["max_drawdown"] == 0
    assert risk_analysis(returns, mode="product")["max_drawdown"] == 0


def test_an_account_that_loses_all_has_no_spread_of_logarithms() -> None:
    got = risk_analysis(np.array([0.1, -1.0, 0.2]), mode="product")
    assert (got["mean"], got["annualized_return"], got["max_drawdown"]) == (-1, -1, -1)
    assert np.isnan([got["std"], got["information_ratio"]]).all()


def test_returns_that_never_change_have_no_information_ratio() -> None:
    for mode in ("sum", "product"):
        assert np.isnan(risk_analysis(np.full(5, 0.01), mode=mode)["information_ratio"])
        assert np.isnan(list(risk_analysis(np.empty(0), mode=mode).values())).all()


def moment(values: pd.Series, power: int) -> float:
    return float((((values - values.mean()) / values.std(ddof=0)) ** power).mean())


def test_the_account_s_own_figures_are_pandas_s() -> None:
    net, cost = pd.Series(NET), pd.Series(COST)
    growth = (1 + net).prod()
    path = pd.concat([pd.Series([1.0]), (1 + net).cumprod()])
    fall = (path / path.cummax() - 1).min()
    got = statistics(seven_days(), 250)
    want = {
        "n_days": 7,
        "total_return": growth - 1,
        "gross_total_return": (1 + net + cost).prod() - 1,
        "annual_return": growth ** (250 / 7) - 1,
        "annual_return_sum": net.mean() * 250,
        "volatility": net.std() * sqrt(250),
        "sharpe": net.mean() / net.std() * sqrt(250),
        "sortino": net.mean() / sqrt((0.02**2 + 0.01**2) / 7) * sqrt(250),
        "calmar": (growth ** (250 / 7) - 1) / -fall,
        "max_drawdown": fall,
        "longest_drawdown": 5,
        "sharpe_probability": probabilistic_sharpe(net.mean() / net.std(), 7, moment(net, 3), moment(net, 4) - 3),
        "skew": moment(net, 3),
        "kurtosis": moment(net, 4) - 3,
        "best_day": 0.02,
        "worst_day": -0.02,
        "var_95": net.quantile(0.05),
        "hit_days": 4 / 7,
        "turnover": 2.4 / 2 / 7,
        "annual_turnover": 2.4 / 2 / 7 * 250,
        "annual_cost": 0.008 / 7 * 250,
        "cost_share": 0.008 / (0.02 + 0.008),
        "mean_names": 20 / 7,
        "max_names": 4,
        "exposure": 0.75,
    }
    assert {key: got[key] for key in want} == pytest.approx(want)


def test_a_benchmark_s_figures_are_over_the_days_it_is_known() -> None:
    net, index = pd.Series(NET[1:]), pd.Series(INDEX[1:])
    excess = net - index
    got = statistics(seven_days(), 250)
    line = ols_hac(net.to_numpy(), index.to_numpy(), 2)
    summed = excess.cumsum()
    want = {
        "index_annual_return": (1 + index).prod() ** (250 / 6) - 1,
        "index_max_drawdown": min(0.99 * 1.01 * 1.002 * 0.988 / (0.99 * 1.01 * 1.002), 0.99) - 1,
        "index_annual_excess": (1 + net).prod() ** (250 / 6) - (1 + index).prod() ** (250 / 6),
        "index_annual_excess_sum": excess.mean() * 250,
        "index_tracking_error": excess.std() * sqrt(250),
        "index_information_ratio": excess.mean() / excess.std() * sqrt(250),
        "index_hit_days": (excess > 0).sum() / 6,
        "index_beta": net.cov(index) / index.var(),
        "index_alpha": (net.mean() - net.cov(index) / index.var() * index.mean()) * 250,
        "index_r2": net.corr(index) ** 2,
        "index_alpha_t": line.alpha_t,
        "index_beta_t": line.beta_t,
        "max_drawdown_sum": (summed - summed.cummax()).min(),
        "universe_annual_excess_sum": (pd.Series(NET) - pd.Series(UNIVERSE)).mean() * 250,
        "universe_beta": pd.Series(NET).cov(pd.Series(UNIVERSE)) / pd.Series(UNIVERSE).var(),
    }
    assert {key: got[key] for key in want} == pytest.approx(want)


def test_a_day_that_the_index_lacks_changes_no_compounded_figure() -> None:
    rng = np.random.default_rng(6)
    n = 240
    index = rng.normal(0.0003, 0.01, n)
    net = index + 0.0003 + rng.normal(0, 0.002, n)
    net[100], index[100] = 0.03, 0.025
    whole = {
        "datetime": np.datetime64("2024-01-01") + np.arange(n),
        "net_return": net,
        "gross_return": net,
        "benchmark": index,
    }
    whole = {**accounts_of([0.0] * n, [0.0] * n, [0.0] * n, [0.0] * n), **whole} | {
        name: np.ones(n) for name in ("n_positions", "turnover", "universe", "value", "account")
    }
    holed = index.copy()
    holed[100:102] = NAN
    holed[102] = (1 + index[100]) * (1 + index[101]) * (1 + index[102]) - 1
    a, b = (statistics({**whole, "benchmark": one}, 252) for one in (index, holed))
    for key in ("annual_return", "annual_excess"):
        assert b[f"index_{key}"] == pytest.approx(a[f"index_{key}"], rel=1e-12), key
    assert b["index_annual_excess_sum"] == pytest.approx(a["index_annual_excess_sum"], abs=2e-3)
    for key in ("tracking_error", "information_ratio", "beta", "alpha"):
        assert b[f"index_{key}"] == pytest.approx(a[f"index_{key}"], rel=0.05), key
    rows = [yearly({**whole, "benchmark": one}, 252)[0]["excess"] for one in (index, holed)]
    assert rows[1] == pytest.approx(rows[0], rel=1e-12)
    sums = [published_risk({**whole, "benchmark": one})[1]["annualized_return"] for one in (index, holed)]
    assert sums[1] == pytest.approx(sums[0], rel=1e-3)
    betas = rolling({**whole, "benchmark": holed}, 252, 50)["beta"]
    assert np.isnan(betas).sum() == 49 + 2


def test_a_gap_at_the_turn_of_a_month_counts_where_it_ends() -> None:
    index = [0.0, -0.01, 0.01, 0.002, NAN, 0.008, 0.001]  # the gap is 31 January
    _, january, february = monthly(accounts_of(NET, COST, index, UNIVERSE), 250)
    assert january["excess"] == pytest.approx(0.0 - 0.002)
    assert february["excess"] == pytest.approx(0.99 * 1.02 * 1.005 - 1.008 * 1.001)


def test_a_day_without_a_universe_is_left_out_on_both_sides() -> None:
    universe = [0.002, -0.015, NAN, 0.001, -0.008, 0.012, 0.004]
    got = statistics(accounts_of(NET, COST, INDEX, universe), 250)
    kept = pd.Series(NET).drop(index=2) - pd.Series(universe).drop(index=2)
    assert got["universe_annual_excess_sum"] == pytest.approx(kept.mean() * 250)


def test_trades_are_judged_once_they_are_closed() -> None:
    got = statistics(seven_days(), 250, trades=trades())
    assert (got["n_trades"], got["hit_trades"], got["mean_holding_days"]) == (4, 0.5, 2.5)
    assert got["profit_factor"] == pytest.approx(42 / 14)


def test_capacity_is_the_account_at_which_orders_are_a_hundredth_of_what_is_traded() -> None:
    got = statistics(seven_days(), 250, orders=orders())
    money = dict(zip(seven_days()["datetime"].astype(str), seven_days()["account"], strict=True))
    shares = [0.02 / money["2023-12-27"], 0.04 / money["2024-01-31"], 0.06 / money["2024-02-01"]]
    assert got["capacity"] == pytest.approx(0.01 / (sum(shares) / 3))
    assert got["tail_capacity"] == pytest.approx(0.1 / np.quantile(shares, 0.99))
    assert (got["n_orders"], got["blocked_share"]) == (4, 0.5)


def test_what_no_table_tells_is_nan() -> None:
    got = statistics(seven_days(), 250)
    silent = {"n_trades", "hit_trades", "profit_factor", "mean_holding_days"}
    silent |= {"n_orders", "blocked_share", "capacity", "tail_capacity"}
    assert {key for key, value in got.items() if value != value} == silent
    without = {key: column for key, column in orders().items() if key != "volume_share"}
    assert np.isnan(statistics(seven_days(), 250, orders=without)["capacity"])


def test_a_benchmark_without_returns_has_no_figures() -> None:
    got = statistics(accounts_of(NET, COST, [NAN] * 7, UNIVERSE), 250)
    of_index = {key for key in STATISTICS if key.startswith("index_")} | {"max_drawdown_sum"}
    assert len(of_index) == 13
    assert all(np.isnan(got[key]) for key in of_index)
    assert not any(np.isnan(got[key]) for key in STATISTICS if key.startswith("universe_"))


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("change", [0.0, 0.01, -1.0])
def test_short_and_even_accounts_have_finite_figures_or_none(n: int, change: float) -> None:
    accounts = accounts_of([change] * n, [0.0] * n, [change] * n, [0.001] * n)
    accounts["account"] = np.maximum(accounts["account"], 1e-9)
    figures = statistics(accounts, 250, trades={name: column[:0] for name, column in trades().items()})
    assert list(figures) == list(STATISTICS)
    assert not np.isinf(list(figures.values())).any()
    assert np.isnan([figures[key] for key in ("sharpe", "index_information_ratio", "index_beta")]).all()
    assert [len(monthly(accounts, 250)), len(yearly(accounts, 250))] == {0: [0, 0], 1: [1, 1], 2: [1, 1], 7: [3, 2]}[n]
    assert len(worst_drawdowns(accounts)) == (change < 0 < n)
    assert np.isnan(rolling(accounts, 250, 3)["sharpe"]).all()


def test_growth_too_large_for_a_number_is_nan() -> None:
    assert np.isnan(statistics(accounts_of([1e3] * 2, [0.0] * 2, [NAN] * 2, [NAN] * 2), 250)["annual_return"])


def test_every_figure_says_what_it_is() -> None:
    assert all(row.kind in get_args(Kind) and row.head and row.about.endswith(".") for row in STATISTICS.values())
    assert all(key == row.key for key, row in STATISTICS.items())


def test_a_month_is_compounded_and_begins_anew() -> None:
    rows = monthly(seven_days(), 250)
    assert [(row["period"], row["n_days"]) for row in rows] == [("2023-12", 3), ("2024-01", 2), ("2024-02", 2)]
    december, january, february = rows
    assert december["net"] == pytest.approx(1.01 * 0.98 * 1.015 - 1)
    assert december["gross"] == pytest.approx(1.011 * 0.982 * 1.015 - 1)
    assert december["benchmark"] == pytest.approx(0.99 * 1.01 - 1)
    assert december["excess"] == pytest.approx(0.98 * 1.015 - 0.99 * 1.01)
    assert december["universe_excess"] == pytest.approx(1.01 * 0.98 * 1.015 - 1.002 * 0.985 * 1.011)
    assert (december["turnover"], december["cost"]) == (pytest.approx(0.7), pytest.approx(0.003))
    assert [row["max_drawdown"] for row in rows] == pytest.approx([-0.02, -0.01, 0])
    assert january["volatility"] == pytest.approx(0.01 / sqrt(2) * sqrt(250))
    assert february["sharpe"] == pytest.approx(0.0125 / (0.015 / sqrt(2)) * sqrt(250))


def test_a_year_s_drawdown_is_from_the_year_s_start() -> None:
    rows = yearly(seven_days(), 250)
    assert [row["period"] for row in rows] == ["2023", "2024"]
    assert rows[1]["max_drawdown"] == pytest.approx(-0.01)
    assert rows[1]["net"] == pytest.approx(0.99 * 1.02 * 1.005 - 1)


def test_rolling_figures_are_those_of_the_last_days() -> None:
    got = rolling(seven_days(), 250, 4)
    net, index = pd.Series(NET), pd.Series(INDEX)
    want = {
        "sharpe": net.rolling(4).mean() / net.rolling(4).std() * sqrt(250),
        "volatility": net.rolling(4).std() * sqrt(250),
        "beta": net.rolling(4).cov(index) / index.rolling(4).var(),
        "universe_beta": net.rolling(4).cov(pd.Series(UNIVERSE)) / pd.Series(UNIVERSE).rolling(4).var(),
    }
    for name, series in want.items():
        np.testing.assert_allclose(got[name], series.to_numpy(), err_msg=name)
    assert np.isnan(got["beta"]).sum() == 4
    assert got["datetime"].tolist() == seven_days()["datetime"].tolist()


def test_rolling_figures_of_a_market_that_stands_still_are_nothing() -> None:
    got = rolling(accounts_of([0.1] * 7, [0.0] * 7, [0.1] * 7, UNIVERSE), 250, 3)
    assert got["volatility"][2:].tolist() == [0] * 5
    assert np.isnan([got["sharpe"], got["beta"]]).all()


def test_the_worst_falls_are_rows() -> None:
    row = worst_drawdowns(seven_days(), 1)[0]
    assert (str(row["peak"]), str(row["trough"]), str(row["recovery"])) == ("2023-12-27", "2023-12-28", "2024-02-01")
    assert (row["depth"], row["n_down"], row["n_up"], row["n_days"]) == (pytest.approx(-0.02), 1, 4, 5)
