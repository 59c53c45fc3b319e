"""Edge cases of the IC and of the report, small enough to check by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.config import EvalConfig
from qts.errors import InputError
from qts.evaluation import EvalReport, daily_ic, evaluate_signal, find_drift, summarise
from qts.evaluation.groups import ScoreGroups, ends
from qts.evaluation.scored import ScoredDays
from qts.rendering.document import Sheet
from qts.rendering.ic_chapters import year_chapter
from qts.rendering.series import month_plot
from tests.evaluation.small_signal import plain_signal

NAN = float("nan")


def one_day(score: list[float], label: list[float], min_names: int = 2) -> tuple[float, float]:
    ic, rank_ic = daily_ic(np.zeros(len(score), dtype=int), np.array(score), np.array(label), 1, min_names)
    return float(ic[0]), float(rank_ic[0])


@pytest.mark.parametrize(
    ("score", "label", "ic", "rank_ic"),
    [
        ([1], [2], NAN, NAN),
        ([1, 2], [3, 4], 1, 1),
        ([1, 2], [4, 3], -1, -1),
        ([1, 2, NAN, 4, 5], [2, NAN, 1, 3, 9], 0.782467, 1),
        ([1, 1, 2, 3], [1, 2, 2, 4], 0.899229, 0.833333),
        ([1, 2, 3], [NAN, NAN, NAN], NAN, NAN),
        ([0.1, 0.1, 0.1], [1, 2, 3], NAN, NAN),
    ],
)
def test_ic_of_a_day(score: list[float], label: list[float], ic: float, rank_ic: float) -> None:
    assert one_day(score, label) == pytest.approx((ic, rank_ic), abs=1e-6, nan_ok=True)


def test_a_day_with_too_few_names_has_no_ic() -> None:
    assert one_day([1, 2, 3], [1, 2, 3], min_names=4) == pytest.approx((NAN, NAN), nan_ok=True)


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=12),
    st.integers(1, 5),
    st.integers(-5, 5),
)
def test_rank_ic_does_not_change_when_scores_are_stretched(
    rows: list[tuple[int, int]], factor: int, shift: int
) -> None:
    score, label = [float(r[0]) for r in rows], [float(r[1]) for r in rows]
    stretched = [factor * s**3 + shift for s in score]
    assert one_day(stretched, label)[1] == pytest.approx(one_day(score, label)[1], nan_ok=True)


def test_days_without_an_ic_are_left_out_of_the_mean_and_weigh_nothing() -> None:
    assert summarise(np.array([0.1, NAN, 0.3])) == pytest.approx((0.2, 0.2 / np.std([0.1, 0.3], ddof=1)))


def one_line(score: list[float]) -> ScoredDays:
    return ScoredDays.of(np.zeros(len(score), dtype=int), np.array(score, dtype=float), slice(0, 1))


def test_long_and_short_ends_hold_the_share_of_complete_names() -> None:
    days, label = one_line([5, 4, 3, 2, 1, NAN]), np.array([10, 20, 30, 40, 50, 60.0])
    labels = days.lay(label)
    top, bottom = ends(days, labels, days.is_name, np.array([2]))
    assert (top[0], bottom[0]) == (15, 45)


def test_of_equal_scores_at_an_edge_the_first_name_goes_in_at_both_ends() -> None:
    days = one_line([2, 1, 2, 1, 1, 2, NAN])
    labels = days.lay(np.array([1, 2, 4, 8, 16, 32, 64.0]))
    top, bottom = ends(days, labels, days.is_name & (labels != 8), np.array([2]))
    assert (top[0], bottom[0]) == ((1 + 4) / 2, (2 + 16) / 2)


@pytest.mark.parametrize(("n", "sizes"), [(7, [3, 2, 2]), (8, [3, 3, 2]), (9, [3, 3, 3]), (3, [1, 1, 1])])
def test_groups_run_from_the_highest_scores_down_and_hold_every_name(n: int, sizes: list[int]) -> None:
    days = one_line(list(range(n)))
    groups = ScoreGroups.of(days, 3, 2)
    assert np.bincount(groups.index()[0]).tolist() == sizes
    assert (np.diff(groups.index()[0]) >= 0).all()
    parts = np.split(np.arange(n)[::-1] * 10.0, np.cumsum(sizes)[:-1])
    assert groups.means(days.score * 10, days.is_name)[0].tolist() == [part.mean() for part in parts]


@pytest.mark.parametrize("score", [[1, 2], [5, 5, 5, 5], [NAN, 1, 2, NAN]])
def test_a_day_with_too_few_names_or_equal_scores_has_no_groups(score: list[float]) -> None:
    groups = ScoreGroups.of(one_line(score), 3, 2)
    assert not groups.is_grouped.any()
    assert (groups.index() == -1).all()
    assert np.isnan(groups.means(groups.days.score, groups.days.is_name)).all()


def panel(n_days: int = 70, n_names: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    score = rng.normal(size=(n_days, n_names))
    return score, score + rng.normal(size=score.shape)


def judge(score: np.ndarray, label: np.ndarray, config: EvalConfig | None = None, **also: np.ndarray) -> EvalReport:
    return evaluate_signal(replace(plain_signal(score, label), **also), config or EvalConfig(bootstrap=0))


def test_an_infinite_label_is_left_out_and_said() -> None:
    score, label = panel()
    spoilt = label.copy()
    spoilt[0, 0], label[0, 0] = np.inf, NAN
    clean, report = judge(score, label), judge(score, spoilt)
    assert report.coverage.counts["infinite label"] == 1
    assert "1 labels are infinite and were left out: look for prices of 0" in report.warnings
    assert report.summary == pytest.approx(clean.summary, nan_ok=True)


def test_without_a_price_the_label_alone_is_judged() -> None:
    report = judge(*panel())
    assert report.horizons == ()
    assert np.isnan(report.decay).all()
    assert report.warnings == ("840 of 840 judged rows have no close to be held from: holding periods leave them out",)
    assert [one.taken_out for one in report.neutral] == [()]
    assert report.groups == {}
    unknown = {name for name, figure in report.summary.items() if np.isnan(figure)}
    assert unknown == {"turnover", "break_even_bps"}


def test_break_even_is_the_cost_at_which_the_ends_earn_nothing() -> None:
    """Two names swap places each day, and the better one earns 1 % on the day after the next, the other nothing."""
    closes = np.ones((8, 2))
    for line in range(1, 8):
        closes[line] = closes[line - 1] * np.where(np.arange(2) == line % 2, 1.01, 1.0)
    score = np.array([[float((line + 2) % 2 == name) for name in range(2)] for line in range(5)])
    config = EvalConfig(min_names=2, quantiles=2, horizons=(1, 2), bootstrap=0, turnover_lags=(1,))
    one, two = evaluate_signal(plain_signal(score, score, closes), config).horizons
    # Each day both ends are sold and bought anew: 100 bps earned, 4 x 100 % traded.
    assert (one.turnover, one.break_even_bps) == (1, pytest.approx(25))
    assert one.curves[:, 0] == pytest.approx(1.01 ** np.arange(6))
    assert one.curves[:, 1] == pytest.approx(np.ones(6))
    # After two days the same names are back: nothing is traded, and both ends earn the same.
    assert two.turnover == 0
    assert np.isnan(two.break_even_bps)
    assert two.spread.mean == pytest.approx(0)


REFUSALS = [
    (np.ones((3, 4)), np.arange(12.0).reshape(3, 4), "all scores are equal on 3 days"),
    (np.arange(12.0).reshape(3, 4), np.ones((3, 4)), "all labels are equal on 3 days"),
    (np.arange(12.0).reshape(3, 4), np.full((3, 4), NAN), "no name has score and label on 3 days"),
    (np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2), "fewer than 3 names have both on 3 days"),
    (
        np.array([[1, 2, 3, NAN], [5, 5, 5, 5], [1, 2, NAN, NAN]]),
        np.array([[NAN] * 4, [1, 2, 3, 4], [1, 2, 3, 4]]),
        "no name has score and label on 1 days; fewer than 3 names have both on 1 days; all scores are equal on 1 days",
    ),
]


@pytest.mark.parametrize(("score", "label", "why"), REFUSALS)
def test_scores_that_cannot_be_judged_are_refused_with_the_reason(
    score: np.ndarray, label: np.ndarray, why: str
) -> None:
    with pytest.raises(InputError, match=f"^no day can be judged: {why}$"):
        judge(score, label, EvalConfig(min_names=3))


def test_no_rows_and_no_scores_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="there are no rows"):
        judge(np.empty((0, 4)), np.empty((0, 4)))
    with pytest.raises(InputError, match="no name has score and label on 3 days"):
        judge(np.full((3, 4), NAN), np.ones((3, 4)))


def warned(score: np.ndarray, label: np.ndarray, **also: np.ndarray) -> tuple[str, ...]:
    return tuple(text for text in judge(score, label, **also).warnings if "no close" not in text)


def test_a_sound_report_warns_of_nothing_and_a_thin_one_says_so() -> None:
    assert warned(*panel()) == ()
    assert warned(*panel(n_days=20)) == ("fewer than 60 days: these means say little",)


def test_ties_and_thin_days_are_told() -> None:
    score, label = panel(n_names=24)
    score[3, :13] = 0.5
    score[60, 11:] = NAN
    assert warned(score, label) == (
        "more than half of the scores are tied on 1 of 70 days",
        "1 days have fewer than half the scores of a usual day",
    )


def test_rows_without_a_score_and_days_without_an_ic_are_told() -> None:
    score, label = panel()
    score[:5, 2:] = NAN
    assert warned(score, label) == (
        "50 of 840 rows have no finite score",
        "5 of 70 days have no IC",
        "5 days have fewer than half the scores of a usual day",
    )


def test_names_without_a_row_count_as_lost() -> None:
    score, label = panel()
    score[0, 0] = NAN
    report = judge(score, label, n_expected=np.full(70, 16), n_missing=np.full(70, 4))
    assert report.coverage.lost == pytest.approx(281 / (840 + 280))
    assert report.coverage.counts["members without row"] == 280
    assert report.coverage.n_expected.tolist() == [16] * 70
    assert "25.1% of the names that could be judged have no score; [eval] max_lost is 35%" in report.warnings


def test_a_label_of_several_days_is_judged_by_its_overlap() -> None:
    score, label = panel()
    one, five = judge(score, label), judge(score, label, label_ahead=6)
    assert (one.statistics["ic"].lag, five.statistics["ic"].lag, five.portfolio.mean.lag) == (0, 4, 4)
    for name in ("long_short", "top_minus_mean", "spread"):
        assert five.summary[f"{name}_annual_return"] == pytest.approx(one.summary[f"{name}_annual_return"] / 5)
    assert five.summary["rank_ic"] == one.summary["rank_ic"]


@pytest.mark.parametrize("ahead", [2, 4, 6, 11])
def test_weekly_scores_are_worth_no_more_days_a_year_than_they_are_judged_on(ahead: int) -> None:
    score, label = panel()
    weekly = plain_signal(score, label)
    kept = np.arange(0, 70, 5)
    rows = np.isin(weekly.day, kept)
    weekly = replace(
        weekly, days=weekly.days[kept], day=weekly.day[rows] // 5, instrument=weekly.instrument[rows],
        score=weekly.score[rows], label=weekly.label[rows], label_ahead=ahead,
    )  # fmt: skip
    report = evaluate_signal(weekly, EvalConfig())
    a_year = 252 * min(1 / (ahead - 1), 14 / 66)
    assert report.summary["spread_annual_return"] == pytest.approx(a_year * np.nanmean(report.spread))
    assert report.portfolio.annual_return == pytest.approx(a_year * np.nanmean(report.portfolio.returns))
    assert any(warning.startswith("52 of 66 days of the calendar between") for warning in report.warnings)


def test_days_that_are_missing_here_and_there_are_no_warning() -> None:
    score, label = panel()
    signal = plain_signal(score, label)
    kept = np.setdiff1d(np.arange(70), [20, 40, 60])
    rows = np.isin(signal.day, kept)
    holed = replace(
        signal, days=signal.days[kept], day=np.searchsorted(kept, signal.day[rows]), score=signal.score[rows],
        instrument=signal.instrument[rows], label=signal.label[rows],
    )  # fmt: skip
    assert not any("calendar" in warning for warning in evaluate_signal(holed, EvalConfig()).warnings)


def test_more_score_groups_than_names_are_told() -> None:
    score, label = panel()
    report = evaluate_signal(plain_signal(score, label), EvalConfig(quantiles=13))
    assert "70 of 70 days have fewer scores than [eval] quantiles = 13: they have no score groups" in report.warnings
    assert np.isnan(report.quantiles).all()


def test_half_the_spread_is_the_long_short_return() -> None:
    report = judge(*panel())
    assert report.summary["spread_annual_return"] == pytest.approx(2 * report.summary["long_short_annual_return"])
    assert report.summary["spread_annual_return"] == pytest.approx(252 * np.nanmean(report.spread))


def test_months_and_years_gather_their_days() -> None:
    report = judge(*panel(n_days=70))
    months = month_plot("months", "RankIC", report.days, report.rank_ic).data
    assert set(months["year"]) == {"2024"}
    known = [month for month, value in zip(months["month"], months["value"], strict=True) if value is not None]
    assert known == ["Jan", "Feb", "Mar"]
    (years,) = (block for block in year_chapter(report).blocks if isinstance(block, Sheet))
    (year,) = years.rows
    assert year["n_days"] == 70
    assert year["rank_ic"] == pytest.approx(report.summary["rank_ic"])


def test_a_band_of_test_days_holds_live_days_that_are_like_them_and_no_others() -> None:
    test = np.random.default_rng(3).normal(0.05, 0.1, 400)
    test[::7] = NAN
    live_days = np.arange("2026-01-01", 20, dtype="datetime64[D]")
    like, worse = np.full(20, 0.05), np.full(20, -0.05)
    like[3] = worse[3] = NAN
    found = find_drift(test, live_days, like, EvalConfig())
    error = np.nanstd(test, ddof=1) / np.sqrt(19)
    assert found.expected == pytest.approx(np.nanmean(test))
    assert (found.low, found.high) == pytest.approx(
        (found.expected - 1.96 * error, found.expected + 1.96 * error), abs=0.01
    )
    assert found.is_inside
    assert not find_drift(test, live_days, worse, EvalConfig()).is_inside
    assert np.isnan(find_drift(test, live_days, like, EvalConfig(bootstrap=0)).low)
