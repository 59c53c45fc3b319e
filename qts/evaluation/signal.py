"""What is judged: scores laid beside the prices they are judged by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Prices:
    """What names traded at, a line a day of the calendar without gaps.

    It begins before the first score, for exposures, and ends after the last, for returns.
    """

    days: np.ndarray
    """(n_price_days,) datetime64[D], ascending."""
    close: np.ndarray
    """(n_price_days, n_names) adjusted close, NaN where there is no bar."""
    value: np.ndarray
    """(n_price_days, n_names) traded value, NaN where there is no bar."""


@dataclass(frozen=True)
class Signal:
    """Scores of some names on some days; rows are sorted by day, then instrument, and no key stands twice."""

    days: np.ndarray
    """(n_days,) datetime64[D], the days that have a row, ascending."""
    instruments: np.ndarray
    """(n_names,) str, sorted; the columns of the prices."""
    day: np.ndarray
    """(n_rows,) int, positions in `days`."""
    instrument: np.ndarray
    """(n_rows,) int, positions in `instruments`."""
    score: np.ndarray
    """(n_rows,) float64, NaN where missing; may be infinite."""
    label: np.ndarray
    """(n_rows,) float64, the raw label, NaN where missing; may be infinite."""
    prices: Prices
    """Prices of the same names."""
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What is grouped by, as industry or board → (n_rows,) str, empty where unknown."""
    n_expected: np.ndarray | None = None
    """(n_days,) members of the universe that traded; None: there is no universe."""
    n_missing: np.ndarray | None = None
    """(n_days,) those of them without a row."""
    label_ahead: int = 2
    """Days that the label looks ahead."""
    label_begin: int = 1
    """Days after the score on which the label's return begins: that of the nearest bar it reads."""

    @property
    def held_days(self) -> int:
        """Days that the label's return is over."""
        return held_days(self.label_ahead, self.label_begin)


def held_days(ahead: int, begin: int) -> int:
    """Return the days that a label's return is over, from the nearest bar it reads to the farthest; 1 at least."""
    return max(ahead - begin, 1)
