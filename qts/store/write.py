"""The one writer: parts first, under names no reader looks for; the manifest last, in one atomic replace.

Killed at any moment, the store opens as it was before or as it is after. What a killed writer left behind is swept by
the next one.
"""

import itertools
import json
import os
import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from qts.errors import LockHeldError, QtsError, StoreError
from qts.expr.sql import quote_text
from qts.store.manifest import MANIFEST, PREVIOUS, Dataset, Manifest, Part, read_manifest

LOCK = ".lock"
HOLDER = ".lock.json"
STAGING = ".staging"
_OUR_PART = re.compile(r"-[0-9a-f]{8}\.parquet$")
FOLDERS = ("bars", "calendar", "instruments", "labels", "factors", "universes", "benchmark", "quarantine")


class StoreWriter:
    """Holds the store's lock and collects parts until `commit`.

    Raises LockHeldError, naming the holder, if another process writes and `wait_seconds` have passed.
    """

    def __init__(self, folder: Path, *, wait_seconds: float = 0) -> None:
        self.folder = folder
        self._wait_seconds = wait_seconds
        self._lock = FileLock(folder / LOCK)
        self._staged: dict[Path, Path] = {}
        """Where a part will lie → where it lies until the commit."""
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=self._wait_seconds)
            (self.folder / HOLDER).write_text(_this_process())
            self._refuse_foreign_folder()
            shutil.rmtree(self.folder / STAGING, ignore_errors=True)
            (self.folder / STAGING).mkdir()
        except Timeout:
            raise LockHeldError(
                f"another process is writing to {self.folder}: {_holder(self.folder)}",
                hint="wait for it, or use --wait SECONDS",
            ) from None
        except OSError as error:
            raise QtsError(
                f"cannot write to {self.folder}: {error.strerror}", hint="check [store] path and its permissions"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder / STAGING, ignore_errors=True)
        (self.folder / HOLDER).unlink(missing_ok=True)
        self._lock.release()

    def _refuse_foreign_folder(self) -> None:
        """A folder that has no manifest, but files where parts go, belongs to somebody else."""
        if (self.folder / MANIFEST).exists():
            return
        files = (file for folder in FOLDERS for file in (self.folder / folder).rglob("*") if file.is_file())
        foreign = next((file for file in files if not _OUR_PART.search(file.name)), None)
        if foreign:
            self.__exit__(None, None, None)
            raise QtsError(
                f"{self.folder} holds files that are no store's, as {foreign}", hint="choose another [store] path"
            )

    @property
    def spill(self) -> Path:
        """A folder for the SQL engine's temporary files."""
        return self.folder / STAGING / "spill"

    def current(self) -> Manifest | None:
        """Return the store's manifest, or None if there is no store yet or it can only be rebuilt."""
        try:
            return read_manifest(self.folder)
        except StoreError:
            return None

    def write_part(self, connection: duckdb.DuckDBPyConnection, select: str, folder: str, name: str) -> Part:
        """Write the rows of a SELECT as one Parquet file; it joins the store at `commit`."""
        staged = self.folder / STAGING / f"{next(self._numbers)}.tmp"
        final = self.folder / folder / f"{name}.parquet"
        target = quote_text(str(staged))
        # Floats hardly repeat: without the limit every column first builds a dictionary in vain.
        options = "FORMAT parquet, COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 1"
        try:
            row = connection.execute(f"COPY ({select}) TO {target} ({options})").fetchone()
        except duckdb.IOException as error:
            raise QtsError(
                f"cannot write {final}: {str(error).partition(chr(10))[0]}", hint="is the disk full?"
            ) from error
        self._staged[final] = staged
        return Part(path=f"{folder}/{name}.parquet", n_rows=int(row[0]) if row else 0, n_bytes=staged.stat().st_size)

    def file_of(self, part: Part) -> Path:
        """Return where a part lies at the moment, written by this ingest or by one before."""
        return self._staged.get(self.folder / part.path, self.folder / part.path)

    def commit(self, manifest: Manifest) -> None:
        """Make the written parts and the manifest the store's present; then sweep what no longer counts."""
        try:
            for final, staged in self._staged.items():
                final.parent.mkdir(parents=True, exist_ok=True)
                _sync(staged)
                staged.replace(final)
            for parent in {final.parent for final in self._staged}:
                _sync(parent)
            replace_file(self.folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
        except OSError as error:
            raise QtsError(
                f"cannot commit to {self.folder}: {error.strerror}", hint="the store is as it was"
            ) from error
        self._staged.clear()
        self._sweep(manifest)

    def _sweep(self, manifest: Manifest) -> None:
        """Retire what no longer counts: a reader that opened the store before still finds it, until the next commit."""
        counted = {part.path for dataset in manifest.datasets().values() for part in dataset.all_parts()}
        shutil.rmtree(self.folder / PREVIOUS, ignore_errors=True)
        for folder in FOLDERS:
            for file in (self.folder / folder).rglob("*.parquet"):
                path = file.relative_to(self.folder).as_posix()
                if path not in counted and _OUR_PART.search(path):
                    (self.folder / PREVIOUS / path).parent.mkdir(parents=True, exist_ok=True)
                    file.replace(self.folder / PREVIOUS / path)

    def is_whole(self, dataset: Dataset) -> bool:
        """Return whether every part of a dataset is there in its full size, with a sound footer."""
        return all(_is_sound(self.folder / part.path, part) for part in dataset.all_parts())


def replace_file(file: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part of it."""
    temporary = file.with_name(f".{file.name}.tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
    _sync(file.parent)


def write_table(table: pa.Table, file: Path) -> None:
    """Write a Parquet file in one atomic step."""
    temporary = file.with_name(f".{file.name}.tmp")
    pq.write_table(table, temporary)
    temporary.replace(file)


def _is_sound(file: Path, part: Part) -> bool:
    try:
        return file.stat().st_size == part.n_bytes and pq.read_metadata(file).num_rows == part.n_rows
    except (OSError, pa.ArrowInvalid):
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _this_process() -> str:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv), "since": since})


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / HOLDER).read_text())
        return f"process {holder['pid']} ({holder['command']}) since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return "an unknown process"
