"""Groups of names by score: bins as equal as can be, and the long and the short end.

Every name falls in a bin. Qlib's bins all hold floor(n / groups) names and leave out the rest, which score worst.
"""

from dataclasses import dataclass

import numpy as np

from qts.cross_section import DayOrder
from qts.evaluation.scored import ScoredDays


@dataclass(frozen=True)
class ScoreGroups:
    """The bins of some days' scores: the name at place p of n, from 0, is in bin floor(p x groups / n)."""

    days: ScoredDays
    n_groups: int
    is_grouped: np.ndarray
    """(n_lines,) bool; days with too few names, or with equal scores alone, have no groups."""

    @classmethod
    def of(cls, days: ScoredDays, n_groups: int, min_names: int) -> "ScoreGroups":
        """Bin the scores of days that have `min_names` and a name for each bin."""
        differs = days.score.max(axis=1, initial=-np.inf) > np.where(days.is_name, days.score, np.inf).min(
            axis=1, initial=np.inf
        )
        return cls(days, n_groups, (days.n >= max(min_names, n_groups, 2)) & differs)

    def starts(self) -> np.ndarray:
        """Return (n_lines x n_groups,) places in the flattened grid where bins begin."""
        line = np.arange(len(self.days.n))[:, None] * self.days.shape[1]
        begin = -(-np.arange(self.n_groups) * self.days.n[:, None] // self.n_groups)
        return (line + np.where(self.is_grouped[:, None], begin, 0)).ravel()

    def means(self, values: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Return (n_lines, n_groups) means of the cells in `taken`; values and taken (n_lines, width)."""
        if not values.size:
            return np.full((len(self.days.n), self.n_groups), np.nan)
        starts = self.starts()
        sums = np.add.reduceat(np.where(taken, values, 0.0).ravel(), starts)
        counts = np.add.reduceat(taken.ravel(), starts, dtype=np.int64)
        grouped = self.is_grouped.repeat(self.n_groups)
        means = np.divide(sums, counts, where=grouped & (counts > 0), out=np.full(len(sums), np.nan))
        return means.reshape(-1, self.n_groups)

    def index(self) -> np.ndarray:
        """Return (n_lines, width) int16, the bin of each cell, -1 where it has none."""
        place = np.arange(self.days.shape[1]) * self.n_groups // np.maximum(self.days.n, 1)[:, None]
        return np.where(self.days.is_name & self.is_grouped[:, None], place, -1).astype(np.int16)


def ends(days: ScoredDays, values: np.ndarray, counts: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean values of the `size` best and the `size` worst names, (n_lines,) each.

    values (n_lines, width), NaN where missing; counts (n_lines, width) bool, names that take a place; size (n_lines,)
    int. Equal scores at either edge go in by their order in the day.
    """
    up_to = np.cumsum(counts, axis=1)
    n = np.count_nonzero(counts, axis=1)
    upward = n[:, None] - up_to
    first, last = days.ties.start, days.ties.start + days.ties.length - 1
    before = up_to.take(first) - counts.take(first)
    cells = days.ties.cells
    mirrored = np.repeat(before + 1 + up_to.take(last), days.ties.length) - up_to.take(cells)
    upward.ravel()[cells] = np.repeat(n[first // max(days.shape[1], 1)], days.ties.length) - mirrored
    known = counts & ~np.isnan(values)
    top, bottom = (known & end for end in (up_to <= size[:, None], upward < size[:, None]))
    return mean_of(values, top), mean_of(values, bottom)


def mean_of(values: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return (n_lines,) means of the cells in `taken`, NaN where there are none."""
    n = np.count_nonzero(taken, axis=1)
    sums = np.where(taken, values, 0.0).sum(axis=1)
    return np.divide(sums, n, where=n > 0, out=np.full(len(n), np.nan))


def group_means(score: DayOrder, label: np.ndarray, n_groups: int) -> np.ndarray:
    """Return (n_days, n_groups) mean labels, group 0 the highest scores, of grids that are laid out already."""
    n = np.count_nonzero(score.known, axis=1)[:, None]
    group = score.places(descending=True) * n_groups // np.maximum(n, 1)
    grouped = score.known & (n >= n_groups) & ~np.isnan(label)
    return np.stack([mean_of(label, grouped & (group == at)) for at in range(n_groups)], axis=1)
