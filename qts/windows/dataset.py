"""Samples of one segment, and batches of them taken from the mapped matrix in one vectorised step."""

from dataclasses import dataclass

import numpy as np

from qts.windows.view import ABSENT, View


@dataclass(frozen=True)
class Samples:
    """Which (instrument, datetime) pairs a segment has."""

    row: np.ndarray
    """(n,) rows of the matrix, ascending: instrument by instrument."""
    instrument: np.ndarray
    """(n,) positions in the list of instruments."""
    day: np.ndarray
    """(n,) positions in the calendar."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: np.ndarray) -> "Samples":
        """Return some of the samples, by mask or positions."""
        return Samples(self.row[chosen], self.instrument[chosen], self.day[chosen])


@dataclass(frozen=True)
class WindowDataset:
    """Windows of one segment with their labels."""

    matrix: np.ndarray
    """(n_rows, n_features) float32, usually mapped from disk."""
    target: np.ndarray
    """(n_rows,) float32, the label after its processors; NaN where there is none."""
    label: np.ndarray
    """(n_rows,) float32, the raw label."""
    samples: Samples
    """The samples."""
    view: View
    """What their windows may see."""
    step_len: int
    """Rows in one window."""
    fill: str
    """What stands in for days without a row."""
    divisors: np.ndarray | None = None
    """(n_features,) int64: by the newest value of which feature a feature's window is divided; ABSENT: by none."""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def n_features(self) -> int:
        """Features in one row."""
        return int(self.matrix.shape[1])

    def rows(self, chosen: np.ndarray) -> np.ndarray:
        """Return (n, step_len) row numbers of the chosen samples' windows; (n,) positions in."""
        some = self.samples.take(chosen)
        return self.view.gather(some.instrument, some.day, self.step_len, self.fill)

    def targets(self) -> np.ndarray:
        """Return (n,) targets of all samples."""
        return self.target[self.samples.row]

    def labels(self) -> np.ndarray:
        """Return (n,) raw labels of all samples."""
        return self.label[self.samples.row]


def complete(view: View, samples: Samples, step_len: int, fill: str, chunk: int = 100_000) -> np.ndarray:
    """Return (n,) bool: whether every step of a sample's window has a row."""
    found = np.empty(len(samples), dtype=bool)
    for start in range(0, len(samples), chunk):
        part = slice(start, start + chunk)
        rows = view.gather(samples.instrument[part], samples.day[part], step_len, fill)
        found[part] = (rows != ABSENT).all(axis=1)
    return found
