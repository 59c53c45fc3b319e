"""Edge cases of the IC and of the report: one day at a time, small enough to check by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.config import EvalConfig
from qts.errors import InputError
from qts.evaluation import daily_ic, evaluate_scores, summarise
from qts.evaluation.groups import long_short, quantile_returns

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


def test_long_and_short_ends_hold_the_share_of_complete_names() -> None:
    score, label = np.array([5, 4, 3, 2, 1, NAN]), np.array([10, 20, 30, 40, 50, 60.0])
    top, bottom, mean = long_short(np.zeros(6, dtype=int), score, label, 1, 0.4)
    assert (top[0], bottom[0], mean[0]) == (15, 45, 30)


def test_groups_run_from_the_highest_scores_down_and_the_last_takes_the_rest() -> None:
    score = np.array([1, 2, 3, 4, 5, 6, 7.0])
    assert quantile_returns(np.zeros(7, dtype=int), score, score * 10, 1, 3).tolist() == [[65, 45, 20]]


def panel(n_days: int = 70, n_names: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    days = np.repeat(np.arange("2024-01-01", n_days, dtype="datetime64[D]"), n_names)
    score = rng.normal(size=n_days * n_names)
    return days, score, score + rng.normal(size=len(score))


def test_a_report_counts_where_rows_went() -> None:
    days, score, label = panel()
    score[:3], score[3], label[4:9] = NAN, np.inf, NAN
    report = evaluate_scores(days, score, label, EvalConfig(min_names=5))
    assert report.coverage == {"rows": 840, "no score": 3, "infinite score": 1, "no label": 5, "infinite label": 0, "judged": 831,
                               "days": 70, "days without ic": 1}  # fmt: skip


def test_an_infinite_label_is_left_out_and_said() -> None:
    days, score, label = panel()
    clean = evaluate_scores(days[1:], score[1:], label[1:], EvalConfig())
    label[0] = np.inf
    report = evaluate_scores(days, score, label, EvalConfig())
    assert report.coverage["infinite label"] == 1
    assert report.warnings == ("1 labels are infinite and were left out: look for prices of 0",)
    assert report.summary["rank_ic"] == pytest.approx(clean.summary["rank_ic"])
    assert np.isfinite(list(report.summary.values())).all()


def test_the_order_of_rows_changes_nothing() -> None:
    days, score, label = panel()
    names = np.array([f"I{at % 12:02d}" for at in range(len(days))])
    score = score.round(0)  # ties
    mixed = np.random.default_rng(1).permutation(len(days))
    first = evaluate_scores(days, score, label, EvalConfig(), instrument=names)
    second = evaluate_scores(days[mixed], score[mixed], label[mixed], EvalConfig(), instrument=names[mixed])
    assert first.summary == pytest.approx(second.summary, rel=1e-12)
    np.testing.assert_allclose(first.quantiles, second.quantiles)


def test_scores_that_cannot_be_judged_are_refused() -> None:
    days, score, _ = panel()
    with pytest.raises(InputError, match="no day can be judged: 0 rows have score and label"):
        evaluate_scores(days, score, np.full(len(score), NAN), EvalConfig())


def test_a_thin_report_warns_first() -> None:
    days, score, label = panel(n_days=20)
    assert evaluate_scores(days, score, label, EvalConfig()).warnings == ("fewer than 60 days: these means say little",)


def test_months_and_years_gather_their_days() -> None:
    days, score, label = panel(n_days=70)
    report = evaluate_scores(days, score, label, EvalConfig())
    years, months = report.by_month()
    assert years == [2024]
    assert np.flatnonzero(~np.isnan(months[0])).tolist() == [0, 1, 2]
    assert report.by_year()[0][1] == 70
    assert report.by_year()[0][3] == pytest.approx(report.summary["rank_ic"])
