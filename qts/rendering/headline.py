"""FIGURES: the figures of a report that are asked for most, with their names, kinds and meanings."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from qts.evaluation import EvalReport
from qts.rendering.document import Column, Figure, Kind, Sheet


class Told(NamedTuple):
    """How a figure is told."""

    name: str
    """For people."""
    kind: Kind
    """How it is written."""
    about: str
    """What it is."""


FIGURES: dict[str, Told] = {
    "ic": Told("IC", "fixed", "mean over days of Pearson's correlation of score and label"),
    "icir": Told("ICIR", "fixed", "IC over its daily standard deviation; not annualised"),
    "rank_ic": Told("RankIC", "fixed", "the same with Spearman's correlation"),
    "rank_icir": Told("RankICIR", "fixed", "RankIC over its daily standard deviation; not annualised"),
    "rank_ic_t": Told("RankIC t", "ratio", "mean over its Newey-West error, which allows for labels that overlap"),
    "rank_ic_low": Told("RankIC from", "fixed", "lower end of the 95 % interval, by block bootstrap"),
    "rank_ic_high": Told("RankIC to", "fixed", "upper end of it"),
    "n_days": Told("Days", "integer", "days with an IC"),
    "mean_names": Told("Names a day", "ratio", "names with score and label, on average"),
    "lost": Told("Lost", "percent", "share of the names that could be judged and have no finite score"),
    "spread_bps": Told("Spread, bps", "bps", "mean label of the long end minus that of the short end, in basis points"),
    "spread_t": Told("Spread t", "ratio", "its mean over its Newey-West error"),
    "spread_annual_return": Told(
        "Spread a year", "percent", "its mean times the label's holding periods in a year; before cost"
    ),
    "long_short_annual_return": Told(
        "Long-short a year", "percent", "half of the long end minus the short end, as Qlib has it; before cost"
    ),
    "long_short_sharpe": Told("Long-short Sharpe", "ratio", "its annualised mean over standard deviation"),
    "top_minus_mean_annual_return": Told(
        "Long end minus all, a year", "percent", "mean label of the long end minus that of all names; before cost"
    ),
    "top_minus_mean_sharpe": Told("Long end minus all, Sharpe", "ratio", "its annualised mean over standard deviation"),
    "monotonicity": Told("Monotonicity", "ratio", "Spearman's correlation of the score groups' order with their means"),
    "rank_autocorrelation": Told(
        "Rank autocorrelation", "fixed", "Spearman's correlation of scores and those before, at the shortest lag"
    ),
    "turnover": Told("Turnover a day", "percent", "share of the highest and lowest group that is traded, one way"),
    "break_even_bps": Told(
        "Break-even cost, bps", "bps", "cost of trading one way that eats the spread, in basis points"
    ),
    "neutral_rank_ic": Told(
        "Neutral RankIC", "fixed", "RankIC once all that is known has been taken out of the scores"
    ),
    "alpha": Told("Alpha a year", "percent", "scores as weights, long and short, beside the market; before cost"),
    "alpha_t": Told("Alpha t", "ratio", "its Newey-West t"),
    "beta": Told("Beta", "ratio", "what the market has in the return of the scores as weights"),
}
"""Key in the summary → how it is told; the order of every table."""


def headline(report: EvalReport) -> dict[str, float]:
    """Return the figures of FIGURES that a report has, then what else its summary holds."""
    found = {**report.summary, **_derived(report)}
    return {
        key: found[key]
        for key in [*(key for key in FIGURES if key in found), *(key for key in found if key not in FIGURES)]
    }


def _derived(report: EvalReport) -> dict[str, float]:
    figures = {"alpha_t": report.portfolio.alpha_t}
    if (rank_ic := report.statistics.get("rank_ic")) is not None:
        figures |= {"rank_ic_low": rank_ic.low, "rank_ic_high": rank_ic.high}
    if (spread := report.statistics.get("spread")) is not None:
        figures |= {"spread_bps": 1e4 * spread.mean, "spread_t": spread.t}
    if (held := report.label_horizon) is not None:
        figures["monotonicity"] = held.monotonicity
    if len(report.neutral) > 1:
        figures["neutral_rank_ic"] = report.neutral[-1].rank_ic.mean
    return figures


def headline_sheet(figures: Mapping[str, float]) -> Sheet:
    """Return the first table of a report: a figure a line, with what it is."""
    rows = [
        {"figure": told.name, "value": figures[key], "kind": told.kind, "about": told.about}
        for key, told in FIGURES.items()
        if key in figures
    ]
    return Sheet("headline", (Column("figure", "figure", "text"), Column("value", "value")), rows)


_CARDS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "rank_ic": (("t {:.1f}", ("rank_ic_t",)), ("95 % {:.4f} to {:.4f}", ("rank_ic_low", "rank_ic_high"))),
    "rank_icir": (),
    "ic": (),
    "icir": (),
    "spread_bps": (("t {:.1f}", ("spread_t",)),),
    "break_even_bps": (("turnover {:.2f} a day", ("turnover",)),),
    "monotonicity": (),
}
"""Figures that people look for first → what is told under them: a text and the figures in it."""


def cards(figures: Mapping[str, float]) -> tuple[Figure, ...]:
    """Return the figures that people look for first, those that a report has."""
    return tuple(
        Figure(FIGURES[key].name, figures[key], FIGURES[key].kind, _note(figures, notes))
        for key, notes in _CARDS.items()
        if key in figures
    )


def _note(figures: Mapping[str, float], notes: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    """Return a few words on a figure: "t 4.2, 95 % 0.0310 to 0.0520"; those without a figure are left out."""
    found = [(text, [figures.get(key, math.nan) for key in keys]) for text, keys in notes]
    return ", ".join(text.format(*values) for text, values in found if all(map(math.isfinite, values)))
