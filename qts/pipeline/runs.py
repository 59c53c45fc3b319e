"""What was trained: a row a run, and one run in detail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qts.config import LoadedConfig
from qts.errors import StoreError
from qts.pipeline.run_record import runs_folder, seeds_of
from qts.pipeline.run_subject import run_made_of
from qts.plain_file import read_plain
from qts.rendering.evaluation_chapters import SCHEMA
from qts.store import Store, open_store
from qts.training import checkpoint
from qts.training.checkpoint import Run

REPORT = "report.json"
FIGURES = ("ic", "icir", "rank_ic", "rank_icir")


def list_runs(loaded: LoadedConfig) -> list[dict[str, Any]]:
    """Return a row a run, the newest first: what it is, how its training went, and its report's figures if it has one."""
    runs = runs_folder(loaded)
    store = _store_of(loaded)
    found = [Run(runs / record["name"], record) for record in reversed(checkpoint.list_runs(runs))]
    return [_row(run.record, _summary_of(run, loaded, store)) for run in found]


BRIEF = ("run", "state", "model", "seed", "valid_rank_ic", "ic", "rank_ic", "rank_icir")
"""Columns that fit a terminal."""


def _row(record: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
    is_done = record["state"] == "done"
    return {
        "run": record["name"], "state": record["state"], "model": record["model"]["name"], "seed": seeds_of(record),
        "step_len": record["window"]["step_len"], "features": len(record["features"]),
        "test": " to ".join(record["segments"]["test"]), "best_epoch": record.get("best_epoch"),
        "valid_rank_ic": record["best"]["valid_rank_ic"] if is_done else None,
        **{name: summary.get(name) for name in FIGURES},
        "data": record["windows_fingerprint"], "seconds": record.get("seconds"),
    }  # fmt: skip


def read_summary(folder: Path, made_of: Callable[[], str]) -> dict[str, Any]:
    """Return the figures of a run's report; none if there is no report, or one that was not made of these things.

    They are the scores, the store's tables, how they are judged, and the version: figures of something else are stale.
    Their hash takes reading the weights, so it is asked for last.
    """
    try:
        content = json.loads(read_plain(folder / REPORT))
        fits = content["schema"] == SCHEMA and content["context"]["made_of"] == made_of()
        return dict(content["summary"]) if fits else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _summary_of(run: Run, loaded: LoadedConfig, store: Store | None) -> dict[str, Any]:
    """Return the figures of a finished run's report, if they are of what is there now."""
    if store is None or run.record["state"] != "done":
        return {}
    try:
        return read_summary(run.folder, lambda: run_made_of(loaded, store, run))
    except StoreError:  # its weights are gone
        return {}


def _store_of(loaded: LoadedConfig) -> Store | None:
    try:
        return open_store(loaded.path(loaded.config.store.path))
    except StoreError:
        return None


def show_run(loaded: LoadedConfig, name: str | None) -> dict[str, Any]:
    """Return a run's record, finished or not, its report's figures, and the files in its folder with their bytes."""
    run = checkpoint.open_run(runs_folder(loaded), name, must_be_done=False)
    files = {
        str(file.relative_to(run.folder)): file.stat().st_size
        for file in sorted(run.folder.rglob("*"))
        if file.is_file()
    }
    record = {key: value for key, value in run.record.items() if key != "schema"}
    return {"run": run.folder, **record, "summary": _summary_of(run, loaded, _store_of(loaded)), "files": files}
