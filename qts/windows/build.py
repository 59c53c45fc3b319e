"""The window folder: `X.npy`, `y.npy`, `label.npy`, `index.parquet`, `meta.json`; written whole or not at all."""

import errno
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qts.columns import DATETIME, INSTRUMENT
from qts.errors import QtsError, StoreError
from qts.json_text import to_json

META = "meta.json"
_META_KEYS = {"fingerprint", "features", "factors", "expressions", "processors", "label", "segments"}


@dataclass(frozen=True)
class WindowStore:
    """A matrix of features, row by row of the panel, and what belongs to its rows."""

    matrix: np.ndarray
    """(n_rows, n_features) float32."""
    target: np.ndarray
    """(n_rows,) float32, the processed label."""
    label: np.ndarray
    """(n_rows,) float32, the raw label."""
    instruments: np.ndarray
    """(n_instruments,) str, sorted."""
    instrument: np.ndarray
    """(n_rows,) int32."""
    day: np.ndarray
    """(n_rows,) int32, positions in the calendar."""
    members: np.ndarray
    """(n_rows,) bool: in the universe, and not dropped by a processor."""
    calendar: np.ndarray
    """(n_days,) datetime64[D]."""
    meta: dict[str, Any]
    """How it was made: features, fitted processors, counts, fingerprint."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the matrix's columns."""
        return tuple(self.meta["features"])


def write_windows(folder: Path, windows: WindowStore) -> None:
    """Write a window folder; it appears under its name only when all of it is on disk."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, array in (("X", windows.matrix), ("y", windows.target), ("label", windows.label)):
            np.save(temporary / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
        codes = pa.DictionaryArray.from_arrays(
            pa.array(windows.instrument), pa.array(windows.instruments.tolist(), pa.string())
        )
        index = {
            INSTRUMENT: codes,
            DATETIME: pa.array(windows.calendar[windows.day]),
            "row": pa.array(np.arange(len(windows.day), dtype=np.int32)),
            "is_member": pa.array(windows.members),
        }
        pq.write_table(pa.table(index), temporary / "index.parquet", compression="zstd")
        np.save(temporary / "calendar.npy", windows.calendar.astype(np.int64), allow_pickle=False)
        (temporary / META).write_text(to_json(windows.meta, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and read_meta(folder):
            return  # somebody else has just built the same
        raise QtsError(
            f"cannot write windows to {folder}: {error.strerror}", hint="check the disk and its permissions"
        ) from error


def remove_windows(folder: Path) -> None:
    """Remove a window folder; killed half-way, what is left of it is no window folder."""
    (folder / META).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Return the meta of a window folder, or None if there is no whole one."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) and meta.keys() >= _META_KEYS else None


def open_windows(folder: Path) -> WindowStore:
    """Open a window folder; the matrix is mapped, not read. Raises StoreError if it is damaged."""
    try:
        meta = read_meta(folder)
        if meta is None:
            raise ValueError(f"no sound {META}")
        # copy-on-write maps look writable to torch, and no write ever reaches the disk
        matrix = np.load(folder / "X.npy", mmap_mode="c", allow_pickle=False)
        target, label, calendar = (
            np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("y", "label", "calendar")
        )
        index = pq.read_table(folder / "index.parquet")
    except (OSError, EOFError, ValueError, KeyError, pa.ArrowInvalid) as error:
        raise StoreError(
            f"the windows at {folder} are damaged: {error}", hint=f"delete {folder} and run: qts window"
        ) from error
    days = calendar.astype("datetime64[D]")
    codes = index[INSTRUMENT].combine_chunks()
    if len(index) != len(matrix) or len(matrix) != len(target):
        raise StoreError(
            f"the windows at {folder} are damaged: parts of different length",
            hint=f"delete {folder} and run: qts window",
        )
    return WindowStore(
        matrix=matrix, target=target, label=label,
        instruments=np.array(codes.dictionary.to_pylist(), dtype=str), instrument=codes.indices.to_numpy().astype(np.int32),
        day=np.searchsorted(days, index[DATETIME].to_numpy().astype("datetime64[D]")).astype(np.int32),
        members=index["is_member"].to_numpy(), calendar=days, meta=meta,
    )  # fmt: skip
