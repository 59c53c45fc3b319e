"""The order of names by score, day by day."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """Scores and their total order: the best first, equals by instrument, names without a score last."""

    scores: np.ndarray
    """(n_days, n_names), NaN = none."""

    @cached_property
    def order(self) -> np.ndarray:
        """(n_days, n_names) columns of the grid, the best first."""
        return np.argsort(-self.scores, axis=1, kind="stable")

    @cached_property
    def n_scored(self) -> np.ndarray:
        """(n_days,) names with a score."""
        return np.count_nonzero(~np.isnan(self.scores), axis=1)

    @cached_property
    def place(self) -> np.ndarray:
        """(n_days, n_names) place in the order, from 0."""
        place = np.empty_like(self.order)
        np.put_along_axis(place, self.order, np.arange(self.order.shape[1])[None], axis=1)
        return place

    @cached_property
    def n_unscored(self) -> np.ndarray:
        """(n_days, n_names) days with scores since the name's last one, the day itself included; 0 if it has one."""
        days = np.cumsum(self.n_scored > 0)[:, None]
        last = np.maximum.accumulate(np.where(np.isnan(self.scores), 0, days), axis=0)
        return days - last

    def best_first(self, row: int) -> np.ndarray:
        """Return the columns of the names with a score."""
        return self.order[row, : self.n_scored[row]]

    @cached_property
    def tied_share(self) -> np.ndarray:
        """(n_days,) the share of scores that another name has too; NaN on days without scores."""
        ordered = np.take_along_axis(self.scores, self.order, axis=1)
        equal = ordered[:, 1:] == ordered[:, :-1]
        is_tied = np.zeros(ordered.shape, dtype=bool)
        is_tied[:, 1:] |= equal
        is_tied[:, :-1] |= equal
        with np.errstate(invalid="ignore"):
            return np.count_nonzero(is_tied, axis=1) / np.where(self.n_scored > 0, self.n_scored, np.nan)
