"""Scores judged and, if wanted, traded: one report with everything that is known of them, beside the run or the file."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from qts.backtest.engine import run_backtest
from qts.backtest.results import BacktestResult
from qts.config import LoadedConfig
from qts.errors import DataCheckError
from qts.evaluation import EvalReport, evaluate_signal
from qts.pipeline.subject import Subject, find_subject
from qts.progress import Progress
from qts.rendering.document import Document
from qts.rendering.evaluation_chapters import evaluation_document
from qts.rendering.report import write_report
from qts.store.atomic import write_table

RECORDS = "backtest"
"""Folder of a backtest's tables, beside the report."""


@dataclass(frozen=True)
class EvalResult:
    """A report and where it was written."""

    report: EvalReport
    backtest: BacktestResult | None
    document: Document
    files: tuple[Path, ...]
    seconds: float


def evaluate(
    loaded: LoadedConfig,
    progress: Progress,
    *,
    run: str | None = None,
    scores: Path | None = None,
    out: Path | None = None,
    live: bool = False,
    trades: bool | None = None,
) -> EvalResult:
    """Judge a run's test scores, or any file with instrument, datetime and score, and write the report.

    `live` also scores the days after the test segment and compares them with it. `trades` adds a backtest; None: if there
    was one before. Raises DataCheckError, once the report is written, if too many rows have no score.
    """
    started = time.perf_counter()
    subject = find_subject(loaded, progress, run, scores)
    folder = out or subject.folder
    if trades is None:
        trades = (folder / RECORDS).is_dir()
    report, backtest = judge(subject, loaded, progress, trades=trades)
    if live:
        from qts.pipeline.run_subject import drift_of  # noqa: PLC0415 - scores of a file need no torch

        report = replace(report, drift=drift_of(subject, loaded, report, progress))
    document = evaluation_document(report, backtest)
    files: tuple[Path, ...] = write_report(document, folder)
    if backtest is not None:
        files += write_records(backtest, folder / RECORDS)
    _refuse_lost(report, loaded, files[0])
    return EvalResult(report, backtest, document, files, time.perf_counter() - started)


def judge(
    subject: Subject, loaded: LoadedConfig, progress: Progress, *, trades: bool
) -> tuple[EvalReport, BacktestResult | None]:
    """Return what the scores are worth and, with `trades`, the portfolio that follows them."""
    progress.stage("evaluate")
    signal = subject.scored.signal(loaded.config.eval)
    progress.count(rows=len(signal.score))
    report = evaluate_signal(signal, loaded.config.eval, subject.context)
    report = replace(report, warnings=(*subject.warnings, *report.warnings))
    if not trades:
        return report, None
    progress.stage("backtest")
    market, grid = subject.scored.market(loaded.config.backtest)
    traded = run_backtest(market, grid, loaded.config.backtest, days_per_year=loaded.config.eval.days_per_year)
    progress.count(rows=len(traded.days))
    return report, traded


def _refuse_lost(report: EvalReport, loaded: LoadedConfig, file: Path) -> None:
    lost, most = report.coverage.lost, loaded.config.eval.max_lost
    if lost > most:
        message = f"{100 * lost:.1f} % of the rows with a label have no score; at most {100 * most:g} % may"
        raise DataCheckError(message, where=str(file), hint="mend the scores, or raise [eval] max_lost")


def write_records(result: BacktestResult, folder: Path) -> tuple[Path, ...]:
    """Write a backtest's tables as Parquet; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, columns in vars(result.records).items():
        files.append(folder / f"{name}.parquet")
        write_table(to_arrow(columns), files[-1])
    return tuple(files)


def to_arrow(columns: Mapping[str, np.ndarray]) -> pa.Table:
    """Return a table of numpy columns: texts as texts, days as days."""
    return pa.table({name: _to_array(values) for name, values in columns.items()})


def _to_array(values: np.ndarray) -> pa.Array:
    if values.dtype.kind == "M":
        return pa.array(values.astype("datetime64[D]"), pa.date32())
    return pa.array(values.tolist(), pa.string()) if values.dtype.kind in "UO" else pa.array(values)
