"""Where rows went, why no day could be judged, and what a reader must know first."""

from collections.abc import Mapping

import numpy as np

from qts.config import EvalConfig
from qts.errors import InputError
from qts.evaluation.results import Coverage
from qts.evaluation.signal import Signal

FEW = 0.05
"""Share of rows or days whose loss is worth a warning."""

TIED = "more than half of the scores are tied"
"""How the warning of equal scores begins."""


def coverage_of(signal: Signal, at: np.ndarray, ic: np.ndarray) -> Coverage:
    """Count rows and days; at (n_days,) int lines of the prices, -1 where they lack a day; ic (n_days,).

    Lost are rows with a label, and members that traded and have no row, without a finite score.
    """
    n_days = len(signal.days)
    scored, labelled = np.isfinite(signal.score), np.isfinite(signal.label)
    n_scored, n_rows = (np.bincount(day, minlength=n_days) for day in (signal.day[scored], signal.day))
    counts = {
        "rows": len(signal.day),
        "no score": int(np.isnan(signal.score).sum()),
        "infinite score": int(np.isinf(signal.score).sum()),
        "no label": int((np.isnan(signal.label) & scored).sum()),
        "infinite label": int(np.isinf(signal.label).sum()),
        "judged": int((scored & labelled).sum()),
    }
    n_missing = 0
    if signal.n_missing is not None:
        n_missing = counts["members without row"] = int(signal.n_missing.sum())
    counts["days"] = n_days
    counts["days without ic"] = int(np.isnan(ic).sum())
    known = at[at >= 0]
    counts["days without rows"] = int(known[-1] - known[0] + 1 - len(known)) if len(known) else 0
    n_lost, n_judgeable = (int(rows.sum()) + n_missing for rows in (labelled & ~scored, labelled))
    lost = n_lost / n_judgeable if n_judgeable else 0.0
    return Coverage(counts, lost, n_scored, n_rows if signal.n_expected is None else signal.n_expected)


def refuse_unjudged(rank_ic: np.ndarray, n_names: np.ndarray, flat: np.ndarray, config: EvalConfig) -> None:
    """Raise InputError if no day has a RankIC, saying what is wrong with how many.

    n_names (n_days,) names with score and label; flat (n_days,) bool: the scores of those are all equal.
    """
    if not np.isnan(rank_ic).all():
        return
    least = max(config.min_names, 2)
    thin = n_names < least
    reasons = (
        (n_names == 0, "no name has score and label"),
        (thin & (n_names > 0), f"fewer than {least} names have both"),
        (~thin & flat, "all scores are equal"),
        (~thin & ~flat, "all labels are equal"),
    )
    told = [f"{what} on {int(days.sum())} days" for days, what in reasons if days.any()]
    raise InputError(
        f"no day can be judged: {'; '.join(told)}",
        hint="are there labels for these days? a smaller [eval] min_names judges thinner days",
    )


def begin_warning(signal: Signal, config: EvalConfig) -> tuple[str, ...]:
    """Return a warning if the label's return does not begin where holding periods do."""
    if signal.label_begin == config.lag:
        return ()
    return (
        f"the label's return begins {_after(signal.label_begin)}, holding periods {_after(config.lag)} ([eval] lag): "
        "their figures are of names bought on different days",
    )


def _after(n_days: int) -> str:
    return f"{n_days} day{'s' * (n_days > 1)} after the score" if n_days else "on the day of the score"


def warnings_of(
    coverage: Coverage, rank_ic: np.ndarray, tied: np.ndarray, n_unpriced: int, config: EvalConfig
) -> tuple[str, ...]:
    """Return what a reader must know first; tied (n_days,) is the share of the day's scores that are not its own."""
    counts, found = coverage.counts, []
    missing = counts["no score"] + counts["infinite score"]
    if missing > FEW * counts["rows"]:
        found.append(f"{missing} of {counts['rows']} rows have no finite score")
    if coverage.lost > config.max_lost / 2:
        found.append(
            f"{coverage.lost:.1%} of the names that could be judged have no score; [eval] max_lost is {config.max_lost:.0%}"
        )
    if counts["infinite label"]:
        found.append(f"{counts['infinite label']} labels are infinite and were left out: look for prices of 0")
    if counts["days without ic"] > FEW * counts["days"]:
        found.append(f"{counts['days without ic']} of {counts['days']} days have no IC")
    found += _gaps(counts) + _ungrouped(coverage, config)
    many_ties = int((tied > 0.5).sum())
    if many_ties:
        found.append(f"{TIED} on {many_ties} of {counts['days']} days")
    thin = int((coverage.n_scored < 0.5 * np.median(coverage.n_scored)).sum())
    if thin:
        found.append(f"{thin} days have fewer than half the scores of a usual day")
    if n_unpriced > FEW * counts["judged"]:
        found.append(
            f"{n_unpriced} of {counts['judged']} judged rows have no close to be held from: holding periods leave them out"
        )
    if (~np.isnan(rank_ic)).sum() < 60:
        found.append("fewer than 60 days: these means say little")
    return tuple(found)


def _gaps(counts: Mapping[str, int]) -> list[str]:
    n_without = counts["days without rows"]
    n_days = counts["days"] + n_without
    if n_without <= FEW * n_days:
        return []
    return [
        f"{n_without} of {n_days} days of the calendar between the first and the last score have none: figures a year count "
        "as many holding periods as there are days judged"
    ]


def _ungrouped(coverage: Coverage, config: EvalConfig) -> list[str]:
    n_days, n_scored = coverage.counts["days"], coverage.n_scored
    n_thin = int(((n_scored >= config.min_names) & (n_scored < config.quantiles)).sum())
    if n_thin <= FEW * n_days:
        return []
    return [
        f"{n_thin} of {n_days} days have fewer scores than [eval] quantiles = {config.quantiles}: they have no score groups"
    ]
