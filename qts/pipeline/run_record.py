"""Folders of runs: where they lie, what they are called, and what run.json says of a training before it begins."""

import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from qts import __version__, clock
from qts.config import LoadedConfig, Table
from qts.config.dump import dump_toml
from qts.errors import QtsError
from qts.pipeline.window import WindowResult
from qts.store.atomic import TakenError, replace_file, whole_folder
from qts.training import checkpoint
from qts.training.checkpoint import Run

CONFIG = "config.toml"

Fill = Callable[[Path], None]
"""Writes the files of a new run into its folder."""


def runs_folder(loaded: LoadedConfig) -> Path:
    """Return the folder of runs."""
    return loaded.path(loaded.config.store.runs)


def find_runs(loaded: LoadedConfig, key: str) -> Iterator[Run]:
    """Yield the runs of a training, finished or not, the newest first."""
    runs = runs_folder(loaded)
    for record in reversed(checkpoint.list_runs(runs)):
        if record["key"] == key:
            yield Run(runs / record["name"], record)


def seeds_of(record: dict[str, Any]) -> str:
    """Return the seed of a run, or those of an ensemble's members."""
    return ", ".join(map(str, record.get("seeds", [record["train"]["seed"]])))


def config_of_run(loaded: LoadedConfig, name: str) -> Path:
    """Return the config file in the folder of a run, finished or not."""
    return checkpoint.open_run(runs_folder(loaded), name, must_be_done=False).folder / CONFIG


def new_run(loaded: LoadedConfig, record: dict[str, Any], fill: Fill, *, name: str | None = None) -> Path:
    """Make the folder of a run, named for the model; it appears with its record and with what `fill` writes into it.

    Two trainings may begin in the same second: the folder is nobody else's. Raises WriteError.
    """
    name = f"{clock.now():%Y%m%dT%H%M%SZ}-{name or loaded.config.model.name}-{record['key'][:8]}"
    wanted = runs_folder(loaded) / name
    for number in range(1, 1000):
        folder = wanted if number == 1 else wanted.with_name(f"{name}-{number}")
        if folder.exists():
            continue
        try:
            with whole_folder(folder) as temporary:
                fill(temporary)
                checkpoint.write_record(temporary, record)
        except TakenError:
            continue
        return folder
    raise QtsError(f"too many runs are called {name}", hint="clear [store] runs")


def write_config(loaded: LoadedConfig, folder: Path) -> None:
    """Write config.toml into the folder of a run: all keys, as they were."""
    replace_file(folder / CONFIG, dump_toml(loaded.resolved()).encode())


def make_record(loaded: LoadedConfig, options: Table, windows: WindowResult, device: str, key: str) -> dict[str, Any]:
    """Return what run.json says of a training that begins: model, features, fitted processors, segments, versions."""
    config, meta = loaded.config, windows.windows.meta
    made = {name: meta[name] for name in ("factors", "expressions", "processors", "history")}
    return {
        "schema": "qts.run/1", "state": "running", "key": key, "started": clock.stamp(),
        "qts_version": __version__, "torch_version": torch.__version__, "python_version": platform.python_version(),
        "device": device, "model": {"name": config.model.name, "config": options.model_dump(mode="json")},
        "train": config.train.model_dump(mode="json"), "window": config.window.model_dump(mode="json"),
        "windows_fingerprint": meta["fingerprint"], "features": meta["features"], **made,
        "view_first_day": meta["view_first_day"], "label": meta["label"], "segments": meta["segments"],
        "samples": {name: vars(counts) for name, counts in windows.counts.items()},
    }  # fmt: skip
