"""Figures of importance, against sums written out."""

import numpy as np
import pytest

from qts.evaluation.importance import Attention, ExplainReport

DROPS = np.array([  # (n_days 4, n_repeats 2, n_names 3); the third day cannot be judged
    [[0.1, 0.00, -0.1], [0.3, 0.00, 0.1]],
    [[0.2, 0.00, 0.0], [0.2, 0.02, 0.0]],
    [[np.nan] * 3, [np.nan] * 3],
    [[0.6, 0.06, 0.3], [0.8, 0.10, 0.1]],
])  # fmt: skip


def report(drops: np.ndarray = DROPS) -> ExplainReport:
    days = np.arange("2024-01-01", len(drops), dtype="datetime64[D]")
    rank_ic = np.where(np.isnan(drops[:, 0, 0]), np.nan, 0.5)
    names = ("A", "B", "C")
    return ExplainReport(names, tuple((name,) for name in names), days, rank_ic / 2, rank_ic, drops / 2, drops)


def test_a_drop_is_the_mean_over_days_that_can_be_judged_of_the_mean_over_repeats() -> None:
    daily = [0.2, 0.2, 0.7]  # A
    figures = report().figures
    assert figures["rank_ic_drop"][0] == pytest.approx(np.mean(daily))
    assert figures["rank_ic_error"][0] == pytest.approx(np.std(daily, ddof=1) / np.sqrt(3))
    assert figures["repeat_error"][0] == pytest.approx(abs(0.9 / 3 - 1.3 / 3) / 2)
    assert figures["ic_drop"][0] == pytest.approx(np.mean(daily) / 2)
    assert figures["ic_error"][0] == pytest.approx(np.std(daily, ddof=1) / np.sqrt(3) / 2)
    assert report().n_judged == 3
    assert report().base() == {"ic": 0.25, "rank_ic": 0.5}


def test_one_repeat_has_no_error_over_repeats_and_one_day_none_over_days() -> None:
    once = report(DROPS[:, :1]).figures
    assert np.isnan(once["repeat_error"]).all()
    assert np.isfinite(once["rank_ic_error"]).all()
    assert np.isnan(report(DROPS[:1]).figures["rank_ic_error"]).all()


def test_the_largest_drop_comes_first_and_what_has_none_last() -> None:
    drops = DROPS.copy()
    drops[:, :, 0] = np.nan
    assert report().by_importance().tolist() == [0, 2, 1]
    assert report(drops).by_importance().tolist() == [2, 1, 0]


def test_attention_is_a_mean_and_a_band_over_windows_without_gaps() -> None:
    rng = np.random.default_rng(2)
    weights = rng.dirichlet(np.ones(5), size=41)
    gap = np.full((1, 5), np.nan)
    seen = Attention.of(np.concatenate([weights, gap]).astype(np.float32))
    np.testing.assert_allclose(seen.mean, weights.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(seen.low, np.sort(weights, axis=0)[2], rtol=1e-6)  # the third of 41 has 5 % below it
    np.testing.assert_allclose(seen.high, np.sort(weights, axis=0)[38], rtol=1e-6)
    assert np.isnan(Attention.of(gap).mean).all()
