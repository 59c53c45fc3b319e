"""What is judged: a run's scores or a file from any tool, with where they came from and where their report goes."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from qts import __version__
from qts.bars.door import Wanted, clean_rows
from qts.bars.sources import make_raw
from qts.columns import LABEL, SCORE
from qts.config import BarsConfig, LoadedConfig
from qts.errors import InputError
from qts.pipeline.predict import data_print, kept_scores, predict_run
from qts.pipeline.run_record import runs_folder, seeds_of
from qts.pipeline.scored import ScoredStore, sort_scores
from qts.progress import Progress
from qts.store import Store, fingerprint, open_store
from qts.store.engine import connect
from qts.training.checkpoint import Run, open_run


@dataclass(frozen=True)
class Subject:
    """Scores to be judged against a store."""

    store: Store
    scored: ScoredStore
    context: dict[str, Any]
    """Where they came from, for the report."""
    folder: Path
    """Where the report goes unless told otherwise."""
    run: Run | None = None
    """The run that made them; None: they came from a file."""

    @property
    def name(self) -> str:
        """What they are called beside others."""
        return self.run.name if self.run else str(self.context["scores"])


def find_subject(
    loaded: LoadedConfig, progress: Progress, run: str | None = None, scores: Path | None = None
) -> Subject:
    """Return a run's test scores (the latest run's unless told otherwise), or those of a file."""
    store = open_store(loaded.path(loaded.config.store.path))
    if scores is not None:
        table = read_scores(loaded, scores)
        return _subject(loaded, store, table, {"scores": str(scores)}, Path(f"{scores.stem}-report"), None)
    opened = open_run(runs_folder(loaded), run)
    return _subject(loaded, store, _scores_of(opened, store, loaded, progress), _origin(opened), opened.folder, opened)


def _subject(
    loaded: LoadedConfig, store: Store, table: pa.Table, origin: dict[str, Any], folder: Path, run: Run | None
) -> Subject:
    rows = sort_scores(table, store)
    scored = ScoredStore(store, rows)
    calendar, config = scored.calendar, loaded.config
    context = {
        **origin, "first": str(calendar[rows.first]), "last": str(calendar[rows.last]),
        "label": store.manifest.label.expressions[LABEL], "label_ahead": store.manifest.label.ahead,
        "lag": config.eval.lag, "days_per_year": config.eval.days_per_year, "min_names": config.eval.min_names,
        "scores_hash": rows.content_hash, "made_of": made_of(loaded, store, run, rows.content_hash),
        "bars_fingerprint": store.manifest.bars.fingerprint, "label_fingerprint": store.manifest.label.fingerprint,
        "universe_fingerprint": store.manifest.universe.fingerprint if store.manifest.universe else None,
        "versions": _versions(), "config": loaded.resolved().model_dump(mode="json", exclude_none=True),
    }  # fmt: skip
    return Subject(store, scored, context, folder, run)


def made_of(loaded: LoadedConfig, store: Store, run: Run | None, scores_hash: str = "") -> str:
    """Return the hash of all that a report is made of: scores, bars, label, and how they are judged and traded."""
    scores = data_print(run, store).decode() if run else scores_hash
    config = loaded.config
    return fingerprint(
        scores, store.manifest.bars.fingerprint, store.manifest.label.fingerprint, config.eval.model_dump(mode="json"),
        config.backtest.model_dump(mode="json"), __version__,
    )  # fmt: skip


def _versions() -> dict[str, str]:
    return {
        "qts": __version__, "python": platform.python_version(), "numpy": np.__version__, "duckdb": duckdb.__version__,
        "pyarrow": pa.__version__,
    }  # fmt: skip


def _origin(run: Run) -> dict[str, Any]:
    record = run.record
    return {
        "run": run.name, "model": record["model"]["name"], "seed": seeds_of(record),
        "step_len": record["window"]["step_len"], "n_features": len(record["features"]),
        "segments": record["segments"], "best_epoch": record["best_epoch"], "n_parameters": record["n_parameters"],
    }  # fmt: skip


def read_scores(loaded: LoadedConfig, file: Path) -> pa.Table:
    """Return instrument, datetime, score of a Parquet or CSV file from any tool."""
    if not file.is_file():
        raise InputError(f"no scores file {file}", hint="check --scores")
    source: Literal["parquet", "csv"] = "parquet" if file.suffix in (".parquet", ".pq") else "csv"
    connection = connect(loaded.config.limits)
    make_raw(connection, BarsConfig(source=source), file)
    clean_rows(connection, Wanted((SCORE,)), "scores", str(file))
    return connection.sql("SELECT * FROM scores").to_arrow_table()


def _scores_of(run: Run, store: Store, loaded: LoadedConfig, progress: Progress) -> pa.Table:
    """Return the run's scores; those kept of other data are made anew, for the labels are of this store."""
    kept = kept_scores(run, store)
    return predict_run(loaded, progress, run=str(run.folder)).scores if kept is None else kept
