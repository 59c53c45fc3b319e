"""Two runs beside each other as a document: whether one is better by more than chance, and what differs in them."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from qts.backtest.account import beside
from qts.backtest.results import BacktestResult
from qts.evaluation import EvalReport
from qts.evaluation.compare import Comparison
from qts.rendering.document import Chapter, Column, Document, Plot, Sheet, Trace
from qts.rendering.series import Data, day_names, rounded, so_far
from qts.rendering.side_chapters import difference_sheet, unlike
from qts.rendering.timeline import score_timeline
from qts.rendering.verdicts import T_BEYOND_CHANCE

SCHEMA = "qts.comparison/1"
"""Name and version of a comparison's JSON."""


class Compared(NamedTuple):
    """How a daily series is told."""

    name: str
    """For people."""
    unit: str
    """What its values are in; empty for correlations."""


COMPARED: dict[str, Compared] = {
    "rank_ic": Compared("RankIC", ""),
    "ic": Compared("IC", ""),
    "spread_bps": Compared("Spread", "bps"),
    "net_bps": Compared("Net return", "bps"),
    "excess_bps": Compared("Excess over the index", "bps"),
    "universe_excess_bps": Compared("Excess over the universe", "bps"),
}
"""Daily series that two runs are compared by."""

Daily = tuple[np.ndarray, np.ndarray]
"""Days (n_days,) datetime64[D] and the values on them (n_days,)."""


def daily_series_of(report: EvalReport, backtest: BacktestResult | None = None) -> dict[str, Daily]:
    """Return the series of COMPARED that a run has; returns are in basis points."""
    scores = {"rank_ic": report.rank_ic, "ic": report.ic, "spread_bps": 1e4 * report.spread}
    found = {name: (report.days, values) for name, values in scores.items()}
    if backtest is None:
        return found
    accounts = backtest.records.accounts
    returns = {"net_bps": (backtest.days, accounts["net_return"])}
    for name, column in (("excess_bps", "benchmark"), ("universe_excess_bps", "universe")):
        versus = beside(accounts, column)
        returns[name] = (backtest.days[versus.end], versus.excess)
    return found | {name: (days, 1e4 * one) for name, (days, one) in returns.items() if np.isfinite(one).any()}


def comparison_document(
    names: tuple[str, str],
    reports: tuple[EvalReport, EvalReport],
    compared: Mapping[str, Comparison],
    differing: Sequence[Mapping[str, str]],
    backtests: tuple[BacktestResult | None, BacktestResult | None] = (None, None),
) -> Document:
    """Return whether run B (the second) is better than run A.

    `compared` has the comparisons of series of COMPARED, made from `daily_series_of`; `differing` are rows key, a, b of what
    was set differently.
    """
    series = [daily_series_of(report, backtest) for report, backtest in zip(reports, backtests, strict=True)]
    plots = tuple(
        _difference_plot(key, names, series[0][key], series[1][key], reports[0].held_days if key == "spread_bps" else 1)
        for key in compared
        if all(key in one for one in series)
    )
    different = difference_sheet(("a", "b"), names, differing)
    chapters = (
        Chapter(
            "B minus A",
            (_table(compared), *plots),
            f"A is {names[0]}, B is {names[1]}; only days that both have count.",
        ),
        Chapter("What differs", (different,)),
    )
    return Document(
        schema=SCHEMA,
        title=f"{names[1]} against {names[0]}",
        chapters=chapters,
        warnings=unlike(names, reports),
        verdicts=tuple(_verdict(COMPARED[key], one) for key, one in compared.items()),
        timeline=score_timeline(reports[0].context),
        context={"a": reports[0].context, "b": reports[1].context},
        summary={f"{key}_{name}": getattr(one, name) for key, one in compared.items() for name in _SUMMARY},
    )


_SUMMARY = ("mean_a", "mean_b", "difference", "t", "low", "high", "b_is_better", "n")
"""Figures of a comparison that programs ask for."""


def _table(compared: Mapping[str, Comparison]) -> Sheet:
    columns = (
        Column("series", "series", "text"),
        Column("mean_a", "A"),
        Column("mean_b", "B"),
        Column("difference", "B minus A"),
        Column("low", "95 % from"),
        Column("high", "to"),
        Column("t", "t", "ratio"),
        Column("b_is_better", "B above A", "percent"),
        Column("effect_size", "effect size"),
        Column("correlation", "correlation", "ratio"),
        Column("n", "days", "integer"),
        Column("first", "first day", "day"),
        Column("last", "last day", "day"),
    )
    rows = [
        {"series": _with_unit(COMPARED[key]), **{column.key: getattr(one, column.key) for column in columns[1:]}}
        for key, one in compared.items()
    ]
    about = (
        "Daily means over the days in common. The interval comes from a paired block bootstrap, which takes the same days of "
        "both; B above A is the share of its draws in which B's mean is the larger one. t has the Newey-West error of the daily "
        "differences, and the effect size is their mean over their standard deviation."
    )
    return Sheet("comparison", columns, rows, "Daily means", about)


def _with_unit(one: Compared) -> str:
    return f"{one.name}, {one.unit}" if one.unit else one.name


def _difference_plot(key: str, names: tuple[str, str], a: Daily, b: Daily, held: int) -> Plot:
    """Return the sums so far; values over `held` days are divided by as many, for each day would count in so many of them."""
    days, at_a, at_b = np.intersect1d(a[0], b[0], assume_unique=True, return_indices=True)
    both = np.isfinite(a[1][at_a]) & np.isfinite(b[1][at_b])
    left, right = a[1][at_a][both] / held, b[1][at_b][both] / held
    data: Data = {
        "datetime": day_names(days[both]),
        "a": rounded(so_far(left)),
        "b": rounded(so_far(right)),
        "difference": rounded(so_far(right - left)),
    }
    traces = (Trace(f"A: {names[0]}", "a"), Trace(f"B: {names[1]}", "b"), Trace("B minus A", "difference"))
    shared = f", divided by the {held} days that the label's return is over" if held > 1 else ""
    about = f"Sums of the daily values{shared}: a rising difference is a stretch in which B did better."
    title = f"Cumulative {_with_unit(COMPARED[key])}"
    return Plot(f"cumulative_{key}", title, data, "datetime", traces, kind="number", about=about)


def _verdict(told: Compared, found: Comparison) -> str:
    """Return which run is ahead in a series, and whether that is more than chance."""
    if found.difference == found.low == found.high == 0:
        return f"{told.name} is the same in A and B."
    sure = abs(found.t) >= T_BEYOND_CHANCE and not found.low <= 0 <= found.high
    better = "B" if found.difference > 0 else "A"
    unit = f" {told.unit}" if told.unit else ""
    interval = "" if math.isnan(found.low) else f"95 % interval {found.low:.4g} to {found.high:.4g}, "
    interval += "" if math.isnan(found.t) else f"t {found.t:.1f}, "
    interval += f"{found.n:,} days"
    means = f"{told.name} is {found.mean_a:.4g}{unit} in A and {found.mean_b:.4g}{unit} in B"
    says = f"{better} is better by more than chance" if sure else "which is better cannot be told from chance"
    return f"{means}, B minus A {found.difference:.4g}{unit} ({interval}): {says}."
