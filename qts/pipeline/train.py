"""Windows → a run: the best weights, the history, and everything needed to score with them again."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from qts.config import LoadedConfig, Table, TrainConfig
from qts.errors import ConfigError, QtsError, StoreError, WriteError
from qts.models import load_architecture
from qts.pipeline.held import SCALE, device_of, fit_scale, hold
from qts.pipeline.run_record import find_runs, make_record, new_run, runs_folder, write_config
from qts.pipeline.start import start_from, weights_hash
from qts.pipeline.weights import train_weights
from qts.pipeline.window import WindowResult, are_windows_fresh, build_windows
from qts.progress import Progress, SilentProgress
from qts.store import fingerprint
from qts.store.lock import only_writer
from qts.training import checkpoint
from qts.training.checkpoint import Run
from qts.training.device import set_exactness
from qts.training.group import Group, join_group
from qts.training.history import EarlyStop, Epoch
from qts.training.loggers import check_loggers, open_loggers
from qts.training.schedules import PATIENCE_EPOCHS
from qts.training.shapes import check_shapes
from qts.training.trainer import Trainer

FREE_TO_CHANGE = ("epochs", "patience")
"""Keys of `[train]` that a training taken up again may have otherwise."""

OnEpoch = Callable[[Epoch], None]
"""Called after each epoch; what it raises ends the training."""


@dataclass(frozen=True)
class TrainResult:
    """A run, new or found."""

    run: Run
    is_up_to_date: bool
    """The same training was done before: nothing was trained."""
    seconds: float


def model_options(loaded: LoadedConfig) -> Table:
    """Return the checked keys of `[model]`; the second pass, which loads that architecture alone."""
    try:
        architecture = load_architecture(loaded.config.model.name)
    except ConfigError as error:
        raise ConfigError(error.message, where=loaded.where("model", "name"), hint=error.hint) from None
    return loaded.check_options(architecture.Config, loaded.config.model.options(), ("model",))


def train_run(
    loaded: LoadedConfig,
    progress: Progress,
    *,
    may_build: bool = True,
    again: bool = False,
    resume: str | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainResult:
    """Train what the config says, unless that was done before; `again` trains all the same.

    A training that was stopped goes on where it was: the one named by `resume`, else one of this very config.
    """
    started = time.perf_counter()
    options = model_options(loaded)
    check_loggers(loaded.config.train.log)
    group, device = join_group(device_of(loaded))
    progress = progress if group.is_first else SilentProgress()
    windows = windows_for(loaded, progress, group, may_build=may_build)
    key = training_key(loaded, options, windows)
    if not again and resume is None and (found := find_run(loaded, key)):
        if group.is_first:
            checkpoint.set_latest(found)
        return TrainResult(found, is_up_to_date=True, seconds=time.perf_counter() - started)
    work = _Training(loaded, options, windows, device, group, progress, on_epoch)
    folder = None if again else _stopped_folder(loaded, work, resume, key)
    run = work.run(key, folder)
    return TrainResult(run, is_up_to_date=False, seconds=time.perf_counter() - started)


def windows_for(
    loaded: LoadedConfig, progress: Progress, group: Group | None = None, *, may_build: bool = True
) -> WindowResult:
    """Return the windows of a training; of several processes the first builds them and the others wait."""
    if not may_build and not are_windows_fresh(loaded):
        raise StoreError("the windows are missing or stale", hint="run: qts window, or leave out --no-build")
    whole_days = load_architecture(loaded.config.model.name).batches == "by_day"
    if group is not None and not group.is_first:
        group.wait()
    windows = build_windows(loaded, progress, whole_days=whole_days)
    if group is not None and group.is_first:
        group.wait()
    return windows


def training_key(
    loaded: LoadedConfig, options: Table, windows: WindowResult, besides: tuple[str, ...] = ("device", "log")
) -> str:
    """Return the hash of everything that decides a run's weights; `besides` are keys of `[train]` that do not count."""
    config = loaded.config
    decisive = config.train.model_dump(mode="json", exclude=set(besides))
    if config.train.init_from is not None:
        decisive["init_from"] = ""  # the hash of the weights says it, however they are named
    return fingerprint(
        windows.windows.meta["fingerprint"],
        config.window.model_dump(),
        config.model.name,
        options.model_dump(),
        decisive,
        weights_hash(loaded),
    )


def find_run(loaded: LoadedConfig, key: str) -> Run | None:
    """Return a finished run of this training, or None."""
    for run in find_runs(loaded, key):
        if run.record["state"] == "done" and (run.folder / checkpoint.MODEL).is_file():
            return run
    return None


def _stopped_folder(loaded: LoadedConfig, work: "_Training", resume: str | None, key: str) -> Path | None:
    """Return the folder of the training to take up, or None to begin anew; one without a whole epoch begins anew in it."""
    if resume is None:
        stopped = [run.folder for run in find_runs(loaded, key) if run.record["state"] in ("running", "stopped")]
        stopped.sort(key=lambda folder: not (folder / checkpoint.LAST).is_file())
        return next(iter(stopped), None)
    run = checkpoint.open_run(runs_folder(loaded), resume, must_be_done=False)
    if members := run.record.get("members"):
        hint = f"resume one of its members: {', '.join(members)}"
        raise ConfigError(f"the run {run.name} is an ensemble and was not trained itself", where="--resume", hint=hint)
    if run.record.get("imported_from"):
        hint = f"qts train --init-from {run.name} trains from its weights"
        raise ConfigError(f"the run {run.name} was imported, not trained", where="--resume", hint=hint)
    if run.record.get("resume_key") != work.resume_key():
        train = work.record_of(key)["train"]
        there = run.record["train"]
        differs = [
            f"{name} {there.get(name)} there, {train[name]} here" for name in train if there.get(name) != train[name]
        ]
        raise ConfigError(
            f"the run {run.name} was trained with another config or other data: {'; '.join(differs) or 'not of [train]'}",
            where="--resume", hint=f"qts train --config {run.folder}/config.toml --resume {run.name}",
        )  # fmt: skip
    if not (run.folder / checkpoint.LAST).is_file():
        raise StoreError(f"the run {run.name} has no whole epoch to go on from", hint="train anew: qts train --again")
    _refuse_past_end(run, loaded.config.train)
    return run.folder


def _refuse_past_end(run: Run, train: TrainConfig) -> None:
    """Refuse a training that went on beyond where this config ends: its weights are not what this config gives."""
    history = checkpoint.read_history(run.folder)
    ends = (n for n in range(1, train.epochs) if EarlyStop.after(history[:n], train.metric, train.patience).is_over)
    last = next(ends, train.epochs)
    if len(history) > last:
        raise ConfigError(
            f"the run {run.name} has {len(history)} epochs; with epochs = {train.epochs} and patience = {train.patience} "
            f"it ends after {last}",
            where="--resume", hint="ask for more epochs or patience, or train anew: qts train --again",
        )  # fmt: skip


class _Training:
    """One training at work: its folder, its record, its log."""

    def __init__(
        self,
        loaded: LoadedConfig,
        options: Table,
        windows: WindowResult,
        device: torch.device,
        group: Group,
        progress: Progress,
        on_epoch: OnEpoch | None,
    ) -> None:
        self.loaded = loaded
        self.options = options
        self.windows = windows
        self.device = device
        self.group = group
        self.progress = progress
        self.tell = on_epoch
        self.folder = Path()

    def resume_key(self) -> str:
        """Return the hash of what must be the same for a training to be taken up; a schedule counts on its epochs."""
        schedule = self.loaded.config.train.schedule
        free = ("patience",) if schedule in ("cosine", "linear") else FREE_TO_CHANGE
        return training_key(self.loaded, self.options, self.windows, ("device", "log", *free))

    def record_of(self, key: str) -> dict[str, Any]:
        """Return what run.json says while the training runs."""
        record = make_record(self.loaded, self.options, self.windows, str(self.device), key)
        return record | {"resume_key": self.resume_key(), "n_processes": self.group.size}

    def run(self, key: str, resumed: Path | None) -> Run:
        """Train and leave a finished folder; a failed one says so in its record."""
        if not self.group.is_first:
            self._fit(resumed)
            self.group.wait()
            found = find_run(self.loaded, key)
            if found is None:
                raise QtsError("the first process left no run", hint="do all processes see the same folder of runs?")
            return found
        self.record = self.record_of(key)
        with self._begun(resumed):
            run = self._run_alone(resumed)
        checkpoint.set_latest(run)
        self.group.wait()
        return run

    @contextmanager
    def _begun(self, resumed: Path | None) -> Iterator[None]:
        """Have a folder in which no other process trains; before that nothing is written to it."""
        write = partial(write_config, self.loaded)
        self.folder = resumed or new_run(self.loaded, self.record, write)
        busy = f"the run {self.folder.name} is being trained"
        hint = "wait until it ends, or end it; a walk that was killed leaves its trainings at work"
        with only_writer(self.folder, busy, hint=hint, config_key="[store] runs"):
            if resumed:
                write(resumed)
                checkpoint.write_record(resumed, self.record)
            yield

    def _run_alone(self, resumed: Path | None) -> Run:
        started = time.perf_counter()
        try:
            trainer, stop = self._fit(resumed)
        except BaseException as error:
            state = "stopped" if isinstance(error, WriteError) or not isinstance(error, Exception) else "failed"
            self.record |= {"state": state, "error": str(error) or type(error).__name__}
            checkpoint.write_record(self.folder, self.record)
            raise
        checkpoint.write_weights(self.folder / checkpoint.MODEL, trainer.network.state_dict())
        best = trainer.history[stop.best_epoch - 1]
        self.record |= {
            "state": "done", "n_epochs": len(trainer.history), "best_epoch": stop.best_epoch,
            "best": {"train_loss": best.train_loss, "valid_loss": best.valid_loss, "valid_ic": best.valid_ic,
                     "valid_rank_ic": best.valid_rank_ic},
            "n_parameters": sum(p.numel() for p in trainer.network.parameters()),
            "seconds": round(time.perf_counter() - started, 3), "peak_memory_bytes": self._peak_memory(),
        }  # fmt: skip
        checkpoint.write_record(self.folder, self.record)
        return Run(self.folder, self.record)

    def _peak_memory(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def _fit(self, resumed: Path | None) -> tuple[Trainer, EarlyStop]:
        train = self.loaded.config.train
        set_exactness(train.precision, deterministic=train.deterministic)
        torch.manual_seed(train.seed)
        name, features = self.loaded.config.model.name, self.windows.windows.features
        network = checkpoint.build_network(name, self.options.model_dump(), len(features))
        if network.caution:
            self.progress.warn(network.caution)
        check_shapes(network, len(features), self.loaded.config.window.step_len)
        for line in start_from(network, features, self.loaded):
            self.progress.note(line)
        torch.manual_seed(train.seed + self.group.rank * 1_000_003)  # each process drops other states
        if train.schedule == "plateau" and train.patience <= PATIENCE_EPOCHS + 1:
            least = PATIENCE_EPOCHS + 2
            self.progress.warn(
                f"patience ends before plateau lowers the learning rate: set [train] patience to {least} or more"
            )
        trainer = Trainer(network, train, self.device, self.progress, group=self.group, features=features)
        trainer.say_window = self._say_window
        if resumed is not None and (resumed / checkpoint.LAST).is_file():
            checkpoint.load_progress(resumed, trainer)
            self.progress.note(f"taking up {resumed.name} after epoch {len(trainer.history)}")
        sets = self.windows.datasets
        scale = fit_scale(sets["train"], self.loaded.config.window.standardise)
        train_set = hold(sets["train"], self.device, scale, train_weights(self.loaded, self.windows))
        valid_set = hold(sets["valid"], self.device, scale, beside=train_set)
        if not self.group.is_first:
            return trainer, trainer.train(train_set, valid_set)
        self.record |= {SCALE: scale.to_json()} if scale else {}
        with open_loggers(train.log, self.folder, self.record) as log:
            trainer.on_epoch = lambda line, at_work: self._write_epoch(line, at_work, log)
            return trainer, trainer.train(train_set, valid_set)

    def _say_window(self, row: int) -> str:
        windows = self.windows.windows
        return f"{windows.instruments[windows.instrument[row]]}'s window ending {windows.calendar[windows.day[row]]}"

    def _write_epoch(self, line: Epoch, trainer: Trainer, log: OnEpoch) -> None:
        """Keep what an interrupted training needs to go on, and tell whoever wants to know."""
        checkpoint.save_progress(self.folder, trainer)
        log(line)
        if self.tell:
            self.tell(line)
