"""Hyper-parameter search: trials are runs like any other, compared by their valid segment; no trial scores the test segment.

A run that was trained before is found again and one that was stopped is taken up, so a search needs no state of its own
but the list of trials that ended.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qts.config import LoadedConfig
from qts.errors import ConfigError, QtsError
from qts.pipeline.run_record import runs_folder
from qts.pipeline.samplers import Sampler, make_sampler, n_wanted
from qts.pipeline.search_space import Point, beyond_usual, problem_of
from qts.pipeline.study import BEST, FIGURES, Study, Trial, by_merit
from qts.pipeline.trial import TrialWork
from qts.progress import Progress
from qts.store.lock import only_writer
from qts.training import checkpoint
from qts.training.checkpoint import MODEL

ENDS = ("valid_loss", "valid_ic", "valid_rank_ic", "best_epoch", "n_epochs", "n_parameters", "seconds", "run", "reason")
"""What is told of how a trial ended."""


@dataclass(frozen=True)
class TuneResult:
    """A search and what it found."""

    folder: Path
    trials: tuple[Trial, ...]
    """The best first."""
    metric: str
    """What they were compared by."""
    best: Trial
    best_config: Path
    """The whole config of the best trial."""
    n_new: int
    """Trials of this call."""
    is_whole: bool
    """Whether all trials that were asked for have ended."""
    seconds: float

    @property
    def is_up_to_date(self) -> bool:
        """Whether nothing was left to try."""
        return self.is_whole and self.n_new == 0

    def rows(self, *, brief: bool = False) -> list[dict[str, Any]]:
        """Return a row a trial, the best first; a brief one has no more than fits a terminal."""
        keys = dict.fromkeys(key for trial in self.trials for key in trial.values)
        ends = (f"valid_{self.metric}", "best_epoch", "n_parameters", "seconds") if brief else ENDS
        return [
            {"trial": trial.number, "state": trial.state, **_named(trial.name),
             **{key: trial.values.get(key) for key in keys}, **{end: getattr(trial, end) for end in ends}}
            for trial in self.trials
        ]  # fmt: skip

    def lines(self) -> list[str]:
        """Return what was found, for whoever watches."""
        done = (
            "up to date: all trials ended before"
            if self.is_up_to_date
            else f"{self.n_new} trials in {self.seconds:.1f} s"
        )
        values = ", ".join(f"{key} {value}" for key, value in self.best.values.items())
        return [
            done,
            f"best is trial {self.best.number}: {values}",
            f"run {self.best.run}; its config: {self.best_config}",
        ]


def tune(loaded: LoadedConfig, progress: Progress) -> TuneResult:
    """Train the points of `[tune]` that were not tried before; raises QtsError if none of all trials came to a figure."""
    started = time.perf_counter()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("a search runs in one process", hint="start qts tune without torchrun")
    sampler = make_sampler(loaded)
    if not loaded.config.tune.presets:
        for line in beyond_usual(loaded.config.tune.space):
            progress.warn(line)
    study = Study.of(loaded)
    busy = f"the search {study.folder.name} is at work"
    with only_writer(study.folder, busy, hint="wait until it ends", config_key="[store] runs"):
        return _Search(loaded, study, sampler, progress, started).run()


def plan(loaded: LoadedConfig) -> list[dict[str, Any]]:
    """Return a row a point that would be tried, with what is wrong with it; nothing is trained, nothing written."""
    if loaded.config.tune.sampler == "tpe" and not loaded.config.tune.presets:
        raise ConfigError("tpe draws each point from the trials before it: there is no list of them beforehand",
                          where="--dry-run", hint="list those of --sampler random or grid")  # fmt: skip
    points = _points(make_sampler(loaded), n_wanted(loaded))
    return [
        {"trial": number, **_named(point.name), **point.values, "problem": problem_of(loaded, point)}
        for number, point in enumerate(points, start=1)
    ]


def _named(preset: str) -> dict[str, str]:
    return {"preset": preset} if preset else {}


def _points(sampler: Sampler, wanted: int | None) -> Iterator[Point]:
    number = 1
    while (wanted is None or number <= wanted) and (point := sampler(number, ())) is not None:
        yield point
        number += 1


class _Search:
    """One call's work on a study."""

    def __init__(
        self, loaded: LoadedConfig, study: Study, sampler: Sampler, progress: Progress, started: float
    ) -> None:
        self.loaded = loaded
        self.study = study
        self.sampler = sampler
        self.progress = progress
        self.started = started
        self.settings = loaded.config.tune
        self.runs = runs_folder(loaded)
        self.wanted = n_wanted(loaded)
        self.trials = {trial.number: trial for trial in study.trials() if self._is_kept(trial)}
        self.work = TrialWork(loaded, progress, self.ended)
        self.n_new = 0

    def _is_kept(self, trial: Trial) -> bool:
        """Return whether a trial needs not be repeated: the run of one that is done may have been deleted."""
        return trial.state != "done" or (self.runs / str(trial.run) / MODEL).is_file()

    def run(self) -> TuneResult:
        """Try what is left; whole trials are kept whatever happens."""
        try:
            is_whole = self._try_all()
        except BaseException:
            self.study.write_state("stopped", self.ended, self._best())
            raise
        found = by_merit(self.ended, self.settings.metric)
        best = self._best()
        if best is None:
            self.study.write_state("done", found, None)
            what = f"none of {len(found)} trials came to a {FIGURES[self.settings.metric]}"
            first = f"; trial {found[0].number}: {found[0].reason}" if found else ""
            raise QtsError(f"{what}{first}", where=str(self.study.folder), hint="widen [tune.space]")
        if self.n_new:
            self.study.write_state("done" if is_whole else "stopped", self.ended, best)
        self.study.write_best(self.loaded.changed(best.values, "[tune.space]"))
        checkpoint.set_latest(checkpoint.open_run(self.runs, best.run))
        seconds = time.perf_counter() - self.started
        return TuneResult(
            self.study.folder,
            tuple(found),
            self.settings.metric,
            best,
            self.study.folder / BEST,
            self.n_new,
            is_whole,
            seconds,
        )

    @property
    def ended(self) -> list[Trial]:
        """The trials that ended, those of calls before as well."""
        return list(self.trials.values())

    def _best(self) -> Trial | None:
        found = by_merit(self.ended, self.settings.metric)
        return found[0] if found and found[0].state == "done" else None

    def _try_all(self) -> bool:
        """Try every point that has not ended; return whether there was time for all."""
        number = 1
        while self.wanted is None or number <= self.wanted:
            if number not in self.trials:
                point = self.sampler(number, [t for other, t in self.trials.items() if other < number])
                if point is None:
                    break
                if self._is_late():
                    self.progress.note(
                        f"{self.settings.minutes:g} minutes are over: the next call begins trial {number}"
                    )
                    return False
                self._keep(self._try(number, point))
            number += 1
        return True

    def _is_late(self) -> bool:
        """Return whether no other trial may begin; one may in each call, so that every call gets on."""
        minutes = self.settings.minutes
        return minutes is not None and self.n_new > 0 and time.perf_counter() - self.started > 60 * minutes

    def _keep(self, trial: Trial) -> None:
        """Write a trial that ended, and the best config if it is the best."""
        self.n_new += 1
        self.trials[trial.number] = trial
        self.study.write_trials(self.ended)
        is_best = trial == self._best()
        if is_best:
            self.study.write_best(self.loaded.changed(trial.values, "[tune.space]"))
        self.work.remember(trial)
        self.progress.note(_say(trial, self.settings.metric) + (" (best so far)" if is_best else ""))

    def _try(self, number: int, point: Point) -> Trial:
        """Say which point is tried, and try it."""
        shown = ", ".join(f"{key} {value}" for key, value in point.values.items())
        of = f" of {self.wanted}" if self.wanted else ""
        self.progress.note(f"trial {number}{of}{f' ({point.name})' if point.name else ''}: {shown}")
        if self.n_new == 0:
            self.study.write_state("running", self.ended, self._best())
        return self.work.run(number, point)


def _say(trial: Trial, metric: str) -> str:
    """Return how a trial ended, for whoever watches."""
    if trial.state != "done":
        return f"trial {trial.number}: {trial.state}: {trial.reason}"
    figure = {"loss": trial.valid_loss, "ic": trial.valid_ic, "rank_ic": trial.valid_rank_ic}[metric]
    epochs = f"epoch {trial.best_epoch} of {trial.n_epochs}"
    return f"trial {trial.number}: {FIGURES[metric]} {figure:.4f} at {epochs}, {trial.seconds:.1f} s"
