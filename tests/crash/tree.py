"""What a study's folder holds, file by file: equal trees are equal bytes, but for what a stopwatch says."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

LEFT_OUT = re.compile(r"(^|/)(\.previous(/|$)|\.lock(\.json)?$|log\.jsonl$)|^\.qts/log(/|$)")
"""Retired parts, locks, logs, and the record of the last call of each command."""

LEFTOVERS = re.compile(r"\.tmp$|(^|/)\.staging(/|$)|(^|/)qts-[^/]*$")
"""What nobody may find once a command has ended well."""

_DURATIONS = {"seconds", "peak_memory_bytes"}
_EPOCH_DURATIONS = {
    "train_seconds", "valid_seconds", "samples_per_second", "valid_samples_per_second", "feed_share",
}  # fmt: skip


def tree_of(folder: Path) -> dict[str, str]:
    """Return path → hash of each file of a study besides its sources, and of each folder; leftovers are among them."""
    found = {}
    for root in (folder / ".qts", folder / "runs", folder / "predictions"):
        for path in sorted(root.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if not LEFT_OUT.search(name):
                found[name] = "a folder" if path.is_dir() else _hash(path)
    return found


def leftovers(tree: dict[str, str]) -> list[str]:
    """Return the paths of a tree that a command which ended well must not leave."""
    return [name for name in tree if LEFTOVERS.search(name)]


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return the paths in which two trees differ, and how."""
    lines = [f"{name} is missing" for name in other.keys() - one.keys()]
    lines += [f"{name} is too many" for name in one.keys() - other.keys()]
    return sorted(lines + [f"{name} differs" for name in one.keys() & other.keys() if one[name] != other[name]])


def _hash(file: Path) -> str:
    content = _SAID_OTHERWISE.get(file.name, Path.read_bytes)(file)
    return hashlib.sha256(content).hexdigest()[:16]


def _record(file: Path) -> bytes:
    record = json.loads(file.read_text())
    return json.dumps({key: value for key, value in record.items() if key not in _DURATIONS}).encode()


def _history(file: Path) -> bytes:
    table = pq.read_table(file, use_threads=False)
    return repr(
        table.select([name for name in table.column_names if name not in _EPOCH_DURATIONS]).to_pylist()
    ).encode()


_SAID_OTHERWISE: dict[str, Callable[[Path], bytes]] = {"run.json": _record, "history.parquet": _history}
"""File → what of it counts: what took how long does not."""
