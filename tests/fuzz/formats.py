"""Files of arrays, weights and databases whose headers lie or that would run code."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import duckdb

RAN = "ran"
"""The file that a pickle would write if its code ran: beside the study, where the judge sees it."""


def write_npy(file: Path, header: str, n_bytes: int) -> None:
    """Write an .npy of version 1 with any text for a header, and so many bytes of zeros."""
    text = header.encode("latin-1", "replace")
    file.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) % 65536) + text + bytes(n_bytes))


def write_safetensors(file: Path, header: str, length: int | None, n_bytes: int) -> None:
    """Write safetensors with any text for a header, said to be `length` long, and so many bytes of tensors."""
    text = header.encode("latin-1", "replace")
    said = (len(text) if length is None else length) % 2**64
    file.write_bytes(struct.pack("<Q", said) + text + bytes(n_bytes))


class _Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _hostile(file: Path) -> dict[str, Any]:
    target = str(file.parent.parent / RAN)
    return {
        "system": _Calls(os.system, f"touch {target}"),
        "open": _Calls(open, target, "w"),
        "mkdir": _Calls(os.mkdir, target),
        "state": {"state_dict": {"weight": _Calls(os.mkdir, target)}},
        "numbers": {"weight": 1.0},
        "deep": _deep(80),
        "list": [1, 2, 3],
    }


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def write_pickle(file: Path, kind: str, is_zip: bool, protocol: int) -> None:
    """Write a pickle that calls what it must not, bare or in a zip as torch does it."""
    content = pickle.dumps(_hostile(file)[kind], protocol)
    if not is_zip:
        file.write_bytes(content)
        return
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    file.write_bytes(made.getvalue())


def write_database(file: Path, table: str, column: str) -> None:
    """Write a DuckDB file of one table of bars, and a column beside them."""
    file.unlink(missing_ok=True)
    with duckdb.connect(str(file), config={"threads": 1}) as connection:
        connection.execute(
            f"CREATE TABLE {_quoted(table)} AS SELECT 'S1' AS instrument, DATE '2024-01-01' AS datetime, "
            f"1.0 AS open, 1.0 AS high, 1.0 AS low, 1.0 AS close, 1.0 AS volume, 'x' AS {_quoted(column)}"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
