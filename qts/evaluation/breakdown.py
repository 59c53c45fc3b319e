"""Scores inside groups of names: every group of a day is judged as if it were a market of its own."""

from dataclasses import dataclass, fields

import numpy as np

from qts.daily_series import describe
from qts.evaluation.ranking import CenteredRanks, Runs, sort_lines, squares_of_ranks
from qts.evaluation.results import GroupFigures
from qts.evaluation.scored import ScoredDays
from qts.evaluation.series import mean_of_known

LEAST = 3
"""Names that a group needs on a day for an IC, whatever min_names says."""


@dataclass(frozen=True)
class Within:
    """Figures of each group on each day, (n_lines, n_groups) each; NaN where it has none."""

    n: np.ndarray
    """Names with score and label."""
    ic: np.ndarray
    rank_ic: np.ndarray
    mean_label: np.ndarray
    spread: np.ndarray
    """Mean label of the better half by score minus that of the others; the better half has the odd name."""

    @classmethod
    def join(cls, parts: "list[Within]") -> "Within":
        """Put parts one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class _Stretches:
    """Cells of a grid in the order of line, then group: the names of a group on a day stand together."""

    code: np.ndarray  # (n_lines, width) int
    taken: np.ndarray  # (n_lines, width) bool
    owner: np.ndarray  # (n_stretches,) int: line x n_groups + group
    n: np.ndarray  # (n_stretches,) int, names; none is empty
    start: np.ndarray  # (n_stretches,) int

    @classmethod
    def of(cls, code: np.ndarray, taken: np.ndarray, n_groups: int) -> "_Stretches":
        owners = (np.arange(len(code))[:, None] * n_groups + code)[taken]
        sizes = np.bincount(owners, minlength=len(code) * n_groups)
        owner = np.flatnonzero(sizes)
        return cls(code, taken, owner, sizes[owner], np.cumsum(sizes[owner]) - sizes[owner])

    def order(self, ranks: CenteredRanks) -> np.ndarray:
        """Return (n_cells,) places in the flattened grid: by line, group, rank, then as they stood."""
        step = 2.0 * self.code.shape[1] + 2.0
        order = sort_lines(np.where(self.taken, self.code * step + ranks.values, np.inf))
        n = np.count_nonzero(self.taken, axis=1)
        return order[np.arange(self.code.shape[1]) < n[:, None]]

    def ranks(self, ranks: CenteredRanks, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a grid of twice the ranks in each stretch, centered, and (n_stretches,) their sums of squares."""
        place = np.arange(len(order)) - np.repeat(self.start, self.n)
        values = 2.0 * place + 1.0 - np.repeat(self.n, self.n)
        ordered = ranks.values.take(order)
        equal = np.zeros(len(order), dtype=bool)
        equal[:-1] = ordered[1:] == ordered[:-1]
        equal[self.start + self.n - 1] = False
        runs = Runs.of(equal)
        values[runs.cells] = np.repeat(values[runs.start] + runs.length - 1, runs.length)
        stretch = np.searchsorted(self.start, runs.start, side="right") - 1
        grid = np.zeros(ranks.values.shape)
        grid.ravel()[order] = values
        return grid, squares_of_ranks(self.n, stretch, runs.length)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return (n_stretches,) sums of (n_cells,) values in the order of the stretches."""
        return np.add.reduceat(values, self.start)

    def demeaned(self, values: np.ndarray) -> np.ndarray:
        """Return (n_cells,) values less the mean of their stretch."""
        return values - np.repeat(self.sums(values) / self.n, self.n)


def within_groups(
    days: ScoredDays,
    scores: CenteredRanks,
    label: np.ndarray,
    labels: CenteredRanks,
    code: np.ndarray,
    taken: np.ndarray,
    n_groups: int,
    min_names: int,
) -> Within:
    """Judge each group of each line by itself.

    scores, labels: the ranks in the line of all names with both; label, code, taken (n_lines, width): the label, the
    group, and whether the name has score, label and group.
    """
    shape = (len(days.n), n_groups)
    if not taken.any():
        return Within(np.zeros(shape, dtype=np.int64), *(np.full(shape, np.nan) for _ in range(4)))
    stretches = _Stretches.of(code, taken, n_groups)
    downward = CenteredRanks(-scores.values, scores.squares)
    by_score = stretches.order(downward)
    a, square_a = stretches.ranks(downward, by_score)
    b, square_b = stretches.ranks(labels, stretches.order(labels))
    y = label.take(by_score)
    dx, dy = stretches.demeaned(days.score.take(by_score)), stretches.demeaned(y)
    can = (stretches.n >= max(min_names, LEAST)) & (square_a > 0) & (square_b > 0)
    ic = _ratio(stretches.sums(dx * dy), stretches.sums(dx * dx), stretches.sums(dy * dy), can)
    rank_ic = _ratio(-stretches.sums(a.take(by_score) * b.take(by_score)), square_a, square_b, can)
    figures = (ic, rank_ic, stretches.sums(y) / stretches.n, _half_spread(stretches, y))
    return Within(*(_scattered(figure, stretches.owner, shape) for figure in (stretches.n, *figures)))


def _half_spread(stretches: _Stretches, label: np.ndarray) -> np.ndarray:
    """Return (n_stretches,): (n_cells,) labels stand in the order of the score, best first."""
    place = np.arange(len(label)) - np.repeat(stretches.start, stretches.n)
    upper = place * 2 < np.repeat(stretches.n, stretches.n)
    n_upper = (stretches.n + 1) // 2
    above, below = stretches.sums(np.where(upper, label, 0.0)), stretches.sums(np.where(upper, 0.0, label))
    return np.where(stretches.n > 1, above / n_upper - below / np.maximum(stretches.n - n_upper, 1), np.nan)


def _ratio(product: np.ndarray, square_a: np.ndarray, square_b: np.ndarray, can: np.ndarray) -> np.ndarray:
    return np.divide(product, np.sqrt(square_a * square_b), where=can, out=np.full(len(product), np.nan))


def _scattered(figure: np.ndarray, owner: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    grid = np.zeros(shape, dtype=np.int64) if figure.dtype.kind == "i" else np.full(shape, np.nan)
    grid.ravel()[owner] = figure
    return grid


def group_figures(within: Within, names: tuple[str, ...], lag: int) -> tuple[GroupFigures, ...]:
    """Summarise groups, the largest first; those without a name with score and label are left out.

    They have no intervals: there may be hundreds of groups, and their t says enough.
    """
    n_rows = within.n.sum(axis=0)
    found = []
    for at in np.argsort(-n_rows, kind="stable"):
        if n_rows[at]:
            present = within.n[:, at][within.n[:, at] > 0]
            found.append(GroupFigures(
                name=names[at], n_rows=int(n_rows[at]), mean_names=float(present.mean()),
                ic=describe(within.ic[:, at], lag, draws=0), rank_ic=describe(within.rank_ic[:, at], lag, draws=0),
                mean_label=mean_of_known(within.mean_label[:, at]), spread=mean_of_known(within.spread[:, at]),
            ))  # fmt: skip
    return tuple(found)
