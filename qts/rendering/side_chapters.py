"""Several runs side by side as a document: a column a run, and their curves in the same plots."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from qts.backtest.results import BacktestResult
from qts.backtest.statistics import STATISTICS
from qts.evaluation import EvalReport
from qts.rendering.cells import flat
from qts.rendering.document import Chapter, Column, Document, Kind, Plot, Sheet, Trace
from qts.rendering.headline import FIGURES, headline
from qts.rendering.series import Data, day_names, fallen, grown, rounded, so_far
from qts.rendering.timeline import score_timeline

SCHEMA = "qts.side_by_side/1"
"""Name and version of the JSON of several runs."""

LONGEST = 80
"""Characters of a setting that are shown."""

_SAME = {
    "first": "they begin on different days",
    "last": "they end on different days",
    "label": "their labels differ",
    "bars_fingerprint": "they are judged by different bars",
    "universe_fingerprint": "their universes differ",
}
"""Key of a context → what a reader must know if the runs differ in it."""


def side_by_side_document(
    names: Sequence[str], reports: Sequence[EvalReport], backtests: Sequence[BacktestResult | None] = ()
) -> Document:
    """Return what several runs are worth, a column each; without backtests, of their scores alone."""
    traded = list(backtests) or [None] * len(reports)
    blocks: list[Sheet | Plot | str] = [_figures(names, reports)]
    if any(traded):
        blocks.append(_statistics(names, traded))
    settings = [dict(flat(report.context)) for report in reports]
    keys = dict.fromkeys(key for one in settings for key in one)
    differing = [
        {"key": key, **{_key(at): one.get(key, "") for at, one in enumerate(settings)}}
        for key in keys
        if len({one.get(key) for one in settings}) > 1
    ]
    plots = [_cumulative(names, reports), *_groups(names, reports), *_curves(names, traded)]
    return Document(
        schema=SCHEMA,
        title=" | ".join(names),
        chapters=(
            Chapter("Figures", tuple(blocks)),
            Chapter("Curves", tuple(plots)),
            Chapter("What differs", (difference_sheet([_key(at) for at in range(len(names))], names, differing),)),
        ),
        warnings=(*unlike(names, reports), *_warnings(names, reports)),
        timeline=score_timeline(reports[0].context),
        context={name: report.context for name, report in zip(names, reports, strict=True)},
        summary={
            f"{name}.{key}": value
            for name, report in zip(names, reports, strict=True)
            for key, value in headline(report).items()
        },
    )


def unlike(names: Sequence[str], reports: Sequence[EvalReport]) -> tuple[str, ...]:
    """Return what makes the figures of runs hard to compare: other days, labels, bars, universes."""
    found = []
    for key, says in _SAME.items():
        values = [str(report.context.get(key)) for report in reports]
        if len(set(values)) > 1:
            told = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            found.append(f"{says} ({told})")
    return tuple(found)


def difference_sheet(keys: Sequence[str], names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Sheet:
    """Return a table of settings that differ, a column a run."""
    columns = (
        Column("key", "setting", "text"),
        *(Column(key, name, "text") for key, name in zip(keys, names, strict=True)),
    )
    shown = [{name: _cut(value) for name, value in row.items()} for row in rows]
    return Sheet("differences", columns, shown, "Settings and data that differ")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _key(at: int) -> str:
    return f"run_{at + 1}"


def _columns(names: Sequence[str]) -> tuple[Column, ...]:
    return (Column("figure", "figure", "text"), *(Column(_key(at), name) for at, name in enumerate(names)))


def _figures(names: Sequence[str], reports: Sequence[EvalReport]) -> Sheet:
    found = [headline(report) for report in reports]
    rows = [
        {
            "figure": told.name,
            "kind": told.kind,
            "about": told.about,
            **{_key(at): one.get(key, math.nan) for at, one in enumerate(found)},
        }
        for key, told in FIGURES.items()
        if any(key in one for one in found)
    ]
    return Sheet("figures", _columns(names), rows, "Scores")


def _statistics(names: Sequence[str], backtests: Sequence[BacktestResult | None]) -> Sheet:
    found = [backtest.statistics if backtest else {} for backtest in backtests]
    rows = [
        {
            "figure": told.head,
            "kind": told.kind,
            "about": told.about,
            **{_key(at): one.get(key, math.nan) for at, one in enumerate(found)},
        }
        for key, told in STATISTICS.items()
        if any(math.isfinite(one.get(key, math.nan)) for one in found)
    ]
    return Sheet("portfolios", _columns(names), rows, "Portfolios, after cost")


def _overlaid(
    key: str,
    title: str,
    names: Sequence[str],
    curves: Sequence[tuple[np.ndarray, np.ndarray] | None],
    *,
    kind: Kind = "ratio",
    is_log: bool = False,
) -> Plot:
    """Return curves of several runs over the days that any of them has; None draws nothing."""
    known = [curve[0] for curve in curves if curve is not None]
    days = np.unique(np.concatenate(known))
    data: Data = {"datetime": day_names(days)}
    traces = []
    for at, (name, curve) in enumerate(zip(names, curves, strict=True)):
        if curve is not None:
            values = np.full(len(days), math.nan)
            values[np.searchsorted(days, curve[0])] = curve[1]
            data[_key(at)] = rounded(values)
            traces.append(Trace(name, _key(at), colour=at))
    return Plot(key, title, data, "datetime", tuple(traces), kind=kind, is_log=is_log)


def _cumulative(names: Sequence[str], reports: Sequence[EvalReport]) -> Plot:
    curves = [(report.days, so_far(report.rank_ic)) for report in reports]
    return _overlaid("cumulative_rank_ic", "Cumulative RankIC", names, curves)


def _groups(names: Sequence[str], reports: Sequence[EvalReport]) -> tuple[Plot, ...]:
    """Return mean returns by score group as bars side by side; nothing where a run has none, or another number of groups."""
    held = [report.label_horizon for report in reports]
    means = [one.group_mean / one.horizon for one in held if one is not None]
    if len(means) < len(reports) or len({len(one) for one in means}) > 1:
        return ()
    data: Data = {"group": [f"{at + 1}" for at in range(len(means[0]))]}
    data |= {_key(at): rounded(1e4 * one) for at, one in enumerate(means)}
    traces = tuple(Trace(name, _key(at), "bar", colour=at) for at, name in enumerate(names))
    about = "Basis points a day, over the label's holding period; group 1 holds the highest scores."
    title = "Mean return a day by score group"
    return (Plot("group_bars", title, data, "group", traces, kind="bps", x_title="group", about=about),)


def _curves(names: Sequence[str], backtests: Sequence[BacktestResult | None]) -> tuple[Plot, ...]:
    returns = [
        backtest.records.accounts["net_return"] if backtest and len(backtest.days) else None for backtest in backtests
    ]
    if all(one is None for one in returns):
        return ()
    both = list(zip(backtests, returns, strict=True))
    value, falls = ([None if not a or r is None else (a.days, of(r)) for a, r in both] for of in (grown, fallen))
    return (
        _overlaid("net_value", "What 1 became, after cost", names, value, is_log=True),
        _overlaid("drawdown", "Fall from the peak", names, falls, kind="percent"),
    )


def _warnings(names: Sequence[str], reports: Sequence[EvalReport]) -> tuple[str, ...]:
    return tuple(
        f"{name}: {warning}" for name, report in zip(names, reports, strict=True) for warning in report.warnings
    )
