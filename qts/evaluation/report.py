"""EvalReport: everything a report shows, as data."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from qts.config import EvalConfig
from qts.daily_series import SeriesStats, describe
from qts.errors import InputError
from qts.evaluation.breakdown import group_figures
from qts.evaluation.coverage import begin_warning, coverage_of, refuse_unjudged, warnings_of
from qts.evaluation.horizons import horizon_figures
from qts.evaluation.ic import summarise
from qts.evaluation.judging import Judge, LabelDays
from qts.evaluation.neutral import neutral_figures
from qts.evaluation.persistence import persistence, turnover_of_horizons
from qts.evaluation.portfolio import factor_portfolio
from qts.evaluation.results import Coverage, EvalReport, FactorPortfolio, HorizonFigures, Persistence
from qts.evaluation.series import Describe, mean_of_known
from qts.evaluation.signal import Signal


def evaluate_signal(signal: Signal, config: EvalConfig, context: Mapping[str, Any] | None = None) -> EvalReport:
    """Judge scores against their label and against the returns of several holding periods.

    Raises InputError if no day can be judged. A loss above `max_lost` is for the caller to refuse, once the report is
    written.
    """
    held = signal.held_days
    label_describe: Describe = partial(describe, draws=config.bootstrap, seed=config.seed)
    if not len(signal.days):
        raise InputError("no day can be judged: there are no rows", hint="are there scores for days with labels?")
    judge = Judge.of(signal, config)
    judged = judge.judge()
    label = judged.label
    refuse_unjudged(label.rank_ic, label.n, label.is_flat, config)
    coverage = coverage_of(signal, judge.at, label.ic)
    turnover = turnover_of_horizons(judged.lasting, config)
    horizons = horizon_figures(judged.followed, turnover, judge.at, signal.prices, config, label_describe)
    lasting = persistence(judged.lasting, config)
    periods = periods_per_year(judge.at, ~np.isnan(label.rank_ic), held, config)
    weighted = factor_portfolio(label.weighted, label.mean, held - 1, periods, label_describe)
    series = {"ic": label.ic, "rank_ic": label.rank_ic, "spread": label.top - label.bottom}
    statistics = {name: label_describe(daily, held - 1) for name, daily in series.items()}
    return EvalReport(
        days=signal.days, n_names=label.n, **series, mean_label=label.mean, quantiles=judged.quantiles,
        summary=_summary(label, statistics, horizons, lasting, weighted, coverage, periods, held), statistics=statistics,
        horizons=horizons, decay=np.array([mean_of_known(step) for step in judged.followed.step_rank_ic.T]),
        portfolio=weighted, persistence=lasting,
        groups={
            name: group_figures(judged.within[name], names, held - 1)
            for name, names in judge.group_names.items()
        },
        neutral=neutral_figures(judged.residuals, judge.taken_out, held - 1, label_describe), coverage=coverage,
        warnings=(
            *begin_warning(signal, config),
            *warnings_of(coverage, label.rank_ic, label.tied, int(judged.followed.unpriced.sum()), config),
        ),
        context={
            "lag": config.lag, "days_per_year": config.days_per_year, "label_ahead": signal.label_ahead,
            "label_begin": signal.label_begin, **(context or {}),
        },
    )  # fmt: skip


def periods_per_year(at: np.ndarray, is_judged: np.ndarray, held: int, config: EvalConfig) -> float:
    """Return how many of the label's holding periods a year has: no more than fit into it, and than days are judged.

    at (n_days,) int, the line of each day in the prices, -1 where they lack it; is_judged (n_days,) bool. Weekly scores
    with a label of one day are worth about 50 such days a year, not 252: on the others nobody knows what to hold.
    """
    lines = at[is_judged & (at >= 0)]
    share = len(lines) / (int(lines[-1] - lines[0]) + 1) if len(lines) else 1.0
    return config.days_per_year * min(1 / held, share)


def _summary(
    label: LabelDays, statistics: Mapping[str, SeriesStats], horizons: Sequence[HorizonFigures],
    lasting: Sequence[Persistence], weighted: FactorPortfolio, coverage: Coverage, periods: float, held: int,
) -> dict[str, float]:  # fmt: skip
    """Return the figures of the first table.

    Annual ones are means of the label times the number of its holding periods, of `held` days, in a year. Turnover
    and break-even cost are those of the holding period that the label has, or else of the shortest.
    """
    is_judged = ~np.isnan(label.ic)
    figures: dict[str, float] = {}
    for name in ("ic", "rank_ic"):
        figures[name], figures[f"{name}ir"] = statistics[name].mean, statistics[name].ratio
    figures["n_days"] = int(is_judged.sum())
    figures["mean_names"] = float(label.n[is_judged].mean())
    figures["rank_ic_t"] = statistics["rank_ic"].t
    half, over_mean = (label.top - label.bottom) / 2, label.top - label.mean
    for name, series in (("long_short", half), ("top_minus_mean", over_mean)):
        daily, ratio = summarise(series)
        figures[f"{name}_annual_return"] = daily * periods
        figures[f"{name}_sharpe"] = ratio * float(np.sqrt(periods))
    figures["spread_annual_return"] = statistics["spread"].mean * periods
    figures["rank_autocorrelation"] = mean_of_known(lasting[0].autocorrelation) if lasting else float("nan")
    same = [figure for figure in horizons if figure.horizon == held] or list(horizons)
    figures["turnover"] = same[0].turnover if same else float("nan")
    figures["break_even_bps"] = same[0].break_even_bps if same else float("nan")
    figures["alpha"], figures["beta"], figures["lost"] = weighted.alpha, weighted.beta, coverage.lost
    return figures
