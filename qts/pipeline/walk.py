"""Walk-forward: a model trained anew for each fold of the calendar, and the scores of all their test parts as one file.

Folds are runs like any other: one that was trained before is found again, one that was stopped is taken up.
"""

import os
import time
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa

from qts.config import LoadedConfig
from qts.errors import ConfigError, QtsError
from qts.pipeline.features import make_recipe, needed_segments, refuse_stale_store
from qts.pipeline.figures import Figures, judge
from qts.pipeline.folds import Fold, make_folds
from qts.pipeline.hushed import Hushed
from qts.pipeline.predict import data_print, kept_scores, scores_of
from qts.pipeline.run_record import runs_folder
from qts.pipeline.tasks import run_tasks
from qts.pipeline.train import model_options, train_run
from qts.pipeline.walk_folder import Outcome, WalkFolder
from qts.pipeline.window import are_windows_fresh, window_folder
from qts.progress import Progress
from qts.store import Store, fingerprint, open_store
from qts.store.lock import only_writer
from qts.training.checkpoint import MODEL, Run, set_latest
from qts.windows.build import remove_windows

SPANS = ("train_first", "train_last", "valid_first", "valid_last", "test_first", "test_last")


@dataclass(frozen=True)
class WalkResult:
    """A walk and what its scores are worth."""

    folder: Path
    scores: Path
    """instrument, datetime, score, fold, run: every day is scored by the model that was tested on it."""
    folds: tuple[Fold, ...]
    outcomes: tuple[Outcome, ...]
    """Of each fold."""
    overall: Figures
    """Of all scores."""
    n_new: int
    """Folds of this call."""
    is_up_to_date: bool
    """Whether nothing was left to do."""
    seconds: float

    def rows(self, *, brief: bool = False) -> list[dict[str, Any]]:
        """Return a row a fold; a brief one has no more than fits a terminal."""
        rows = []
        for fold, outcome in zip(self.folds, self.outcomes, strict=True):
            whole = fold.row(brief=brief)
            row = {name: whole[name] for name in (("fold", "test") if brief else ("fold", *SPANS))}
            row |= {name: getattr(outcome, name) for name in ("valid_loss", "valid_ic", "valid_rank_ic")[2 * brief :]}
            test = asdict(outcome.test)
            ends = {} if brief else {"n_scores": test["n_scores"], "run": outcome.run, "seconds": outcome.seconds}
            rows.append(
                {**row, **{name: test[name] for name in ("ic", "icir", "rank_ic", "rank_icir", "n_days")}, **ends}
            )
        return rows

    def lines(self) -> list[str]:
        """Return what was found, for whoever watches."""
        done = (
            "up to date: all folds ended before"
            if self.is_up_to_date
            else f"{self.n_new} folds in {self.seconds:.1f} s"
        )
        first, last = self.folds[0].test[0], self.folds[-1].test[1]
        return [
            done,
            f"out of sample, {first} to {last}: {self.overall}",
            f"qts eval --scores {self.scores} reports on them",
        ]


def plan(loaded: LoadedConfig, *, brief: bool = False) -> list[dict[str, Any]]:
    """Return a row a fold that would be trained; nothing is trained, nothing written."""
    store = open_store(loaded.path(loaded.config.store.path))
    return [fold.row(brief=brief) for fold in _folds(loaded, store)]


def walk(loaded: LoadedConfig, progress: Progress) -> WalkResult:
    """Train, score and judge what is left of the folds of `[walk]`, and lay their scores end to end.

    Raises ConfigError if the folds do not fit the calendar, or the error of a fold with its number before the message.
    """
    started = time.perf_counter()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "a walk begins its own processes", hint="start qts walk without torchrun; see [walk] processes"
        )
    store = open_store(loaded.path(loaded.config.store.path))
    folds = _folds(loaded, store)
    if loaded.config.train.init_from is not None:
        progress.warn(f"every fold begins with the weights of init_from: were they made before {folds[0].test[0]}?")
    place = WalkFolder.of(loaded, folds, store)
    before = place.of_other_data()
    if before:
        progress.note(f"the data changed since {before}: all folds are trained again")
    busy = f"the walk {place.folder.name} is at work"
    with only_writer(place.folder, busy, hint="wait until it ends", config_key="[store] runs"):
        place.write_configs()
        return _Walk(loaded, place, store, progress, started).run()


def _folds(loaded: LoadedConfig, store: Store) -> tuple[Fold, ...]:
    """Return the folds of a config; what can be refused is refused here."""
    refuse_stale_store(loaded, store)
    model_options(loaded)
    recipe = make_recipe(loaded)
    for group, steps in (("features", recipe.feature_steps), ("label", recipe.label_steps)):
        for at, (name, options) in enumerate(steps):
            if getattr(options, "fit", None):
                raise ConfigError(
                    f"{name} has a fit range of its own, so that every fold would be fitted on the same days",
                    where=loaded.where("processors", group, at), hint="leave out fit: it is then each fold's train part",
                )  # fmt: skip
    segments = needed_segments(loaded)
    where = loaded.where("walk")
    return make_folds(store.calendar(), segments, loaded.config.walk, store.manifest.label.ahead, where)


class _Walk:
    """One call's work on a walk: the task that is done with each fold, and what is done with all."""

    def __init__(
        self, loaded: LoadedConfig, place: WalkFolder, store: Store, progress: Progress, started: float
    ) -> None:
        self.loaded = loaded
        self.place = place
        self.store = store
        self.progress = progress
        self.started = started
        self.hushed = Hushed(progress)
        self.settings = loaded.config.walk
        self.runs = runs_folder(loaded)
        self.outcomes = place.outcomes()
        self.tables: dict[int, pa.Table] = {}
        """Number of a fold → its scores, of those that are whole."""
        self.made: set[int] = set()
        """Numbers of folds whose windows this call makes: no other fold needs them, and each is a copy of all factors."""
        self.n_new = 0

    def run(self) -> WalkResult:
        """Do what is left; whole folds are kept whatever happens."""
        left = [fold for fold in self.place.folds if not self._is_whole(fold)]
        self.outcomes = [line if line.fold in self.tables else Outcome(line.fold) for line in self.outcomes]
        try:
            run_tasks(self, left, self.settings.processes, self.progress)
            table, is_new = self._stitch()
        except BaseException as error:
            self._break_off(error)
            raise
        overall = judge(table, self.store, self.loaded.config.eval.min_names)
        if left or is_new:
            self.place.write("done", self.outcomes, overall)
            set_latest(self._run_of(self.outcomes[-1]))
        return WalkResult(
            self.place.folder, self.place.scores, self.place.folds, tuple(self.outcomes), overall, self.n_new,
            not (left or is_new), time.perf_counter() - self.started,
        )  # fmt: skip

    def _is_whole(self, fold: Fold) -> bool:
        """Return whether a fold needs not be repeated; its run may have been deleted, or be of other weights."""
        outcome = self.outcomes[fold.number - 1]
        if outcome.state != "done" or not (self.runs / str(outcome.run) / MODEL).is_file():
            return False
        table = kept_scores(self._run_of(outcome), self.store)
        if table is not None:
            self.tables[fold.number] = table
        return table is not None

    def _run_of(self, outcome: Outcome) -> Run:
        return Run(self.runs / str(outcome.run), {})

    # The task

    def name(self, item: Fold) -> str:
        """Return what people call a fold."""
        return f"fold {item.number}"

    def begin(self, item: Fold) -> list[str]:
        """Return the arguments that train a fold elsewhere."""
        self._announce(item)
        n_threads = self.loaded.config.limits.threads or max(1, (os.cpu_count() or 1) // self.settings.processes)
        config = self.place.config_file(item)
        return ["train", "--config", str(config), "--set", f"limits.threads={n_threads}"]

    def finish(self, item: Fold) -> Outcome:
        """Train a fold unless that is done, score its test part, judge the scores."""
        began = time.perf_counter()
        if self.outcomes[item.number - 1].state != "running":
            self._announce(item)
        loaded = self.place.configs[item.number - 1]
        run = train_run(loaded, self.hushed).run
        table = scores_of(run, self.store, loaded, self.hushed)
        best: dict[str, Any] = {
            name: _finite(run.record["best"][name]) for name in ("valid_loss", "valid_ic", "valid_rank_ic")
        }
        test = judge(table, self.store, self.loaded.config.eval.min_names)
        seconds = round(max(time.perf_counter() - began, run.record["seconds"]), 3)
        outcome = Outcome(item.number, "done", run.name, **best, test=test, seconds=seconds)
        self.n_new += 1
        self.tables[item.number] = table
        self._note(outcome)
        if item.number in self.made:
            remove_windows(window_folder(loaded, make_recipe(loaded), self.store))
        self.progress.note(f"fold {item.number}: {test}, {seconds:.1f} s")
        return outcome

    def _announce(self, fold: Fold) -> None:
        self.progress.note(
            f"fold {fold.number} of {len(self.place.folds)}: learns from {fold.train[0]} to {fold.train[1]}, "
            f"is tested from {fold.test[0]} to {fold.test[1]}"
        )
        if not are_windows_fresh(self.place.configs[fold.number - 1]):
            self.made.add(fold.number)
        self._note(Outcome(fold.number, "running"))

    def _note(self, outcome: Outcome) -> None:
        """Write how a fold is doing."""
        self.outcomes[outcome.fold - 1] = outcome
        self.place.write("running", self.outcomes, None)

    def _break_off(self, error: BaseException) -> None:
        """Write that the call came to no end, and which folds were at work."""
        is_failure = isinstance(error, Exception)
        reason = error.message if isinstance(error, QtsError) else type(error).__name__
        for line in self.outcomes:
            if line.state == "running":
                is_its_own = is_failure and reason.startswith(f"fold {line.fold}:")
                state = "failed" if is_its_own else "stopped"
                self.outcomes[line.fold - 1] = replace(line, state=state, reason=reason if is_its_own else "")
        self.place.write("failed" if is_failure else "stopped", self.outcomes, None)

    # All folds

    def _stitch(self) -> tuple[pa.Table, bool]:
        """Return the scores of all folds, and whether their file was written by this call."""
        numbers = [fold.number for fold in self.place.folds]
        prints = [data_print(self._run_of(outcome), self.store).decode() for outcome in self.outcomes]
        made_of = fingerprint([outcome.run for outcome in self.outcomes], prints).encode()
        is_new = self.place.made_of() != made_of
        tables = [self.tables[number] for number in numbers]
        if is_new:
            return self.place.stitch(tables, self.outcomes, made_of), True
        return pa.concat_tables([table.replace_schema_metadata() for table in tables]), False


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
