"""One trial: train a point, stop it if it falls behind, and say how it ended."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite, nan
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from qts.config import LoadedConfig
from qts.errors import ConfigError, DataCheckError, QtsError
from qts.models import load_architecture
from qts.pipeline.hushed import Hushed
from qts.pipeline.run_record import find_runs, runs_folder
from qts.pipeline.search_space import Point, said
from qts.pipeline.study import FIGURES, Trial
from qts.pipeline.train import OnEpoch, model_options, train_run, training_key, windows_for
from qts.progress import Progress
from qts.training.checkpoint import HISTORY, Run
from qts.training.history import Epoch

LEAST_TO_PRUNE = 5
"""Finished trials that must have reached an epoch before one is stopped there."""


class Pruned(QtsError):  # noqa: N818 - nothing went wrong
    """A trial is stopped because it is behind."""


class TrialWork:
    """Trains the trials of a search, and remembers those that are done for the next ones to be compared with."""

    def __init__(self, loaded: LoadedConfig, progress: Progress, before: Sequence[Trial]) -> None:
        self.loaded = loaded
        self.settings = loaded.config.tune
        self.hushed = Hushed(progress)
        self.curves: dict[int, dict[int, float]] = {}
        for trial in before:
            self.remember(trial)

    def remember(self, trial: Trial) -> None:
        """Keep a trial's figures by epoch, if others will be compared with them."""
        if self.settings.prune and trial.state == "done":
            self.curves[trial.number] = _curve(runs_folder(self.loaded) / str(trial.run), self.settings.metric)

    def run(self, number: int, point: Point) -> Trial:
        """Train a point; what goes wrong with it alone is written down, what would go wrong with all is raised."""
        began = time.perf_counter()
        try:
            changed = self.loaded.changed(point.values, "[tune.space]")
            run = train_run(changed, self.hushed, on_epoch=self._watch(changed)).run
        except (QtsError, torch.OutOfMemoryError) as error:
            state = _state_after(error)
            if state is None:
                raise
            seconds = round(time.perf_counter() - began, 3)
            ended = Trial(number, state, point.values, point.name, seconds=seconds, reason=said(error))
            return ended if state == "invalid" else replace(ended, **self._traces_of(changed, state))
        return self._done(number, point, run)

    def _done(self, number: int, point: Point, run: Run) -> Trial:
        record = run.record
        sizes = {key: record[key] for key in ("best_epoch", "n_epochs", "n_parameters", "seconds")}
        trial = Trial(number, "done", point.values, point.name, run=run.name, **sizes)
        trial = replace(trial, **_finite(record["best"]))
        if trial.figure(self.settings.metric) is not None:
            return trial
        return replace(trial, state="failed", reason=f"no finite {FIGURES[self.settings.metric]}")

    def _traces_of(self, changed: LoadedConfig, state: str) -> dict[str, Any]:
        """Return what the run of a trial that broke off left behind; its figures count only if it was stopped early."""
        run = self._run_of(changed)
        history = _history_of(run.folder) if run else []
        best = next((row for row in reversed(history) if row["is_best"]), None)
        if run is None or best is None or state != "pruned":
            return {"run": run and run.name, "n_epochs": len(history)}
        return {"run": run.name, "n_epochs": len(history), "best_epoch": best["epoch"], **_finite(best)}

    def _run_of(self, changed: LoadedConfig) -> Run | None:
        """Return the newest run of a config, finished or not."""
        try:
            windows = windows_for(changed, self.hushed)
            return next(find_runs(changed, training_key(changed, model_options(changed), windows)), None)
        except QtsError:
            return None

    def _watch(self, changed: LoadedConfig) -> OnEpoch | None:
        """Return what stops a trial that is behind."""
        if not self.settings.prune or load_architecture(changed.config.model.name).batches == "whole":
            return None
        metric, figures = self.settings.metric, dict[int, float]()

        def look(line: Epoch) -> None:
            if line.epoch > 1 and not figures and (run := self._run_of(changed)):  # taken up: it had epochs before
                figures.update(_curve(run.folder, metric))
            figures[line.epoch] = line.figure(metric)
            if line.epoch < changed.config.train.epochs:
                self._stop_if_behind(line.epoch, max(filter(isfinite, figures.values()), default=-inf))

        return look

    def _stop_if_behind(self, epoch: int, best: float) -> None:
        others = [curve[epoch] for curve in self.curves.values() if isfinite(curve.get(epoch, nan))]
        if len(others) < LEAST_TO_PRUNE or best >= median(others):
            return
        metric = self.settings.metric
        sign = -1 if metric == "loss" else 1
        raise Pruned(f"{FIGURES[metric]} {sign * best:.4f} by epoch {epoch} is behind the median "
                     f"{sign * median(others):.4f} of {len(others)} trials")  # fmt: skip


def _state_after(error: Exception) -> str | None:
    """Return how a trial ended with an error; None if the error is not the trial's own."""
    if isinstance(error, Pruned):
        return "pruned"
    if isinstance(error, ConfigError | DataCheckError):
        return "invalid"
    return "failed" if type(error) is QtsError or isinstance(error, torch.OutOfMemoryError) else None


def _finite(figures: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: figures[key] for key in ("valid_loss", "valid_ic", "valid_rank_ic")}
    return {key: value if value is not None and isfinite(value) else None for key, value in found.items()}


def _history_of(folder: Path) -> list[dict[str, Any]]:
    """Return a run's epochs; none if it has no history that can be read."""
    try:
        rows: list[dict[str, Any]] = pq.read_table(folder / HISTORY).to_pylist()
    except (OSError, pa.ArrowInvalid):
        return []
    return rows


def _curve(folder: Path, metric: str) -> dict[int, float]:
    """Return epoch → figure, larger being better."""
    return {row["epoch"]: Epoch(**row).figure(metric) for row in _history_of(folder)}
