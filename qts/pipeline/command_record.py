"""What each command left behind of its last call: `log/<command>/run.json` in the store's folder, for whoever watches."""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qts import __version__
from qts.config import LoadedConfig
from qts.errors import QtsError
from qts.json_text import to_json
from qts.plain_file import read_plain
from qts.store import fingerprint
from qts.store.atomic import whole_file
from qts.store.confined import refuse_links
from qts.store.lock import LOCK
from qts.store.manifest import MANIFEST

SCHEMA = "qts.command/1"
LOG = "log"
RECORD = "run.json"
RECORDED = frozenset({
    "ingest", "check", "window", "train", "tune", "walk", "import-checkpoint", "predict", "eval", "backtest", "report",
    "run", "nightly",
})  # fmt: skip
"""Commands that work on a study; the others look at one, `verify` too, which must leave it as it is."""
MOST_ROWS = 200
"""Rows of a result that a record repeats; of more it says the number."""


def record_of_command(folder: Path, command: str) -> Path:
    """Return where a command leaves its record in a store."""
    return folder / LOG / command / RECORD


def read_command_record(folder: Path, command: str) -> dict[str, Any] | None:
    """Return what a command left in a store; None if that is nothing, or cannot be read."""
    try:
        found = json.loads(read_plain(record_of_command(folder, command)))
    except (OSError, ValueError, RecursionError):
        return None
    is_ours = isinstance(found, dict) and found.get("schema") == SCHEMA and isinstance(found.get("code"), int)
    return found if is_ours else None


def say_how_it_ended(record: Mapping[str, Any]) -> str:
    """Return when a recorded call ended, and with which code."""
    return f"ended {record.get('ended')} with {record['code']}"


def write_command_record(loaded: LoadedConfig, command: str, told: Mapping[str, Any]) -> str | None:
    """Write what a call of a command was and what came of it; return why it could not be kept, None if it was.

    It never makes a store: a folder that has no store and no writer's lock is left alone.
    """
    folder = loaded.path(loaded.config.store.path)
    if not any((folder / name).exists() for name in (MANIFEST, LOCK)):
        return f"there is no store at {folder}"
    before = read_command_record(folder, command)
    made = {
        "schema": SCHEMA, "command": command, **told,
        "config": {"file": loaded.file, "fingerprint": fingerprint(loaded.config.model_dump(mode="json"))},
        "versions": _versions(), "host": platform.node(), "pid": os.getpid(),
        "last_done": told["ended"] if told["code"] == 0 else _last_done(before),
    }  # fmt: skip
    try:
        refuse_links(folder, (LOG,))
        file = record_of_command(folder, command)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary:
            temporary.write_text(to_json(made, indent=1), encoding="utf-8")
    except (OSError, QtsError) as error:
        return f"{folder / LOG} cannot be written: {error}"
    return None


def shortened(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result without rows that are too many to repeat."""
    rows = payload.get("rows")
    if isinstance(rows, list) and len(rows) > MOST_ROWS:
        return {**{name: value for name, value in payload.items() if name != "rows"}, "n_rows": len(rows)}
    return dict(payload)


def _last_done(before: Mapping[str, Any] | None) -> str | None:
    """Return when the command last succeeded, as the record before says; None if it says nothing that is a time."""
    found = (before or {}).get("last_done")
    with suppress(TypeError, ValueError):
        datetime.fromisoformat(found)  # type: ignore[arg-type]  # whatever stands there
        return str(found)
    return None


def _versions() -> dict[str, str | None]:
    packages: Iterable[str] = ("torch", "duckdb", "pyarrow")
    return {"qts": __version__, "python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
