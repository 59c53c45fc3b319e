"""Verdicts on scores: each on both sides of its threshold, and none that says more than the figures."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from qts.daily_series import SeriesStats
from qts.evaluation import EvalReport
from qts.evaluation.results import FactorPortfolio, NeutralFigures
from qts.rendering.verdicts import RULES, direction, verdicts
from tests.small_results import DAYS, empty_report, group, horizon, live, small_report, stats


def said(name: str, report: EvalReport) -> str:
    (rule,) = (rule for rule in RULES if rule.name == name)
    return rule.says(report)


@pytest.mark.parametrize(
    ("figures", "found"),
    [
        (stats(0.02, 1.97, low=0.001, high=0.04), 1),
        (stats(0.02, 1.95, low=0.001, high=0.04), 0),
        (stats(0.02, 1.97, low=-0.001, high=0.04), 0),
        (stats(-0.02, -1.97, low=-0.04, high=-0.001), -1),
        (stats(-0.02, -1.95, low=-0.04, high=-0.001), 0),
        (stats(0.02, 1.97), 1),
        (stats(0.02, nan, low=0.001, high=0.04), 0),
        (stats(0.02, 9.0, n=20), 1),
        (stats(0.02, 9.0, n=19), 0),
        (replace(stats(0.02, 9.0, n=80), lag=19), 1),
        (replace(stats(0.02, 9.0, n=79), lag=19), 0),
    ],
)
def test_a_mean_is_told_from_0_by_t_and_by_its_interval_if_there_is_one(figures: SeriesStats, found: int) -> None:
    assert direction(figures) == found


@pytest.mark.parametrize(
    ("t", "words"),
    [(2.0, "order the labels better than chance"), (1.9, "cannot be told from chance"), (-2.0, "the wrong way round")],
)
def test_rank_ic_is_told_with_its_figures(t: float, words: str) -> None:
    report = small_report(statistics={"rank_ic": stats(0.02 * np.sign(t), t, n=1458)})
    text = said("rank_ic", report)
    assert words in text
    assert f"(t {t:.1f}, 1,458 days)" in text


def test_a_few_days_are_told_as_few_and_nothing_else_is_told_of_them() -> None:
    two = replace(stats(0.02, 3.3), n=2)
    report = small_report(
        statistics={"rank_ic": two, "ic": two, "spread": two}, neutral=(), groups={},
        horizons=tuple(horizon(held, 0.02, spread=two, break_even_bps=5.0 * held) for held in (1, 2, 3, 5)),
        portfolio=replace(small_report().portfolio, mean=two),
    )  # fmt: skip
    assert verdicts(report) == ("RankIC 0.0200 (t 3.3, 2 days): so few days say nothing of chance.",)
    one = replace(two, n=1, t=nan)
    assert said("rank_ic", small_report(statistics={"rank_ic": one})).startswith("RankIC 0.0200 (1 day): ")


def test_ic_that_does_not_say_the_same_is_told_only_beside_a_rank_ic_that_says_something() -> None:
    firm, weak = stats(0.02, 4.0), stats(0.003, 0.5)
    assert "does not say the same" in said("disagree", small_report(statistics={"rank_ic": firm, "ic": weak}))
    assert not said("disagree", small_report(statistics={"rank_ic": firm, "ic": firm}))
    assert not said("disagree", small_report(statistics={"rank_ic": weak, "ic": firm}))


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0.016, "most of it is kept."), (0.0159, "a part of it came from there."), (0.010, "a part of it came from there."),
        (0.0099, "more than half of it came from there."),
    ],
)  # fmt: skip
def test_neutral_ic_is_weighed_against_the_plain_one(left: float, words: str) -> None:
    plain, after = NeutralFigures((), stats(0.01), stats(0.02), nan), ("industry", "size")
    text = said("neutral", small_report(neutral=(plain, NeutralFigures(after, stats(0.01), stats(left), 0.3))))
    assert text == f"RankIC is 0.0200 as it is and {left:.4f} without industry, size: {words}"
    weak = NeutralFigures(after, stats(0.01), stats(left, 1.9), 0.3)
    assert "what is left cannot be told from chance" in said("neutral", small_report(neutral=(plain, weak)))
    turned = NeutralFigures(after, stats(0.01), stats(-left, -2.0), 0.3)
    assert said("neutral", small_report(neutral=(plain, turned))).endswith(
        "more than half of it came from there, and what is left orders the labels the wrong way round, more than chance would."
    )
    unknown = NeutralFigures(after, stats(nan, nan, n=0), stats(nan, nan, n=0), nan)
    assert not said("neutral", small_report(neutral=(plain, unknown)))
    nothing = replace(plain, rank_ic=stats(0.02, 1.9))
    assert not said("neutral", small_report(neutral=(nothing, weak)))


@pytest.mark.parametrize(
    ("monotonicity", "words"),
    [
        (0.90, "the more they earned"), (0.89, "only roughly"),
        (0.50, "only roughly"),
        (0.49, "does not follow"), (-0.89, "does not follow"), (-0.90, "the less they earned"),
    ],
)  # fmt: skip
def test_groups_are_called_ordered_from_a_monotonicity_on(monotonicity: float, words: str) -> None:
    report = small_report(horizons=(horizon(1, 0.02, monotonicity=monotonicity),))
    assert words in said("monotonicity", report)


def test_two_groups_have_no_order_to_speak_of() -> None:
    two = horizon(1, 0.02, group_mean=np.array([0.01, 0.0]), group_error=np.zeros(2))
    assert not said("monotonicity", small_report(horizons=(two,)))


@pytest.mark.parametrize(
    ("bps", "words"), [(10.0, "10.0 bps one way eat it, more than"), (9.9, "9.9 bps one way eat it, less than")]
)
def test_the_break_even_cost_is_set_beside_what_trading_costs(bps: float, words: str) -> None:
    report = small_report(horizons=(horizon(1, 0.02, break_even_bps=bps),))
    assert words in said("cost", report)
    assert "34 % turnover" in said("cost", report)


def test_a_spread_below_0_pays_no_cost() -> None:
    report = small_report(horizons=(horizon(1, 0.02, spread=stats(-0.001)),))
    assert "leave nothing to pay costs from" in said("cost", report)


def test_a_spread_that_is_not_told_from_0_bears_no_known_cost() -> None:
    report = small_report(horizons=(horizon(1, 0.02, spread=stats(0.004, 1.9), break_even_bps=12.0),))
    assert said("cost", report) == (
        "With a spread of 40.0 bps over 1 day that cannot be told from 0, nobody knows what costs the scores bear."
    )


def test_another_holding_period_is_named_only_if_it_bears_more() -> None:
    cheap, dear = horizon(1, 0.02, break_even_bps=5.0), horizon(3, 0.02, break_even_bps=6.0)
    assert "Held for 3 days" in said("holding", small_report(horizons=(cheap, dear)))
    assert not said("holding", small_report(horizons=(replace(cheap, break_even_bps=7.0), dear)))
    unsure = replace(dear, spread=stats(0.004, 1.9))
    assert not said("holding", small_report(horizons=(cheap, unsure)))
    lost = replace(dear, break_even_bps=-1.0)
    assert not said("holding", small_report(horizons=(replace(cheap, break_even_bps=-5.0), lost)))


@pytest.mark.parametrize(
    ("alpha_t", "t", "words"),
    [
        (1.97, 1.0, "the market does not explain their return"), (1.95, 2.0, "without the market, their return cannot"),
        (1.95, 1.9, "not a return above 0"),
    ],
)  # fmt: skip
def test_alpha_is_weighed_against_the_return(alpha_t: float, t: float, words: str) -> None:
    none = np.full(len(DAYS), nan)
    found = FactorPortfolio(none, none, stats(0.001, t), 0.05, alpha_t, 0.5, 3.0, 0.1, 1.0)
    assert words in said("portfolio", small_report(portfolio=found))


@pytest.mark.parametrize(("mean", "words"), [(-0.01, "inside"), (-0.011, "below"), (0.06, "inside"), (0.061, "above")])
def test_drift_says_on_which_side_of_the_band_the_mean_lies(mean: float, words: str) -> None:
    days = np.arange("2024-01-08", 20, dtype="datetime64[D]")
    many = replace(live(), days=days, rank_ic=np.full(20, mean), mean=mean)
    assert f", {words} the band" in said("drift", small_report(drift=many))
    few = replace(many, rank_ic=np.append(many.rank_ic[1:], nan))
    assert said("drift", small_report(drift=few)).endswith(
        "19 days with a RankIC: too few to tell whether anything changed."
    )


def test_years_are_compared_from_three_on() -> None:
    assert not said("years", small_report())
    days = np.array(["2022-01-04", "2023-01-04", "2024-01-04", "2025-01-04"], dtype="datetime64[D]")
    report = small_report(days=days, rank_ic=np.array([0.05, -0.01, 0.02, nan]))
    assert said("years", report) == "RankIC was above 0 in 2 of 3 years; the lowest was -0.0100 in 2023."


def test_many_tests_are_told_from_ten_on() -> None:
    nine = small_report(
        horizons=(horizon(1, 0.02), horizon(3, 0.02)), neutral=(), groups={"a": (group("x", stats(0.1)),) * 3}
    )
    assert not said("luck", nine)
    ten = replace(nine, groups={"a": (group("x", stats(0.1)),) * 4})
    assert "hold 10 tests at 5 %: if all scores were worthless, about 0.5" in said("luck", ten)
    assert not said("groups", replace(nine, groups={"a": (group("x", stats(0.1)),) * 9}))
    half = {"a": (group("x", stats(0.1)), group("y", stats(0.1, 1.0))) * 5}
    assert said("groups", replace(nine, groups=half)) == "Of 10 groups by a, 5 have a RankIC that is told from 0."


def test_a_report_without_figures_is_judged_in_no_sentence() -> None:
    assert verdicts(empty_report()) == ()


def test_the_same_report_is_judged_the_same_in_the_order_of_the_rules() -> None:
    texts = verdicts(small_report(drift=live()))
    assert texts == verdicts(small_report(drift=live()))
    told = [text for rule in RULES if (text := rule.says(small_report(drift=live())))]
    assert list(texts) == told
