"""A run's folder: tensors in safetensors, everything else as text that a person can read. No pickle anywhere."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from qts.errors import StoreError
from qts.json_text import to_json
from qts.models import load_architecture
from qts.models._architecture import Architecture
from qts.store.write import replace_file
from qts.training.trainer import Epoch

RUN = "run.json"
MODEL = "model.safetensors"
LAST = "last.safetensors"
HISTORY = "history.parquet"
LATEST = "latest"

_ALWAYS = {"state", "key", "model", "train", "window", "features", "expressions", "processors", "label", "segments"}
_WHEN_DONE = {"best", "best_epoch", "n_epochs", "n_parameters", "view_first_day"}


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
        """Rebuild the network with its best weights; raises StoreError if the file does not fit."""
        network = build_network(
            self.record["model"]["name"], self.record["model"]["config"], len(self.record["features"])
        )
        try:
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


def write_weights(file: Path, weights: dict[str, Tensor]) -> None:
    """Write tensors in one atomic step."""
    temporary = file.with_name(f".{file.name}.tmp")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary)
    temporary.replace(file)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{at}.{key}": torch.as_tensor(value) for at, entry in state.items() for key, value in entry.items()
    }


def write_history(folder: Path, history: list[Epoch]) -> None:
    """Write history.parquet, a row an epoch."""
    temporary = folder / f".{HISTORY}.tmp"
    pq.write_table(pa.Table.from_pylist([asdict(line) for line in history]), temporary)
    temporary.replace(folder / HISTORY)


def open_run(runs: Path, name: str | None = None) -> Run:
    """Return a finished run: the latest, or one by its name, the start of it, or its path."""
    if name is None:
        name = _read_latest(runs)
    folder = Path(name) if Path(name, RUN).is_file() else runs / name
    if not (folder / RUN).is_file():
        found = [file.parent for file in sorted(runs.glob(f"*/{RUN}")) if file.parent.name.startswith(name)]
        if len(found) != 1:
            state = "no run" if not found else f"{len(found)} runs"
            raise StoreError(f'{state} "{name}" in {runs}', hint="qts status lists the runs")
        folder = found[0]
    record = _read_record(folder / RUN)
    if record is None:
        raise StoreError(f"{folder / RUN} is damaged", hint="train anew: qts train --again")
    if record["state"] != "done":
        raise StoreError(f"the run {folder.name} did not finish", hint="run: qts train")
    return Run(folder, record)


def _read_latest(runs: Path) -> str:
    try:
        return (runs / LATEST).read_text(encoding="utf-8").strip()
    except OSError:
        raise StoreError(f"no run in {runs}", hint="run: qts train") from None


def set_latest(run: Run) -> None:
    """Point `latest` at a run."""
    replace_file(run.folder.parent / LATEST, f"{run.name}\n".encode())


def list_runs(runs: Path) -> list[dict[str, Any]]:
    """Return the records of all runs, finished or not, oldest first; a folder that cannot be read is left out."""
    found = ((file.parent.name, _read_record(file)) for file in sorted(runs.glob(f"*/{RUN}")))
    return [{"name": name, **record} for name, record in found if record is not None]


def _read_record(file: Path) -> dict[str, Any] | None:
    """Return what run.json says, or None if it is not a whole record."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or not record.keys() >= _ALWAYS:
        return None
    return record if record["state"] != "done" or record.keys() >= _WHEN_DONE else None
