"""Ranks of the cells of many days at once: sorted line by line, without a loop over days."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Runs:
    """Equal values that stand side by side in sorted lines; only runs of two or more."""

    start: np.ndarray
    """(n_runs,) int, place of the first in the flattened grid."""
    length: np.ndarray
    """(n_runs,) int."""

    @classmethod
    def of(cls, equals_next: np.ndarray) -> "Runs":
        """Gather runs; equals_next (n_lines, width) bool, False in the last column."""
        at = np.flatnonzero(equals_next)
        if not len(at):
            return cls(at, at)
        begins = np.flatnonzero(np.diff(at, prepend=-2) != 1)
        return cls(at[begins], np.diff(begins, append=len(at)) + 1)

    @property
    def cells(self) -> np.ndarray:
        """(n_cells,) int, places in the flattened grid of all that are in a run."""
        before = np.cumsum(self.length) - self.length
        return np.repeat(self.start - before, self.length) + np.arange(int(self.length.sum()))


@dataclass(frozen=True)
class CenteredRanks:
    """Twice the ranks of some cells of each line, minus their mean: whole numbers, so that sums are exact."""

    values: np.ndarray
    """(n_lines, width) float64, 0 where a cell is not ranked; ties share the average."""
    squares: np.ndarray
    """(n_lines,) sum of their squares; 0 exactly where all ranked values are equal."""


def sort_lines(values: np.ndarray) -> np.ndarray:
    """Return (n_lines, width) places in the flattened grid, each line's smallest value first, equals as they stood.

    values (n_lines, width) float64, never NaN. A value's bits and its place share one integer, which sorts several
    times as fast as an index does; lines in which values differ only in the bits that the place took are sorted again.
    """
    n_lines, width = values.shape
    bits = width.bit_length()
    keys = (values + 0.0).view(np.int64)  # + 0.0: there is one zero
    keys ^= (keys >> 63) & np.int64(2**63 - 1)
    keys &= np.int64(-1 << bits)
    keys |= np.arange(width)
    keys.sort(axis=1)
    keys &= np.int64((1 << bits) - 1)
    start = np.arange(n_lines)[:, None] * width
    keys += start
    ordered = values.take(keys)
    wrong = np.flatnonzero((ordered[:, 1:] < ordered[:, :-1]).any(axis=1))
    if len(wrong):
        keys[wrong] = np.argsort(values[wrong], axis=1, kind="stable") + start[wrong]
    return keys


def equals_next(ordered: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return (n_lines, width) bool: the next cell of the sorted line is equal; the first `n` (n_lines,) cells count."""
    equal = np.zeros(ordered.shape, dtype=bool)
    np.equal(ordered[:, 1:], ordered[:, :-1], out=equal[:, :-1])
    equal[:, :-1] &= np.arange(1, ordered.shape[1]) < n[:, None]
    return equal


def centered_ranks(values: np.ndarray, taken: np.ndarray) -> CenteredRanks:
    """Rank the cells of each line that are taken; values (n_lines, width) float64, taken (n_lines, width) bool."""
    n = np.count_nonzero(taken, axis=1)
    filled = np.where(taken, values, np.inf)
    order = sort_lines(filled)
    width = values.shape[1]
    runs = Runs.of(equals_next(filled.take(order), n))
    twice = np.arange(2.0, 2 * width + 1, 2) - (n + 1.0)[:, None]
    if len(runs.start):
        middle = 2 * (runs.start % width) + runs.length + 1 - (n[runs.start // width] + 1.0)
        twice.ravel()[runs.cells] = np.repeat(middle, runs.length)
    ranks = np.empty(values.shape)
    ranks.ravel()[order.ravel()] = twice.ravel()
    ranks *= taken
    return CenteredRanks(ranks, squares_of_ranks(n, runs.start // max(width, 1), runs.length))


def squares_of_ranks(n: np.ndarray, line: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return (n_lines,) sums of squares of centered twice ranks 1 to n, less what runs of equals take away.

    line, length (n_runs,): where each run is and how many it holds. Kendall, Rank Correlation Methods, chapter 3.
    """
    size, tied = n.astype(np.float64), length.astype(np.float64)
    return (size**3 - size - np.bincount(line, weights=tied**3 - tied, minlength=len(n))) / 3.0


def correlation_of_ranks(a: CenteredRanks, b: CenteredRanks, n: np.ndarray, min_names: int) -> np.ndarray:
    """Return (n_lines,) Spearman's correlations; NaN below `min_names` (at least 2) or where either is all equal."""
    product = np.einsum("dn,dn->d", a.values, b.values)
    can = (n >= max(min_names, 2)) & (a.squares > 0) & (b.squares > 0)
    return np.divide(product, np.sqrt(a.squares * b.squares), where=can, out=np.full(len(n), np.nan))
