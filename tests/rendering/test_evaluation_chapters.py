"""An EvalReport as a document: every chapter holds the figures of the report, and holes stay holes."""

import json
from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from qts.config import EvalConfig
from qts.evaluation import EvalReport, Prices, Signal, evaluate_signal
from qts.rendering.evaluation_chapters import evaluation_document
from qts.rendering.headline import FIGURES
from qts.rendering.html import render_html
from qts.rendering.ic_chapters import MOVING_DAYS
from qts.rendering.plots import MOST_POINTS, thinned
from qts.rendering.report import document_to_json
from qts.rendering.series import histogram, moving_mean
from tests.small_results import (
    DAYS,
    RANK_IC,
    SPREAD,
    assert_sound,
    block,
    empty_report,
    horizon,
    live,
    small_backtest,
    small_report,
    stats,
    untraded_backtest,
)


def test_a_report_is_a_sound_document_with_every_chapter() -> None:
    document = evaluation_document(small_report(drift=live()), small_backtest())
    assert_sound(document)
    assert [chapter.title for chapter in document.chapters] == [
        "Summary", "IC by day", "Holding periods", "Score groups", "Scores as weights", "Persistence and turnover",
        "By year", "By group of names", "Neutral IC", "Coverage", "Drift", "Portfolio", "Portfolio statistics",
        "Portfolio by month and year", "Orders and holdings", "Trades", "Rules of the portfolio",
    ]  # fmt: skip
    assert document.title == "gru, seed 3: 2023-12-27 to 2024-01-05"
    assert document.warnings == ("fewer than 60 days", "a short one")
    assert 4 <= len(document.headline) <= 10


@pytest.mark.parametrize("backtest", [None, untraded_backtest()])
def test_nothing_to_tell_raises_nothing(backtest: None) -> None:
    document = evaluation_document(empty_report(), backtest)
    assert_sound(document)
    assert not {"Drift", "Neutral IC", "By group of names"} & {chapter.title for chapter in document.chapters}


def test_sums_so_far_hold_still_on_days_without_ic() -> None:
    plot = block(evaluation_document(small_report()), "cumulative_ic")
    total, expected = 0.0, []
    for value in RANK_IC:
        total += 0.0 if isnan(value) else value
        expected.append(total)
    assert plot.data["rank_ic"] == pytest.approx(expected)
    assert plot.data["datetime"][3] == "2024-01-02"


def test_a_day_without_rank_ic_has_no_bar() -> None:
    plot = block(evaluation_document(small_report()), "rank_ic_by_day")
    assert plot.data["rank_ic"] == [0.1, -0.02, None, 0.04, 0.06, -0.08, 0.02]
    assert plot.data["moving_mean"] == [None] * 7
    assert MOVING_DAYS == 22


def test_a_moving_mean_takes_the_days_that_are_known_and_needs_half_of_them() -> None:
    expected = []
    for at in range(len(RANK_IC)):
        known = [value for value in RANK_IC[max(at - 2, 0) : at + 1] if not isnan(value)]
        expected.append(sum(known) / len(known) if 2 * len(known) >= 3 else nan)
    assert moving_mean(RANK_IC, 3) == pytest.approx(expected, nan_ok=True)
    assert isnan(expected[0])


def test_the_heat_map_has_every_month_of_a_year_and_none_where_no_day_is() -> None:
    data = block(evaluation_document(small_report()), "rank_ic_by_month").data
    cells = dict(zip(zip(data["year"], data["month"], strict=True), data["value"], strict=True))
    assert len(cells) == 24
    assert cells["2023", "Dec"] == pytest.approx((0.10 - 0.02) / 2)
    assert cells["2024", "Jan"] == pytest.approx((0.04 + 0.06 - 0.08 + 0.02) / 4)
    assert cells["2024", "Feb"] is None


def test_years_are_counted_by_days_with_a_rank_ic() -> None:
    first, second = block(evaluation_document(small_report()), "by_year").rows
    assert (first["year"], first["n_days"], second["n_days"]) == ("2023", 2, 4)
    assert second["rank_ic"] == pytest.approx(0.01)
    assert second["rank_icir"] == pytest.approx(0.01 / np.std([0.04, 0.06, -0.08, 0.02], ddof=1))
    assert second["positive"] == 0.75
    assert second["spread_bps"] == pytest.approx(1e4 * (0.002 + 0.003 - 0.002 + 0.001) / 4)


def test_a_histogram_counts_every_day_and_its_normal_about_as_many() -> None:
    values = np.random.default_rng(5).normal(0.02, 0.1, 3000)
    found = histogram(np.append(values, nan), 30)
    assert sum(found["days"]) == 3000
    assert sum(found["normal"]) == pytest.approx(3000, rel=0.02)
    assert histogram(np.array([0.5, 0.5, nan])) == {"middle": [0.5], "days": [2.0], "normal": [None]}


def test_holding_periods_stand_in_a_row_each_with_errors_of_their_own() -> None:
    document = evaluation_document(small_report())
    one, three = block(document, "horizons").rows
    assert (one["horizon"], one["rank_ic"], one["rank_ic_low"], one["rank_ic_high"]) == (1, 0.02, 0.01, 0.04)
    assert (three["spread_bps"], three["spread_t"], three["break_even_bps"]) == (120.0, 2.2, pytest.approx(18.6))
    band = block(document, "rank_ic_by_horizon")
    assert (band.data["low"], band.data["high"]) == ([0.01, 0.015], [0.04, 0.06])
    assert block(document, "decay").data == {"days_after": [1, 2, 3, 4], "rank_ic": [0.02, 0.015, 0.008, None]}


def test_group_returns_are_a_day_in_bars_and_a_holding_period_in_the_table() -> None:
    document = evaluation_document(small_report())
    bars = block(document, "group_bars")
    assert bars.data["h3"] == [60.0, 40.0, 20.0]
    assert bars.data["error3"] == [10.0, 5.0, 20.0]
    rows = block(document, "group_means").rows
    assert [row["h3"] for row in rows] == pytest.approx([180, 120, 60, 120, 1])
    assert [row["group"] for row in rows] == ["1", "2", "3", "1 minus 3", "monotonicity"]


def test_growth_is_what_each_group_s_curve_came_to_compounded_a_year() -> None:
    grown = horizon(3, 0.03, curves=np.array([[1, 1, 1], [2, 1, nan], [4, 1, 0.25]]), days=DAYS[1:4])
    report = small_report(horizons=(horizon(1, 0.02), grown), context={"days_per_year": 3})
    rows = block(evaluation_document(report), "group_growth").rows
    assert [row["group"] for row in rows] == ["1", "2", "3"]
    assert [row["h3"] for row in rows] == pytest.approx(
        [7, 0, -7 / 8]
    )  # two days came to 4, 1 and a quarter; a year is three
    assert [row["h1"] for row in rows] == pytest.approx([1.04**0.75 - 1, 0, 0.96**0.75 - 1])


@pytest.mark.parametrize(("ahead", "held"), [(2, 1), (4, 3), (9, 1)])
def test_curves_are_those_of_the_label_s_holding_period_or_else_the_shortest(ahead: int, held: int) -> None:
    report = small_report()
    report = small_report(context={**report.context, "label_ahead": ahead})
    assert f"held for {held} day" in block(evaluation_document(report), "group_curves").about


def test_the_band_of_the_spread_is_what_luck_allows_so_far() -> None:
    report = small_report(statistics={"spread": stats(0.0012, 3.0, n=6)})
    data = block(evaluation_document(report), "cumulative_spread").data
    error = 0.0012 / 3.0
    a_day = error * 6**0.5
    assert data["high"] == pytest.approx([1.96 * a_day * n**0.5 for n in (1, 2, 2, 3, 4, 5, 6)], rel=1e-4)
    assert data["low"] == [-value for value in data["high"]]
    assert data["spread"][-1] == pytest.approx(np.nansum(SPREAD))
    assert data["high"][-1] == pytest.approx(1.96 * error * 6, rel=1e-4)


def test_sums_of_what_is_over_several_days_are_a_day() -> None:
    one, five = (
        evaluation_document(small_report(context={"label_ahead": 1 + held, "label_begin": 1})) for held in (1, 5)
    )
    for key, columns in (
        ("cumulative_spread", ("spread", "low", "high")),
        ("factor_portfolio_curve", ("portfolio", "without_market")),
    ):
        a, b = block(one, key), block(five, key)
        for name in columns:
            assert b.data[name] == pytest.approx([value / 5 for value in a.data[name]], rel=1e-4)
        assert "divided by the 5 days it is over" in b.about
        assert "divided" not in a.about


def test_the_portfolio_without_the_market_is_what_beta_leaves() -> None:
    data = block(evaluation_document(small_report()), "factor_portfolio_curve").data
    returns, market = SPREAD / 4, SPREAD / 2
    assert data["without_market"][-1] == pytest.approx(np.nansum(returns - 0.25 * market), rel=1e-4)


def test_persistence_is_a_mean_a_month_and_a_row_a_lag() -> None:
    document = evaluation_document(small_report())
    assert block(document, "autocorrelation").data == {
        "month": ["2023-12", "2024-01"], "lag1": [0.9, 0.725], "lag5": [None, None],
    }  # fmt: skip
    first, second = block(document, "persistence").rows
    assert first["autocorrelation"] == pytest.approx(0.76)
    assert first["turnover_3"] == pytest.approx(0.3)
    assert isnan(second["autocorrelation"])


def test_groups_of_names_have_a_table_and_bars_with_errors() -> None:
    document = evaluation_document(small_report())
    banks, steel = block(document, "within_industry").rows
    assert (banks["rank_ic"], banks["rank_ic_t"], banks["mean_label_bps"]) == (0.05, 3.0, pytest.approx(11))
    assert isnan(steel["rank_ic"])
    bars = block(document, "rank_ic_within_industry")
    assert bars.data["error"][0] == pytest.approx(0.05 / 3, rel=1e-4)
    assert (bars.data["rank_ic"][1], bars.data["error"][1]) == (None, None)


@pytest.mark.parametrize("name", ["day", "month", "horizon", "year", "rank_ic", "error", "name", "datetime"])
def test_a_grouping_may_be_called_as_anything_in_a_report(name: str) -> None:
    report = small_report()
    document = evaluation_document(small_report(groups={name: report.groups["industry"], "industry": ()}))
    assert_sound(document)
    bars = block(document, f"rank_ic_within_{name}")
    assert bars.data["name"] == ["banks", "steel"]
    assert bars.data["rank_ic"] == [0.05, None]
    assert bars.x_title == name


def test_plots_without_a_value_and_groups_without_a_day_are_left_out() -> None:
    none = {"group_mean": np.full(3, nan), "group_error": np.full(3, nan)}
    whole, bare = (
        {one.key for one in evaluation_document(report).blocks()}
        for report in (small_report(), small_report(horizons=(horizon(1, 0.02, **none),), decay=np.array([nan])))
    )
    assert whole - bare == {"group_means", "group_bars", "group_growth", "group_curves", "decay"}


def test_equal_scores_are_told_once() -> None:
    report = small_report(warnings=("more than half of the scores are tied on 3 of 7 days", "thin"))
    backtest = replace(small_backtest(), warnings=("more than half of the scores are tied on 3 of 6 days: by name",))
    assert evaluation_document(report).warnings == report.warnings
    assert evaluation_document(report, backtest).warnings == ("thin", *backtest.warnings)


def test_neutral_ic_names_what_was_taken_out() -> None:
    rows = block(evaluation_document(small_report()), "neutral").rows
    assert [row["taken_out"] for row in rows] == ["nothing", "industry", "industry + size"]
    assert rows[2]["explained"] == 0.5


def test_coverage_shares_are_of_rows_or_of_days_and_thin_days_come_worst_first() -> None:
    document = evaluation_document(small_report())
    shares = {row["what"]: row["share"] for row in block(document, "coverage").rows}
    assert shares == pytest.approx(
        {"rows": 1, "no score": 0.25, "judged": 0.75, "members without row": 0.1, "days": 1, "days without ic": 1 / 7}
    )
    thin = block(document, "thin_days").rows
    assert [(row["datetime"], row["n_scored"]) for row in thin] == [
        ("2023-12-29", 0), ("2023-12-28", 4), ("2024-01-02", 4),
    ]  # fmt: skip


def test_drift_draws_the_days_and_the_band_of_their_mean() -> None:
    document = evaluation_document(small_report(drift=live()))
    data = block(document, "drift_by_day").data
    assert data["rank_ic"] == [0.03, None, 0.01]
    assert data["low"] == [-0.01] * 3
    assert block(document, "drift").rows[0]["n_days"] == 2


def test_the_summary_has_what_the_report_says_and_what_parts_of_it_say() -> None:
    document = evaluation_document(small_report(), small_backtest())
    summary = document.summary
    assert (summary["ic"], summary["rank_ic_t"], summary["break_even_bps"]) == (0.01, 4.0, pytest.approx(6.2))
    assert (summary["alpha_t"], summary["monotonicity"]) == (2.1, 1.0)
    assert summary["portfolio_max_drawdown"] == pytest.approx(-0.05)
    shown = {row["figure"]: row["value"] for row in block(document, "headline").rows}
    assert shown["Neutral RankIC"] == 0.008
    assert all(row["about"] for row in block(document, "headline").rows)


def test_every_figure_of_a_summary_has_a_name() -> None:
    rng = np.random.default_rng(3)
    n_days, n_names = 12, 13
    days = np.arange("2024-01-01", n_days, dtype="datetime64[D]")
    close = np.cumprod(1 + rng.normal(size=(n_days, n_names)) / 50, axis=0)
    day, name = (at.ravel() for at in np.indices((n_days, n_names)))
    names = np.array([f"N{at:02d}" for at in range(n_names)])
    score, label = rng.normal(size=(2, n_days * n_names))
    signal = Signal(days, names, day, name, score, label, Prices(days, close, 1e6 * close))
    report = evaluate_signal(signal, EvalConfig(horizons=(1, 2), turnover_lags=(1, 2)))
    assert set(report.summary) <= set(FIGURES)
    assert_sound(evaluation_document(report))


def _six_years() -> EvalReport:
    rng, n = np.random.default_rng(2), 1500
    daily = rng.normal(size=n) / 10
    curves = np.cumprod(1 + rng.normal(size=(n, 10)) / 50, axis=0)
    report = small_report()
    days = DAYS[0] + np.arange(n) * 7 // 5
    wide = {"group_mean": rng.normal(size=10), "group_error": rng.normal(size=10), "days": days, "curves": curves}
    return small_report(
        days=days, n_names=np.full(n, 300), ic=daily, rank_ic=daily, spread=daily, mean_label=daily,
        quantiles=rng.normal(size=(n, 10)), decay=rng.normal(size=20),
        horizons=tuple(horizon(h, 0.02, **wide) for h in (1, 2, 3, 5, 10, 20)),
        portfolio=type(report.portfolio)(*[daily, daily, *list(vars(report.portfolio).values())[2:]]),
        persistence=tuple(type(one)(one.lag, daily, rng.normal(size=(n, 10))) for one in report.persistence),
        coverage=type(report.coverage)(report.coverage.counts, 0.0, np.full(n, 300), np.full(n, 301)),
    )  # fmt: skip


def test_a_page_of_many_days_and_groups_stays_small() -> None:
    rng, n = np.random.default_rng(4), 4000
    days = DAYS[0] + np.arange(n) * 7 // 5
    wide = {
        "days": days,
        "curves": np.cumprod(1 + rng.normal(size=(n, 20)) / 50, axis=0),
        "group_mean": rng.normal(size=20),
    }
    wide["group_error"] = wide["group_mean"]
    daily = rng.normal(size=n) / 10
    base = small_report()
    report = small_report(
        days=days, n_names=np.full(n, 300), ic=daily, rank_ic=daily, spread=daily, mean_label=daily,
        quantiles=rng.normal(size=(n, 20)), horizons=tuple(horizon(h, 0.02, **wide) for h in (1, 2, 3, 5, 10, 20)),
        portfolio=replace(base.portfolio, returns=daily, market=daily), persistence=(),
        coverage=replace(base.coverage, n_scored=np.full(n, 300), n_expected=np.full(n, 301)),
    )  # fmt: skip
    accounts = {name: np.resize(column, n) for name, column in small_backtest().records.accounts.items()}
    accounts |= {"datetime": days, "net_return": daily / 5, "gross_return": daily / 5, "universe": daily[::-1] / 5}
    made = small_backtest()
    document = evaluation_document(report, replace(made, records=replace(made.records, accounts=accounts)))
    assert len(render_html(document)) - len(get_plotlyjs()) < 1_000_000
    curves, drawn = (block(one, "group_curves") for one in (document, thinned(document)))
    assert len(curves.data["datetime"]) == n
    assert MOST_POINTS <= len(drawn.data["datetime"]) <= MOST_POINTS + 150
    assert f"of {n:,} points, extremes among them" in drawn.about
    for name, values in curves.data.items():
        kept = drawn.data[name]
        assert (kept[0], kept[-1], min(kept), max(kept)) == (values[0], values[-1], min(values), max(values))


def test_a_plot_of_few_points_is_drawn_whole() -> None:
    document = evaluation_document(small_report(), small_backtest())
    assert thinned(document) == document


def test_six_years_of_days_stay_below_a_megabyte_of_json() -> None:
    text = json.dumps(document_to_json(evaluation_document(_six_years())))
    assert 100_000 < len(text) < 700_000
