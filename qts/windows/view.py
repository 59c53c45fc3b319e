"""Which rows a window sees: step_len days of the view's calendar, with stand-ins for days without a row."""

from dataclasses import dataclass
from typing import Self

import numpy as np

ABSENT = -1
"""In place of a row number: no row, and nothing stands in."""


@dataclass(frozen=True)
class View:
    """Rows of a matrix that windows may see, laid out on the days that occur among them.

    Each instrument owns the cells from its first to its last day; a cell knows the nearest row at or before it, and
    at or after it. A window is then arithmetic on cells: nothing is searched for, nothing stored `step_len` times.
    """

    first_cell: np.ndarray
    """(n_instruments,) the instrument's first cell."""
    first_day: np.ndarray
    """(n_instruments,) the day of that cell, in the view's calendar."""
    before: np.ndarray
    """(n_cells,) nearest row of the instrument at or before the cell."""
    after: np.ndarray
    """(n_cells,) nearest row at or after."""
    day_of: np.ndarray
    """(n_calendar_days,) calendar day → day of the view."""

    @classmethod
    def of_rows(cls, rows: np.ndarray, instrument: np.ndarray, day: np.ndarray) -> Self:
        """Lay out some rows of a panel sorted by instrument, then day.

        rows (k,) row numbers, ascending; instrument and day (n_rows,) of the whole panel.
        """
        owner, days = instrument[rows], np.unique(day[rows])
        day_of = np.full(int(day.max(initial=-1)) + 1, ABSENT)
        day_of[days] = np.arange(len(days))
        place = day_of[day[rows]]
        n_instruments = int(instrument.max(initial=-1)) + 1
        start = np.searchsorted(owner, np.arange(n_instruments))
        end = np.searchsorted(owner, np.arange(n_instruments), side="right")
        has = end > start
        first_day, n_cells = np.zeros(n_instruments, dtype=np.int64), np.zeros(n_instruments, dtype=np.int64)
        first_day[has] = place[start[has]]
        n_cells[has] = place[end[has] - 1] - first_day[has] + 1
        first_cell = np.cumsum(n_cells) - n_cells
        at = first_cell[owner] + place - first_day[owner]
        taken = np.full(int(n_cells.sum()), ABSENT, dtype=np.int64)
        taken[at] = rows
        before = np.maximum.accumulate(taken) if len(taken) else taken
        far = np.where(taken == ABSENT, np.iinfo(np.int64).max, taken)
        after = np.minimum.accumulate(far[::-1])[::-1] if len(far) else far
        return cls(first_cell, first_day, before, after, day_of)

    def gather(self, instrument: np.ndarray, day: np.ndarray, step_len: int, fill: str) -> np.ndarray:
        """Return (n, step_len) row numbers of the windows that end at (n,) instruments and days, oldest first.

        The samples' own rows must be in the view. ABSENT where nothing stands in.
        """
        first = self.first_cell[instrument]
        end = first + self.day_of[day] - self.first_day[instrument]  # (n,)
        cells = end[:, None] + np.arange(1 - step_len, 1)  # (n, step_len)
        inside = cells >= first[:, None]
        clipped = np.maximum(cells, first[:, None])
        rows = self.before[clipped]
        oldest = self.after[clipped[:, 0]][:, None]  # (n, 1) the window's oldest row
        if fill == "none":
            return np.where(inside & (rows == self.after[clipped]), rows, ABSENT)
        known = inside & (rows >= oldest)
        return np.where(known, rows, oldest if fill == "ffill+bfill" else ABSENT)
