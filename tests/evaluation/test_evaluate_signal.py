"""Every figure of a report against the same in plain Python, on markets with gaps, holes and ties."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from qts.daily_series import SeriesStats, describe, newey_west_error, ols_hac
from qts.evaluation import EvalReport, evaluate_signal
from tests.evaluation.naive import Naive, mean, pearson, spearman
from tests.evaluation.small_signal import CONFIG, default_label, random_signal

SEEDS = range(4)


def near(got: object, want: object) -> None:
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(want, float), rtol=1e-7, atol=1e-10, equal_nan=True)


def same_stats(got: SeriesStats, daily: list[float], lag: int, draws: int = CONFIG.bootstrap) -> None:
    near(astuple(got), astuple(describe(np.array(daily), lag, draws=draws, seed=CONFIG.seed)))


@pytest.fixture(params=SEEDS, scope="module")
def naive(request: pytest.FixtureRequest) -> Naive:
    return Naive(random_signal(request.param), CONFIG)


@pytest.fixture(scope="module")
def report(naive: Naive) -> EvalReport:
    return evaluate_signal(naive.signal, CONFIG)


def days_of(naive: Naive) -> range:
    return range(naive.n_days)


def test_scores_against_the_label(naive: Naive, report: EvalReport) -> None:
    ic = [naive.judge(day, naive.labels[day], pearson) for day in days_of(naive)]
    rank_ic = [naive.judge(day, naive.labels[day], spearman) for day in days_of(naive)]
    ends = [naive.ends(day) for day in days_of(naive)]
    near(report.ic, ic)
    near(report.rank_ic, rank_ic)
    near(report.spread, [top - bottom for top, bottom in ends])
    market = [mean(naive.labels[day][n] for n in naive.best_first(day, naive.labels[day])) for day in days_of(naive)]
    near(report.mean_label, market)
    near(report.n_names, [len(naive.best_first(day, naive.labels[day])) for day in days_of(naive)])
    near(report.quantiles, [naive.group_means(day, naive.labels[day]) for day in days_of(naive)])
    for name, daily in (("ic", ic), ("rank_ic", rank_ic), ("spread", [a - b for a, b in ends])):
        same_stats(report.statistics[name], daily, lag=0)


@pytest.mark.parametrize("at", range(3))
def test_a_holding_period(naive: Naive, report: EvalReport, at: int) -> None:
    held, horizon = report.horizons[at], CONFIG.horizons[at]
    assert held.horizon == horizon
    earned = [naive.returns(day, CONFIG.lag, CONFIG.lag + horizon) for day in days_of(naive)]
    same_stats(held.ic, [naive.judge(day, earned[day], pearson) for day in days_of(naive)], horizon - 1)
    same_stats(held.rank_ic, [naive.judge(day, earned[day], spearman) for day in days_of(naive)], horizon - 1)
    means = np.array([naive.group_means(day, earned[day]) for day in days_of(naive)])
    near(held.group_mean, [mean(column) for column in means.T])
    near(held.group_error, [newey_west_error(column, horizon - 1) for column in means.T])
    same_stats(held.spread, list(means[:, 0] - means[:, -1]), horizon - 1)
    near(held.monotonicity, spearman([2, 1, 0], [mean(column) for column in means.T]))
    replaced = [naive.turnover(day, horizon) for day in days_of(naive)]
    near(held.turnover, mean((shares[0] + shares[-1]) / 2 for shares in replaced) / horizon)
    near(held.break_even_bps, 1e4 * mean(means[:, 0] - means[:, -1]) / horizon / (4 * held.turnover))
    near(held.curves, naive.curve(horizon))
    first = naive.line[0] + CONFIG.lag
    assert held.days.tolist() == naive.prices.days[first : first + len(held.curves)].tolist()


def test_what_a_score_says_of_later_days(naive: Naive, report: EvalReport) -> None:
    want = []
    for step in range(max(CONFIG.horizons)):
        earned = [naive.returns(day, CONFIG.lag + step, CONFIG.lag + step + 1) for day in days_of(naive)]
        want.append(mean(naive.judge(day, earned[day], spearman) for day in days_of(naive)))
    near(report.decay, want)


def test_how_long_scores_last(naive: Naive, report: EvalReport) -> None:
    assert [one.lag for one in report.persistence] == list(CONFIG.turnover_lags)
    for one in report.persistence:
        near(one.autocorrelation, [naive.autocorrelation(day, one.lag) for day in days_of(naive)])
        near(one.turnover, [naive.turnover(day, one.lag) for day in days_of(naive)])
        assert np.isnan(one.autocorrelation).any()
        assert not np.isnan(one.autocorrelation).all()


def test_scores_as_weights(naive: Naive, report: EvalReport) -> None:
    weighted = np.array([naive.weighted(day) for day in days_of(naive)])
    near(report.portfolio.returns, weighted)
    near(report.portfolio.market, report.mean_label)
    line = ols_hac(weighted, report.mean_label, 0)
    found = report.portfolio
    known = weighted[~np.isnan(weighted)]
    judged = [naive.line[day] for day in days_of(naive) if not np.isnan(weighted[day])]
    a_year = 252 * len(judged) / (judged[-1] - judged[0] + 1)
    near(
        [found.alpha, found.beta, found.alpha_t, found.beta_t],
        [line.alpha * a_year, line.beta, line.alpha_t, line.beta_t],
    )
    near([found.annual_return, found.sharpe], [known.mean() * a_year, known.mean() / known.std(ddof=1) * a_year**0.5])


@pytest.mark.parametrize("kind", ["industry", "style", "board", "size"])
def test_scores_inside_groups(naive: Naive, report: EvalReport, kind: str) -> None:
    every = {group for day in days_of(naive) for group in naive.members(kind, day).values()} - {""}
    figures = {one.name: one for one in report.groups[kind]}
    assert [one.n_rows for one in report.groups[kind]] == sorted((one.n_rows for one in figures.values()), reverse=True)
    for group in every:
        daily = [naive.inside(kind, group, day) for day in days_of(naive)]
        sizes = [day["n"] for day in daily if day["n"]]
        if not sizes:
            assert group not in figures
            continue
        one = figures.pop(group)
        near([one.n_rows, one.mean_names], [sum(sizes), np.mean(sizes)])
        same_stats(one.ic, [day["ic"] for day in daily], 0, draws=0)
        same_stats(one.rank_ic, [day["rank_ic"] for day in daily], 0, draws=0)
        near([one.mean_label, one.spread], [mean(day[key] for day in daily) for key in ("mean", "spread")])
    assert not figures


def test_what_is_left_once_something_known_is_taken_out(naive: Naive, report: EvalReport) -> None:
    each = ["industry", "style", "size", "beta"]
    assert [one.taken_out for one in report.neutral] == [(), *((name,) for name in each), tuple(each)]
    for one in report.neutral:
        daily = np.array([naive.residual(day, one.taken_out) for day in days_of(naive)])
        same_stats(one.ic, list(daily[:, 0]), 0)
        same_stats(one.rank_ic, list(daily[:, 1]), 0)
        near(one.explained, mean(daily[:, 2]))
    near(report.neutral[0].rank_ic.mean, report.summary["rank_ic"])


def test_where_rows_went(naive: Naive, report: EvalReport) -> None:
    score, label = naive.signal.score, naive.signal.label
    found = report.coverage
    assert list(found.counts.items()) == [
        ("rows", len(score)),
        ("no score", int(np.isnan(score).sum())),
        ("infinite score", 1),
        ("no label", sum(bool(np.isnan(b) and np.isfinite(a)) for a, b in zip(score, label, strict=True))),
        ("infinite label", 1),
        ("judged", sum(len(naive.best_first(day, naive.labels[day])) for day in days_of(naive))),
        ("members without row", naive.n_days // 2),
        ("days", naive.n_days),
        ("days without ic", int(np.isnan(report.ic).sum())),
        ("days without rows", 1),
    ]
    unscored = sum(bool(np.isfinite(b) and not np.isfinite(a)) for a, b in zip(score, label, strict=True))
    near(found.lost, (unscored + naive.n_days // 2) / (int(np.isfinite(label).sum()) + naive.n_days // 2))
    near(found.n_scored, [len(scores) for scores in naive.scores])
    near(found.n_expected, np.bincount(naive.signal.day))


def every_figure(report: EvalReport) -> list[np.ndarray]:
    """Return all that is a number."""
    parts = [
        report.n_names,
        report.ic,
        report.rank_ic,
        report.spread,
        report.mean_label,
        report.quantiles,
        report.decay,
    ]
    parts += [np.array(astuple(stats)) for stats in report.statistics.values()]
    for one in report.horizons:
        parts += [
            one.group_mean,
            one.group_error,
            one.curves,
            np.array([one.monotonicity, one.turnover, one.break_even_bps]),
        ]
    for lasting in report.persistence:
        parts += [lasting.autocorrelation, lasting.turnover]
    parts += [
        np.array([[one.n_rows, one.rank_ic.mean, one.mean_label, one.spread] for one in inside])
        for inside in report.groups.values()
    ]
    parts.append(np.array([[one.ic.mean, one.rank_ic.mean, one.explained] for one in report.neutral]))
    return [*parts, report.portfolio.returns, np.array(list(report.summary.values()))]


@pytest.mark.parametrize("cells", [1, 3 * 13])
def test_spans_of_days_give_what_all_days_at_once_do(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = every_figure(evaluate_signal(random_signal(1), CONFIG))
    monkeypatch.setattr("qts.evaluation.scored.SPAN_CELLS", cells)
    for got, want in zip(every_figure(evaluate_signal(random_signal(1), CONFIG)), whole, strict=True):
        near(got, want)


@pytest.mark.parametrize("seed", SEEDS)
def test_stretching_scores_changes_nothing_that_goes_by_rank(seed: int) -> None:
    signal = random_signal(seed)
    stretched = replace(signal, score=signal.score**3 + signal.score)
    first, second = evaluate_signal(signal, CONFIG), evaluate_signal(stretched, CONFIG)
    near(second.rank_ic, first.rank_ic)
    near(second.spread, first.spread)
    near(second.quantiles, first.quantiles)
    near(second.decay, first.decay)
    for a, b in zip(first.horizons, second.horizons, strict=True):
        near(astuple(b.rank_ic), astuple(a.rank_ic))
        near(b.curves, a.curves)
    for a, b in zip(first.persistence, second.persistence, strict=True):
        near(b.autocorrelation, a.autocorrelation)
        near(b.turnover, a.turnover)
    assert abs(first.ic - second.ic)[~np.isnan(first.ic)].max() > 1e-3


def test_the_order_of_names_changes_nothing_where_no_scores_are_equal() -> None:
    signal = random_signal(2)
    signal = replace(signal, score=signal.score + np.random.default_rng(0).normal(size=len(signal.score)) / 1e4)
    back = np.arange(len(signal.instruments))[::-1]
    name = len(back) - 1 - signal.instrument
    rows = np.lexsort((name, signal.day))
    mirrored = replace(
        signal, instruments=signal.instruments[back], day=signal.day[rows], instrument=name[rows],
        score=signal.score[rows], label=signal.label[rows], groups={k: v[rows] for k, v in signal.groups.items()},
        prices=replace(signal.prices, close=signal.prices.close[:, back], value=signal.prices.value[:, back]),
    )  # fmt: skip
    for got, want in zip(
        every_figure(evaluate_signal(mirrored, CONFIG)), every_figure(evaluate_signal(signal, CONFIG)), strict=True
    ):
        near(got, want)


def test_one_day_held_from_a_day_after_the_score_is_the_default_label(naive: Naive) -> None:
    signal = naive.signal
    label = default_label(signal.prices, np.array(naive.line)[signal.day], signal.instrument)
    report = evaluate_signal(replace(signal, label=label), CONFIG)
    near(astuple(report.horizons[0].ic), astuple(report.statistics["ic"]))
    near(astuple(report.horizons[0].rank_ic), astuple(report.statistics["rank_ic"]))
    near(report.horizons[0].group_mean, np.nanmean(report.quantiles, axis=0))


def test_the_summary_gathers_what_stands_elsewhere(report: EvalReport) -> None:
    found, shortest = report.summary, report.horizons[0]
    assert (found["rank_ic_t"], found["icir"]) == (report.statistics["rank_ic"].t, report.statistics["ic"].ratio)
    assert (found["turnover"], found["break_even_bps"]) == (shortest.turnover, shortest.break_even_bps)
    assert found["rank_autocorrelation"] == np.nanmean(report.persistence[0].autocorrelation)
    assert (found["alpha"], found["beta"]) == (report.portfolio.alpha, report.portfolio.beta)
    assert found["lost"] == report.coverage.lost
    assert found["n_days"] == np.count_nonzero(~np.isnan(report.ic))


def test_turnover_of_the_summary_is_that_of_the_label_s_holding_period() -> None:
    report = evaluate_signal(replace(random_signal(0), label_ahead=3), CONFIG)
    assert report.summary["turnover"] == report.horizons[1].turnover != report.horizons[0].turnover
    assert report.statistics["ic"].lag == 1


def test_a_label_is_held_from_where_it_begins_whatever_the_lag() -> None:
    signal = replace(random_signal(0), label_ahead=4, label_begin=0)
    report, late = (evaluate_signal(signal, CONFIG.model_copy(update={"lag": lag})) for lag in (1, 2))
    assert (report.held_days, report.statistics["ic"].lag, late.statistics["ic"].lag) == (4, 3, 3)
    assert report.summary["turnover"] == report.horizons[2].turnover
    assert report.summary["spread_annual_return"] == late.summary["spread_annual_return"]
    told = "the label's return begins on the day of the score, holding periods 1 day after the score ([eval] lag)"
    assert report.warnings[0].startswith(told)
    one = evaluate_signal(replace(signal, label_ahead=2, label_begin=1), CONFIG)
    assert not any("begins" in warning for warning in one.warnings)


def test_a_holding_period_that_no_price_reaches_is_left_out() -> None:
    signal = random_signal(0)
    config = CONFIG.model_copy(update={"horizons": (2, 40, 1)})
    report = evaluate_signal(signal, config, {"lag": 9, "model": "gru"})
    assert [held.horizon for held in report.horizons] == [1, 2]
    assert np.isnan(report.decay[-1])
    assert len(report.decay) == 40
    assert report.context == {"lag": 9, "days_per_year": 252, "label_ahead": 2, "label_begin": 1, "model": "gru"}


def test_days_that_the_prices_lack_have_a_label_alone() -> None:
    signal = random_signal(1)
    prices = signal.prices
    cut = prices.days != signal.days[4]
    lacking = replace(
        signal, prices=replace(prices, days=prices.days[cut], close=prices.close[cut], value=prices.value[cut])
    )
    report, whole = evaluate_signal(lacking, CONFIG), evaluate_signal(signal, CONFIG)
    near(report.rank_ic, whole.rank_ic)
    assert np.isnan(report.persistence[0].autocorrelation[4])
    assert not np.isnan(whole.persistence[0].autocorrelation[4])
    assert report.horizons[0].rank_ic.n == whole.horizons[0].rank_ic.n - 1


def test_a_column_called_size_stands_in_for_the_derived_one() -> None:
    signal = random_signal(0)
    report = evaluate_signal(replace(signal, groups={"size": signal.groups["style"]}), CONFIG)
    assert [one.taken_out for one in report.neutral] == [(), ("size",), ("beta",), ("size", "beta")]
    assert {one.name for one in report.groups["size"]} == {"growth", "worth"}
