"""The manifest: which parts make up the store, and what each dataset was made from."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from qts.errors import NoStoreError, StoreError

MANIFEST = "manifest.json"
PREVIOUS = ".previous"
"""Where a commit puts the parts that it took out; the next commit removes them."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Part(_Record):
    """One Parquet file of a dataset."""

    path: str
    """Relative to the store, with forward slashes."""
    n_rows: int
    """Rows."""
    n_bytes: int
    """Size of the file."""


class Dataset(_Record):
    """Parts that together are one table, in the order of their rows."""

    fingerprint: str
    """Hash of everything the rows were made from."""
    parts: tuple[Part, ...]
    """Parts."""
    expressions: dict[str, str] = {}
    """Column → expression, for computed columns; in order."""
    ahead: int = 0
    """Bars the columns look ahead; above 0 only in the label."""

    @property
    def n_rows(self) -> int:
        """Rows of all parts."""
        return sum(part.n_rows for part in self.parts)

    @property
    def n_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.n_bytes for part in self.parts)


class Manifest(_Record):
    """What the store holds; replaced in one atomic step, last in every commit."""

    format: Literal[1] = 1
    """Version of the disk format."""
    qts_version: str
    """The version that wrote it."""
    bars: Dataset
    """Checked bars: only days with a bar."""
    fields: tuple[str, ...]
    """The bars' fields."""
    calendar: Dataset
    """Every day on which some instrument has a bar."""
    label: Dataset
    """The raw label."""
    factor_sets: dict[str, Dataset]
    """Name → factors."""
    universe: Dataset | None = None
    """Dated membership; None: every instrument, always."""
    benchmark: Dataset | None = None
    """Bars of the benchmark."""
    n_instruments: int
    """Instruments with bars."""
    first: date
    """First day of the calendar."""
    last: date
    """Last day of the calendar."""

    def datasets(self) -> dict[str, Dataset]:
        """Return every dataset under the folder it lives in."""
        named = {"bars": self.bars, "calendar": self.calendar, "labels": self.label}
        named |= {f"factors/{name}": dataset for name, dataset in self.factor_sets.items()}
        if self.universe:
            named["universes"] = self.universe
        if self.benchmark:
            named["benchmark"] = self.benchmark
        return named


def fingerprint(*things: object) -> str:
    """Return a short hash of things that JSON can say; equal things give equal hashes."""
    text = json.dumps(things, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a store; raises StoreError if there is none or it is damaged."""
    file = folder / MANIFEST
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise NoStoreError(f"no store at {folder}", hint="run: qts ingest") from None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise StoreError(
            f"the store's manifest {file} is damaged: {reason}", hint=f"delete {file} and run: qts ingest"
        ) from None
