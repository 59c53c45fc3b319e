"""A run and the store → scores. A score depends on the weights and on data up to its own day, never on what was asked.

Features are made with the processors as the run fitted them, from enough days before the first one asked for.
"""

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qts.columns import DATETIME, INSTRUMENT, SCORE
from qts.config import LoadedConfig, WindowConfig
from qts.errors import ConfigError, InputError, StoreError
from qts.pipeline.features import apply_features
from qts.pipeline.segments import make_dataset
from qts.pipeline.train import runs_folder
from qts.processors import PROCESSORS
from qts.progress import Progress
from qts.store import Store, open_store
from qts.training.batches import DeviceWindows
from qts.training.checkpoint import Run, open_run
from qts.training.device import resolve_device
from qts.training.predictor import predict_scores

PREDICTIONS = "predictions.parquet"
DATA_KEY = b"qts_data"
"""In the metadata of kept scores: what they were made from."""


def data_print(store: Store) -> bytes:
    """Return the hash of the bars and the universe, of which scores are made."""
    universe = store.manifest.universe
    return f"{store.manifest.bars.fingerprint} {universe.fingerprint if universe else ''}".encode()


def kept_scores(run: Run, store: Store) -> pa.Table | None:
    """Return the scores kept with a run, or None if there are none or the store's data has changed since."""
    try:
        table = pq.read_table(run.folder / PREDICTIONS)
    except (OSError, pa.ArrowInvalid):
        return None
    return table if (table.schema.metadata or {}).get(DATA_KEY) == data_print(store) else None


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
        write_table(table.replace_schema_metadata({DATA_KEY: data_print(store)}), file)
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
    run: Run, store: Store, span: tuple[date, date], loaded: LoadedConfig, progress: Progress
) -> tuple[pa.Table, int, int]:
    """Return the scores of all members between two days, the member rows, and those with too short a history."""
    record = run.record
    _check_expressions(record, store)
    calendar = store.calendar()
    low = int(np.searchsorted(calendar, np.datetime64(span[0], "D")))
    high = int(np.searchsorted(calendar, np.datetime64(span[1], "D"), side="right"))
    if low >= high:
        raise InputError(
            f"the store has no day between {span[0]} and {span[1]} (it holds {store.manifest.first} to {store.manifest.last})",
            hint="ingest newer bars, or ask for days that are there",
        )
    window = WindowConfig.model_validate(record["window"])
    progress.stage("read features")
    windows = apply_features(store, record, *_days_to_read(record, calendar, low - window.step_len + 1, high - 1))
    dataset, counts = make_dataset(windows, window, span, None, needs_label=False)
    if not counts.rows:
        raise InputError(
            f"no member of the universe has a row between {span[0]} and {span[1]}", hint="is the universe up to date?"
        )
    progress.stage("score")
    network = run.network()
    device = resolve_device(loaded.config.train.device)
    scores = predict_scores(network.to(device), DeviceWindows(dataset, device))
    samples = dataset.samples
    order = np.lexsort((samples.instrument, samples.day))
    table = pa.table({
        INSTRUMENT: pa.array(windows.instruments[samples.instrument[order]].tolist(), pa.string()),
        DATETIME: pa.array(calendar[samples.day[order]]),
        SCORE: pa.array(scores[order]),
    })  # fmt: skip
    return table, counts.rows, counts.short_history


def _days_to_read(
    record: dict[str, Any], calendar: np.ndarray, first: int, last: int
) -> tuple[date | None, date | None]:
    """Return the days whose rows windows between two positions need; more where the recipe looks further."""
    if any(PROCESSORS[step["name"]].reads_whole_history for step in record["processors"]["features"]):
        return None, None
    end = date.fromisoformat(str(calendar[last]))
    if record["view_first_day"]:  # a view's days are those of its rows: only all of them tell which those are
        return date.fromisoformat(record["view_first_day"]), end
    return date.fromisoformat(str(calendar[max(0, first)])), end


def _check_expressions(record: dict[str, Any], store: Store) -> None:
    """Refuse a store whose factors mean something else than when the run was trained."""
    for name, expression in record["expressions"].items():
        if store.dataset_of(name).expressions[name] != expression:
            raise StoreError(
                f"the run was trained on {name} = {expression}, but the store's {name} is another expression",
                hint="train anew, or ingest with the run's config.toml",
            )


def write_table(table: pa.Table, file: Path) -> None:
    """Write a Parquet file in one atomic step."""
    temporary = file.with_name(f".{file.name}.tmp")
    pq.write_table(table, temporary)
    temporary.replace(file)
