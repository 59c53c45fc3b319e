"""Scores with something known taken out of them: what is left of the IC once industry, size or beta is gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qts.evaluation.ic import deviations, line_ic
from qts.evaluation.ranking import CenteredRanks, centered_ranks, correlation_of_ranks
from qts.evaluation.results import NeutralFigures
from qts.evaluation.series import Describe, mean_of_known

NOTHING_LEFT = 1e-12
"""Share of the scores' variance below which what is left is rounding."""

ROUNDING = 2.0**-36
"""Part of the scores' standard deviation below which residuals are equal."""


@dataclass(frozen=True)
class Known:
    """What is known of the names of some days, (n_lines, width) each."""

    codes: Mapping[str, np.ndarray]
    """Group columns, -1 where unknown."""
    sizes: Mapping[str, int]
    """Group column → groups it has."""
    exposures: Mapping[str, np.ndarray]
    """Exposures, NaN where unknown."""


def lines_of(groups: Sequence[str], exposures: Sequence[str]) -> list[tuple[str, ...]]:
    """Return what is taken out: nothing, each by itself, then all if there is more than one."""
    each = [*groups, *exposures]
    return [(), *((name,) for name in each), *([tuple(each)] if len(each) > 1 else [])]


def judge_residuals(
    score: np.ndarray,
    label: np.ndarray,
    both: np.ndarray,
    labels: CenteredRanks,
    known: Known,
    taken_out: Sequence[tuple[str, ...]],
    min_names: int,
) -> np.ndarray:
    """Return (n_lines, n_taken_out, 3): IC, RankIC and share explained, once each of `taken_out` is gone.

    score, label, both (n_lines, width); labels: ranks of the label among `both`. A name that lacks an exposure or a
    group is left out where that is taken out.
    """
    found = np.full((len(score), len(taken_out), 3), np.nan)
    for at, names in enumerate(taken_out):
        taken = both
        for name in names:
            taken = taken & (known.codes[name] >= 0 if name in known.codes else ~np.isnan(known.exposures[name]))
        rest, explained = residual(score, taken, known, names)
        n = np.count_nonzero(taken, axis=1)
        label_ranks = labels if np.array_equal(taken, both) else centered_ranks(label, taken)
        rank_ic = correlation_of_ranks(centered_ranks(rest, taken), label_ranks, n, min_names)
        can = ~np.isnan(rank_ic) & (explained < 1 - NOTHING_LEFT)
        found[:, at, 0] = np.where(can, line_ic(rest, label, taken), np.nan)
        found[:, at, 1] = np.where(can, rank_ic, np.nan)
        found[:, at, 2] = np.where(n >= max(min_names, 2), explained, np.nan)
    return found


def residual(score: np.ndarray, taken: np.ndarray, known: Known, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_lines, width) residuals of each line's least squares on dummies of groups and exposures.

    Also (n_lines,) shares of the scores' variance that they explain. The column with the most groups is taken out by
    demeaning (Frisch and Waugh 1933), the dummies of any other stand among the exposures; the normal equations of all
    lines are solved at once, by their pseudo-inverse, so that what is known twice does no harm.
    """
    groups = sorted((name for name in names if name in known.codes), key=lambda name: -known.sizes[name])
    columns = [known.exposures[name] for name in names if name in known.exposures]
    columns += [(known.codes[name] == at).astype(float) for name in groups[1:] for at in range(1, known.sizes[name])]
    n = np.maximum(np.count_nonzero(taken, axis=1), 1)
    rest = deviations(score, taken, n)
    total = _squares(rest)
    parts = [deviations(column, taken, n) for column in columns]
    if groups:
        sizes = _GroupsOfLines.of(known.codes[groups[0]], taken, known.sizes[groups[0]])
        rest, parts = sizes.demeaned(rest), [sizes.demeaned(part) for part in parts]
    if parts:
        rest = rest - _fitted(np.stack(parts, axis=1), rest)
    explained = np.divide(total - _squares(rest), total, where=total > 0, out=np.full(len(total), np.nan))
    return _without_rounding(rest, np.sqrt(total / n)) if names else rest, explained


def _without_rounding(rest: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return residuals as whole multiples of a tiny part of each line's scale (n_lines,): what is equal ranks equal."""
    step = np.where(scale > 0, scale * ROUNDING, 1.0)[:, None]
    return np.rint(rest / step) * step


@dataclass(frozen=True)
class _GroupsOfLines:
    """Which cells of a grid belong together: those of a group on one line."""

    taken: np.ndarray  # (n_lines, width) bool
    owner: np.ndarray  # (n_lines, width) int
    n: np.ndarray  # (n_lines x n_groups,) cells taken, 1 where there are none

    @classmethod
    def of(cls, code: np.ndarray, taken: np.ndarray, n_groups: int) -> "_GroupsOfLines":
        owner = np.arange(len(code))[:, None] * n_groups + np.where(taken, code, 0)
        n = np.bincount(owner.ravel(), weights=taken.ravel(), minlength=len(code) * n_groups)
        return cls(taken, owner, np.maximum(n, 1.0))

    def demeaned(self, values: np.ndarray) -> np.ndarray:
        """Return (n_lines, width) differences from the group's mean; values are 0 where not taken, and so are these."""
        sums = np.bincount(self.owner.ravel(), weights=values.ravel(), minlength=len(self.n))
        return (values - (sums / self.n).take(self.owner)) * self.taken


def _fitted(known_parts: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (n_lines, width) fits of y on (n_lines, n_parts, width) parts, all demeaned and 0 where not taken."""
    scale = np.sqrt(np.einsum("dkn,dkn->dk", known_parts, known_parts))[:, :, None]
    unit = np.divide(known_parts, scale, where=scale > 0, out=np.zeros_like(known_parts))
    normal = np.matmul(unit, unit.transpose(0, 2, 1))
    slope = np.linalg.pinv(normal, rcond=1e-10, hermitian=True) @ np.matmul(unit, y[:, :, None])
    return np.matmul(slope.transpose(0, 2, 1), unit)[:, 0]


def _squares(grid: np.ndarray) -> np.ndarray:
    return np.einsum("dn,dn->d", grid, grid)


def neutral_figures(
    judged: np.ndarray, taken_out: Sequence[tuple[str, ...]], lag: int, describe: Describe
) -> tuple[NeutralFigures, ...]:
    """Summarise (n_days, n_taken_out, 3) of `judge_residuals`."""
    return tuple(
        NeutralFigures(
            taken_out=names, ic=describe(judged[:, at, 0], lag), rank_ic=describe(judged[:, at, 1], lag),
            explained=mean_of_known(judged[:, at, 2]),
        )
        for at, names in enumerate(taken_out)
    )  # fmt: skip
