"""Bars → checked → factors and label → store; does only what is not up to date, and only for rows that are new."""

import time
from dataclasses import dataclass
from pathlib import Path

from qts.config import LoadedConfig
from qts.pipeline.forecast import Forecast
from qts.pipeline.ingest_work import Ingest
from qts.pipeline.recipes import expand_factors, read_label
from qts.progress import Progress
from qts.store import StoreWriter
from qts.store.engine import engine_limits, spill_folder


@dataclass(frozen=True)
class IngestResult:
    """What an ingest found and did."""

    store: Path
    n_rows: int
    """Rows of the panel, suspended days included."""
    n_bars: int
    n_instruments: int
    n_days: int
    first: str
    last: str
    written: tuple[str, ...]
    """Datasets written anew; empty: everything was up to date."""
    warnings: tuple[str, ...]
    grown: int
    """Instruments with new days after their known ones."""
    restated: tuple[str, ...]
    """Instruments whose known history has changed; they were computed anew."""
    new: tuple[str, ...]
    """Instruments that were not known, unless everything was taken in."""
    gone: tuple[str, ...]
    """Instruments that the source no longer has."""
    n_quarantined: int
    """Rows the data gate has put aside, in this ingest and before."""
    n_bytes: int
    seconds: float

    @property
    def is_up_to_date(self) -> bool:
        """Whether there was nothing to do."""
        return not self.written


def ingest(loaded: LoadedConfig, progress: Progress, *, wait_seconds: float = 0, rescan: bool = False) -> IngestResult:
    """Bring the store up to date with the bars and the config.

    With `rescan` every row of the source is read, even if its files have the size and time they had.
    """
    started = time.perf_counter()
    sets = expand_factors(loaded)
    label, ahead = read_label(loaded)
    with (
        StoreWriter(loaded.path(loaded.config.store.path), wait_seconds=wait_seconds) as writer,
        spill_folder(temp_folder(loaded), writer.spill) as spill,
        engine_limits(),
    ):
        work = Ingest(writer, loaded, progress, spill, rescan=rescan)
        manifest = work.run(sets, label, ahead)
    survey = work.arrivals.survey
    return IngestResult(
        store=writer.folder,
        n_rows=manifest.label.n_rows,
        n_bars=manifest.bars.n_rows,
        n_instruments=manifest.n_instruments,
        n_days=manifest.calendar.n_rows,
        first=str(manifest.first),
        last=str(manifest.last),
        written=tuple(name for name in manifest.datasets() if name in work.written),
        warnings=tuple(work.warnings),
        grown=len(survey.grown),
        restated=survey.restated,
        new=survey.new,
        gone=survey.gone,
        n_quarantined=manifest.quarantine.n_rows if manifest.quarantine else 0,
        n_bytes=sum(dataset.n_bytes for dataset in manifest.datasets().values()),
        seconds=time.perf_counter() - started,
    )


def forecast_ingest(loaded: LoadedConfig, progress: Progress, *, rescan: bool = False) -> Forecast:
    """Return what an ingest would do now; writes nothing, not even a lock, so that another one may be at work."""
    sets = expand_factors(loaded)
    label, ahead = read_label(loaded)
    writer = StoreWriter(loaded.path(loaded.config.store.path))
    with spill_folder(temp_folder(loaded)) as spill, engine_limits():
        return Ingest(writer, loaded, progress, spill, rescan=rescan).forecast(sets, label, ahead)


def temp_folder(loaded: LoadedConfig) -> Path | None:
    """Return where the config wants work that spills; None if it says nothing."""
    folder = loaded.config.limits.temp_folder
    return loaded.path(folder) if folder else None
