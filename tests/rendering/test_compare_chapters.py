"""Two runs compared: the words follow the interval, the curve the days in common."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from qts.evaluation.compare import Comparison
from qts.rendering.compare_chapters import COMPARED, comparison_document, daily_series_of
from tests.small_results import (
    DAYS,
    INDEX,
    NET,
    RANK_IC,
    SPREAD,
    assert_sound,
    block,
    small_backtest,
    small_report,
    untraded_backtest,
)

FOUND = Comparison(
    n=5, first=DAYS[0], last=DAYS[6], mean_a=0.02, mean_b=0.025, difference=0.005, error=0.002, t=2.5, low=0.001, high=0.009,
    b_is_better=0.99, effect_size=0.4, correlation=0.7,
)  # fmt: skip


def test_a_run_has_the_series_that_it_has_days_for() -> None:
    assert list(daily_series_of(small_report())) == ["rank_ic", "ic", "spread_bps"]
    assert set(daily_series_of(small_report(), small_backtest())) == set(COMPARED)
    assert "excess_bps" not in daily_series_of(small_report(), untraded_backtest())


def test_the_curve_holds_the_days_that_both_runs_know() -> None:
    other = small_report(days=DAYS[1:], rank_ic=np.array([0.01, 0.02, nan, 0.03, 0.05, 0.02]))
    document = comparison_document(("one", "two"), (small_report(), other), {"rank_ic": FOUND}, [])
    assert_sound(document)
    data = block(document, "cumulative_rank_ic").data
    assert data["datetime"] == ["2023-12-28", "2024-01-03", "2024-01-04", "2024-01-05"]
    assert data["a"][-1] == pytest.approx(RANK_IC[1] + RANK_IC[4:].sum())
    assert data["difference"][-1] == pytest.approx(0.01 + 0.03 + 0.05 + 0.02 - data["a"][-1])


def test_an_excess_over_an_index_with_a_gap_is_that_of_the_figures() -> None:
    backtest = small_backtest()
    days, excess = daily_series_of(small_report(), backtest)["excess_bps"]
    assert days.tolist() == np.delete(DAYS[:6], 1).tolist()
    assert excess[1] == pytest.approx(1e4 * ((1 + NET[1]) * (1 + NET[2]) - 1 - INDEX[2]))
    assert excess.sum() / 6 * 252 / 1e4 == pytest.approx(backtest.statistics["index_annual_excess_sum"])


def test_sums_of_spreads_over_several_days_are_a_day() -> None:
    report = small_report(context={"label_ahead": 5, "label_begin": 0})
    document = comparison_document(("one", "two"), (report, report), {"spread_bps": FOUND}, [])
    plot = block(document, "cumulative_spread_bps")
    assert plot.data["a"][-1] == pytest.approx(1e4 * np.nansum(SPREAD) / 5)
    assert "divided by the 5 days" in plot.about


def test_no_figure_that_is_unknown_is_printed() -> None:
    compared = {"rank_ic": replace(FOUND, t=nan, low=nan, high=nan)}
    (told,) = comparison_document(("one", "two"), (small_report(), small_report()), compared, []).verdicts
    assert "(5 days)" in told
    assert "nan" not in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "B is better by more than chance."),
        ({"t": 1.95}, "which is better cannot be told from chance."),
        ({"low": -0.001}, "which is better cannot be told from chance."),
        ({"difference": -0.005, "t": -2.5, "low": -0.009, "high": -0.001}, "A is better by more than chance."),
        ({"difference": 0.0, "t": nan, "low": 0.0, "high": 0.0}, "RankIC is the same in A and B."),
        ({"t": nan, "low": nan, "high": nan}, "which is better cannot be told from chance."),
    ],
)
def test_a_verdict_needs_t_and_interval(changes: dict[str, float], words: str) -> None:
    compared = {"rank_ic": replace(FOUND, **changes)}
    document = comparison_document(("one", "two"), (small_report(), small_report()), compared, [])
    assert document.verdicts[0].endswith(words)


def test_figures_and_settings_stand_in_tables_and_in_the_summary() -> None:
    differing = [{"key": "train.lr", "a": "0.001", "b": "0.002"}]
    both = (small_backtest(), small_backtest())
    compared = {"rank_ic": FOUND, "net_bps": FOUND}
    document = comparison_document(("one", "two"), (small_report(), small_report()), compared, differing, both)
    assert_sound(document)
    assert [row["series"] for row in block(document, "comparison").rows] == ["RankIC", "Net return, bps"]
    assert block(document, "differences").rows == differing
    assert document.summary["rank_ic_b_is_better"] == 0.99


def test_runs_of_other_labels_or_days_are_told_apart_first() -> None:
    report = small_report()
    other = small_report(context={**report.context, "label": "$close"})
    document = comparison_document(("one", "two"), (report, other), {"rank_ic": FOUND}, [])
    assert document.warnings == ("their labels differ (one: Ref($close, -2)/Ref($close, -1) - 1, two: $close)",)
    assert comparison_document(("one", "two"), (report, report), {"rank_ic": FOUND}, []).warnings == ()
