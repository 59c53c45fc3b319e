"""A store made aside of some of a store's checked bars: the same ingest, the same factors, nothing else of the study."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from qts.columns import DATETIME, INSTRUMENT
from qts.config import CheckActions, LoadedConfig
from qts.errors import StoreError
from qts.pipeline.ingest import ingest
from qts.progress import SilentProgress
from qts.store import Dataset, Store, open_store

EVERY_DAY = "~every day of the calendar~"
"""An instrument of no market with a bar on every day: where not all instruments come along, it keeps the calendar."""


@dataclass(frozen=True)
class Extract:
    """Bars of a store, and the days that its calendar had."""

    bars: pa.Table
    """Keys, fields and groups, sorted by instrument, then datetime."""
    calendar: np.ndarray
    """datetime64[D], every day of the stretch."""
    is_whole: bool
    """Whether every instrument is in it."""


def extract_bars(
    store: Store, instruments: Collection[str] | None, first: date | None = None, last: date | None = None
) -> Extract:
    """Return the checked bars of some instruments, or of all, between two days."""
    manifest, calendar = store.manifest, store.calendar()
    low = np.datetime64(first or manifest.first, "D")
    high = np.datetime64(last or manifest.last, "D")
    kept = pc.field(DATETIME).isin(pa.array(calendar[(calendar >= low) & (calendar <= high)]))
    if instruments is not None:
        kept &= pc.field(INSTRUMENT).isin(pa.array(sorted(instruments), pa.string()))
    bars = read_rows(store, manifest.bars, (*manifest.fields, *manifest.groups), kept)
    return Extract(bars, calendar[(calendar >= low) & (calendar <= high)], instruments is None)


def read_rows(store: Store, dataset: Dataset, columns: Collection[str], kept: pc.Expression) -> pa.Table:
    """Return keys and columns of a dataset's rows that are kept, by instrument, then datetime; StoreError if damaged."""
    tables = [_read(file, [INSTRUMENT, DATETIME, *columns], kept) for file in store.files(dataset)]
    if not tables:
        raise StoreError("a table of the store has no part", hint="run: qts ingest --rescan")
    whole = pa.concat_tables(tables, promote_options="default").combine_chunks()
    return whole.sort_by([(INSTRUMENT, "ascending"), (DATETIME, "ascending")])


def _read(file: str, columns: list[str], kept: pc.Expression) -> pa.Table:
    try:
        return pq.read_table(file, columns=columns, filters=kept, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(f"{file} is damaged: {reason}", hint="delete it, then run: qts ingest") from error


def make_store(loaded: LoadedConfig, folder: Path, extract: Extract, members: pa.Table | None = None) -> Store:
    """Return a store of an extract's bars in a new folder; `members` are instrument, start and end of a universe.

    Whatever the bars are, the data gate lets them in: what was perturbed is no market's.
    """
    folder.mkdir(parents=True)
    bars = extract.bars if extract.is_whole else pa.concat_tables([extract.bars, _every_day(extract)])
    pq.write_table(bars, folder / "bars.parquet")
    universe = None
    if members is not None:
        universe = str(folder / "universe.csv")
        pyarrow.csv.write_csv(members, universe)
    groups = [name for name in loaded.config.bars.groups if name in bars.column_names]
    changed = loaded.changed(
        {
            "bars.source": "parquet", "bars.path": str(folder / "bars.parquet"), "bars.table": None, "bars.query": None,
            "bars.columns": {}, "bars.date_format": None, "bars.groups": groups, "bars.universe": universe,
            "bars.benchmark": None, "bars.benchmark_instrument": None, "store.path": str(folder / "store"),
            "check.actions": dict.fromkeys(CheckActions.model_fields, "ignore"),
        },
        "qts verify",
    )  # fmt: skip
    ingest(changed, SilentProgress())
    return open_store(folder / "store")


def _every_day(extract: Extract) -> pa.Table:
    """Return bars of EVERY_DAY."""
    n_days, schema = len(extract.calendar), extract.bars.schema
    columns = []
    for column in schema:
        if column.name == INSTRUMENT:
            values = pa.array([EVERY_DAY] * n_days, pa.string())
        elif column.name == DATETIME:
            values = pa.array(extract.calendar)
        else:
            values = pa.array(np.ones(n_days)) if pa.types.is_floating(column.type) else pa.nulls(n_days)
        columns.append(values.cast(column.type))
    return pa.Table.from_arrays(columns, schema=schema)
