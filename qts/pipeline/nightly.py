"""One night: what is new is ingested, scored with the pinned run, published, and what has matured is judged."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qts.columns import DATETIME
from qts.config import LoadedConfig
from qts.errors import DataCheckError, QtsError
from qts.pipeline.age import refuse_old
from qts.pipeline.ingest import IngestResult, ingest
from qts.pipeline.pinned import read_pin
from qts.predictions import read_book
from qts.progress import PassedOn, Progress
from qts.store import open_store
from qts.store.lock import only_writer

if TYPE_CHECKING:
    from qts.evaluation.results import Drift
    from qts.pipeline.night_work import Night


@dataclass(frozen=True)
class NightlyResult:
    """What a night did."""

    predictions: Path
    """The folder of the book."""
    run: str
    """The pinned run."""
    day: date
    """Last day of the bars."""
    stored: IngestResult
    night: "Night"
    seconds: float

    @property
    def is_up_to_date(self) -> bool:
        """Whether the book holds what it held."""
        return not self.night.days and self.night.upserted.is_nothing and not self.night.matured

    def refusal(self, drift: str) -> QtsError | None:
        """Return why the night failed although all that could be published was; None if it did not."""
        if self.night.held_back is not None:
            return self.night.held_back
        found = self.night.drift
        if drift == "fail" and found is not None and found.mean < found.low:
            return DataCheckError(f"scores drift: {drift_text(found)}", where="[nightly] drift",
                                  hint="look at qts eval --live; retrain, or pin another run")  # fmt: skip
        return None

    def payload(self) -> dict[str, Any]:
        """Return what a program is told."""
        night, upserted = self.night, self.night.upserted
        return {
            "day": self.day, "run": self.run, "predictions": self.predictions, "up_to_date": self.is_up_to_date,
            "days": night.days, "held_back": night.held_back is not None,
            "n_scores": night.n_scores, "n_new": upserted.n_new, "n_changed": upserted.n_changed,
            "n_withdrawn": upserted.n_withdrawn, "lineage": len(night.book.manifest.lineages), "matured": night.matured,
            "drift": drift_row(night.drift), "ingest": {
                "written": self.stored.written, "n_bars": self.stored.n_bars, "grown": self.stored.grown,
                "restated": self.stored.restated, "new": self.stored.new, "gone": self.stored.gone,
                "n_quarantined": self.stored.n_quarantined, "warnings": self.stored.warnings,
            }, "seconds": self.seconds,
        }  # fmt: skip


class _Meanwhile(PassedOn):
    """Begins other work once the engine computes factors: before that it would only stand in the way of ours."""

    def __init__(self, progress: Progress, begin: Callable[[], object]) -> None:
        super().__init__(progress)
        self.begin = begin

    def stage(self, name: str, total: int | None = None) -> None:
        """Pass it on; the stage of a known length is the engine's."""
        super().stage(name, total)
        if total is not None and name.startswith("compute factors"):
            self.begin()


def nightly(
    loaded: LoadedConfig, progress: Progress, *, wait_seconds: float = 0, max_age: int | None = None
) -> NightlyResult:
    """Bring store and predictions up to date with the bars; run twice, the second time finds nothing to do.

    Raises StoreError if no run is pinned or its weights have changed, DataCheckError if the data gate refuses the bars,
    InputError if there are none or they are older than `max_age` trading days, LockHeldError if another night is at
    work. Then nothing is published, and the next night catches up.
    """
    started = time.perf_counter()
    folder = loaded.path(loaded.config.store.predictions)
    with ThreadPoolExecutor(1) as aside:
        pin = read_pin(loaded)
        busy, hint = f"another night is at work on {folder}", "wait for it, or use --wait SECONDS"
        with only_writer(folder, busy, wait_seconds=wait_seconds, hint=hint, config_key="[store] predictions"):
            watched = _Meanwhile(progress, lambda: aside.submit(import_module, "torch"))
            stored = ingest(loaded, watched, wait_seconds=wait_seconds)
            store = open_store(stored.store)
            refuse_old(store.manifest.last, max_age, store.calendar(), "the bars")
            from qts.pipeline.night_work import NightWork  # noqa: PLC0415 - torch, which is being loaded
            from qts.pipeline.pinning import open_pinned  # noqa: PLC0415 - as above

            run = open_pinned(loaded, pin)
            night = NightWork(loaded, store, run, pin, read_book(folder), progress).publish()
    return NightlyResult(folder, pin.run, store.manifest.last, stored, night, time.perf_counter() - started)


def last_published(loaded: LoadedConfig) -> date | None:
    """Return the last day that has scores; None if no night has run."""
    book = read_book(loaded.path(loaded.config.store.predictions))
    return max(book.days()[DATETIME].to_pylist(), default=None) if book else None


def drift_text(drift: "Drift") -> str:
    """Return a drift in words."""
    place = "inside" if drift.is_inside else "below" if drift.mean < drift.low else "above"
    return (
        f"RankIC {drift.mean:.4f} of {len(drift.days)} days is {place} {drift.low:.4f} to {drift.high:.4f}, what the "
        f"test segment lets one expect"
    )


def drift_row(drift: "Drift | None") -> dict[str, Any] | None:
    """Return a drift as a row."""
    if drift is None:
        return None
    return {"days": len(drift.days), "rank_ic": drift.mean, "expected": drift.expected, "low": drift.low,
            "high": drift.high, "is_inside": drift.is_inside}  # fmt: skip
