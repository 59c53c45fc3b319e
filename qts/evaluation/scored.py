"""Days of a signal laid out as lines, the best score first: what every figure of the evaluation is taken from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qts.evaluation.ranking import CenteredRanks, Runs, equals_next, sort_lines, squares_of_ranks
from qts.evaluation.signal import Signal

SPAN_CELLS = 2**17
"""Cells of a grid that are worked on at a time: few enough to stay near the processor, many enough to be worth a call."""


@dataclass(frozen=True)
class ScoredDays:
    """Some days in a row; a line holds the names with a finite score, best first, equals in the order they stood."""

    span: slice
    """The days."""
    n: np.ndarray
    """(n_lines,) names with a score."""
    row: np.ndarray
    """(n_lines, width) int, the row of each cell; senseless beyond the first n."""
    score: np.ndarray
    """(n_lines, width) float64, -inf beyond the first n."""

    @classmethod
    def of(cls, day: np.ndarray, score: np.ndarray, span: slice, offset: int = 0) -> "ScoredDays":
        """Lay out rows sorted by day: day, score (n,) of the days of `span`; `offset` is the number of the first row."""
        rows = np.flatnonzero(np.isfinite(score))
        line = day[rows] - span.start
        n = np.bincount(line, minlength=span.stop - span.start)
        width = int(n.max(initial=0))
        cell = np.arange(len(rows)) + np.repeat(np.arange(len(n)) * width - (np.cumsum(n) - n), n)
        downward, row = np.full((len(n), width), np.inf), np.zeros((len(n), width), dtype=np.int64)
        downward.ravel()[cell], row.ravel()[cell] = -score[rows], rows + offset
        order = sort_lines(downward)
        return cls(span, n, row.take(order), -downward.take(order))

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and cells of a line."""
        return self.score.shape

    @cached_property
    def is_name(self) -> np.ndarray:
        """(n_lines, width) bool, cells that hold a name."""
        return np.arange(self.shape[1]) < self.n[:, None]

    @cached_property
    def ties(self) -> Runs:
        """Names with the same score."""
        return Runs.of(equals_next(self.score, self.n))

    @cached_property
    def first_equal(self) -> np.ndarray:
        """(n_lines, width) int32, the place in its line of the best of those with the same score."""
        place = np.broadcast_to(np.arange(self.shape[1], dtype=np.int32), self.shape).copy()
        place.ravel()[self.ties.cells] = np.repeat(self.ties.start % max(self.shape[1], 1), self.ties.length)
        return place

    def lay(self, column: np.ndarray) -> np.ndarray:
        """Return (n_lines, width) of a column of all rows; senseless beyond the names."""
        return column.take(self.row)

    def ranks(self, taken: np.ndarray) -> CenteredRanks:
        """Rank the scores, a higher one higher, of the names in `taken` (n_lines, width) bool."""
        up_to = np.cumsum(taken, axis=1)
        n = up_to[:, -1] if self.shape[1] else np.zeros(len(self.n), dtype=np.int64)
        ranks = (n + 1.0)[:, None] - 2 * up_to
        first, last = self.ties.start, self.ties.start + self.ties.length - 1
        before = up_to.take(first) - taken.take(first)
        tied = up_to.take(last) - before
        line = first // max(self.shape[1], 1)
        middle = (n[line] + 1.0) - (2 * before + tied + 1)
        ranks.ravel()[self.ties.cells] = np.repeat(middle, self.ties.length)
        ranks *= taken
        return CenteredRanks(ranks, squares_of_ranks(n, line, tied))


def spans_of(signal: Signal) -> Iterator[ScoredDays]:
    """Yield the days of a signal in runs of few enough cells to stay near the processor, in their order."""
    n_days = len(signal.days)
    starts = np.searchsorted(signal.day, np.arange(n_days + 1))
    width = int(np.diff(starts).max(initial=1))
    step = max(1, SPAN_CELLS // max(1, width))
    for begin in range(0, n_days, step):
        span = slice(begin, min(begin + step, n_days))
        rows = slice(starts[span.start], starts[span.stop])
        yield ScoredDays.of(signal.day[rows], signal.score[rows], span, int(rows.start))
