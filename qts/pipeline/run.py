"""Everything that is not up to date, in order: ingest, window, train, predict, report."""

import time
from dataclasses import dataclass
from pathlib import Path

from qts.config import LoadedConfig
from qts.pipeline.evaluate import evaluate
from qts.pipeline.features import needed_segments
from qts.pipeline.ingest import ingest
from qts.pipeline.predict import kept_scores, predict_run
from qts.pipeline.train import TrainResult, model_options, train_run
from qts.progress import Progress
from qts.rendering.document import Document
from qts.store import open_store
from qts.training.device import resolve_device


@dataclass(frozen=True)
class Stage:
    """What one stage did."""

    name: str
    was_up_to_date: bool
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """The stages and the report they led to."""

    stages: tuple[Stage, ...]
    training: TrainResult
    document: Document
    files: tuple[Path, ...]
    """The report's files."""


def run_all(loaded: LoadedConfig, progress: Progress, *, wait_seconds: float = 0) -> RunResult:
    """Bring everything up to date; what can be refused is refused before the first stage."""
    needed_segments(loaded)
    model_options(loaded)
    resolve_device(loaded.config.train.device)
    stages = []
    stored = ingest(loaded, progress, wait_seconds=wait_seconds)
    stages.append(Stage("ingest", stored.is_up_to_date, stored.seconds))
    training = train_run(loaded, progress)
    stages.append(Stage("train", training.is_up_to_date, training.seconds))
    started = time.perf_counter()
    has_scores = kept_scores(training.run, open_store(stored.store)) is not None
    if not has_scores:
        predict_run(loaded, progress, run=str(training.run.folder))
    stages.append(Stage("predict", has_scores, time.perf_counter() - started))
    judged = evaluate(loaded, progress, run=str(training.run.folder), trades=True)
    stages.append(Stage("report", was_up_to_date=False, seconds=judged.seconds))
    return RunResult(tuple(stages), training, judged.document, judged.files)
