"""Chapters on how well scores sort: IC by day, holding periods, what is known taken out, drift."""

import math

import numpy as np

from qts.daily_series import SeriesStats
from qts.evaluation import EvalReport
from qts.evaluation.ic import summarise
from qts.evaluation.results import Drift, HorizonFigures
from qts.evaluation.series import mean_of_known
from qts.rendering.document import Chapter, Column, Plot, Sheet, Trace
from qts.rendering.series import (
    Data,
    by_period,
    day_names,
    histogram,
    month_plot,
    moving_mean,
    rounded,
    so_far,
)
from qts.rendering.stats_table import standard_error, stats_cells, stats_sheet

MOVING_DAYS = 22
"""Days of the moving mean, about a month."""

_SERIES = {"ic": "IC", "rank_ic": "RankIC", "spread": "Spread"}


def ic_chapter(report: EvalReport) -> Chapter:
    """Return how IC and RankIC went, day by day, month by month and year by year."""
    named = ((_SERIES.get(name, name), stats) for name, stats in report.statistics.items())
    about = "Spread is the mean label of the long end minus that of the short end."
    return Chapter(
        "IC by day",
        (
            stats_sheet("statistics", named, title="The daily series", about=about),
            _cumulative(report),
            _daily(report),
            month_plot("rank_ic_by_month", "Mean RankIC by month", report.days, report.rank_ic),
            _histogram(report),
        ),
        "IC is Pearson's correlation of scores and labels over one cross-section, RankIC is Spearman's.",
    )


def _cumulative(report: EvalReport) -> Plot:
    data: Data = {
        "datetime": day_names(report.days),
        "ic": rounded(so_far(report.ic)),
        "rank_ic": rounded(so_far(report.rank_ic)),
    }
    about = "Sums of the daily values: a steady slope is a steady skill, a flat stretch a time without."
    traces = (Trace("IC", "ic"), Trace("RankIC", "rank_ic"))
    return Plot("cumulative_ic", "Cumulative IC and RankIC", data, "datetime", traces, kind="ratio", about=about)


def _daily(report: EvalReport) -> Plot:
    moving = moving_mean(report.rank_ic, MOVING_DAYS)
    data: Data = {
        "datetime": day_names(report.days),
        "n_names": [int(n) for n in report.n_names],
        "ic": rounded(report.ic),
        "rank_ic": rounded(report.rank_ic),
        "moving_mean": rounded(moving),
    }
    traces = (Trace("RankIC", "rank_ic", "bar"), Trace(f"mean of {MOVING_DAYS} days", "moving_mean"))
    return Plot("rank_ic_by_day", "RankIC by day", data, "datetime", traces, kind="fixed")


def _histogram(report: EvalReport) -> Plot:
    traces = (Trace("days", "days", "bar"), Trace("normal of the same mean and sd", "normal"))
    data = histogram(report.rank_ic)
    return Plot("rank_ic_histogram", "How often which RankIC", data, "middle", traces, kind="integer", x_title="RankIC")


def horizon_chapter(report: EvalReport) -> Chapter:
    """Return what scores are worth for each holding period, and how fast that fades."""
    if not report.horizons:
        return Chapter("Holding periods", ("No price reaches beyond a holding period.",))
    blocks = (_horizon_sheet(report.horizons), _by_horizon(report.horizons), _decay(report))
    return Chapter(
        "Holding periods", blocks, "Returns from close to close that begin some days after the score (the lag)."
    )


_HORIZON_COLUMNS = (
    Column("horizon", "days held", "integer"),
    Column("rank_ic", "RankIC", "fixed"),
    Column("rank_ic_low", "95 % from", "fixed"),
    Column("rank_ic_high", "to", "fixed"),
    Column("rank_ic_t", "t", "ratio"),
    Column("rank_icir", "RankICIR", "ratio"),
    Column("ic", "IC", "fixed"),
    Column("ic_t", "IC t", "ratio"),
    Column("lag", "lag of t", "integer"),
    Column("spread_bps", "spread, bps", "bps"),
    Column("spread_t", "spread t", "ratio"),
    Column("monotonicity", "monotonicity", "ratio"),
    Column("turnover", "turnover a day", "percent"),
    Column("break_even_bps", "break-even cost, bps", "bps"),
    Column("n", "days", "integer"),
)


def _horizon_row(one: HorizonFigures) -> dict[str, float]:
    rank = {
        "rank_ic": "mean",
        "rank_ic_low": "low",
        "rank_ic_high": "high",
        "rank_ic_t": "t",
        "rank_icir": "ratio",
        "lag": "lag",
    }
    return {
        "horizon": one.horizon,
        **stats_cells(one.rank_ic, {**rank, "n": "n"}),
        **stats_cells(one.ic, {"ic": "mean", "ic_t": "t"}),
        "spread_bps": 1e4 * one.spread.mean,
        "spread_t": one.spread.t,
        "monotonicity": one.monotonicity,
        "turnover": one.turnover,
        "break_even_bps": one.break_even_bps,
    }


def _horizon_sheet(horizons: tuple[HorizonFigures, ...]) -> Sheet:
    about = (
        "Spread is the return of the highest scores' group minus that of the lowest's over the whole holding period; the "
        "break-even cost is what trading one way may cost, in basis points of what is traded, until the spread is gone. "
        "Longer returns overlap, which the lag of t allows for."
    )
    return Sheet("horizons", _HORIZON_COLUMNS, [_horizon_row(one) for one in horizons], "By days held", about)


def _by_horizon(horizons: tuple[HorizonFigures, ...]) -> Plot:
    data: Data = {
        "horizon": [one.horizon for one in horizons],
        "rank_ic": rounded([one.rank_ic.mean for one in horizons]),
        "low": rounded([one.rank_ic.low for one in horizons]),
        "high": rounded([one.rank_ic.high for one in horizons]),
    }
    traces = (Trace("95 % interval", "low", "band", to="high"), Trace("RankIC", "rank_ic"))
    return Plot("rank_ic_by_horizon", "RankIC by days held", data, "horizon", traces, kind="fixed", x_title="days held")


def _decay(report: EvalReport) -> Plot:
    lag = int(report.context.get("lag", 1))
    data: Data = {"days_after": [lag + at for at in range(len(report.decay))], "rank_ic": rounded(report.decay)}
    about = "RankIC with the return of one single day, by how many days after the score that day begins."
    traces = (Trace("RankIC", "rank_ic", "bar"),)
    title, x_title = "How fast scores age", "days after the score"
    return Plot("decay", title, data, "days_after", traces, kind="fixed", x_title=x_title, about=about)


def year_chapter(report: EvalReport) -> Chapter:
    """Return the figures of each year."""
    years = _year_sheet(report)
    data: Data = {
        "year": [row["year"] for row in years.rows],
        **{key: rounded([row[key] for row in years.rows]) for key in ("ic", "rank_ic")},
    }
    traces = (Trace("IC", "ic", "bar"), Trace("RankIC", "rank_ic", "bar"))
    return Chapter(
        "By year", (years, Plot("ic_by_year", "Mean IC and RankIC by year", data, "year", traces, kind="fixed"))
    )


def _year_sheet(report: EvalReport) -> Sheet:
    columns = (
        Column("year", "year", "text"),
        Column("n_days", "days", "integer"),
        Column("ic", "IC", "fixed"),
        Column("icir", "ICIR", "ratio"),
        Column("rank_ic", "RankIC", "fixed"),
        Column("rank_icir", "RankICIR", "ratio"),
        Column("positive", "RankIC above 0", "percent"),
        Column("spread_bps", "spread, bps", "bps"),
    )
    rows = [{"year": year, **_year(report, days)} for year, days in by_period(report.days, "Y")]
    about = "Ratios are means over standard deviations, not annualised; the spread is a mean a day."
    return Sheet("by_year", columns, rows, about=about)


def _year(report: EvalReport, days: np.ndarray) -> dict[str, float]:
    ic, rank_ic = report.ic[days], report.rank_ic[days]
    known = rank_ic[~np.isnan(rank_ic)]
    (mean, ratio), (rank_mean, rank_ratio) = summarise(ic), summarise(rank_ic)
    return {
        "n_days": len(known),
        "ic": mean,
        "icir": ratio,
        "rank_ic": rank_mean,
        "rank_icir": rank_ratio,
        "positive": float((known > 0).mean()) if len(known) else math.nan,
        "spread_bps": 1e4 * mean_of_known(report.spread[days]),
    }


def neutral_chapter(report: EvalReport) -> Chapter | None:
    """Return what is left of IC once what is known has been taken out of the scores; None if nothing was."""
    if not report.neutral:
        return None
    names = [" + ".join(one.taken_out) or "nothing" for one in report.neutral]
    columns = (
        Column("taken_out", "taken out", "text"),
        Column("explained", "share of variance", "percent"),
        Column("rank_ic", "RankIC", "fixed"),
        Column("low", "95 % from", "fixed"),
        Column("high", "to", "fixed"),
        Column("rank_ic_t", "t", "ratio"),
        Column("ic", "IC", "fixed"),
        Column("ic_t", "IC t", "ratio"),
    )
    rows = [
        {
            "taken_out": name,
            "explained": one.explained,
            **stats_cells(one.rank_ic, {"rank_ic": "mean", "low": "low", "high": "high", "rank_ic_t": "t"}),
            **stats_cells(one.ic, {"ic": "mean", "ic_t": "t"}),
        }
        for name, one in zip(names, report.neutral, strict=True)
    ]
    about = "Day by day the scores are regressed on what is named; what the regression leaves is judged as scores are."
    plot = mean_bars(
        "neutral_rank_ic", "RankIC of what is left", "taken out", names, [one.rank_ic for one in report.neutral]
    )
    return Chapter("Neutral IC", (Sheet("neutral", columns, rows), plot), about)


def mean_bars(key: str, title: str, x_title: str, names: list[str], stats: list[SeriesStats]) -> Plot:
    """Return bars of the means of RankIC series, with their errors; their names are the column "name"."""
    data: Data = {
        "name": names,
        "rank_ic": rounded([one.mean for one in stats]),
        "error": rounded([standard_error(one) for one in stats]),
    }
    about = "Whiskers are 1.96 Newey-West errors."
    traces = (Trace("RankIC", "rank_ic", "bar", error="error"),)
    return Plot(key, title, data, "name", traces, kind="fixed", x_title=x_title, about=about)


def drift_chapter(drift: Drift | None) -> Chapter | None:
    """Return how scores fare after the test segment; None if there are none."""
    if drift is None:
        return None
    n = len(drift.days)
    data: Data = {
        "datetime": day_names(drift.days),
        "rank_ic": rounded(drift.rank_ic),
        "moving_mean": rounded(moving_mean(drift.rank_ic, MOVING_DAYS)),
        "expected": rounded([drift.expected] * n),
        "low": rounded([drift.low] * n),
        "high": rounded([drift.high] * n),
    }
    traces = (
        Trace("band of the mean", "low", "band", to="high"),
        Trace("RankIC", "rank_ic", "bar"),
        Trace(f"mean of {MOVING_DAYS} days", "moving_mean"),
        Trace("expected", "expected"),
    )
    columns = (
        Column("n_days", "days", "integer"),
        Column("mean", "mean RankIC", "fixed"),
        Column("expected", "expected", "fixed"),
        Column("low", "band from", "fixed"),
        Column("high", "to", "fixed"),
    )
    known = int((~np.isnan(drift.rank_ic)).sum())
    row = {"n_days": known, "mean": drift.mean, "expected": drift.expected, "low": drift.low, "high": drift.high}
    about = (
        "The mean RankIC of all days after the test segment would lie in the band 95 times of 100 if they were like those "
        "of the test segment; the band is for that mean, not for single days."
    )
    plot = Plot("drift_by_day", "RankIC after the test segment", data, "datetime", traces, kind="fixed")
    return Chapter("Drift", (Sheet("drift", columns, [row]), plot), about)
