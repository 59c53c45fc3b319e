"""Figures of daily series against plain loops, closed forms and the figures of the papers they come from."""

from math import sqrt

import numpy as np
import pandas as pd
import pytest

from qts.daily_series import (
    Drawdown,
    block_length,
    bootstrap_means,
    customary_lag,
    deflated_sharpe,
    describe,
    drawdown,
    drawdowns,
    expected_best_sharpe,
    interval,
    newey_west_error,
    ols_hac,
    paired_bootstrap,
    probabilistic_sharpe,
)

NAN = float("nan")
SEVEN = np.array([0.3, -0.1, 0.4, 0.2, -0.5, 0.6, 0.1])
GAPPY = np.array([0.3, NAN, 0.4, 0.2, -0.5, NAN, NAN, 0.1, 0.7])


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 1, n)


def long_run_variance_by_loops(away: list[float], lag: int) -> float:
    """Return the sum over all pairs of days, `lag` apart at most, each with Bartlett's weight; NaN days have no pair."""
    total = 0.0
    for i, a in enumerate(away):
        for j, b in enumerate(away):
            if abs(i - j) <= lag and a == a and b == b:
                total += (1 - abs(i - j) / (lag + 1)) * a * b
    return total


def error_by_loops(daily: np.ndarray, lag: int) -> float:
    n = sum(v == v for v in daily)
    mean = sum(v for v in daily if v == v) / n
    return sqrt(long_run_variance_by_loops([v - mean for v in daily], lag) / (n * (n - 1)))


def test_lag_0_is_the_plain_standard_error() -> None:
    assert newey_west_error(SEVEN, 0) == pytest.approx(SEVEN.std(ddof=1) / sqrt(7))


@pytest.mark.parametrize("daily", [SEVEN, GAPPY, noise(60)], ids=["7 days", "gaps", "60 days"])
@pytest.mark.parametrize("lag", [1, 2, 4])
def test_the_error_is_that_of_all_pairs_of_days(daily: np.ndarray, lag: int) -> None:
    assert newey_west_error(daily, lag) == pytest.approx(error_by_loops(daily, lag))


def test_a_gap_keeps_days_apart() -> None:
    closed_up = GAPPY[np.isfinite(GAPPY)]
    assert newey_west_error(GAPPY, 1) != pytest.approx(newey_west_error(closed_up, 1), rel=0.01)


def test_overlapping_returns_are_surer_of_nothing_than_the_plain_error_says() -> None:
    five_days = np.convolve(noise(400), np.ones(5), "valid")
    assert newey_west_error(five_days, 4) > 1.7 * newey_west_error(five_days, 0)


def test_too_few_days_for_the_lag_have_no_error() -> None:
    assert np.isnan(newey_west_error(SEVEN[:3], 2))
    assert newey_west_error(SEVEN[:4], 2) > 0


@pytest.mark.parametrize("lag", [0, 3])
def test_the_line_is_least_squares_with_the_sandwich_of_newey_and_west(lag: int) -> None:
    x, off = noise(50, 1), noise(50, 2)
    y = 0.2 + 0.7 * x + off * (1 + x**2)
    y[[3, 17, 18]] = NAN
    x[30] = NAN
    known = np.isfinite(x) & np.isfinite(y)
    design = np.column_stack([np.ones(50), x])
    alpha, beta = np.linalg.lstsq(design[known], y[known], rcond=None)[0]
    residual = y - alpha - beta * x
    meat = np.zeros((2, 2))
    for i in np.flatnonzero(known):
        for j in np.flatnonzero(known):
            if abs(i - j) <= lag:
                weight = 1 - abs(i - j) / (lag + 1)
                meat += weight * residual[i] * residual[j] * np.outer(design[i], design[j])
    bread = np.linalg.inv(design[known].T @ design[known])
    errors = np.sqrt(np.diag(bread @ meat @ bread) * 46 / 44)
    got = ols_hac(y, x, lag)
    assert (got.alpha, got.beta, got.n) == (pytest.approx(alpha), pytest.approx(beta), 46)
    assert (got.alpha_t, got.beta_t) == (pytest.approx(alpha / errors[0]), pytest.approx(beta / errors[1]))
    assert got.r2 == pytest.approx(np.corrcoef(x[known], y[known])[0, 1] ** 2)


def test_a_line_through_every_point_has_no_t() -> None:
    got = ols_hac(0.1 + 3 * SEVEN, SEVEN, 1)
    assert (got.alpha, got.beta, got.r2) == (pytest.approx(0.1), pytest.approx(3), pytest.approx(1))
    assert np.isnan([got.alpha_t, got.beta_t]).all()


def test_there_is_no_line_on_a_series_that_stands_still() -> None:
    got = ols_hac(SEVEN, np.full(7, 0.1), 1)
    assert np.isnan([got.alpha, got.beta, got.alpha_t, got.beta_t, got.r2]).all()


def test_the_customary_lag_is_4_for_a_hundred_days() -> None:
    assert [customary_lag(n) for n in (1, 100, 250, 2500)] == [1, 4, 4, 8]


def test_a_block_holds_twice_the_overlap_or_the_cube_root() -> None:
    assert [block_length(1000, lag) for lag in (0, 4, 19)] == [10, 10, 40]
    assert [block_length(n, 1) for n in (0, 1, 3, 64, 65)] == [1, 1, 3, 4, 5]


def drawn_by_loops(daily: np.ndarray, n_days: int, draws: int, seed: int, block: int) -> list[float]:
    """Return means of days that are gathered one by one, from the same beginnings of blocks."""
    n_blocks = -(-n_days // block)
    first = np.random.default_rng(seed).integers(0, len(daily), (draws, n_blocks))
    found = []
    for draw in range(draws):
        days = [daily[(at + step) % len(daily)] for at in first[draw] for step in range(block)][:n_days]
        known = [day for day in days if day == day]
        found.append(sum(known) / len(known) if known else NAN)
    return found


@pytest.mark.parametrize("n_days", [9, 6, 14])
@pytest.mark.parametrize("block", [1, 3])
def test_draws_are_means_of_whole_blocks_of_a_circle(n_days: int, block: int) -> None:
    got = bootstrap_means(GAPPY, n_days, 40, 5, block)
    np.testing.assert_allclose(got, drawn_by_loops(GAPPY, n_days, 40, 5, block), atol=1e-14)


def test_the_same_seed_draws_the_same_days() -> None:
    one, again, other = (bootstrap_means(noise(30), 30, 8, seed, 3) for seed in (1, 1, 2))
    assert one.tolist() == again.tolist() != other.tolist()


def test_fewer_values_than_two_blocks_have_no_draws() -> None:
    assert np.isnan(bootstrap_means(GAPPY, 9, 5, 0, 4)).all()
    assert np.isfinite(bootstrap_means(GAPPY, 9, 5, 0, 3)).all()


def test_an_interval_holds_the_true_mean_of_overlapping_returns_nine_times_of_ten() -> None:
    inside = 0
    for seed in range(200):
        series = np.convolve(np.random.default_rng(seed).normal(size=404), np.ones(5), "valid")
        low, high = interval(bootstrap_means(series, 400, 300, seed, block_length(400, 4)))
        inside += low <= 0 <= high
    assert 175 <= inside <= 198


def test_a_pair_is_drawn_on_the_same_days() -> None:
    a, b = noise(40), noise(40) + 0.5
    np.testing.assert_allclose(paired_bootstrap(a, b, 30, 0, 4), 0.5)
    b[7] = NAN
    np.testing.assert_allclose(paired_bootstrap(a, b, 30, 0, 4), 0.5)


def test_a_description_is_what_pandas_says_of_the_days_with_a_value() -> None:
    daily = noise(90)
    daily[[0, 40, 41]] = NAN
    known = pd.Series(daily).dropna()
    away = known - known.mean()
    got = describe(daily, 2, draws=200, seed=3)
    assert (got.n, got.mean, got.std, got.lag) == (87, pytest.approx(known.mean()), pytest.approx(known.std()), 2)
    assert got.ratio == pytest.approx(known.mean() / known.std())
    assert got.t == pytest.approx(known.mean() / error_by_loops(daily, 2))
    assert got.skew == pytest.approx((away**3).mean() / known.std(ddof=0) ** 3)
    assert got.kurtosis == pytest.approx((away**4).mean() / known.var(ddof=0) ** 2 - 3)
    assert got.positive == pytest.approx((known > 0).sum() / 87)
    low, high = np.quantile(drawn_by_loops(daily, 90, 200, 3, 6), [0.025, 0.975])
    assert (got.low, got.high) == (pytest.approx(low), pytest.approx(high))


def test_a_mean_1_96_errors_from_0_has_a_p_of_a_twentieth() -> None:
    n = 100
    daily = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    daily += 1.959964 * daily.std(ddof=1) / sqrt(n)
    got = describe(daily, 0, draws=0)
    assert (got.t, got.p) == (pytest.approx(1.959964), pytest.approx(0.05, abs=1e-6))
    assert np.isnan([got.low, got.high]).all()


@pytest.mark.parametrize("daily", [[], [NAN, NAN], [0.1], [0.1, 0.2], [0.0, 0.0, 0.0], [0.1] * 7, [1.0, np.inf, NAN]])
def test_what_a_series_is_too_short_or_too_even_for_is_nan_and_nothing_is_infinite(daily: list[float]) -> None:
    got = describe(np.array(daily), 1)
    assert got.n == np.isfinite(daily).sum()
    assert np.isnan([got.t, got.p]).all()
    figures = np.array([got.mean, got.std, got.ratio, got.skew, got.kurtosis, got.low, got.high, got.positive])
    assert not np.isinf(figures).any()


def test_a_loss_on_the_first_day_is_a_drawdown() -> None:
    np.testing.assert_allclose(drawdown(np.array([-0.1, 0.05, 0.1])), [-0.1, -0.055, 0])


def test_a_drawdown_is_measured_from_the_highest_account_so_far() -> None:
    account, highest, want = 1.0, 1.0, []
    for change in SEVEN:
        account *= 1 + change
        highest = max(highest, account)
        want.append((account - highest) / highest)
    np.testing.assert_allclose(drawdown(SEVEN), want, atol=1e-15)


DAYS = np.array(["2024-03-01", "2024-03-04", "2024-03-05", "2024-03-06", "2024-03-07", "2024-03-08"], "datetime64[D]")


def test_falls_are_told_the_deepest_first_with_the_way_back() -> None:
    # account: 0.8, 1.0, 1.1, 0.55, 0.66, 0.594
    falls = drawdowns(DAYS, np.array([-0.2, 0.25, 0.1, -0.5, 0.2, -0.1]), 5)
    assert falls == [
        Drawdown(DAYS[2], DAYS[3], None, pytest.approx(-0.5), n_down=1, n_up=None, n_days=3),
        Drawdown(None, DAYS[0], DAYS[1], pytest.approx(-0.2), n_down=1, n_up=1, n_days=2),
    ]


def test_only_as_many_falls_as_asked_for_and_none_where_nothing_fell() -> None:
    falls = drawdowns(DAYS, np.array([-0.1, 0.2, -0.3, 0.5, -0.2, 0.3]), 2)
    assert [round(fall.depth, 9) for fall in falls] == [-0.3, -0.2]
    assert [(fall.peak, fall.recovery) for fall in falls] == [(DAYS[1], DAYS[3]), (DAYS[3], DAYS[5])]
    assert drawdowns(DAYS, np.zeros(6), 2) == drawdowns(DAYS[:0], np.empty(0), 2) == []


def test_a_probabilistic_sharpe_is_the_paper_s() -> None:
    """Bailey & Lopez de Prado (2012): 0.458 a month over 24 months, as normal returns and with skew and kurtosis."""
    assert probabilistic_sharpe(0.458, 24, 0, 0) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164 - 3) == pytest.approx(0.913, abs=5e-4)


def test_a_deflated_sharpe_is_the_paper_s() -> None:
    """Bailey & Lopez de Prado (2014): 2.5 a year over 1250 days, best of 100 or 46 trials of variance 1/2 a year."""
    daily, variance = 2.5 / sqrt(250), 0.5 / 250
    assert expected_best_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(daily, 1250, -3, 10 - 3, n_trials=100, variance=variance) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(daily, 1250, -3, 10 - 3, n_trials=46, variance=variance) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(daily, 1250, 0, 0, n_trials=88, variance=variance) == pytest.approx(0.9505, abs=5e-5)


def test_the_best_of_many_worthless_trials_is_as_good_as_expected() -> None:
    best = np.random.default_rng(0).normal(0, 0.05, (4000, 30)).max(axis=1).mean()
    assert expected_best_sharpe(30, 0.05**2) == pytest.approx(best, rel=0.02)


def test_one_trial_deflates_nothing() -> None:
    assert deflated_sharpe(0.1, 90, 0.2, 1, n_trials=1, variance=0) == probabilistic_sharpe(0.1, 90, 0.2, 1)
    assert np.isnan(probabilistic_sharpe(0.1, 1, 0, 0))
