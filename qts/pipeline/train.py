"""Windows → a run: the best weights, the history, and everything needed to score with them again."""

import platform
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from qts import __version__
from qts.config import LoadedConfig, Table
from qts.config.dump import dump_toml
from qts.errors import ConfigError, QtsError, StoreError
from qts.json_text import to_json
from qts.models import load_architecture
from qts.pipeline.window import WindowResult, are_windows_fresh, build_windows
from qts.progress import Progress
from qts.store import fingerprint
from qts.training import checkpoint
from qts.training.batches import DeviceWindows
from qts.training.checkpoint import Run
from qts.training.device import resolve_device
from qts.training.trainer import EarlyStop, Epoch, Trainer


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


def train_run(loaded: LoadedConfig, progress: Progress, *, may_build: bool = True, again: bool = False) -> TrainResult:
    """Train what the config says, unless that was done before; `again` trains all the same."""
    started = time.perf_counter()
    options = model_options(loaded)
    device = resolve_device(loaded.config.train.device)
    if not may_build and not are_windows_fresh(loaded):
        raise StoreError("the windows are missing or stale", hint="run: qts window, or leave out --no-build")
    windows = build_windows(loaded, progress)
    key = training_key(loaded, options, windows)
    if not again and (found := find_run(loaded, key)):
        checkpoint.set_latest(found)
        return TrainResult(found, is_up_to_date=True, seconds=time.perf_counter() - started)
    run = _Training(loaded, options, windows, device, key, progress).run()
    return TrainResult(run, is_up_to_date=False, seconds=time.perf_counter() - started)


def training_key(loaded: LoadedConfig, options: Table, windows: WindowResult) -> str:
    """Return the hash of everything that decides a run's weights."""
    config = loaded.config
    decisive = config.train.model_dump(mode="json", exclude={"device"})
    return fingerprint(
        windows.windows.meta["fingerprint"],
        config.window.model_dump(),
        config.model.name,
        options.model_dump(),
        decisive,
    )


def find_run(loaded: LoadedConfig, key: str) -> Run | None:
    """Return a finished run of this training, or None."""
    runs = loaded.path(loaded.config.store.runs)
    for record in reversed(checkpoint.list_runs(runs)):
        if (
            record.get("key") == key
            and record.get("state") == "done"
            and (runs / record["name"] / checkpoint.MODEL).is_file()
        ):
            return checkpoint.open_run(runs, record["name"])
    return None


class _Training:
    """One training at work: its folder, its record, its log."""

    def __init__(
        self,
        loaded: LoadedConfig,
        options: Table,
        windows: WindowResult,
        device: torch.device,
        key: str,
        progress: Progress,
    ) -> None:
        self.loaded = loaded
        self.options = options
        self.windows = windows
        self.device = device
        self.progress = progress
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%SZ}-{loaded.config.model.name}-{key[:8]}"
        self.folder = loaded.path(loaded.config.store.runs) / name
        self.record = self._record(key, now)

    def _record(self, key: str, now: datetime) -> dict[str, Any]:
        config, meta = self.loaded.config, self.windows.windows.meta
        made = {name: meta[name] for name in ("factors", "expressions", "processors", "history")}
        return {
            "schema": "qts.run/1", "state": "running", "key": key, "started": now.isoformat(timespec="seconds"),
            "qts_version": __version__, "torch_version": torch.__version__, "python_version": platform.python_version(),
            "device": str(self.device), "model": {"name": config.model.name, "config": self.options.model_dump(mode="json")},
            "train": config.train.model_dump(mode="json"), "window": config.window.model_dump(mode="json"),
            "windows_fingerprint": meta["fingerprint"], "features": meta["features"], **made,
            "view_first_day": meta["view_first_day"], "label": meta["label"], "segments": meta["segments"],
            "samples": {name: vars(counts) for name, counts in self.windows.counts.items()},
        }  # fmt: skip

    def run(self) -> Run:
        """Train and leave a finished folder; a failed one says so in its record."""
        try:
            self.folder = _new_folder(self.folder)
            (self.folder / "config.toml").write_text(dump_toml(self.loaded.resolved()), encoding="utf-8")
            checkpoint.write_record(self.folder, self.record)
        except OSError as error:
            raise QtsError(
                f"cannot write the run to {self.folder}: {error.strerror}", hint="check [store] runs"
            ) from error
        started = time.perf_counter()
        try:
            trainer, stop = self._fit()
        except BaseException as error:
            self.record |= {"state": "failed", "error": str(error) or type(error).__name__}
            checkpoint.write_record(self.folder, self.record)
            raise
        checkpoint.write_weights(self.folder / checkpoint.MODEL, trainer.network.state_dict())
        best = trainer.history[stop.best_epoch - 1]
        self.record |= {
            "state": "done", "n_epochs": len(trainer.history), "best_epoch": stop.best_epoch,
            "best": {"train_loss": best.train_loss, "valid_loss": best.valid_loss, "valid_ic": best.valid_ic,
                     "valid_rank_ic": best.valid_rank_ic},
            "n_parameters": sum(p.numel() for p in trainer.network.parameters()),
            "seconds": round(time.perf_counter() - started, 3),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }  # fmt: skip
        checkpoint.write_record(self.folder, self.record)
        run = Run(self.folder, self.record)
        checkpoint.set_latest(run)
        return run

    def _fit(self) -> tuple[Trainer, EarlyStop]:
        train = self.loaded.config.train
        limit = self.loaded.config.limits.threads
        if limit:
            torch.set_num_threads(limit)
        torch.manual_seed(train.seed)
        network = checkpoint.build_network(
            self.loaded.config.model.name, self.options.model_dump(), len(self.record["features"])
        )
        trainer = Trainer(network, train, self.device, self.progress, self._write_epoch)
        sets = {name: DeviceWindows(self.windows.datasets[name], self.device) for name in ("train", "valid")}
        return trainer, trainer.train(sets["train"], sets["valid"])

    def _write_epoch(self, line: Epoch, trainer: Trainer) -> None:
        """Keep what an interrupted training would need: the last weights, the optimiser's state, the history so far."""
        weights = {f"model.{name}": tensor for name, tensor in trainer.network.state_dict().items()}
        checkpoint.write_weights(
            self.folder / checkpoint.LAST, weights | checkpoint.optimizer_tensors(trainer.optimizer)
        )
        checkpoint.write_history(self.folder, trainer.history)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(_log_line(line) + "\n")


def _new_folder(wanted: Path) -> Path:
    """Make a folder that is nobody else's; two trainings may begin in the same second."""
    for number in range(1, 1000):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise QtsError(f"too many runs are called {wanted.name}", hint="clear [store] runs")


def _log_line(line: Epoch) -> str:
    return to_json({"time": datetime.now(UTC).isoformat(timespec="seconds"), **vars(line)})


def runs_folder(loaded: LoadedConfig) -> Path:
    """Return the folder of runs."""
    return loaded.path(loaded.config.store.runs)
