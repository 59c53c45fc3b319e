"""Scores + labels → an EvalReport, written beside the run or the file the scores came from."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from qts import __version__
from qts.bars.door import Wanted, clean_rows
from qts.bars.sources import make_raw
from qts.columns import DATETIME, INSTRUMENT, LABEL, SCORE
from qts.config import BarsConfig, LoadedConfig
from qts.errors import InputError
from qts.evaluation import EvalReport, evaluate_scores
from qts.pipeline.predict import kept_scores, predict_run
from qts.pipeline.run_record import runs_folder, seeds_of
from qts.pipeline.weights import column_of
from qts.progress import Progress
from qts.rendering.report import write_report
from qts.store import Store, open_store
from qts.store.engine import connect
from qts.training.checkpoint import Run, open_run


@dataclass(frozen=True)
class EvalResult:
    """A report and where it was written."""

    report: EvalReport
    files: tuple[Path, ...]
    seconds: float


def evaluate(
    loaded: LoadedConfig,
    progress: Progress,
    *,
    run: str | None = None,
    scores: Path | None = None,
    out: Path | None = None,
) -> EvalResult:
    """Evaluate a run's test scores, or any file with instrument, datetime and score."""
    started = time.perf_counter()
    store = open_store(loaded.path(loaded.config.store.path))
    if scores is not None:
        table, context, folder = read_scores(loaded, scores), {"scores": str(scores)}, Path(f"{scores.stem}-report")
    else:
        opened = open_run(runs_folder(loaded), run)
        table, context, folder = _scores_of(opened, store, loaded, progress), _context_of(opened), opened.folder
    progress.stage("evaluate")
    report = report_on(table, store, loaded, context)
    files = write_report(report, out or folder)
    return EvalResult(report, files, time.perf_counter() - started)


def report_on(table: pa.Table, store: Store, loaded: LoadedConfig, context: dict[str, Any]) -> EvalReport:
    """Join scores with the store's raw labels and judge them."""
    days = table[DATETIME].to_numpy().astype("datetime64[D]")
    names = np.array(table[INSTRUMENT].to_pylist(), dtype=str)
    score = table[SCORE].to_numpy(zero_copy_only=False).astype(np.float64)
    label = column_of(store, LABEL, names, days)
    context = {
        **context, "label": store.manifest.label.expressions[LABEL], "label_ahead": store.manifest.label.ahead,
        "first": str(days.min()), "last": str(days.max()), "qts_version": __version__,
        "bars_fingerprint": store.manifest.bars.fingerprint,
    }  # fmt: skip
    return evaluate_scores(days, score, label, loaded.config.eval, instrument=names, context=context)


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


def _context_of(run: Run) -> dict[str, Any]:
    record = run.record
    return {
        "run": run.name, "model": record["model"]["name"], "seed": seeds_of(record),
        "step_len": record["window"]["step_len"], "n_features": len(record["features"]),
        "segments": record["segments"], "best_epoch": record["best_epoch"], "n_parameters": record["n_parameters"],
    }  # fmt: skip
