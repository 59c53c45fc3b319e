"""The manifest: which parts make up the store, and what each dataset was made from."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from qts.columns import REQUIRED_FIELDS
from qts.errors import NoStoreError, StoreError
from qts.plain_file import read_plain
from qts.store.confined import is_relative

MANIFEST = "manifest.json"
FORMAT = 2
"""Version of the disk format."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _inside(path: str) -> str:
    if not is_relative(path):
        raise ValueError(f"{path!r} is no path inside the folder")
    return path


class Part(_Record):
    """One Parquet file of a dataset."""

    path: Annotated[str, AfterValidator(_inside)]
    """Relative to the store, with forward slashes."""
    n_rows: int
    """Rows."""
    n_bytes: int
    """Size of the file."""
    crc32: int | None = None
    """Checksum of the file; None: nobody took it."""


class Dataset(_Record):
    """Parts that together are one table; each is sorted by instrument and datetime, and no key stands in two."""

    fingerprint: str
    """Hash of everything the rows were made from."""
    parts: tuple[Part, ...]
    """Parts."""
    recipe: str = ""
    """Hash of how the rows are made, whatever from."""
    tail: Part | None = None
    """Rows that later bars will change; the next ingest replaces it."""
    expressions: dict[str, str] = {}
    """Column → expression, for computed columns; in order."""
    ahead: int = 0
    """Bars the columns look ahead; above 0 only in the label."""

    def all_parts(self) -> tuple[Part, ...]:
        """Return every part, the tail last."""
        return (*self.parts, self.tail) if self.tail else self.parts

    @property
    def n_rows(self) -> int:
        """Rows of all parts."""
        return sum(part.n_rows for part in self.all_parts())

    @property
    def n_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.n_bytes for part in self.all_parts())


class Manifest(_Record):
    """What the store holds; replaced in one atomic step, last in every commit."""

    format: Literal[2] = 2
    """Version of the disk format."""
    qts_version: str
    """The version that wrote it."""
    bars: Dataset
    """Checked bars: only days with a bar."""
    fields: tuple[str, ...]
    """The bars' fields."""
    groups: tuple[str, ...] = ()
    """The bars' columns of text."""
    arrival: str
    """Hash of how the bars are read and judged."""
    instruments: Dataset
    """Of each instrument the days and the hash of its rows in the source: what the next ingest compares with."""
    quarantine: Dataset | None = None
    """Rows that the data gate put aside, with the reason."""
    files: dict[str, tuple[int, int]] = {}
    """Files of the bar source → size and time of change; unchanged files need no reading."""
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
    history: str = ""
    """Fingerprint of the bars when every row was last taken in."""
    revision: int = 0
    """How often bars have come since."""
    revised: dict[str, int] = {}
    """Instrument → the revision that last changed its days known before; what was made of them is out of date."""
    states: dict[str, int] = {}
    """Fingerprint of the bars → the revision at which they last were so; what was made of other bars is out of date."""
    n_instruments: int
    """Instruments with bars."""
    first: date
    """First day of the calendar."""
    last: date
    """Last day of the calendar."""

    @model_validator(mode="after")
    def _has_what_bars_have(self) -> Self:
        if lacking := [name for name in REQUIRED_FIELDS if name not in self.fields]:
            raise ValueError(f"the bars lack {', '.join(lacking)}")
        return self

    @model_validator(mode="after")
    def _parts_lie_with_their_dataset(self) -> Self:
        for folder, dataset in self.datasets().items():
            for part in dataset.all_parts():
                if part.path.rpartition("/")[0] != folder:
                    raise ValueError(f"{part.path!r} is no part of {folder}")
        return self

    def datasets(self) -> dict[str, Dataset]:
        """Return every dataset under the folder it lives in."""
        named = {"bars": self.bars, "calendar": self.calendar, "instruments": self.instruments, "labels": self.label}
        named |= {f"factors/{name}": dataset for name, dataset in self.factor_sets.items()}
        if self.universe:
            named["universes"] = self.universe
        if self.benchmark:
            named["benchmark"] = self.benchmark
        if self.quarantine:
            named["quarantine"] = self.quarantine
        return named


def fingerprint(*things: object) -> str:
    """Return a short hash of things that JSON can say; equal things give equal hashes."""
    text = json.dumps(things, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a store; raises StoreError if there is none or it is damaged."""
    file = folder / MANIFEST
    try:
        text = read_plain(file)
        written = json.loads(text)
        if isinstance(written, dict) and written.get("format") != FORMAT:
            version = written.get("qts_version")
            writer = f"qts {version}" if version else "another version of qts"
            raise StoreError(f"the store {folder} has the format of {writer}", hint="run: qts ingest")
        return Manifest.model_validate(written, strict=False)
    except (FileNotFoundError, NotADirectoryError):
        raise NoStoreError(f"no store at {folder}", hint="run: qts ingest") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise StoreError(
            f"the store's manifest {file} is damaged: {reason}", hint=f"delete {file} and run: qts ingest"
        ) from None
