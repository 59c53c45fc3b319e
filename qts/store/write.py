"""The one writer: parts first, under names no reader looks for; the manifest last, in one atomic replace.

Killed at any moment, the store opens as it was before or as it is after. What a killed writer left behind is swept by
the next one. Parts that no longer count are retired (`retired.py`), so that readers of the store before still find them.
"""

import itertools
import re
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from qts.errors import QtsError, StoreError, WriteError
from qts.expr.quote import quote_text
from qts.store.atomic import reason_of, remove, replace_file, said_as_written, sweep_leftovers, sync
from qts.store.checksum import checksum_of
from qts.store.confined import refuse_links
from qts.store.lock import only_writer
from qts.store.manifest import MANIFEST, Dataset, Manifest, Part, read_manifest
from qts.store.retired import PREVIOUS, Retired

__all__ = ["FOLDERS", "STAGING", "StoreWriter", "replace_file"]

STAGING = ".staging"
_OUR_PART = re.compile(r"-[0-9a-f]{8}\.parquet$")
FOLDERS = ("bars", "calendar", "instruments", "labels", "factors", "universes", "benchmark", "quarantine")
_WRITTEN = (*FOLDERS, MANIFEST, STAGING, PREVIOUS)


class StoreWriter:
    """Holds the store's lock and collects parts until `commit`.

    Raises LockHeldError, naming the holder, if another process writes and `wait_seconds` have passed; StoreError if a
    link in the folder leads out of it: what is written, moved and swept is the store's own.
    """

    def __init__(self, folder: Path, *, wait_seconds: float = 0) -> None:
        self.folder = folder
        self._wait_seconds = wait_seconds
        self._held = ExitStack()
        self._staged: dict[Path, Path] = {}
        """Where a part will lie → where it lies until the commit."""
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        busy, hint = f"another process is writing to {self.folder}", "wait for it, or use --wait SECONDS"
        with ExitStack() as opening:
            opening.enter_context(only_writer(self.folder, busy, wait_seconds=self._wait_seconds, hint=hint))
            refuse_links(self.folder, _WRITTEN)
            self._refuse_foreign_folder()
            opening.callback(shutil.rmtree, self.folder / STAGING, ignore_errors=True)
            self._make_staging()
            self._tidy()
            self._held = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def _make_staging(self) -> None:
        shutil.rmtree(self.folder / STAGING, ignore_errors=True)
        try:
            (self.folder / STAGING).mkdir()
        except OSError as error:
            message = f"cannot write to {self.folder}: {reason_of(error)}"
            raise QtsError(message, hint="check [store] path and its permissions") from error

    def _tidy(self) -> None:
        """Sweep what a writer left that was killed between its manifest and its sweep, or before its manifest."""
        sweep_leftovers(self.folder)
        if manifest := self.current():
            self._sweep(manifest)

    def _refuse_foreign_folder(self) -> None:
        """A folder that has no manifest, but files where parts go, belongs to somebody else."""
        if (self.folder / MANIFEST).exists():
            return
        files = (file for folder in FOLDERS for file in (self.folder / folder).rglob("*") if file.is_file())
        foreign = next((file for file in files if not _OUR_PART.search(file.name)), None)
        if foreign:
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
            remove(staged)
            raise WriteError.of(final, reason_of(error)) from error
        self._staged[final] = staged
        return Part(
            path=f"{folder}/{name}.parquet", n_rows=int(row[0]) if row else 0, n_bytes=staged.stat().st_size,
            crc32=checksum_of(staged),
        )  # fmt: skip

    def file_of(self, part: Part) -> Path:
        """Return where a part lies at the moment, written by this ingest or by one before."""
        return self._staged.get(self.folder / part.path, self.folder / part.path)

    def commit(self, manifest: Manifest) -> None:
        """Make the written parts and the manifest the store's present; then sweep what no longer counts."""
        retired = Retired(self.folder)
        with said_as_written(self.folder):
            for final, staged in self._staged.items():
                final.parent.mkdir(parents=True, exist_ok=True)
                sync(staged)
                if final.exists():  # other rows under the same name: whoever reads them goes on to
                    retired.put(final.relative_to(self.folder).as_posix())
                staged.replace(final)
            for parent in {final.parent for final in self._staged}:
                sync(parent)
        replace_file(self.folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
        self._staged.clear()
        self._sweep(manifest, retired)
        retired.clear(sum(dataset.n_bytes for dataset in manifest.datasets().values()))

    def _sweep(self, manifest: Manifest, retired: Retired | None = None) -> None:
        """Retire what no longer counts; what cannot be moved now, the next writer moves."""
        counted = {part.path for dataset in manifest.datasets().values() for part in dataset.all_parts()}
        retired = retired or Retired(self.folder)
        for folder in FOLDERS:
            for file in (self.folder / folder).rglob("*.parquet"):
                path = file.relative_to(self.folder).as_posix()
                if path not in counted and _OUR_PART.search(path):
                    with suppress(OSError):
                        retired.put(path)

    def is_whole(self, dataset: Dataset) -> bool:
        """Return whether every part of a dataset is there in its full size, with a sound footer."""
        return all(_is_sound(self.folder / part.path, part) for part in dataset.all_parts())


def _is_sound(file: Path, part: Part) -> bool:
    try:
        return file.stat().st_size == part.n_bytes and pq.read_metadata(file).num_rows == part.n_rows
    except (OSError, pa.ArrowException):
        return False
