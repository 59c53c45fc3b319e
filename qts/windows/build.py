"""The window folder: `X.npy`, `y.npy`, `label.npy`, `index.parquet`, `meta.json`; written whole or not at all."""

import shutil
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qts.columns import DATETIME, INSTRUMENT
from qts.errors import StoreError, WriteError
from qts.json_text import to_json
from qts.plain_file import read_plain, refuse_irregular
from qts.store.atomic import TakenError, whole_folder
from qts.store.recorded import read_meta_shape

META = "meta.json"
_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, SyntaxError, tokenize.TokenError)
"""What a damaged header leads to: numpy takes it for a Python literal."""
_FILES = ("X.npy", "y.npy", "label.npy", "calendar.npy", "index.parquet")


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
    """Write a window folder; it appears under its name only when all of it is on disk. Raises WriteError."""
    try:
        with whole_folder(folder) as temporary:
            _write_arrays(temporary, windows)
            (temporary / META).write_text(to_json(windows.meta, indent=1), encoding="utf-8")
            if read_meta(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
    except TakenError:
        if read_meta(folder) is None:
            raise WriteError.of(folder, "it is there, and cannot be removed") from None
        # somebody else has just built the same


def _write_arrays(folder: Path, windows: WindowStore) -> None:
    for name, array in (("X", windows.matrix), ("y", windows.target), ("label", windows.label)):
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    codes = pa.DictionaryArray.from_arrays(
        pa.array(windows.instrument), pa.array(windows.instruments.tolist(), pa.string())
    )
    index = {
        INSTRUMENT: codes,
        DATETIME: pa.array(windows.calendar[windows.day]),
        "row": pa.array(np.arange(len(windows.day), dtype=np.int32)),
        "is_member": pa.array(windows.members),
    }
    pq.write_table(pa.table(index), folder / "index.parquet", compression="zstd")
    np.save(folder / "calendar.npy", windows.calendar.astype(np.int64), allow_pickle=False)


def remove_windows(folder: Path) -> None:
    """Remove a window folder; killed half-way, what is left of it is no window folder."""
    (folder / META).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Return the meta of a window folder, or None if there is no whole one."""
    try:
        return read_meta_shape(read_plain(folder / META))
    except (OSError, ValueError, RecursionError):
        return None


def open_windows(folder: Path) -> WindowStore:
    """Open a window folder; the matrix is mapped, not read. Raises StoreError if it is damaged."""
    try:
        meta = read_meta(folder)
        if meta is None:
            raise ValueError(f"no sound {META}")
        for name in _FILES:
            refuse_irregular(folder / name)
        # copy-on-write maps look writable to torch, and no write ever reaches the disk
        with np.errstate(over="raise"):  # of a header with a size that no file has
            matrix = np.load(folder / "X.npy", mmap_mode="c", allow_pickle=False)
            target, label, calendar = (
                np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("y", "label", "calendar")
            )
        index = pq.read_table(folder / "index.parquet")
        return _laid_out(meta, matrix, (target, label), calendar, index)
    except (OSError, EOFError, ArithmeticError, *_UNREADABLE, pa.ArrowException) as error:
        raise StoreError(
            f"the windows at {folder} are damaged: {error}", hint=f"delete {folder} and run: qts window"
        ) from error


def _laid_out(
    meta: dict[str, Any],
    matrix: np.ndarray,
    labels: tuple[np.ndarray, np.ndarray],
    calendar: np.ndarray,
    index: pa.Table,
) -> WindowStore:
    """Return what the files of a folder hold; raises ValueError unless they belong together."""
    n_rows = len(index)
    if matrix.shape != (n_rows, len(meta["features"])) or any(column.shape != (n_rows,) for column in labels):
        raise ValueError("parts of different length")
    if any(array.dtype != np.float32 for array in (matrix, *labels)) or calendar.dtype != np.int64:
        raise ValueError("numbers of another type")
    if calendar.ndim != 1 or bool((np.diff(calendar) <= 0).any()):
        raise ValueError("a calendar out of order")
    codes, rows = index[INSTRUMENT].combine_chunks(), index[DATETIME].to_numpy().astype("datetime64[D]")
    if not pa.types.is_dictionary(codes.type) or any(column.null_count for column in index.columns):
        raise ValueError("an index of another form")
    days = calendar.astype("datetime64[D]")
    day = np.searchsorted(days, rows).astype(np.int32)
    if n_rows and not (len(days) and bool((days[np.minimum(day, len(days) - 1)] == rows).all())):
        raise ValueError("a day that is none of the calendar")
    return WindowStore(
        matrix=matrix, target=labels[0], label=labels[1],
        instruments=np.array(codes.dictionary.to_pylist(), dtype=str), instrument=codes.indices.to_numpy().astype(np.int32),
        day=day, members=index["is_member"].to_numpy(), calendar=days, meta=meta,
    )  # fmt: skip
