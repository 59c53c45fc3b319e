"""EvalReport: everything a report shows, as data."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qts.config import EvalConfig
from qts.errors import InputError
from qts.evaluation.groups import long_short, quantile_returns
from qts.evaluation.ic import daily_ic, summarise


@dataclass(frozen=True)
class EvalReport:
    """How scores fared against the raw label."""

    days: np.ndarray
    """(n_days,) datetime64[D], days with a score."""
    n_names: np.ndarray
    """(n_days,) names with score and label."""
    ic: np.ndarray
    """(n_days,) IC."""
    rank_ic: np.ndarray
    """(n_days,) RankIC."""
    spread: np.ndarray
    """(n_days,) mean label of the long end minus that of the short end."""
    mean_label: np.ndarray
    """(n_days,) mean label of all names."""
    quantiles: np.ndarray
    """(n_days, n_groups) mean label by score group, group 0 the highest."""
    summary: dict[str, float]
    """Name → figure."""
    coverage: dict[str, int]
    """Rows asked for and rows lost, by reason."""
    warnings: tuple[str, ...] = ()
    """What a reader must know first."""
    context: dict[str, Any] = field(default_factory=dict)
    """Where scores and labels came from: run, model, universe, label, span, versions."""

    def by_year(self) -> list[tuple[int, int, float, float]]:
        """Return year, days with an IC, mean IC, mean RankIC."""
        years = self.days.astype("datetime64[Y]").astype(int) + 1970
        return [
            (
                int(year),
                int((~np.isnan(self.ic[years == year])).sum()),
                _mean(self.ic[years == year]),
                _mean(self.rank_ic[years == year]),
            )
            for year in np.unique(years)
        ]

    def by_month(self) -> tuple[list[int], np.ndarray]:
        """Return the years and (n_years, 12) mean RankIC, NaN for months without one."""
        months = self.days.astype("datetime64[M]").astype(int)
        first = int(months.min()) // 12
        table = np.full((int(months.max()) // 12 - first + 1, 12), np.nan)
        for month in np.unique(months):
            table[month // 12 - first, month % 12] = _mean(self.rank_ic[months == month])
        return [1970 + first + at for at in range(len(table))], table

    def mean_by_group(self) -> np.ndarray:
        """Return (n_groups,) mean over days of the groups' mean labels, the highest scores first."""
        return np.array([_mean(self.quantiles[:, at]) for at in range(self.quantiles.shape[1])])


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def evaluate_scores(
    days: np.ndarray,
    score: np.ndarray,
    label: np.ndarray,
    config: EvalConfig,
    *,
    instrument: np.ndarray | None = None,
    context: dict[str, Any] | None = None,
) -> EvalReport:
    """Judge scores against labels.

    days (n,) datetime64[D], score and label (n,) float, NaN where missing. Rows are put in the order of `instrument`
    inside a day, so that ties at the edge of a group fall the same way each time. Raises InputError if no day can be
    judged.
    """
    order = np.argsort(instrument, kind="stable") if instrument is not None else np.arange(len(days))
    calendar, day = np.unique(days[order], return_inverse=True)
    score, label = score[order].astype(np.float64), label[order].astype(np.float64)
    infinite = np.isinf(score)
    score = np.where(infinite, np.nan, score)
    infinite_label = np.isinf(label)
    label = np.where(infinite_label, np.nan, label)
    n_days = len(calendar)
    both = ~np.isnan(score) & ~np.isnan(label)
    n_names = np.bincount(day[both], minlength=n_days)
    ic, rank_ic = daily_ic(day, score, label, n_days, config.min_names)
    if np.isnan(rank_ic).all():
        raise InputError(
            f"no day can be judged: {int(both.sum())} rows have score and label, on no day {config.min_names} of them that differ",
            hint="are there labels for these days? a smaller [eval] min_names judges thinner days",
        )
    top, bottom, mean_label = long_short(day, score, label, n_days, config.long_short_share)
    coverage = {
        "rows": len(score),
        "no score": int(np.isnan(score).sum() - infinite.sum()),
        "infinite score": int(infinite.sum()),
        "no label": int((np.isnan(label) & ~infinite_label & ~np.isnan(score)).sum()),
        "infinite label": int(infinite_label.sum()),
        "judged": int(both.sum()),
        "days": n_days,
        "days without ic": int(np.isnan(ic).sum()),
    }
    return EvalReport(
        days=calendar, n_names=n_names, ic=ic, rank_ic=rank_ic, spread=top - bottom, mean_label=mean_label,
        quantiles=quantile_returns(day, score, label, n_days, config.quantiles),
        summary=_summary(ic, rank_ic, top, bottom, mean_label, n_names, config),
        coverage=coverage, warnings=_warnings(coverage, ic), context=context or {},
    )  # fmt: skip


def _summary(
    ic: np.ndarray,
    rank_ic: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
    mean: np.ndarray,
    n_names: np.ndarray,
    config: EvalConfig,
) -> dict[str, float]:
    """Return the figures of the first table; annual ones are daily means times days_per_year."""
    figures: dict[str, float] = {}
    for name, series in (("ic", ic), ("rank_ic", rank_ic)):
        figures[name], figures[f"{name}ir"] = summarise(series)
    n_valid = int((~np.isnan(ic)).sum())
    figures["n_days"] = n_valid
    figures["mean_names"] = float(n_names[~np.isnan(ic)].mean()) if n_valid else float("nan")
    figures["rank_ic_t"] = figures["rank_icir"] * np.sqrt(n_valid)
    for name, series in (("long_short", (top - bottom) / 2), ("top_minus_mean", top - mean)):
        daily, ratio = summarise(series)
        figures[f"{name}_annual_return"] = daily * config.days_per_year
        figures[f"{name}_sharpe"] = ratio * float(np.sqrt(config.days_per_year))
    return figures


def _warnings(coverage: dict[str, int], ic: np.ndarray) -> tuple[str, ...]:
    found = []
    missing = coverage["no score"] + coverage["infinite score"]
    if missing > 0.05 * coverage["rows"]:
        found.append(f"{missing} of {coverage['rows']} rows have no finite score")
    if coverage["infinite label"]:
        found.append(f"{coverage['infinite label']} labels are infinite and were left out: look for prices of 0")
    if coverage["days without ic"] > 0.05 * coverage["days"]:
        found.append(f"{coverage['days without ic']} of {coverage['days']} days have no IC")
    if (~np.isnan(ic)).sum() < 60:
        found.append("fewer than 60 days: these means say little")
    return tuple(found)
