"""Figures over cross-sections: what each row is worth among the rows of its day, without a loop over days."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


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
        known = np.flatnonzero(~np.isnan(x))
        order = known[np.lexsort((x[known], self.day[known]))]
        day, value = self.day[order], x[order]
        counted = np.ones(len(order)) if self.counts is None else self.counts[order].astype(float)
        before = np.concatenate([[0.0], np.cumsum(counted)])
        is_new_day = np.concatenate([[True], day[1:] != day[:-1]]) if len(order) else np.zeros(0, bool)
        is_new_value = is_new_day.copy()
        is_new_value[1:] |= value[1:] != value[:-1]
        day_start = np.flatnonzero(is_new_day)[np.cumsum(is_new_day) - 1]
        tie = np.cumsum(is_new_value) - 1
        tie_start = np.flatnonzero(is_new_value)
        tie_end = np.append(tie_start[1:], len(order))
        less = before[tie_start[tie]] - before[day_start]
        equal = before[tie_end[tie]] - before[tie_start[tie]]
        ranks = np.full(len(x), np.nan)
        ranks[order] = less + (equal + 1.0 + (1.0 - counted)) / 2.0
        return ranks

    def rank_share(self, x: np.ndarray) -> np.ndarray:
        """Return the rank over the number of values on the day, the row's own included: in (0, 1]."""
        joins = 0.0 if self.counts is None else ~self.counts
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.rank(x) / (self.size(x) + joins)
