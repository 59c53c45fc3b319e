"""Figures over cross-sections: what each row is worth among the rows of its day, without a loop over days."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

SPAN_CELLS = 2**16
"""Cells of a grid that are worked on at a time: few enough to stay near the processor."""


@dataclass(frozen=True)
class CrossSections:
    """Rows grouped by day; `counts` says which rows figures are taken over (None: all).

    Every method takes a column (n_rows,) and returns one: the figure of each row's day, NaN where it has none.
    """

    day: np.ndarray
    """(n_rows,) int, any order."""
    counts: np.ndarray | None = None
    """(n_rows,) bool."""

    @cached_property
    def n_days(self) -> int:
        """Length that an array by day needs."""
        return int(self.day.max()) + 1 if len(self.day) else 0

    @cached_property
    def _grid(self) -> "DayGrid":
        return DayGrid.of(self.day, self.n_days)

    def _taken(self, x: np.ndarray) -> np.ndarray:
        known = ~np.isnan(x)
        return known if self.counts is None else known & self.counts

    def _sums(self, weights: np.ndarray) -> np.ndarray:
        return np.bincount(self.day, weights=weights, minlength=self.n_days)

    def size(self, x: np.ndarray) -> np.ndarray:
        """Return the number of values on the row's day."""
        return self._sums(self._taken(x))[self.day]

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Return the mean of the row's day."""
        return self.mean_by_day(x)[self.day]

    def mean_by_day(self, x: np.ndarray) -> np.ndarray:
        """Return (n_days,) means; infinite values make theirs infinite or NaN."""
        taken = self._taken(x)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._sums(np.where(taken, x, 0.0)) / self._sums(taken)

    def std(self, x: np.ndarray) -> np.ndarray:
        """Return the standard deviation (ddof 1) of the row's day; exactly 0 where all values are equal."""
        taken = self._taken(x)
        with np.errstate(invalid="ignore", divide="ignore"):
            deviation = np.where(taken, x - self.mean(x), 0.0)
            variance = (self._sums(deviation * deviation) / (self._sums(taken) - 1.0))[self.day]
        std = np.sqrt(np.where(self.size(x) > 1, variance, np.nan))
        low, high = self._extremes(x)
        return np.where((low == high) & (self.size(x) > 1), 0.0, std)

    def _extremes(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        taken = self._taken(x)
        low, high = np.full(self.n_days, np.inf), np.full(self.n_days, -np.inf)
        np.minimum.at(low, self.day[taken], x[taken])
        np.maximum.at(high, self.day[taken], x[taken])
        return low[self.day], high[self.day]

    def median(self, x: np.ndarray) -> np.ndarray:
        """Return the median of the row's day."""
        rows = np.flatnonzero(self._taken(x))
        rows = rows[np.lexsort((x[rows], self.day[rows]))]
        size = np.bincount(self.day[rows], minlength=self.n_days)
        start = np.cumsum(size) - size
        result = np.full(self.n_days, np.nan)
        some = np.flatnonzero(size)
        lower = x[rows[(start + (size - 1) // 2)[some]]].astype(np.float64)
        upper = x[rows[(start + size // 2)[some]]].astype(np.float64)
        with np.errstate(invalid="ignore"):
            result[some] = np.where(lower == upper, lower, (lower + upper) / 2)
        return result[self.day]

    def rank(self, x: np.ndarray) -> np.ndarray:
        """Return the rank, from 1, of each value on its day; ties share the average.

        A row that does not count is ranked as if it alone joined those that do.
        """
        values = self._grid.lay(x)
        counts = None if self.counts is None else self._grid.lay(self.counts, missing=False)
        ranks = np.empty(values.shape)
        for span in self._grid.spans():
            ranks[span] = DayOrder.of(values[span]).ranks(None if counts is None else counts[span])
        return self._grid.pick(ranks)

    def rank_share(self, x: np.ndarray) -> np.ndarray:
        """Return the rank over the number of values on the day, the row's own included: in (0, 1]."""
        joins = 0.0 if self.counts is None else ~self.counts
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.rank(x) / (self.size(x) + joins)


@dataclass(frozen=True)
class DayGrid:
    """Rows laid out one line a day, in their own order from the left: a figure of every day is one along an axis."""

    cell: np.ndarray
    """(n_rows,) int, each row's place in the flattened grid."""
    n_days: int
    width: int
    """The most rows that a day has."""

    @classmethod
    def of(cls, day: np.ndarray, n_days: int) -> "DayGrid":
        """Lay out rows by `day`, (n_rows,) int in any order."""
        size = np.bincount(day, minlength=n_days)
        order = np.argsort(day, kind="stable")
        width = int(size.max(initial=0))
        cell = np.empty(len(day), dtype=np.int64)
        cell[order] = np.arange(len(day)) + np.repeat(np.arange(n_days) * width - (np.cumsum(size) - size), size)
        return cls(cell, n_days, width)

    def spans(self) -> list[slice]:
        """Return the days in runs of few enough cells to be worked on at a time."""
        n_days = max(1, SPAN_CELLS // max(1, self.width))
        return [slice(day, min(day + n_days, self.n_days)) for day in range(0, self.n_days, n_days)]

    def lay(self, column: np.ndarray, missing: float = np.nan) -> np.ndarray:
        """Return (n_days, width) of a column, `missing` where a day has no more rows."""
        grid = np.full(self.n_days * self.width, missing, dtype=column.dtype)
        grid[self.cell] = column
        return grid.reshape(self.n_days, self.width)

    def pick(self, grid: np.ndarray) -> np.ndarray:
        """Return the rows' cells as a column."""
        return grid.ravel()[self.cell]


@dataclass(frozen=True)
class DayOrder:
    """A grid's cells sorted within each day, smallest first, those without a value last; equals stay as they stood."""

    values: np.ndarray
    """(n_days, width) the grid."""
    known: np.ndarray
    """(n_days, width) bool, cells with a value."""
    order: np.ndarray
    """(n_days, width) int, places in the flattened grid."""
    first: np.ndarray
    """(n_days, width) int, place in the flattened order of the first of each one's equals."""
    last: np.ndarray
    """(n_days, width) int, that of the last."""

    @classmethod
    def of(cls, values: np.ndarray) -> "DayOrder":
        """Sort each day of (n_days, width) values, NaN where missing."""
        n_days, width = values.shape
        start = np.arange(n_days)[:, None] * width
        order = np.argsort(values, axis=1, kind="stable") + start
        ordered = values.take(order)
        differs = ordered[:, 1:] != ordered[:, :-1]
        place = np.arange(width)
        is_first, is_last = np.ones((2, n_days, width), dtype=bool)
        is_first[:, 1:] = is_last[:, :-1] = differs
        first = np.maximum.accumulate(np.where(is_first, place, 0), axis=1)
        last = np.minimum.accumulate(np.where(is_last, place, width)[:, ::-1], axis=1)[:, ::-1]
        return cls(values, ~np.isnan(values), order, first + start, last + start)

    def ranks(self, counts: np.ndarray | None = None) -> np.ndarray:
        """Return the ranks, from 1, among the cells that count (None: all) and have a value; ties share the average.

        A cell that does not count is ranked as if it alone joined those that do; one without a value has no rank.
        """
        counted = (self.known if counts is None else self.known & counts).take(self.order)
        up_to = np.cumsum(counted, axis=1, dtype=np.int64)
        twice = up_to.take(self.last) + (up_to - counted).take(self.first) + 2 - counted
        return np.where(self.known, self._back(twice / 2.0), np.nan)

    def places(self, *, descending: bool) -> np.ndarray:
        """Return the places, from 0, among the day's values; equals in the order they stood. Senseless where missing."""
        place = np.arange(self.order.size).reshape(self.order.shape)
        start = place[:, :1]
        if not descending:
            return self._back(place - start)
        n_known = np.count_nonzero(self.known, axis=1)[:, None]
        return self._back(start + n_known - 1 - self.last + (place - self.first))

    def _back(self, ordered: np.ndarray) -> np.ndarray:
        """Return figures in the order of the cells, given those of the sorted ones."""
        grid = np.empty_like(ordered)
        grid.ravel()[self.order] = ordered
        return grid
