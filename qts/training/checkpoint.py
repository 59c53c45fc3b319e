"""A run's folder: tensors in safetensors, everything else as text that a person can read. No pickle anywhere."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from qts import clock
from qts.errors import StoreError, WriteError
from qts.json_text import to_json
from qts.models import load_architecture
from qts.models._architecture import Architecture
from qts.plain_file import is_file, read_plain, refuse_irregular
from qts.store.atomic import replace_file, whole_file, write_table
from qts.store.confined import is_name, link_out, refuse_links
from qts.store.recorded import read_run_shape
from qts.training.history import Epoch, to_rows
from qts.training.schedules import Plateau
from qts.training.trainer import Trainer

RUN = "run.json"
MODEL = "model.safetensors"
LAST = "last.safetensors"
HISTORY = "history.parquet"
LOG = "log.jsonl"
LATEST = "latest"


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    folder: Path
    record: dict[str, Any]
    """What run.json says: model, features and their fitted processors, label, segments, seeds, versions."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def network(self) -> Architecture:
        """Rebuild the network with its best weights; raises StoreError if the file does not fit, or there is none."""
        if members := self.record.get("members"):
            message = f"the run {self.name} is an ensemble and has no weights of its own"
            raise StoreError(message, hint=f"name one of its members: {', '.join(members)}")
        model, n_features = self.record["model"], len(self.record["features"])
        try:
            network = build_network(model["name"], model["config"], n_features)
        except (ValueError, TypeError, RuntimeError) as error:  # sizes of another model, or that no memory could hold
            message = f"the model of {self.folder / RUN} cannot be built: {str(error).partition(chr(10))[0]}"
            raise StoreError(message, hint="train anew: qts train --again") from error
        try:
            refuse_irregular(self.folder / MODEL)
            network.load_state_dict(load_file(self.folder / MODEL))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            message = f"the weights of {self.folder} cannot be read: {reason}"
            raise StoreError(message, hint="train anew: qts train --again") from error
        return network


def build_network(name: str, options: dict[str, Any], n_features: int) -> Architecture:
    """Return a fresh network of an architecture; its weights come from torch's global generator."""
    architecture = load_architecture(name)
    return architecture(architecture.Config.model_validate(options), n_features)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write run.json in one atomic step."""
    replace_file(folder / RUN, to_json(record, indent=1).encode())


def write_weights(file: Path, weights: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors in one atomic step; raises WriteError."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with whole_file(file) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise WriteError.of(file, str(error)) from error


def save_progress(folder: Path, trainer: Trainer) -> None:
    """Write what an interrupted training needs to go on: log and history, then in one file all that the next epoch needs.

    That file is replaced in one step and says how many epochs count, so a folder always holds the state after some
    whole epoch. The best weights come after it: if they are missing, they are the last ones, and it has them.
    """
    _write_log(folder, trainer.history[-1])
    write_table(pa.Table.from_pylist(to_rows(trainer.history)), folder / HISTORY)
    weights = {f"model.{name}": tensor for name, tensor in trainer.network.state_dict().items()}
    plain = {"epoch": len(trainer.history), "plateau": asdict(trainer.plateau)}
    generators = {f"generator.{name}": state for name, state in trainer.generators.items()}
    tensors = weights | _optimizer_tensors(trainer.optimizer) | generators
    write_weights(folder / LAST, tensors, {"progress": to_json(plain)})
    if trainer.history[-1].is_best:
        write_weights(folder / MODEL, trainer.best_weights)


def _write_log(folder: Path, line: Epoch) -> None:
    """Add an epoch's line to log.jsonl, in the place of torn ones and of those of epochs that did not count."""
    file = folder / LOG
    kept = [text for text in _lines(file) if _epoch_of(text) < line.epoch]
    kept.append(to_json({"time": clock.stamp(), **vars(line)}))
    replace_file(file, "".join(f"{text}\n" for text in kept).encode())


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _epoch_of(text: str) -> float:
    """Return the epoch that a line of the log is about; infinite if the line is torn."""
    try:
        return float(json.loads(text)["epoch"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def load_progress(folder: Path, trainer: Trainer) -> None:
    """Put a trainer where an interrupted one was after its last whole epoch; raises StoreError if that cannot be read."""
    with _taken_up(folder):
        trainer.history, plain = _read_history(folder)
        with safe_open(folder / LAST, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        last = _named(tensors, "model.")
        trainer.best_weights = _best_weights(folder, trainer, last)
        trainer.plateau = Plateau(**plain["plateau"])
        trainer.network.load_state_dict(last)
        if trainer.optimizer is not None:
            _restore_optimizer(trainer.optimizer, _named(tensors, "optimizer."))
        trainer.restore_generators(_named(tensors, "generator."))


def _best_weights(folder: Path, trainer: Trainer, last: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights after the best epoch so far, none if no epoch could be judged; written if they were not."""
    if not any(line.is_best for line in trainer.history):
        return {}
    if trainer.history[-1].is_best:
        write_weights(folder / MODEL, last)
        return {name: tensor.to(trainer.device) for name, tensor in last.items()}
    return load_file(folder / MODEL, device=str(trainer.device))


def read_history(folder: Path) -> list[Epoch]:
    """Return the whole epochs of a training, that may be taken up after them; raises StoreError if it cannot."""
    with _taken_up(folder):
        return _read_history(folder)[0]


def _read_history(folder: Path) -> tuple[list[Epoch], dict[str, Any]]:
    """Return the epochs that the state of a training counts, and what else it says in words."""
    with safe_open(folder / LAST, framework="pt") as file:
        plain = json.loads(file.metadata()["progress"])
    rows = pq.read_table(folder / HISTORY).to_pylist()[: plain["epoch"]]
    return [Epoch(**row) for row in rows], plain


@contextmanager
def _taken_up(folder: Path) -> Iterator[None]:
    """Turn whatever a damaged state leads to into a StoreError."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        message = f"the training in {folder} cannot be taken up: {reason}"
        raise StoreError(message, hint="train anew: qts train --again") from error


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _optimizer_tensors(optimizer: torch.optim.Optimizer | None) -> dict[str, Tensor]:
    """Return the optimiser's state as named tensors."""
    if optimizer is None:
        return {}
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{at}.{key}": torch.as_tensor(value)
        for at, entry in state.items()
        for key, value in entry.items()
        if value is not None
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        at, _, key = name.partition(".")
        state.setdefault(int(at), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def open_run(runs: Path, name: str | None = None, *, must_be_done: bool = True) -> Run:
    """Return a run, a finished one unless told otherwise: the latest, or one by its name, the start of it, or its path.

    Raises StoreError if there is none, or it is damaged, or holds a link that leads out of its folder.
    """
    is_asked = name is not None
    name = name if name is not None else _read_latest(runs)
    folder = runs / name if is_name(name) else Path(name)
    if is_asked and not is_file(folder / RUN):
        folder = Path(name)
    if not is_file(folder / RUN):
        found = [file.parent for file in sorted(runs.glob(f"[!.]*/{RUN}")) if file.parent.name.startswith(name)]
        if len(found) != 1:
            state = "no run" if not found else f"{len(found)} runs"
            raise StoreError(f'{state} "{name}" in {runs}', hint="qts runs list names them")
        folder = found[0]
    refuse_links(folder)
    record = _read_record(folder / RUN)
    if record is None:
        raise StoreError(f"{folder / RUN} is damaged", hint="train anew: qts train --again")
    if must_be_done and record["state"] != "done":
        raise StoreError(f"the run {folder.name} did not finish", hint=f"run: qts train --resume {folder.name}")
    return Run(folder, record)


def _read_latest(runs: Path) -> str:
    try:
        name = read_plain(runs / LATEST).decode().strip()
    except FileNotFoundError:
        raise StoreError(f"no run in {runs}", hint="run: qts train") from None
    except (OSError, ValueError):
        name = ""
    if not is_name(name):
        raise StoreError(
            f"{runs / LATEST} does not hold the name of a run", hint="delete it, and name a run with --run"
        )
    return name


def set_latest(run: Run) -> None:
    """Point `latest` at a run."""
    replace_file(run.folder.parent / LATEST, f"{run.name}\n".encode())


def list_runs(runs: Path) -> list[dict[str, Any]]:
    """Return the records of all runs, finished or not, oldest first; a folder that cannot be read is left out.

    So is one that `open_run` would refuse for a link that leads out of it.
    """
    files = (file for file in sorted(runs.glob(f"[!.]*/{RUN}")) if not link_out(file.parent))
    found = ((file.parent.name, _read_record(file)) for file in files)
    return [{**record, "name": name} for name, record in found if record is not None]


def _read_record(file: Path) -> dict[str, Any] | None:
    """Return what run.json says, or None if it is not a whole record."""
    try:
        record = read_run_shape(read_plain(file))
    except (OSError, ValueError, RecursionError):
        return None
    return record if _names_runs(record.get("members", [])) else None


def _names_runs(members: object) -> bool:
    return isinstance(members, list) and all(is_name(name) for name in members)
