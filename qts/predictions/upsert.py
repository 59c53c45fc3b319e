"""Writing a book: a key has one present score; another one takes its place as a new version, and the old one is kept."""

import hashlib
import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qts import __version__
from qts.columns import DATETIME, INSTRUMENT, SCORE
from qts.predictions.book import BY_KEY, DAYS_SCHEMA, SCORES_SCHEMA, SUPERSEDED_SCHEMA, Book
from qts.predictions.manifest import DAYS, MANIFEST, SCORES, SUPERSEDED, BookManifest, Lineage, Synced
from qts.store.atomic import replace_file
from qts.store.confined import refuse_links
from qts.store.manifest import Part

_OUR_FILE = re.compile(r"-[0-9a-f]{8}\.parquet$")
_KEYS = [INSTRUMENT, DATETIME]
_FRESH = "fresh"

DayFigures = dict[str, Any]
"""A row of the days: column of DAYS_SCHEMA → value."""


@dataclass(frozen=True)
class Asked:
    """Which keys were scored: of them, those without a score now are withdrawn; others stay as they are."""

    whole_days: np.ndarray
    """datetime64[D] days of which every member was asked."""
    names: Collection[str] = ()
    """Instruments that were asked on the other days too."""
    days: np.ndarray | None = None
    """datetime64[D] days on which `names` were asked."""

    def mask(self, table: pa.Table) -> np.ndarray:
        """Return (n_rows,) bool: whether a row's key was asked."""
        day = table[DATETIME].to_numpy().astype("datetime64[D]")
        asked: np.ndarray = np.isin(day, self.whole_days)
        if self.names and self.days is not None:
            named = pc.is_in(table[INSTRUMENT], pa.array(sorted(self.names), pa.string()))
            asked |= np.isin(day, self.days) & named.to_numpy(zero_copy_only=False)
        return asked


@dataclass(frozen=True)
class Upserted:
    """What became of the scores."""

    n_new: int
    """Keys that had no score."""
    n_changed: int
    """Keys whose score is another one now."""
    n_withdrawn: int
    """Keys that have a score no more: the name was no member, or had no bar, after all."""

    @property
    def is_nothing(self) -> bool:
        """Whether the book holds what it held."""
        return not (self.n_new or self.n_changed or self.n_withdrawn)


class BookWriter:
    """Changes of a book, collected until `commit`; the folder's lock is the caller's.

    Raises StoreError if a link in the folder leads out of it.
    """

    def __init__(self, folder: Path, book: Book | None) -> None:
        refuse_links(folder)
        self.folder = folder
        self.book = book or Book(folder, BookManifest(qts_version=__version__))
        self._months: dict[str, pa.Table] = {}
        self._superseded = SUPERSEDED_SCHEMA.empty_table()
        self._days: pa.Table | None = None

    @property
    def next_lineage(self) -> int:
        """The id of the lineage of what is written now."""
        return len(self.book.manifest.lineages) + 1

    def upsert(self, scores: pa.Table, asked: Asked) -> Upserted:
        """Take over instrument, datetime, score, float32; a key stands once."""
        months = sorted({*_months_of(scores), *self._months_asked(asked)})
        counts = [self._upsert_month(month, scores, asked) for month in months]
        return Upserted(*(sum(count) for count in zip((0, 0, 0), *counts, strict=True)))

    def _months_asked(self, asked: Asked) -> set[str]:
        days = asked.whole_days if asked.days is None else np.concatenate([asked.whole_days, asked.days])
        return {str(month) for month in np.unique(days.astype("datetime64[M]"))} & {*self.book.manifest.months}

    def _upsert_month(self, month: str, scores: pa.Table, asked: Asked) -> tuple[int, int, int]:
        present = self.book.month(month)
        in_month = pc.equal(pc.strftime(scores[DATETIME], "%Y-%m"), month)
        fresh = scores.filter(in_month).select([*_KEYS, SCORE]).rename_columns([*_KEYS, _FRESH])
        fresh = fresh.append_column("is_fresh", pa.array(np.ones(fresh.num_rows, dtype=bool)))
        joined = present.join(fresh, keys=_KEYS, join_type="full outer").sort_by(BY_KEY)
        was, now = _is_known(joined["version"]), _is_known(joined["is_fresh"])
        same = _same(joined[SCORE], joined[_FRESH])
        is_new, is_changed = now & ~was, now & was & ~same
        is_withdrawn = was & ~now & asked.mask(joined)
        if not (is_new.any() or is_changed.any() or is_withdrawn.any()):
            return 0, 0, 0
        number = self.next_lineage
        old = joined.select(SCORES_SCHEMA.names)
        retired = old.filter(pa.array(is_changed | is_withdrawn))
        retired = retired.append_column("replaced_by", pa.array(np.full(retired.num_rows, number), pa.int32()))
        retired = retired.append_column("is_withdrawn", pa.array(is_withdrawn[is_changed | is_withdrawn]))
        self._superseded = pa.concat_tables([self._superseded, retired.cast(SUPERSEDED_SCHEMA)])
        is_fresh = pa.array(is_new | is_changed)
        version = pc.add(pc.fill_null(joined["version"], pa.scalar(0, pa.int32())), pa.scalar(1, pa.int32()))
        version = pa.chunked_array([version.combine_chunks()]).cast(pa.int32())
        columns = [
            joined[INSTRUMENT], joined[DATETIME], pc.if_else(is_fresh, joined[_FRESH], joined[SCORE]),
            pc.if_else(is_fresh, self._versions(joined, version, is_new), joined["version"]),
            pc.if_else(is_fresh, pa.scalar(number, pa.int32()), joined["lineage"]),
        ]  # fmt: skip
        made = pa.Table.from_arrays(columns, names=SCORES_SCHEMA.names).cast(SCORES_SCHEMA)
        self._months[month] = made.filter(pa.array(~is_withdrawn)).combine_chunks()
        return int(is_new.sum()), int(is_changed.sum()), int(is_withdrawn.sum())

    def _versions(self, joined: pa.Table, version: pa.ChunkedArray, is_new: np.ndarray) -> pa.ChunkedArray:
        """Return the next version of each key: one that was withdrawn goes on counting where it was."""
        before = self.book.superseded() if is_new.any() else None
        if before is None or not before.num_rows:
            return version
        last = before.group_by(_KEYS).aggregate([("version", "max")])
        # a join keeps no order: the rows' own places bring it back
        placed = joined.select(_KEYS).append_column("place", pa.array(np.arange(joined.num_rows)))
        found = placed.join(last, keys=_KEYS, join_type="left outer").sort_by("place")["version_max"]
        after = pc.add(pc.fill_null(found, pa.scalar(0, pa.int32())), pa.scalar(1, pa.int32()))
        return pc.if_else(pa.array(is_new), after, version)

    def scores_of(self, days: Collection[date]) -> pa.Table:
        """Return the scores of some days, with what was taken over."""
        months = sorted({f"{day:%Y-%m}" for day in days})
        table = pa.concat_tables([SCORES_SCHEMA.empty_table(), *map(self._month, months)])
        return table.filter(pc.is_in(table[DATETIME], pa.array(sorted(days), pa.date32())))

    def _month(self, month: str) -> pa.Table:
        return self._months[month] if month in self._months else self.book.month(month)

    def day_counts(self, days: Collection[date]) -> dict[date, int]:
        """Return day → its scores, NaN left out, of the days in months that something was taken over for."""
        found: dict[date, int] = {}
        for month, table in self._months.items():
            is_known = ~np.isnan(table[SCORE].to_numpy())
            day = table[DATETIME].to_numpy().astype("datetime64[D]")[is_known]
            there, counts = np.unique(day, return_counts=True)
            known = dict(zip(there.tolist(), counts.tolist(), strict=True))
            found |= {day: known.get(day, 0) for day in days if f"{day:%Y-%m}" == month}
        return found

    def put_days(self, rows: list[DayFigures]) -> None:
        """Have these rows of days, and no others, after the commit."""
        table = pa.Table.from_pylist(rows, schema=DAYS_SCHEMA).sort_by(DATETIME)
        if not table.equals(self.book.days()):
            self._days = table

    def commit(self, lineage: Lineage | None, synced: Synced, first: date | None = None) -> Book:
        """Make it the book's present, in one atomic step; `lineage` is None if no score is new, `first` the first day asked."""
        old = self.book.manifest
        months = {**old.months, **{month: self._write(SCORES, month, table) for month, table in self._months.items()}}
        superseded = old.superseded
        if self._superseded.num_rows:
            superseded = (*superseded, self._write(SUPERSEDED, f"{self.next_lineage:06d}", self._superseded))
        days = old.days if self._days is None else self._write(DAYS, "days", self._days)
        manifest = BookManifest(
            qts_version=__version__, months=dict(sorted(months.items())), superseded=superseded, days=days,
            lineages=(*old.lineages, lineage) if lineage else old.lineages, first=first or old.first, synced=synced,
        )  # fmt: skip
        counted = {part.path for part in manifest.parts()}
        manifest = manifest.model_copy(update={"before": tuple(sorted({p.path for p in old.parts()} - counted))})
        if manifest.model_copy(update={"before": old.before, "qts_version": old.qts_version}) != old:
            replace_file(self.folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
            self._sweep({*counted, *manifest.before})
            self.book = Book(self.folder, manifest)
        return self.book

    def _write(self, folder: str, name: str, table: pa.Table) -> Part:
        """Write a part under a name that its content decides, so that no present part is ever written to."""
        stream = io.BytesIO()
        pq.write_table(table, stream, compression="zstd")
        content = stream.getvalue()
        path = f"{folder}/{name}-{hashlib.sha256(content).hexdigest()[:8]}.parquet"
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        replace_file(self.folder / path, content)
        return Part(path=path, n_rows=table.num_rows, n_bytes=len(content))

    def _sweep(self, counted: set[str]) -> None:
        """Remove parts that neither this manifest nor the one before it counts."""
        for folder in (SCORES, SUPERSEDED, DAYS):
            for file in (self.folder / folder).glob("*.parquet"):
                path = f"{folder}/{file.name}"
                if path not in counted and _OUR_FILE.search(path):
                    file.unlink(missing_ok=True)


def _months_of(scores: pa.Table) -> set[str]:
    days = scores[DATETIME].to_numpy().astype("datetime64[M]")
    return {str(month) for month in np.unique(days)}


def _is_known(column: pa.ChunkedArray) -> np.ndarray:
    found: np.ndarray = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return found


def _same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray:
    """Return (n,) bool: equal, or both NaN; what is missing on a side is NaN here and told apart elsewhere."""
    a, b = (column.to_numpy(zero_copy_only=False).astype(np.float32) for column in (one, other))
    same: np.ndarray = (a == b) | (np.isnan(a) & np.isnan(b))
    return same
