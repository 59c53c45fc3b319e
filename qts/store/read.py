"""Reading: a store as of one manifest, its tables as SQL views and its factors as arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qts.columns import CLOSE, DATETIME, END, HAS_BAR, INSTRUMENT, LABEL, START
from qts.errors import StoreError
from qts.expr.quote import quote_name, quote_text
from qts.registry import unknown_name_hint
from qts.store.confined import confined
from qts.store.manifest import Dataset, Manifest, Part, read_manifest
from qts.store.retired import generations

Keys = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]
"""Instruments, each row's instrument and day, sorted by both, and the order that sorts the rows; None if they are sorted."""


@dataclass(frozen=True)
class PanelRows:
    """Columns of the panel as arrays, sorted by instrument, then datetime."""

    instruments: np.ndarray
    """(n_instruments,) str, sorted."""
    instrument: np.ndarray
    """(n_rows,) int32, positions in `instruments`."""
    day: np.ndarray
    """(n_rows,) int32, positions in the store's calendar."""
    columns: tuple[str, ...]
    """Names of the values' columns."""
    values: np.ndarray
    """(n_rows, n_columns) float32, NaN where missing; bars are float64."""


@dataclass(frozen=True)
class Store:
    """A store as of one manifest; a writer at work does not change what it reads."""

    folder: Path
    manifest: Manifest

    def files(self, dataset: Dataset) -> list[str]:
        """Return the paths of a dataset's parts; raises StoreError if one is missing."""
        return [self._file(part) for part in dataset.all_parts()]

    def _file(self, part: Part) -> str:
        """Return where a part lies: in its place, or retired by a writer that committed since this store was opened."""
        place = confined(self.folder, part.path)
        # one after the other: what has just left its place is in a generation by the time we list them
        for file in chain([place], self._retired(part.path)):
            if _size(file) == part.n_bytes:  # another size: other rows under the same name
                return str(file)
        if place.is_file():
            message = f"{place} is damaged: it has {_size(place):,} bytes, not {part.n_bytes:,}"
            raise StoreError(message, hint="delete it, then run: qts ingest")
        raise StoreError(f"the store lacks {place}", hint="run: qts ingest")

    def _retired(self, path: str) -> Iterator[Path]:
        """Yield where a part may lie once it is retired; looked up only when its place is empty."""
        for generation in generations(self.folder):
            yield confined(self.folder, f"{generation.relative_to(self.folder).as_posix()}/{path}")

    def dataset_of(self, column: str) -> Dataset:
        """Return the dataset that holds a factor, or the label; raises StoreError for an unknown name."""
        if column in (LABEL, HAS_BAR):
            return self.manifest.label
        for dataset in self.manifest.factor_sets.values():
            if column in dataset.expressions:
                return dataset
        names = [name for dataset in self.manifest.factor_sets.values() for name in dataset.expressions]
        raise StoreError(
            f'the store has no factor "{column}"', hint=f"{unknown_name_hint(column, names)} Or run: qts ingest"
        )

    def calendar(self) -> np.ndarray:
        """Return the calendar as datetime64[D], ascending."""
        return self._calendar

    @cached_property
    def _calendar(self) -> np.ndarray:
        days = self._table(self.manifest.calendar, [DATETIME])[DATETIME].to_numpy().astype("datetime64[D]")
        if np.isnat(days).any() or not bool((days[1:] > days[:-1]).all()):
            raise StoreError("the store's calendar is damaged: its days do not ascend", hint="run: qts ingest --rescan")
        return days

    @cached_property
    def _found_keys(self) -> dict[str, Keys]:
        """Fingerprint of a dataset → its keys: a store is as of one manifest, so they are read once."""
        return {}

    def read(self, columns: Sequence[str], first: date | None = None, last: date | None = None) -> PanelRows:
        """Return columns of the panel between two days, both included."""
        calendar = self.calendar()
        bounds = None
        if first is not None or last is not None:
            low = np.searchsorted(calendar, np.datetime64(first, "D")) if first else 0
            high = np.searchsorted(calendar, np.datetime64(last, "D"), side="right") if last else len(calendar)
            bounds = (int(low), int(high))
        instruments, instrument, day, order = self._keys(self.manifest.label)
        rows = None if bounds is None else np.flatnonzero((day >= bounds[0]) & (day < bounds[1]))
        values = np.empty((len(day) if rows is None else len(rows), len(columns)), dtype=np.float32, order="F")
        orders = {self.manifest.label.fingerprint: order}
        for dataset, places in self._by_dataset(columns):
            if dataset.fingerprint not in orders:
                orders[dataset.fingerprint] = self._order_like(dataset, instruments, instrument, day)
            chosen = _taken(orders[dataset.fingerprint], rows)
            for some in (places[at : at + _AT_ONCE] for at in range(0, len(places), _AT_ONCE)):
                table = self._table(dataset, [columns[at] for at in some])
                for at in some:
                    whole = table[columns[at]].to_numpy()
                    values[:, at] = whole if chosen is None else whole[chosen]
        if rows is not None:
            instrument, day = instrument[rows], day[rows]
        return PanelRows(instruments, instrument, day, tuple(columns), values)

    def _by_dataset(self, columns: Sequence[str]) -> list[tuple[Dataset, list[int]]]:
        """Return the datasets that hold some columns, each with the places of its own."""
        found: dict[str, tuple[Dataset, list[int]]] = {}
        for at, column in enumerate(columns):
            dataset = self.dataset_of(column)
            found.setdefault(dataset.fingerprint, (dataset, []))[1].append(at)
        return list(found.values())

    def read_bars(self, columns: Sequence[str]) -> PanelRows:
        """Return fields of the bars, float64: a row a bar; raises StoreError for a field that they lack."""
        bars = self.manifest.bars
        for column in columns:
            if column not in self.manifest.fields:
                hint = unknown_name_hint(column, list(self.manifest.fields))
                raise StoreError(f'the bars have no field "{column}"', hint=hint)
        instruments, instrument, day, order = self._keys(bars)
        values = np.empty((len(day), len(columns)), order="F")
        for at, column in enumerate(columns):
            whole = self._table(bars, [column])[column].to_numpy()
            values[:, at] = whole if order is None else whole[order]
        return PanelRows(instruments, instrument, day, tuple(columns), values)

    def read_groups(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return group column → (n_rows,) str, empty where missing, a row a bar in the order of `read_bars`."""
        if not names:
            return {}
        order = self._keys(self.manifest.bars)[3]
        found = {}
        for name in names:
            if name not in self.manifest.groups:
                near = unknown_name_hint(name, list(self.manifest.groups)) if self.manifest.groups else ""
                hint = f"{near} Name it in [bars] groups, then run: qts ingest".strip()
                raise StoreError(f'the bars have no group "{name}"', hint=hint)
            encoded = self._table(self.manifest.bars, [name])[name].combine_chunks().dictionary_encode()
            known = np.array(["", *map(str, encoded.dictionary.to_pylist())])
            whole = known[encoded.indices.fill_null(-1).to_numpy() + 1]
            found[name] = whole if order is None else whole[order]
        return found

    def benchmark_close(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return days as datetime64[D] and closes of the benchmark, by day; None if there is no benchmark."""
        if self.manifest.benchmark is None:
            return None
        table = self._table(self.manifest.benchmark, [DATETIME, CLOSE])
        return table[DATETIME].to_numpy().astype("datetime64[D]"), table[CLOSE].to_numpy().astype(np.float64)

    def _order_like(
        self, dataset: Dataset, instruments: np.ndarray, instrument: np.ndarray, day: np.ndarray
    ) -> np.ndarray | None:
        """Return the order of a dataset's rows; raises StoreError if they are not the label's."""
        names, codes, days, order = self._keys(dataset)
        if not (np.array_equal(names, instruments) and np.array_equal(codes, instrument) and np.array_equal(days, day)):
            raise StoreError("the store's datasets have different rows", hint="run: qts ingest --rescan")
        return order

    def membership(
        self, instruments: np.ndarray, instrument: np.ndarray, day: np.ndarray, calendar: np.ndarray
    ) -> np.ndarray:
        """Return (n_rows,) bool: whether the row's instrument was a member on its day; True without a universe."""
        if self.manifest.universe is None:
            return np.ones(len(day), dtype=bool)
        spans = self._table(self.manifest.universe, [INSTRUMENT, START, END])
        members = np.zeros(len(day), dtype=bool)
        starts = np.searchsorted(instrument, np.arange(len(instruments) + 1))
        code_of = {name: code for code, name in enumerate(instruments.tolist())}
        for name, start, end in zip(*(spans[c].to_pylist() for c in (INSTRUMENT, START, END)), strict=True):
            if name in code_of:
                rows = slice(starts[code_of[name]], starts[code_of[name] + 1])
                low = np.searchsorted(calendar, np.datetime64(start, "D"))
                high = np.searchsorted(calendar, np.datetime64(end, "D"), side="right")
                members[rows] |= (day[rows] >= low) & (day[rows] < high)
        return members

    def relation(self, dataset: Dataset) -> str:
        """Return what a dataset's rows are in SQL; raises StoreError if a part is missing."""
        return f"read_parquet([{', '.join(map(quote_text, self.files(dataset)))}])"

    def make_views(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """Make a read-only view of each dataset; return their names."""
        names = []
        for folder, dataset in self.manifest.datasets().items():
            name = {"labels": LABEL, "universes": "universe"}.get(folder, folder.rpartition("/")[2])
            connection.execute(f"CREATE VIEW {quote_name(name)} AS SELECT * FROM {self.relation(dataset)}")
            names.append(name)
        return names

    def _table(self, dataset: Dataset, columns: list[str]) -> pa.Table:
        tables = [self._read(part, columns) for part in dataset.all_parts()]
        if not tables:
            raise StoreError("a table of the store has no part", hint="run: qts ingest --rescan")
        # a part may say of a column that it is never missing, another may not
        return pa.concat_tables(tables, promote_options="default")

    def _read(self, part: Part, columns: list[str]) -> pa.Table:
        try:
            return _read_part(self._file(part), columns)
        except FileNotFoundError:  # a writer has just retired it
            return _read_part(self._file(part), columns)

    def _keys(self, dataset: Dataset) -> Keys:
        """Return instruments, each row's instrument and day, sorted by both, and the order that sorts; None if it is sorted."""
        if dataset.fingerprint not in self._found_keys:
            self._found_keys[dataset.fingerprint] = self._read_keys(dataset, self.calendar())
        return self._found_keys[dataset.fingerprint]

    def _read_keys(self, dataset: Dataset, calendar: np.ndarray) -> Keys:
        table = self._table(dataset, [INSTRUMENT, DATETIME])
        encoded = table[INSTRUMENT].unify_dictionaries().combine_chunks()
        names = encoded.dictionary.to_numpy(zero_copy_only=False).astype(str)
        ranks = np.argsort(names)
        code_of = np.empty(len(names), dtype=np.int32)
        code_of[ranks] = np.arange(len(names), dtype=np.int32)
        day = _places(calendar, table[DATETIME].to_numpy().astype("datetime64[D]"))
        instrument = code_of[encoded.indices.to_numpy()]
        keys = instrument.astype(np.int64) * max(len(calendar), 1) + day
        if bool((keys[1:] > keys[:-1]).all()):
            return names[ranks], instrument, day, None
        order = np.argsort(keys, kind="stable")
        if bool((np.diff(keys[order]) == 0).any()):
            raise StoreError("a key stands twice in the store", hint="run: qts ingest --rescan")
        return names[ranks], instrument[order], day[order], order


def _read_part(file: str, columns: list[str]) -> pa.Table:
    try:
        # names as they lie in the file: a text a row takes six times as long
        return pq.read_table(file, columns=columns, partitioning=None, read_dictionary=[INSTRUMENT])
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(f"{file} is damaged: {reason}", hint="delete it, then run: qts ingest") from error


def _size(file: Path) -> int | None:
    """Return a file's size; None if there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return None


def _taken(order: np.ndarray | None, rows: np.ndarray | None) -> np.ndarray | None:
    """Return the places in a dataset's files of the rows that are asked for, in order; None: all of them as they lie."""
    if order is None or rows is None:
        return rows if order is None else order
    taken: np.ndarray = order[rows]
    return taken


_AT_ONCE = 8
"""Columns that are read from a file together: several threads decode them."""


def _places(calendar: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return (n_rows,) int32 places of days in a calendar; raises StoreError if it lacks one."""
    if not len(days):
        return np.empty(0, dtype=np.int32)
    numbers, asked = calendar.view(np.int64), days.view(np.int64)
    if not len(numbers) or asked.min() < numbers[0] or asked.max() > numbers[-1]:
        raise StoreError("a table of the store has days that its calendar lacks", hint=_DAYS_HINT)
    place_of = np.full(int(numbers[-1] - numbers[0]) + 1, -1, dtype=np.int32)
    place_of[numbers - numbers[0]] = np.arange(len(calendar))
    places = place_of[asked - numbers[0]]
    if places.min() < 0:
        raise StoreError("a table of the store has days that its calendar lacks", hint=_DAYS_HINT)
    return places


_DAYS_HINT = "qts verify names the file that is damaged; delete it, then run: qts ingest"


def open_store(folder: Path) -> Store:
    """Open a store for reading; raises StoreError if there is none or its manifest is damaged."""
    return Store(folder, read_manifest(folder))
