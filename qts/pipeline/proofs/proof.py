"""What a proof is: one claim, compared value by value, with the first failing example in words."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from qts.config import LoadedConfig
from qts.predictions import Book
from qts.progress import Progress
from qts.store import Store
from qts.training.checkpoint import Run


@dataclass(frozen=True)
class Proof:
    """One claim, held against data."""

    name: str
    """The claim."""
    compared: str
    """What was compared with what."""
    n_checked: int = 0
    """Values, rows or files that were compared."""
    n_failed: int = 0
    """Those of them that speak against the claim."""
    worst: float | None = None
    """The largest absolute difference; None where what is compared is no number, or nothing was."""
    example: str = ""
    """The first that failed."""
    seconds: float = 0.0
    skipped: str = ""
    """Why nothing was compared."""


@dataclass(frozen=True)
class Case:
    """What is to be proved, and on how much of it."""

    loaded: LoadedConfig
    store: Store
    run: Run | None
    """None: there is no run, and nothing is said of scores."""
    kept: pa.Table | None
    """Scores that are kept with the run; None: there are none of these data and weights."""
    book: Book | None
    """What was published; None: no night has run."""
    n_pairs: int
    n_instruments: int
    seed: int
    progress: Progress

    def generator(self, salt: int) -> np.random.Generator:
        """Return random numbers of a proof's own: the same seed draws the same."""
        return np.random.default_rng([self.seed, salt])


NO_RUN = "there is no run"


class Tally:
    """Counts what holds and what does not, until it is `done`; the clock runs from its making."""

    def __init__(self, name: str, compared: str) -> None:
        self.name, self.compared = name, compared
        self.n_checked = self.n_failed = 0
        self.worst: float | None = None
        self.example = ""
        self._since: float | None = time.perf_counter()
        self._seconds = 0.0

    def pause(self) -> None:
        """Stop the clock; it runs again while the tally is `running`."""
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
            self._since = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clock run for the block, and no longer."""
        if self._since is None:
            self._since = time.perf_counter()
        try:
            yield
        finally:
            self.pause()

    def fact(self, say: str, *, holds: bool) -> None:
        """Count one fact; `say` tells what is wrong if it does not hold."""
        self.count(1, 0 if holds else 1, say)

    def count(self, n_checked: int, n_failed: int, example: str = "") -> None:
        """Count several at once."""
        self.n_checked += n_checked
        self.n_failed += n_failed
        if n_failed and not self.example:
            self.example = example

    def equal(
        self, found: np.ndarray, wanted: np.ndarray, say: Callable[[int], str], tolerance: float | np.ndarray = 0.0
    ) -> None:
        """Compare two arrays of one shape, value by value, NaN being equal to NaN; `say` names a place of the flat array.

        Without a tolerance they must be equal to the last bit but for the sign of 0.
        """
        if found.shape != wanted.shape:
            self.count(1, 1, f"{found.shape} values stand where {wanted.shape} were expected")
            return
        with np.errstate(invalid="ignore"):
            gap = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
            same = (found == wanted) | (np.isnan(found) & np.isnan(wanted)) | (gap <= tolerance)
        known = gap[~np.isnan(gap)]
        if found.size:
            self.worst = max(self.worst or 0.0, float(known.max(initial=0.0)))
        failed = np.flatnonzero(~same)
        example = ""
        if len(failed) and not self.example:
            first = int(failed[0])
            example = f"{say(first)}: {found.flat[first]!r} instead of {wanted.flat[first]!r}".replace("np.float32", "")
        self.count(found.size, len(failed), example)

    def done(self) -> Proof:
        """Return what was found."""
        self.pause()
        return Proof(
            self.name, self.compared, self.n_checked, self.n_failed, self.worst, self.example, round(self._seconds, 3)
        )

    def skip(self, reason: str) -> Proof:
        """Return that nothing was compared, and why."""
        self.pause()
        return Proof(self.name, self.compared, skipped=reason, seconds=round(self._seconds, 3))
