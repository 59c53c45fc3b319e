"""What names are grouped by: columns that come with a signal, the board a code belongs to, terciles of size."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qts.boards import board_of
from qts.evaluation.exposures import SIZE
from qts.evaluation.ranking import sort_lines
from qts.evaluation.scored import ScoredDays
from qts.evaluation.signal import Signal

BOARD = "board"
SIZES = ("small", "middle", "large")

SPREADING = np.uint64(0x9E3779B97F4A7C15)
"""An odd number without a pattern, by which the numbers of words come to lie far apart."""


@dataclass(frozen=True)
class Grouping:
    """A column of groups."""

    names: tuple[str, ...]
    """The groups."""
    code: np.ndarray
    """(n_rows,) or, where a name never changes its group, (n_names,) int32; -1 where unknown."""
    is_by_name: bool = False

    def lay(self, days: ScoredDays, instrument: np.ndarray) -> np.ndarray:
        """Return (n_lines, width) codes, -1 beyond the names."""
        code = self.code.take(instrument) if self.is_by_name else days.lay(self.code)
        return np.where(days.is_name, code, -1)


def groupings_of(signal: Signal) -> dict[str, Grouping]:
    """Return what came with the signal, then the board if any code tells it; size is derived day by day."""
    found = {name: Grouping(*_coded(column)) for name, column in signal.groups.items() if len(column)}
    boards = np.array([board_of(str(instrument)) for instrument in signal.instruments], dtype=str)
    if BOARD not in found and (boards != "").any():
        found[BOARD] = Grouping(*_coded(boards), is_by_name=True)
    return {name: grouping for name, grouping in found.items() if grouping.names}


def terciles(days: ScoredDays, exposures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return (n_lines, width) the third of the day's names by size, 0 the smallest, -1 where it is unknown."""
    size = exposures[SIZE]
    taken = days.is_name & ~np.isnan(size)
    order = sort_lines(np.where(taken, size, np.inf))
    n = np.count_nonzero(taken, axis=1)
    third = np.arange(days.shape[1]) * len(SIZES) // np.maximum(n, 1)[:, None]
    code = np.empty(days.shape, dtype=np.int64)
    code.ravel()[order] = third
    return np.where(taken, code, -1)


def _coded(column: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the groups, sorted, and each row's, -1 where it is empty."""
    names, code = _unique(np.ascontiguousarray(column, dtype=str))
    empty = int(names[0] == "")
    return tuple(str(name) for name in names[empty:]), (code - empty).astype(np.int32)


def _unique(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what np.unique does with its inverse; strings are told apart by a number made of their letters.

    Sorting the strings themselves takes most of a second for half a million rows. Two strings with the same number
    are found out, and then the strings are sorted after all.
    """
    letters = column.view(np.uint32).reshape(len(column), -1)
    number = np.zeros(len(column), dtype=np.uint64)
    for at in range(letters.shape[1]):
        number = number * SPREADING + letters[:, at]
        number ^= number >> np.uint64(29)
    _, first, code = np.unique(number, return_index=True, return_inverse=True)
    if not (column[first][code] == column).all():
        return np.unique(column, return_inverse=True)
    order = np.argsort(column[first])
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return column[first][order], back[code]
