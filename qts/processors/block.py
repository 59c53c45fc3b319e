"""What a chain of processors hands on: columns of numbers, and whose and when each row is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from qts.cross_section import CrossSections


@dataclass(frozen=True)
class Block:
    """Rows of the panel; a processor returns a new block and leaves this one as it is."""

    columns: tuple[str, ...]
    """Names, in factor-set order."""
    values: np.ndarray
    """(n_rows, n_columns) float, NaN where missing."""
    instrument: np.ndarray
    """(n_rows,) int."""
    day: np.ndarray
    """(n_rows,) int, positions in the calendar."""
    calendar: np.ndarray
    """(n_days,) datetime64[D]."""
    members: np.ndarray
    """(n_rows,) bool: in the universe on that day; statistics are taken over members alone."""
    kept: np.ndarray
    """(n_rows,) bool: not dropped by a processor."""

    @cached_property
    def sections(self) -> CrossSections:
        """The rows' cross-sections; those that were dropped or are no members do not count."""
        return CrossSections(self.day, self.members & self.kept)

    def in_span(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        """Return (n_rows,) bool: members kept, between two days, both included."""
        low = np.searchsorted(self.calendar, first)
        high = np.searchsorted(self.calendar, last, side="right")
        return (self.day >= low) & (self.day < high) & self.members & self.kept

    def with_columns(self, transform: Callable[[np.ndarray, int], np.ndarray]) -> "Block":
        """Return the block with each column transformed; `transform` gets the column and its position."""
        values = np.empty_like(self.values, order="F")
        for at in range(len(self.columns)):
            values[:, at] = transform(self.values[:, at], at)
        return replace(self, values=values)

    def choose(self, wanted: list[str]) -> "Block":
        """Return the block with only the wanted columns, in the block's order; unknown names are ignored."""
        positions = [at for at, name in enumerate(self.columns) if name in set(wanted)]
        return replace(self, columns=tuple(self.columns[at] for at in positions), values=self.values[:, positions])

    def keep(self, rows: np.ndarray) -> "Block":
        """Return the block with rows that are not in the mask dropped."""
        return replace(self, kept=self.kept & rows)
