"""What was trained: a row a run, and one run in detail."""

import json
from pathlib import Path
from typing import Any

from qts.config import LoadedConfig
from qts.pipeline.run_record import runs_folder, seeds_of
from qts.training import checkpoint

REPORT = "report.json"
FIGURES = ("ic", "icir", "rank_ic", "rank_icir")


def list_runs(loaded: LoadedConfig) -> list[dict[str, Any]]:
    """Return a row a run, the newest first: what it is, how its training went, and its report's figures if it has one."""
    runs = runs_folder(loaded)
    return [_row(record, runs / record["name"]) for record in reversed(checkpoint.list_runs(runs))]


BRIEF = ("run", "state", "model", "seed", "valid_rank_ic", "ic", "rank_ic", "rank_icir")
"""Columns that fit a terminal."""


def _row(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    summary = read_summary(folder)
    is_done = record["state"] == "done"
    return {
        "run": record["name"], "state": record["state"], "model": record["model"]["name"], "seed": seeds_of(record),
        "step_len": record["window"]["step_len"], "features": len(record["features"]),
        "test": " to ".join(record["segments"]["test"]), "best_epoch": record.get("best_epoch"),
        "valid_rank_ic": record["best"]["valid_rank_ic"] if is_done else None,
        **{name: summary.get(name) for name in FIGURES},
        "data": record["windows_fingerprint"], "seconds": record.get("seconds"),
    }  # fmt: skip


def read_summary(folder: Path, made_of: str | None = None) -> dict[str, Any]:
    """Return the figures of a run's report; none if there is no report, or one that was not made of the same things."""
    try:
        content = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        fits = made_of is None or content["context"]["made_of"] == made_of
        return dict(content["summary"]) if fits else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def show_run(loaded: LoadedConfig, name: str | None) -> dict[str, Any]:
    """Return a run's record, finished or not, its report's figures, and the files in its folder with their bytes."""
    run = checkpoint.open_run(runs_folder(loaded), name, must_be_done=False)
    files = {
        str(file.relative_to(run.folder)): file.stat().st_size
        for file in sorted(run.folder.rglob("*"))
        if file.is_file()
    }
    record = {key: value for key, value in run.record.items() if key != "schema"}
    return {"run": run.folder, **record, "summary": read_summary(run.folder), "files": files}
