"""Reading a book: present scores, older versions, and what is known of each day."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qts.columns import DATETIME, INSTRUMENT, SCORE
from qts.errors import StoreError
from qts.predictions.manifest import BookManifest, read_manifest
from qts.store.confined import confined
from qts.store.manifest import Part

SCORES_SCHEMA = pa.schema([
    (INSTRUMENT, pa.string()), (DATETIME, pa.date32()), (SCORE, pa.float32()), ("version", pa.int32()),
    ("lineage", pa.int32()),
])  # fmt: skip
SUPERSEDED_SCHEMA = pa.schema([*SCORES_SCHEMA, ("replaced_by", pa.int32()), ("is_withdrawn", pa.bool_())])
DAYS_SCHEMA = pa.schema([
    (DATETIME, pa.date32()), ("n_members", pa.int64()), ("n_scores", pa.int64()), ("run", pa.string()),
    ("lineage", pa.int32()), ("label_start", pa.date32()), ("label_end", pa.date32()), ("ic", pa.float64()),
    ("rank_ic", pa.float64()), ("members", pa.int64()),
])  # fmt: skip
"""A day's members that traded, its scores, who made them first, from which close to which its label's return is, IC and
RankIC once that is known, and a hash of the members' names."""

BY_KEY = [(DATETIME, "ascending"), (INSTRUMENT, "ascending")]


@dataclass(frozen=True)
class Book:
    """A book as of one manifest."""

    folder: Path
    manifest: BookManifest

    def scores(self, first: date | None = None, last: date | None = None) -> pa.Table:
        """Return instrument, datetime, score, version, lineage between two days: one row a key, by datetime, instrument."""
        months = self.manifest.months
        wanted = [
            part for month, part in sorted(months.items())
            if (first is None or month >= f"{first:%Y-%m}") and (last is None or month <= f"{last:%Y-%m}")
        ]  # fmt: skip
        table = self._read(wanted, SCORES_SCHEMA)
        for bound, kept in ((first, pc.greater_equal), (last, pc.less_equal)):
            if bound is not None:
                table = table.filter(kept(table[DATETIME], pa.scalar(bound, pa.date32())))
        return table

    def superseded(self) -> pa.Table:
        """Return scores that others have taken the place of, or that were withdrawn; with the lineage that did."""
        return self._read(self.manifest.superseded, SUPERSEDED_SCHEMA)

    def days(self) -> pa.Table:
        """Return a row for each published day, ascending; see DAYS_SCHEMA."""
        return self._read([self.manifest.days] if self.manifest.days else [], DAYS_SCHEMA)

    def month(self, month: str) -> pa.Table:
        """Return the present scores of a month, as 2026-05; none if it has none."""
        return self._read([self.manifest.months[month]] if month in self.manifest.months else [], SCORES_SCHEMA)

    def files(self, parts: tuple[Part, ...]) -> list[str]:
        """Return the paths of parts."""
        return [str(confined(self.folder, part.path)) for part in parts]

    def _read(self, parts: "list[Part] | tuple[Part, ...]", schema: pa.Schema) -> pa.Table:
        tables = [schema.empty_table()]
        for part in parts:
            file = confined(self.folder, part.path)
            try:
                table = pq.read_table(file, partitioning=None).select(schema.names).cast(schema)
            except (OSError, pa.ArrowException, KeyError) as error:
                reason = str(error).partition("\n")[0]
                hint = "restore it from a backup: what was published is not made anew"
                raise StoreError(f"{file} is missing or damaged: {reason}", hint=hint) from error
            if table.num_rows != part.n_rows:
                message = f"{file} has {table.num_rows:,} rows, its manifest says {part.n_rows:,}"
                raise StoreError(message, hint="restore it from a backup: what was published is not made anew")
            tables.append(table)
        return pa.concat_tables(tables)


def read_book(folder: Path) -> Book | None:
    """Return the book in a folder, None if no night has run; raises StoreError if its manifest is damaged."""
    manifest = read_manifest(folder)
    return None if manifest is None else Book(folder, manifest)
