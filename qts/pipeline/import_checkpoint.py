"""A file of weights trained elsewhere → a run that predicts and is evaluated as one that was trained here."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from qts.config import LoadedConfig, Table
from qts.errors import ConfigError
from qts.models._architecture import Architecture
from qts.pipeline.held import SCALE, device_of, fit_scale, hold
from qts.pipeline.run_record import make_record, new_run, write_config
from qts.pipeline.train import find_run, model_options, windows_for
from qts.pipeline.window import WindowResult
from qts.plain_file import is_file
from qts.progress import Progress
from qts.store import fingerprint
from qts.store.checksum import digest_of
from qts.training import checkpoint
from qts.training.checkpoint import Run
from qts.training.shape_search import advise
from qts.training.shapes import check_shapes
from qts.training.trainer import Trainer
from qts.training.transplant import feature_order, from_reference, read_state, transplant_whole


@dataclass(frozen=True)
class ImportResult:
    """A run, new or found, whose weights come from a file."""

    run: Run
    is_up_to_date: bool
    """The same file was imported before."""
    seconds: float


@dataclass(frozen=True)
class _Source:
    """The file and what it holds."""

    file: Path
    sha256: str
    state: dict[str, Tensor]
    factors: tuple[str, ...] | None
    """Its columns in order; None: as the windows have them."""


def import_checkpoint(
    loaded: LoadedConfig, progress: Progress, file: Path, *, factors: tuple[str, ...] | None = None
) -> ImportResult:
    """Make a run of the config's model with a file's weights, unless that was done before.

    The file's columns are in factor-set order, as the reference's are, unless `factors` names them in theirs. Raises
    InputError for a file that cannot be read, ConfigError if its weights are not those of the model.
    """
    started = time.perf_counter()
    options = model_options(loaded)
    device = device_of(loaded)
    source = _Source(file, _hash_of(file), read_state(file), factors)
    windows = windows_for(loaded, progress)
    features = windows.windows.features
    order = _order_of(source, features, progress)
    key = _key_of(loaded, options, windows, source)
    if found := find_run(loaded, key):
        checkpoint.set_latest(found)
        return ImportResult(found, is_up_to_date=True, seconds=time.perf_counter() - started)
    network, n_left_out = _network_of(loaded, options, len(features), source, order)
    check_shapes(network, len(features), loaded.config.window.step_len)
    progress.stage("validate")
    trainer = Trainer(network, loaded.config.train, device, progress)
    scale = fit_scale(windows.datasets["train"], loaded.config.window.standardise)
    progress.count(rows=len(windows.datasets["valid"]))
    judged = trainer.validate(hold(windows.datasets["valid"], device, scale))
    record = make_record(loaded, options, windows, str(device), key) | {
        "state": "done", "n_epochs": 0, "best_epoch": 0,
        "best": {"train_loss": None, "valid_loss": judged.loss, "valid_ic": judged.ic, "valid_rank_ic": judged.rank_ic},
        "n_parameters": sum(p.numel() for p in network.parameters()),
        "seconds": round(time.perf_counter() - started, 3),
        **({SCALE: scale.to_json()} if scale else {}),
        "imported_from": {"file": file.name, "sha256": source.sha256, "factors": factors,
                          "n_copied": len(network.state_dict()), "n_left_out": n_left_out},
    }  # fmt: skip
    run = _write_run(loaded, record, network)
    return ImportResult(run, is_up_to_date=False, seconds=time.perf_counter() - started)


def _hash_of(file: Path) -> str:
    """Return the hash of a file; what is wrong with one that is not there is said by whoever reads it."""
    return digest_of(file) if is_file(file) else ""


def _order_of(source: _Source, features: tuple[str, ...], progress: Progress) -> tuple[int, ...] | None:
    if source.factors is not None:
        return feature_order(features, source.factors)
    shown = ", ".join(features[:5]) + (", …" if len(features) > 5 else "")
    progress.note(f"the file's columns are taken to be {shown} in this order; --factors would say otherwise")
    return None


def _key_of(loaded: LoadedConfig, options: Table, windows: WindowResult, source: _Source) -> str:
    """Return the hash of everything that decides an imported run's weights and scores; never that of a training."""
    config = loaded.config
    return fingerprint(
        "import",
        source.sha256,
        source.factors,
        windows.windows.meta["fingerprint"],
        config.window.model_dump(),
        config.model.name,
        options.model_dump(),
    )


def _network_of(
    loaded: LoadedConfig, options: Table, n_features: int, source: _Source, order: tuple[int, ...] | None
) -> tuple[Architecture, int]:
    """Return the network with the file's weights, and how many of its tensors stand for nothing."""
    name, keys = loaded.config.model.name, options.model_dump()
    network = checkpoint.build_network(name, keys, n_features)
    is_ours = source.state.keys() == network.state_dict().keys()
    try:
        state = source.state if is_ours else from_reference(type(network), source.state)
        transplant_whole(network, state, order, source=source.file.name)
    except ConfigError as error:
        hint = error.hint or advise(name, keys, n_features, source.state)
        raise ConfigError(error.message, hint=hint) from None
    return network, len(source.state) - len(state)


def _write_run(loaded: LoadedConfig, record: dict[str, Any], network: Architecture) -> Run:
    """Write the folder, which appears when all of it is there."""

    def fill(folder: Path) -> None:
        write_config(loaded, folder)
        checkpoint.write_weights(folder / checkpoint.MODEL, network.state_dict())

    folder = new_run(loaded, record, fill)
    run = Run(folder, record)
    checkpoint.set_latest(run)
    return run
