"""One config, many seeds: a run each, and a run without weights whose scores are the mean of their day ranks.

One seed's figures are luck in part; the spread between seeds says how large a difference between models means anything.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qts.config import LoadedConfig
from qts.errors import ConfigError, StoreError
from qts.pipeline.held import device_of
from qts.pipeline.run_record import find_runs, new_run
from qts.pipeline.train import TrainResult, train_run
from qts.progress import Progress
from qts.store import fingerprint
from qts.training import checkpoint
from qts.training.checkpoint import Run, open_run
from qts.training.group import join_group

FIGURES = ("train_loss", "valid_loss", "valid_ic", "valid_rank_ic")


@dataclass(frozen=True)
class SeedsResult:
    """Runs of several seeds, and the one that stands for all."""

    members: tuple[TrainResult, ...]
    ensemble: Run
    seconds: float

    @property
    def is_up_to_date(self) -> bool:
        """Whether nothing had to be trained."""
        return all(member.is_up_to_date for member in self.members)


def train_seeds(
    loaded: LoadedConfig, progress: Progress, n_seeds: int, *, may_build: bool = True, again: bool = False
) -> SeedsResult:
    """Train `n_seeds` seeds from the config's on, and leave a run whose scores are their ensemble's."""
    if n_seeds < 2:
        raise ConfigError(f"--seeds {n_seeds} makes no ensemble", hint="ask for 2 or more")
    started = time.perf_counter()
    first = loaded.config.train.seed
    members = []
    for seed in range(first, first + n_seeds):
        progress.note(f"seed {seed}, {seed - first + 1} of {n_seeds}")
        changed = loaded.changed({"train.seed": seed}, "--seeds")
        members.append(train_run(changed, progress, may_build=may_build, again=again))
    ensemble = _leave_ensemble(loaded, [member.run for member in members])
    return SeedsResult(tuple(members), ensemble, time.perf_counter() - started)


def _leave_ensemble(loaded: LoadedConfig, runs: list[Run]) -> Run:
    """Return the run of these members; of several processes the first writes it and the others wait."""
    group, _ = join_group(device_of(loaded))
    if not group.is_first:
        group.wait()
    ensemble = _write_ensemble(loaded, runs)
    if group.is_first:
        checkpoint.set_latest(ensemble)
        group.wait()
    return ensemble


def _write_ensemble(loaded: LoadedConfig, runs: list[Run]) -> Run:
    """Leave a folder that names its members; the same members are found again."""
    key = fingerprint("ensemble", [run.name for run in runs])
    if found := next(find_runs(loaded, key), None):
        return found
    record = _record_of(runs, key)
    folder = new_run(loaded, record, lambda _: None, name=f"{loaded.config.model.name}-x{len(runs)}")
    return Run(folder, record)


def _record_of(runs: list[Run], key: str) -> dict[str, Any]:
    """Return what run.json says: the first member's record, with figures as means over members and their deviation."""
    bests = {name: np.array([run.record["best"][name] for run in runs], dtype=float) for name in FIGURES}
    own = {
        "key": key, "members": [run.name for run in runs], "seeds": [run.record["train"]["seed"] for run in runs],
        "best": {name: float(values.mean()) for name, values in bests.items()},
        "best_sd": {name: float(values.std(ddof=1)) for name, values in bests.items()},
        "best_epoch": max(run.record["best_epoch"] for run in runs),
        "n_epochs": sum(run.record["n_epochs"] for run in runs), "seconds": sum(run.record["seconds"] for run in runs),
        "n_parameters": sum(run.record["n_parameters"] for run in runs),
    }  # fmt: skip
    return runs[0].record | own


def members_of(run: Run, runs: Path) -> tuple[Run, ...]:
    """Return the runs whose scores make an ensemble's; none if the run has weights of its own."""
    members = []
    for name in run.record.get("members", ()):
        if not (runs / name / checkpoint.RUN).is_file():  # a name that only begins so is another run
            message = f"{name}, a member of the ensemble {run.name}, is not in {runs}"
            raise StoreError(message, hint=f"make it anew: qts train --seeds {len(run.record['members'])}")
        members.append(open_run(runs, name))
        if members[-1].record.get("members"):
            raise StoreError(f"{name}, a member of the ensemble {run.name}, is an ensemble", hint="name its members")
    return tuple(members)
