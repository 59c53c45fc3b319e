"""DEEDS: what can be done to a study, a row each. Every deed is `function(study, *arguments)` of things that JSON knows.

Bytes are written as text of Latin-1. A place within a file is a share of its length, for a case must not depend on how long
a file happens to be. A path may be a glob: it stands for the first file that it matches.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from qts.registry import Registry
from tests.fuzz import formats, parquet_files
from tests.fuzz.case import Case, Deed

OUTSIDE = "{outside}"
"""Stands in a case for a folder that is no part of the study, and must stay as it is."""
DROP = "{drop}"
"""The JSON value that stands for none: the key goes."""

DEEDS: Registry[Callable[..., None]] = Registry("deed")


def do_all(case: Case, study: Path, outside: Path) -> None:
    """Do what a case does to a study."""
    for deed in case.deeds:
        name, path, *arguments = filled(deed, outside)
        file = next(iter(sorted(study.glob(path))), study / path) if "*" in path else study / path
        with suppress(OSError):  # an earlier deed may have put something in the way
            file.parent.mkdir(parents=True, exist_ok=True)
            if not (file.is_fifo() or file.is_socket()):  # a deed of before: whoever reads it waits for ever
                DEEDS[name](file, *arguments)


def filled(deed: Deed, outside: Path) -> list[Any]:
    """Return the parts of a deed, with the folder outside in its place."""
    return [part.replace(OUTSIDE, str(outside)) if isinstance(part, str) else part for part in deed]


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _clear(file: Path) -> None:
    if file.is_symlink() or file.is_file():
        file.unlink()
    elif file.is_dir():
        file.rename(file.with_name(f"{file.name}.was"))


def _write(file: Path, content: str) -> None:
    _clear(file)
    file.write_bytes(_bytes(content))


def _text(file: Path, content: str) -> None:
    _clear(file)
    file.write_bytes(content.encode("utf-8", "surrogatepass"))


def _encode(file: Path, encoding: str) -> None:
    file.write_bytes(_content(file).decode("utf-8", "replace").encode(encoding, "replace"))


def _repeat(file: Path, head: str, unit: str, times: int, tail: str) -> None:
    _clear(file)
    file.write_bytes(_bytes(head) + _bytes(unit) * times + _bytes(tail))


def _changed(change: Callable[..., bytes]) -> Callable[..., None]:
    """Return the deed that puts other bytes in a file; of nothing nothing is made."""

    def deed(file: Path, share: float, *arguments: Any) -> None:
        content = _content(file)
        _clear(file)
        file.write_bytes(change(content, int(share * len(content)), *arguments))

    return deed


def _content(file: Path) -> bytes:
    """Return the bytes of a file; of what is no file, none."""
    return file.read_bytes() if file.is_file() else b""


def _put(content: bytes, at: int, new: str) -> bytes:
    return content[:at] + _bytes(new) + content[at + len(new) :]


def _insert(content: bytes, at: int, new: str) -> bytes:
    return content[:at] + _bytes(new) + content[at:]


def _flip(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes(byte ^ (1 << bit) for byte in content[at : at + 1]) + content[at + 1 :]


def _cut(content: bytes, at: int) -> bytes:
    return content[:at]


def _leave_out(content: bytes, at: int, length: int) -> bytes:
    return content[:at] + content[at + length :]


def _replace(file: Path, old: str, new: str) -> None:
    if file.is_file():
        file.write_bytes(file.read_bytes().replace(_bytes(old), new.encode("utf-8", "surrogatepass")))


def _splice(file: Path, share: float, other: str, begin: float) -> None:
    ours, theirs = _content(file), _content(file.parent / other)
    file.write_bytes(ours[: int(share * len(ours))] + theirs[int(begin * len(theirs)) :])


def _cell(file: Path, row: int, column: int, text: str) -> None:
    """Put a text in a cell of a CSV, as it is: quotes in it are not doubled. Row 0 is the header."""
    lines = _content(file).split(b"\n")
    if len(lines) < 2:
        return
    cells = lines[row % (len(lines) - 1)].split(b",")
    cells[column % len(cells)] = text.encode("utf-8", "surrogatepass")
    lines[row % (len(lines) - 1)] = b",".join(cells)
    file.write_bytes(b"\n".join(lines))


def _key(file: Path, table: str, key: str, literal: str) -> None:
    """Set a key of a TOML file to what stands in `literal`, sound or not."""
    lines = [line for line in _content(file).decode("utf-8", "replace").split("\n") if not line.startswith(f"{key} =")]
    if f"[{table}]" not in lines:
        lines += [f"[{table}]"]
    lines.insert(lines.index(f"[{table}]") + 1, f"{key} = {literal}")
    if file.is_file():
        file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container of a JSON value with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _json(file: Path, place: int, value: Any) -> None:
    """Put a value, or none, at the n-th place of a JSON file."""
    if not file.is_file():
        return
    content = json.loads(file.read_text(encoding="utf-8"))
    places = list(_places(content))
    holder, key = places[place % len(places)]
    if value == DROP:
        del holder[key]
    else:
        holder[key] = value
    file.write_text(json.dumps(content), encoding="utf-8")


def _link(file: Path, target: str) -> None:
    _clear(file)
    file.symlink_to(target)


def _fifo(file: Path) -> None:
    _clear(file)
    os.mkfifo(file)


def _socket(file: Path) -> None:
    _clear(file)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(file))


def _folder(file: Path) -> None:
    _clear(file)
    file.mkdir()


for _name, _deed in (
    ("write", _write), ("text", _text), ("encode", _encode), ("repeat", _repeat), ("put", _changed(_put)),
    ("insert", _changed(_insert)), ("flip", _changed(_flip)), ("cut", _changed(_cut)), ("leave_out", _changed(_leave_out)),
    ("replace", _replace), ("splice", _splice), ("cell", _cell), ("key", _key), ("json", _json), ("link", _link),
    ("fifo", _fifo), ("socket", _socket), ("folder", _folder), ("remove", _clear), ("parquet", parquet_files.write_typed),
    ("bomb", parquet_files.write_bomb), ("npy", formats.write_npy), ("safetensors", formats.write_safetensors),
    ("pickle", formats.write_pickle), ("database", formats.write_database),
):  # fmt: skip
    DEEDS.enter(_name, _deed)
