"""What figures say, in sentences: a rule a sentence, and no more than the statistics bear."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from qts.daily_series import SeriesStats
from qts.evaluation import EvalReport
from qts.evaluation.series import mean_of_known
from qts.rendering.series import by_period

T_BEYOND_CHANCE = 1.96
"""|t| from which on a mean is told from 0, if its interval leaves 0 out too: 5 % of worthless series get there."""

FEWEST_DAYS = 20
"""Days below which nothing is told from chance and no figure a year is told: a t of a few days is itself mostly chance."""

ORDERED = 0.9
"""Monotonicity from which on groups are called ordered."""

ROUGHLY_ORDERED = 0.5
"""Monotonicity from which on groups are called roughly ordered."""

MOSTLY_KEPT = 0.8
"""Share of RankIC from which on it is called mostly kept."""

HALF_KEPT = 0.5
"""Share of RankIC below which more than half of it is gone."""

COST_BPS = 10.0
"""About what trading one way costs an A-share account, commission and stamp duty, in basis points."""

MANY_TESTS = 10
"""Tests from which on a report says how many would pass by luck."""

SOME_YEARS = 3
"""Years from which on a report says how they compare."""


@dataclass(frozen=True)
class Rule:
    """One sentence that a report may hold."""

    name: str
    """What it is about."""
    says: Callable[[EvalReport], str]
    """The sentence; empty where there is nothing to say."""


def direction(stats: SeriesStats) -> int:
    """Return 1 or -1 if a mean is told from 0 by its t and, where there is one, by its interval; 0 if it is not.

    It is not with fewer than FEWEST_DAYS days, nor with fewer than two blocks of days that overlap: so many an interval takes,
    and the error of fewer is as good as unknown.
    """
    if is_short(stats) or math.isnan(stats.t) or abs(stats.t) < T_BEYOND_CHANCE or stats.low <= 0 <= stats.high:
        return 0
    return 1 if stats.t > 0 else -1


def is_short(stats: SeriesStats) -> bool:
    """Return whether a series has too few days to be told from chance."""
    return stats.n < max(FEWEST_DAYS, 4 * (stats.lag + 1))


def sure(name: str, stats: SeriesStats) -> str:
    """Return a mean with how sure it is."""
    interval = "" if math.isnan(stats.low) else f"95 % interval {stats.low:.4f} to {stats.high:.4f}, "
    t = "" if math.isnan(stats.t) else f"t {stats.t:.1f}, "
    return f"{name} {stats.mean:.4f} ({interval}{t}{stats.n:,} day{'s' * (stats.n != 1)})"


_ORDERS = {
    1: "the scores order the labels better than chance.",
    0: "this cannot be told from chance.",
    -1: "the scores order the labels the wrong way round, more than chance would.",
}


def _rank_ic(report: EvalReport) -> str:
    stats = report.statistics.get("rank_ic")
    if not stats or not stats.n:
        return ""
    told = "so few days say nothing of chance." if is_short(stats) else _ORDERS[direction(stats)]
    return f"{sure('RankIC', stats)}: {told}"


def _disagree(report: EvalReport) -> str:
    ic, rank = report.statistics.get("ic"), report.statistics.get("rank_ic")
    if not ic or not rank or direction(rank) == 0 or direction(ic) == direction(rank):
        return ""
    return f"{sure('IC', ic)} does not say the same: it weighs large labels more."


def _years(report: EvalReport) -> str:
    means = {year: mean_of_known(report.rank_ic[days]) for year, days in by_period(report.days, "Y")}
    known = {year: mean for year, mean in means.items() if not math.isnan(mean)}
    if len(known) < SOME_YEARS:
        return ""
    above, lowest = sum(mean > 0 for mean in known.values()), min(known, key=lambda year: known[year])
    return f"RankIC was above 0 in {above} of {len(known)} years; the lowest was {known[lowest]:.4f} in {lowest}."


def _neutral(report: EvalReport) -> str:
    if len(report.neutral) < 2 or direction(report.neutral[0].rank_ic) != 1:
        return ""
    raw, left = report.neutral[0].rank_ic, report.neutral[-1]
    if math.isnan(left.rank_ic.mean):
        return ""
    share = left.rank_ic.mean / raw.mean
    kept = (
        "most of it is kept" if share >= MOSTLY_KEPT
        else "a part of it came from there" if share >= HALF_KEPT
        else "more than half of it came from there"
    )  # fmt: skip
    rest = {
        1: "", 0: ", and what is left cannot be told from chance",
        -1: ", and what is left orders the labels the wrong way round, more than chance would",
    }[direction(left.rank_ic)]  # fmt: skip
    names = ", ".join(left.taken_out)
    return f"RankIC is {raw.mean:.4f} as it is and {left.rank_ic.mean:.4f} without {names}: {kept}{rest}."


def _monotonicity(report: EvalReport) -> str:
    held = report.label_horizon
    if held is None or len(held.group_mean) < 3 or math.isnan(held.monotonicity) or held.spread.n < FEWEST_DAYS:
        return ""
    order = (
        "the higher the scores, the more they earned" if held.monotonicity >= ORDERED
        else "the higher the scores, the less they earned" if held.monotonicity <= -ORDERED
        else "what they earned follows the order of the scores only roughly" if held.monotonicity >= ROUGHLY_ORDERED
        else "what they earned does not follow the order of the scores"
    )  # fmt: skip
    return f"Over the {len(held.group_mean)} score groups, {order} (monotonicity {held.monotonicity:.2f})."


def _cost(report: EvalReport) -> str:
    held = report.label_horizon
    if held is None or math.isnan(held.spread.mean) or held.spread.n < FEWEST_DAYS:
        return ""
    period = f"{held.horizon} day{'s' * (held.horizon > 1)}"
    spread = f"a spread of {1e4 * held.spread.mean:.1f} bps over {period}"
    if held.spread.mean <= 0:
        return f"With {spread}, the scores leave nothing to pay costs from."
    if direction(held.spread) == 0:
        return f"With {spread} that cannot be told from 0, nobody knows what costs the scores bear."
    if math.isnan(held.break_even_bps):
        return ""
    than = "more" if held.break_even_bps >= COST_BPS else "less"
    return (
        f"{spread.capitalize()} is earned at {100 * held.turnover:.0f} % turnover a day: costs above "
        f"{held.break_even_bps:.1f} bps one way eat it, {than} than the {COST_BPS:g} or so of an A-share account."
    )


def _holding(report: EvalReport) -> str:
    held = report.label_horizon
    known = [one for one in report.horizons if not math.isnan(one.break_even_bps)]
    best = max(known, key=lambda one: one.break_even_bps, default=None)
    if best is None or held is None or best.horizon == held.horizon:
        return ""
    if best.break_even_bps <= 0 or direction(best.spread) != 1:
        return ""
    return (
        f"Held for {best.horizon} days the scores bear the highest cost, {best.break_even_bps:.1f} bps one way; it is the "
        f"best of {len(known)} holding periods, so expect less of it."
    )


def _portfolio(report: EvalReport) -> str:
    found = report.portfolio
    if math.isnan(found.alpha_t) or is_short(found.mean):
        return ""
    alpha = f"an alpha of {100 * found.alpha:.1f} % a year (t {found.alpha_t:.1f}) beside a beta of {found.beta:.2f}"
    if found.alpha_t >= T_BEYOND_CHANCE:
        return f"Scores as weights have {alpha}, before cost: the market does not explain their return."
    if direction(found.mean) == 1:
        return f"Scores as weights have {alpha}: without the market, their return cannot be told from chance."
    return f"Scores as weights have {alpha}: not a return above 0 that could be told from chance."


def _drift(report: EvalReport) -> str:
    drift = report.drift
    if drift is None or math.isnan(drift.mean) or math.isnan(drift.low):
        return ""
    n_days = sum(map(math.isfinite, drift.rank_ic.tolist()))
    if n_days < FEWEST_DAYS:
        return (
            f"After the test segment there are {n_days:,} days with a RankIC: too few to tell whether anything changed."
        )
    where = "inside" if drift.is_inside else "below" if drift.mean < drift.low else "above"
    means = "no sign of a change" if drift.is_inside else "the days since are not like those of the test segment"
    band = f"{where} the band of {drift.low:.4f} to {drift.high:.4f}"
    return f"After the test segment RankIC is {drift.mean:.4f} over {n_days:,} days, {band}: {means}."


def _groups(report: EvalReport) -> str:
    told = []
    for grouping, groups in report.groups.items():
        passed = sum(direction(one.rank_ic) == 1 for one in groups)
        if len(groups) >= MANY_TESTS:
            told.append(f"Of {len(groups)} groups by {grouping}, {passed} have a RankIC that is told from 0.")
    return " ".join(told)


def _luck(report: EvalReport) -> str:
    n_tests = 3 * len(report.horizons) + len(report.neutral) + sum(len(groups) for groups in report.groups.values())
    rank_ic = report.statistics.get("rank_ic")
    if n_tests < MANY_TESTS or (rank_ic and is_short(rank_ic)):
        return ""
    return (
        f"The tables of holding periods, groups and neutral IC hold {n_tests} tests at 5 %: if all scores were worthless, "
        f"about {0.05 * n_tests:.1f} would be told from 0 all the same; a single line proves little."
    )


RULES = (
    Rule("rank_ic", _rank_ic),
    Rule("disagree", _disagree),
    Rule("years", _years),
    Rule("neutral", _neutral),
    Rule("monotonicity", _monotonicity),
    Rule("cost", _cost),
    Rule("holding", _holding),
    Rule("portfolio", _portfolio),
    Rule("drift", _drift),
    Rule("groups", _groups),
    Rule("luck", _luck),
)
"""Sentences on scores, in the order they are told."""


def verdicts(report: EvalReport) -> tuple[str, ...]:
    """Return what a report says of its scores, a sentence or two a rule that has something to say."""
    return tuple(text for rule in RULES if (text := rule.says(report)))
