"""What this machine, this installation and this study can do, what is slow and what is missing."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qts.config import LoadedConfig
from qts.errors import QtsError, StoreError
from qts.pipeline.health import disk, machine, nights, store
from qts.pipeline.health.finding import Finding, Place
from qts.store import open_store

Check = Callable[[Place], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "versions": machine.check_versions,
    "packages": machine.check_packages,
    "cores": machine.check_cores,
    "memory": machine.check_memory,
    "cuda": machine.check_cuda,
    "encoding": machine.check_encoding,
    "disk free": disk.check_free,
    "disk write": disk.check_write_speed,
    "disk read": disk.check_read_speed,
    "filesystem": disk.check_kind,
    "temp folder": disk.check_temp,
    "clock": store.check_clock,
    "config": store.check_config,
    "store": store.check_store,
    "parts": store.check_parts,
    "retired parts": store.check_previous,
    "windows": store.check_windows,
    "writers": store.check_writers,
    "pinned run": nights.check_pinned,
    "last night": nights.check_last_night,
}
"""What is looked at, in the order of the rows."""


def examine(loaded: LoadedConfig | None, folder: Path) -> list[dict[str, Any]]:
    """Return a row a finding: what, found, verdict, hint; without a config those of the machine and of `folder`.

    A check that cannot be made is a finding too, never a failure.
    """
    place = _place(loaded, folder)
    return [asdict(finding) for name, check in CHECKS.items() for finding in _made(name, check, place)]


def _place(loaded: LoadedConfig | None, folder: Path) -> Place:
    if loaded is None:
        return Place(folder, None, None)
    path = loaded.path(loaded.config.store.path)
    try:
        found = open_store(path)
    except StoreError:
        found = None
    there = next(parent for parent in (path, *path.absolute().parents) if parent.is_dir())
    return Place(there, loaded, found)


def _made(name: str, check: Check, place: Place) -> Iterator[Finding]:
    try:
        yield from check(place)
    except (OSError, ValueError, QtsError) as error:
        yield Finding(name, f"cannot be told: {error}", "careful", "see whether the folder can be read")
