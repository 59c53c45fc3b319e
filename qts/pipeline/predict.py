"""A run and the store → scores. A score depends on the weights and on data up to its own day, never on what was asked.

Features are made with the processors as the run fitted them, from enough days before the first one asked for.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qts.columns import DATETIME, INSTRUMENT, SCORE
from qts.config import LoadedConfig
from qts.cross_section import CrossSections
from qts.errors import ConfigError, StoreError
from qts.pipeline.ensemble import members_of
from qts.pipeline.held import device_of, hold, scale_of
from qts.pipeline.run_record import runs_folder
from qts.pipeline.span_windows import read_span
from qts.progress import Progress
from qts.store import Store, open_store
from qts.store.atomic import write_table
from qts.store.checksum import digest_of
from qts.training import predictor
from qts.training.batches import DeviceWindows
from qts.training.checkpoint import MODEL, Run, open_run
from qts.windows import Samples, WindowStore

PREDICTIONS = "predictions.parquet"
DATA_KEY = b"qts_data"
"""In the metadata of kept scores: what they were made from."""


def weights_print(run: Run) -> str:
    """Return the sha256 of a run's weights, which a training taken up changes; of an ensemble those of its members."""
    files = [run.folder.parent / name / MODEL for name in run.record.get("members", [run.name])]
    try:
        weights = [digest_of(file) for file in files]
    except OSError as error:
        message = f"the weights of {run.name} cannot be read: {error}"
        raise StoreError(message, hint="train anew: qts train --again") from error
    return " ".join(weights)


def data_print(run: Run, store: Store) -> bytes:
    """Return the hashes of what scores are made of: bars, universe and weights."""
    universe = store.manifest.universe
    return " ".join([
        store.manifest.bars.fingerprint, universe.fingerprint if universe else "", weights_print(run)
    ]).encode()  # fmt: skip


def kept_scores(run: Run, store: Store) -> pa.Table | None:
    """Return the scores kept with a run, or None if there are none or its weights or the store's data have changed."""
    try:
        table = pq.read_table(run.folder / PREDICTIONS)
        return table if (table.schema.metadata or {}).get(DATA_KEY) == data_print(run, store) else None
    except (OSError, pa.ArrowInvalid):
        return None


def scores_of(run: Run, store: Store, loaded: LoadedConfig, progress: Progress) -> pa.Table:
    """Return the scores of a run's test segment; kept ones that were made of other data or weights are made anew."""
    kept = kept_scores(run, store)
    return predict_run(loaded, progress, run=str(run.folder)).scores if kept is None else kept


Choose = Callable[[WindowStore, Samples], np.ndarray]
"""Which of the samples are scored, (n,) bool."""


@dataclass(frozen=True)
class PredictResult:
    """Scores and where they came from."""

    run: Run
    scores: pa.Table
    """instrument, datetime, score; sorted by datetime, then instrument."""
    first: date
    last: date
    n_members: int
    """Member rows in the span."""
    n_short_history: int
    """Members without a score: fewer than step_len days of history."""
    file: Path | None
    seconds: float


def predict_run(
    loaded: LoadedConfig,
    progress: Progress,
    *,
    run: str | None = None,
    segment: str | None = None,
    first: date | None = None,
    last: date | None = None,
    asof: str | None = None,
) -> PredictResult:
    """Score a segment (the test segment unless told otherwise), a span of days, or the one day `asof`.

    Scores of the run's own test segment are kept in its folder. Raises InputError if the store has no such day.
    """
    started = time.perf_counter()
    opened = open_run(runs_folder(loaded), run)
    store = open_store(loaded.path(loaded.config.store.path))
    span = _span(opened, store, segment, first, last, asof)
    table, n_members, n_short = score_span(opened, store, span, loaded, progress)
    file = None
    if [str(day) for day in span] == opened.record["segments"]["test"]:
        file = opened.folder / PREDICTIONS
        write_table(table.replace_schema_metadata({DATA_KEY: data_print(opened, store)}), file)
    return PredictResult(opened, table, *span, n_members, n_short, file, time.perf_counter() - started)


def _span(
    run: Run, store: Store, segment: str | None, first: date | None, last: date | None, asof: str | None
) -> tuple[date, date]:
    if sum(choice is not None for choice in (segment, first or last, asof)) > 1:
        raise ConfigError("--segment, --start/--end and --asof exclude each other")
    if asof is not None:
        day = store.manifest.last if asof == "last" else _day(asof)
        return day, day
    if first or last:
        return first or store.manifest.first, last or store.manifest.last
    spans = run.record["segments"]
    if (segment or "test") not in spans:
        raise ConfigError(f'unknown segment "{segment}"', hint=f"known: {', '.join(spans)}")
    span = spans[segment or "test"]
    return date.fromisoformat(span[0]), date.fromisoformat(span[1])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f'"{text}" is not a day', hint="write --asof last, or --asof 2024-12-31") from None


def score_span(
    run: Run,
    store: Store,
    span: tuple[date, date],
    loaded: LoadedConfig,
    progress: Progress,
    choose: Choose | None = None,
) -> tuple[pa.Table, int, int]:
    """Return the scores of all members between two days, the member rows, and those with too short a history.

    `choose` leaves some of them out; a by-day network must be given whole days.
    """
    progress.stage("read features")
    found = read_span(run.record, store, span)
    progress.count(rows=len(found.windows.day), n_bytes=found.windows.matrix.nbytes)
    dataset = found.dataset
    if choose is not None:
        chosen = choose(found.windows, dataset.samples)
        dataset = replace(dataset, samples=dataset.samples.take(np.flatnonzero(chosen)))
    progress.stage("score")
    samples = dataset.samples
    held = hold(dataset, device_of(loaded), scale_of(run.record))
    scores = score_samples(run, held, loaded)
    progress.count(rows=len(scores))
    order = np.lexsort((samples.instrument, samples.day))
    table = pa.table({
        INSTRUMENT: pa.array(found.windows.instruments[samples.instrument[order]].tolist(), pa.string()),
        DATETIME: pa.array(found.windows.calendar[samples.day[order]]),
        SCORE: pa.array(scores[order]),
    })  # fmt: skip
    return table, found.counts.rows, found.counts.short_history


def score_samples(
    run: Run, held: DeviceWindows, loaded: LoadedConfig, batch_size: int = predictor.BATCH_SIZE
) -> np.ndarray:
    """Return (n,) scores; of an ensemble the mean of its members' rank shares within each day."""
    members = members_of(run, runs_folder(loaded))
    if not members:
        network = run.network().to(held.device)
        precision = run.record["train"].get("precision", "fp32")
        return predictor.predict_scores(network, held, batch_size, precision)
    days = CrossSections(held.dataset.samples.day)
    scores = [score_samples(member, held, loaded, batch_size).astype(np.float64) for member in members]
    return np.mean([days.rank(score) / days.size(score) for score in scores], axis=0).astype(np.float32)
