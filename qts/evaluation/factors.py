"""FactorReport: how well each raw factor of a store sorts the raw label, and which factors say the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from qts.config import EvalConfig
from qts.cross_section import DayGrid, DayOrder
from qts.errors import InputError
from qts.evaluation.clusters import average_linkage
from qts.evaluation.groups import group_means
from qts.evaluation.ic import daily_correlation, ic_and_rank_ic, summarise

CUT = 0.3
"""Two clusters are one if 1 - |rank correlation| of their factors is at most this on average: a correlation of 0.7."""

CORRELATION_DAYS = 250
"""Days at most that the correlation of factors is taken on: every k-th day of the span, k as small as that allows."""

Blocks = Iterable[tuple[Sequence[str], np.ndarray]]
"""Names of some factors and their values (n_rows, n_names), NaN where missing; all blocks together are all factors."""


@dataclass(frozen=True)
class FactorReport:
    """How factors fared against the raw label on member rows, factor by factor."""

    factors: tuple[str, ...]
    """Names; every axis called n_factors below is in this order."""
    days: np.ndarray
    """(n_days,) datetime64[D], days with a member row."""
    ic: np.ndarray
    """(n_days, n_factors) IC."""
    rank_ic: np.ndarray
    """(n_days, n_factors) RankIC."""
    figures: dict[str, np.ndarray]
    """Name → (n_factors,) figure."""
    correlation: np.ndarray
    """(n_factors, n_factors) mean daily rank correlation; NaN where no day has one."""
    correlation_days: int
    """Days the correlation is the mean of."""
    cluster: np.ndarray
    """(n_factors,) int, cluster 1 the one with the best leader."""
    is_leader: np.ndarray
    """(n_factors,) bool: the best |RankICIR| of its cluster."""
    coverage: dict[str, int]
    """Rows and days the figures stand on."""
    warnings: tuple[str, ...] = ()
    """What a reader must know first."""
    context: dict[str, Any] = field(default_factory=dict)
    """Where factors and label came from: universe, label, span, versions."""

    def by_strength(self) -> np.ndarray:
        """Return (n_factors,) positions of factors, the largest |RankICIR| first, those without one last."""
        return np.argsort(-_strength(self.figures["rank_icir"]), kind="stable")

    def by_cluster(self) -> np.ndarray:
        """Return (n_factors,) positions of factors, cluster after cluster, each with its leader first."""
        return np.lexsort((-_strength(self.figures["rank_icir"]), self.cluster))

    def rank_ic_error(self) -> np.ndarray:
        """Return (n_factors,) standard errors of the mean RankIC, as plain as its t."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.figures["rank_ic"] / self.figures["rank_ic_t"]

    def leader(self) -> np.ndarray:
        """Return (n_factors,) the position of the leader of each one's cluster."""
        leaders = np.flatnonzero(self.is_leader)
        return leaders[np.argsort(self.cluster[leaders])][self.cluster - 1]

    def by_year(self) -> tuple[list[int], np.ndarray]:
        """Return the years and (n_years, n_factors) mean RankIC, NaN for years without one."""
        years = self.days.astype("datetime64[Y]").astype(int) + 1970
        found = np.unique(years)
        means = [[summarise(column)[0] for column in self.rank_ic[years == year].T] for year in found]
        return found.tolist(), np.array(means)


def _strength(ratio: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(ratio), -1.0, np.abs(ratio))


@dataclass(frozen=True)
class MemberRows:
    """The rows that factors are judged on, sorted by instrument, then day."""

    calendar: np.ndarray
    """(n,) datetime64[D]."""
    instrument: np.ndarray
    """(n_rows,) int."""
    day: np.ndarray
    """(n_rows,) int, positions in `calendar`."""
    label: np.ndarray
    """(n_rows,) float, NaN where missing."""

    @cached_property
    def lines(self) -> np.ndarray:
        """(n_days,) int, the days that have a row: the grid's lines."""
        return np.unique(self.day)

    @cached_property
    def grid(self) -> DayGrid:
        """Where each row lies."""
        return DayGrid.of(np.searchsorted(self.lines, self.day), len(self.lines))

    @cached_property
    def yesterday(self) -> np.ndarray:
        """(n_days, width) int, the cell of the same instrument on the calendar's day before, -1 where it has none."""
        follows = (np.diff(self.instrument) == 0) & (np.diff(self.day) == 1)
        before = np.full(len(self.day), -1, dtype=np.int64)
        before[1:][follows] = self.grid.cell[:-1][follows]
        return self.grid.lay(before, missing=-1)

    @cached_property
    def parts(self) -> "list[_Part]":
        """Return spans of lines that together are the grid; all but the first begin with the line before."""
        labels, width, found = self.lay(self.label), self.grid.width, []
        for lines in self.grid.spans():
            start = max(lines.start - 1, 0)
            span = slice(start, lines.stop)
            yesterday = np.maximum(self.yesterday[span] - start * width, -1)
            found.append(_Part(span, lines.start - start, DayOrder.of(labels[span]), yesterday))
        return found

    @cached_property
    def sampled(self) -> np.ndarray:
        """The lines that correlations of factors are taken on."""
        return np.arange(0, len(self.lines), max(1, -(-len(self.lines) // CORRELATION_DAYS)))

    def lay(self, column: np.ndarray) -> np.ndarray:
        """Return (n_days, width) float64 of a column, NaN where it is not finite."""
        return self.grid.lay(np.where(np.isfinite(column), column, np.nan).astype(np.float64))


def evaluate_factors(
    rows: MemberRows, blocks: Blocks, config: EvalConfig, *, context: dict[str, Any] | None = None
) -> FactorReport:
    """Judge factors against the label, one block at a time; raises InputError if no day can be judged."""
    names: list[str] = []
    judged: list[_Judged] = []
    for block, values in blocks:
        names += block
        judged += [_judge(rows, values[:, at], config) for at in range(len(block))]
    ic, rank_ic = (np.stack(series, axis=1) for series in zip(*((one.ic, one.rank_ic) for one in judged), strict=True))
    if np.isnan(rank_ic).all():
        raise InputError(
            f"no day can be judged: on none have {config.min_names} member rows a label and a factor that differ",
            hint="are there labels for these days? a smaller [eval] min_names judges thinner days",
        )
    figures = _figures(ic, rank_ic, judged)
    correlation = mean_rank_correlation(np.stack([one.ranks for one in judged]), config.min_names)
    cluster, is_leader = _clusters(correlation, figures["rank_icir"])
    n_unlabelled = int((~np.isfinite(rows.label)).sum())
    coverage = {"member rows": len(rows.day), "no label": n_unlabelled, "days": len(rows.lines)}
    return FactorReport(
        factors=tuple(names), days=rows.calendar[rows.lines], ic=ic, rank_ic=rank_ic, figures=figures,
        correlation=correlation, correlation_days=len(rows.sampled), cluster=cluster, is_leader=is_leader,
        coverage=coverage, warnings=_warnings(names, rank_ic, judged), context=context or {},
    )  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """Some lines of the grid."""

    span: slice
    n_known: int  # lines at its start that another part judges
    labels: DayOrder
    yesterday: np.ndarray  # as that of MemberRows, in cells of this part


@dataclass(frozen=True)
class _Judged:
    """What one factor leaves behind."""

    coverage: float
    n_infinite: int
    ic: np.ndarray  # (n_days,)
    rank_ic: np.ndarray  # (n_days,)
    persistence: np.ndarray  # (n_days,)
    spread: np.ndarray  # (n_days,)
    ranks: np.ndarray  # (n_sampled, width)


def _judge(rows: MemberRows, column: np.ndarray, config: EvalConfig) -> _Judged:
    values = rows.lay(column)
    daily = np.concatenate([_judge_part(part, values[part.span], config) for part in rows.parts], axis=1)
    ic, rank_ic, persistence, spread = daily
    return _Judged(
        coverage=float(np.isfinite(column).mean()), n_infinite=int(np.isinf(column).sum()), ic=ic, rank_ic=rank_ic,
        persistence=persistence, spread=spread, ranks=DayOrder.of(values[rows.sampled]).ranks().astype(np.float32),
    )  # fmt: skip


def _judge_part(part: _Part, values: np.ndarray, config: EvalConfig) -> np.ndarray:
    """Return (4, n_days): IC, RankIC, persistence, spread."""
    factor = DayOrder.of(values)
    ic, rank_ic = ic_and_rank_ic(factor, part.labels, config.min_names)
    persistence = rank_autocorrelation(factor, part.yesterday, config.min_names)
    groups = group_means(factor, part.labels.values, config.quantiles)
    spread = np.where(np.isnan(rank_ic), np.nan, groups[:, 0] - groups[:, -1])  # groups of equal values mean nothing
    return np.stack([ic, rank_ic, persistence, spread])[:, part.n_known :]


def rank_autocorrelation(factor: DayOrder, yesterday: np.ndarray, min_names: int) -> np.ndarray:
    """Return (n_days,) Spearman's correlations with the day before, over and ranked among the names that have both."""
    had = (yesterday >= 0) & factor.known.take(yesterday)
    both = had & factor.known
    stays = np.zeros(both.shape, dtype=bool)
    stays.ravel()[yesterday[both]] = True
    return daily_correlation(factor.ranks(both), factor.ranks(stays).take(yesterday), both, min_names)


def mean_rank_correlation(ranks: np.ndarray, min_names: int = 2) -> np.ndarray:
    """Return (n_factors, n_factors) means over days of the correlation of two factors' ranks, NaN where no day has one.

    ranks (n_factors, n_days, width), NaN where missing. A pair's correlation is over the names that have both, of
    ranks each factor has among all its own: Spearman's where both lack the same names, and near it elsewhere.
    """
    total = np.zeros((len(ranks), len(ranks)))
    n_days = np.zeros_like(total)
    for day in range(ranks.shape[1]):
        known = ~np.isnan(ranks[:, day])
        has, rank = known.astype(np.float64), np.where(known, ranks[:, day], 0.0).astype(np.float64)
        n, sums, squares = has @ has.T, rank @ has.T, (rank * rank) @ has.T
        spread = n * squares - sums * sums  # exactly 0 where all are equal: ranks are halves, and so are their sums
        counts = (n >= max(min_names, 2)) & (spread > 0) & (spread.T > 0)
        product = n * (rank @ rank.T) - sums * sums.T
        total += np.divide(product, np.sqrt(spread * spread.T), where=counts, out=np.zeros_like(total))
        n_days += counts
    return np.divide(total, n_days, where=n_days > 0, out=np.full_like(total, np.nan))


def _figures(ic: np.ndarray, rank_ic: np.ndarray, judged: list[_Judged]) -> dict[str, np.ndarray]:
    figures = {"coverage": np.array([one.coverage for one in judged])}
    for name, daily in (("ic", ic), ("rank_ic", rank_ic)):
        figures[name], figures[f"{name}ir"] = np.array([summarise(column) for column in daily.T]).T
    n_days = np.count_nonzero(~np.isnan(rank_ic), axis=0)
    figures["rank_ic_t"] = figures["rank_icir"] * np.sqrt(n_days)
    figures["positive"] = np.where(n_days > 0, (rank_ic > 0).sum(axis=0) / np.maximum(n_days, 1), np.nan)
    figures["turnover"] = 1.0 - np.array([summarise(one.persistence)[0] for one in judged])
    figures["spread"] = np.array([summarise(one.spread)[0] for one in judged])
    figures["n_days"] = n_days
    return figures


def _clusters(correlation: np.ndarray, rank_icir: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each factor's cluster, numbered from 1 by the strength of leaders, and whether it leads it."""
    found = average_linkage(1.0 - np.nan_to_num(np.abs(correlation)), CUT)
    order = np.argsort(-_strength(rank_icir), kind="stable")
    _, leads = np.unique(found[order], return_index=True)
    number = np.empty(len(leads), dtype=int)
    number[np.argsort(leads)] = np.arange(1, len(leads) + 1)
    is_leader = np.zeros(len(found), dtype=bool)
    is_leader[order[leads]] = True
    return number[found], is_leader


def _warnings(names: list[str], rank_ic: np.ndarray, judged: list[_Judged]) -> tuple[str, ...]:
    is_judged = ~np.isnan(rank_ic)
    found = []
    silent = [name for name, days in zip(names, is_judged.T, strict=True) if not days.any()]
    if silent:
        found.append(f"{len(silent)} of {len(names)} factors have no day with a RankIC: {_some(silent)}")
    infinite = [name for name, one in zip(names, judged, strict=True) if one.n_infinite]
    if infinite:
        found.append(f"infinite values were left out of {len(infinite)} factors: {_some(infinite)}")
    if is_judged.any(axis=1).sum() < 60:
        found.append("fewer than 60 days: these means say little")
    return tuple(found)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
