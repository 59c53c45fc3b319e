"""The store is what an ingest would make of its source now: bars of the source, factors and label of the bars."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qts.bars.door import BarsSelect, bars_select
from qts.bars.sources import make_raw
from qts.bars.survey import listed, see
from qts.columns import DATETIME, HAS_BAR, INSTRUMENT
from qts.errors import QtsError
from qts.expr.lookback import crosses
from qts.expr.nodes import Node
from qts.expr.parse import parse
from qts.expr.plan import is_streamable
from qts.expr.quote import quote_name
from qts.pipeline.forecast import Forecast
from qts.pipeline.ingest import forecast_ingest, temp_folder
from qts.pipeline.proofs.proof import Case, Proof, Tally
from qts.pipeline.proofs.temporary_store import extract_bars, make_store, read_rows
from qts.progress import SilentProgress
from qts.store import Dataset, Part, Store
from qts.store.checksum import checksum_of
from qts.store.engine import connect, spill_folder

NAME = "the store equals a rebuild"
TAKEN_IN_ANEW = (
    "an ingest would take in every bar anew: [bars] or [check], the version of the SQL engine, the calendar, or most "
    "instruments are no longer what they were; run: qts ingest"
)
ROUNDING = 1e-5
"""Share of a column's largest value by which a windowed operator, whose sums are made in blocks, may differ."""


def prove_store_rebuilt(case: Case) -> Iterator[Proof]:
    """Read everything once, survey the source again, and make a sample of instruments anew."""
    case.progress.stage("read every page")
    yield _read_pages(case.store)
    case.progress.stage("survey the source")
    surveyed, forecast = _survey(case)
    yield surveyed
    instruments = _sample(case)
    with spill_folder(temp_folder(case.loaded)) as folder:
        connection = connect(case.loaded.config.limits, Path(folder))
        case.progress.stage("compare bars")
        yield _bars_as_taken_in(case, connection, forecast)
        yield _bars_of_source(case, connection, instruments, forecast)
        connection.close()
        case.progress.stage("compute factors and label again")
        yield from _computed_again(case, Path(folder), instruments)


def _sample(case: Case) -> list[str]:
    """Return random instruments of the store."""
    names = case.store.read([HAS_BAR]).instruments
    drawn = case.generator(5).choice(names, min(case.n_instruments, len(names)), replace=False)
    return sorted(drawn.tolist())


# What lies on disk


def _read_pages(store: Store) -> Proof:
    """Decode every column of every part, and hold its file against the checksum of when it was written."""
    tally = Tally(NAME, "column chunks of every part, decoded from first page to last; checksums of their files")
    n_without = 0
    for dataset in store.manifest.datasets().values():
        for part in dataset.all_parts():
            n_without += part.crc32 is None
            n_chunks, problem = _problem_of(store, dataset, part)
            tally.count(max(n_chunks, 1), 1 if problem else 0, f"{part.path}: {problem}")
    if n_without:
        tally.compared += f" ({n_without} parts were written without one)"
    return tally.done()


def _problem_of(store: Store, dataset: Dataset, part: Part) -> tuple[int, str]:
    """Return the column chunks of a part, and what is wrong with it; empty if nothing is."""
    try:
        file = Path(store.files(dataset.model_copy(update={"parts": (part,), "tail": None}))[0])
        if part.crc32 not in (None, checksum_of(file)):
            return 0, "its bytes are no longer those that were written; delete it, then run: qts ingest"
        with pq.ParquetFile(file) as parquet:
            n_rows = sum(parquet.read_row_group(at).num_rows for at in range(parquet.num_row_groups))
            n_chunks = parquet.num_row_groups * parquet.metadata.num_columns
    except (OSError, pa.ArrowException, QtsError) as error:
        return 0, str(error).partition("\n")[0]
    return n_chunks, "" if n_rows == part.n_rows else f"it has {n_rows:,} rows, and the manifest says {part.n_rows:,}"


# What it was made of


def _survey(case: Case) -> tuple[Proof, Forecast | None]:
    """Ask what an ingest would take in now; instruments that only go on are no contradiction."""
    tally = Tally(NAME, "instruments of the source, and as they were when they were taken in")
    try:
        found = forecast_ingest(case.loaded, SilentProgress(), rescan=True)
    except QtsError as error:
        tally.fact(f"it cannot be proved, for the source cannot be read: {error}", holds=False)
        return tally.done(), None
    if found.is_fresh:
        tally.fact(TAKEN_IN_ANEW, holds=False)
        return tally.done(), found
    changed = [(name, state) for state in ("restated", "new", "gone") for name in getattr(found, state)]
    examples = ", ".join(f"{name} is {state}" for name, state in changed[:3])
    known = {*found.grown, *found.restated, *found.gone}
    tally.count(max(case.store.manifest.n_instruments, len(known)), len(changed), examples)
    stale = [name for name in found.written if name.startswith(("factors", "labels", "universes")) and not changed]
    if stale and not found.grown:
        tally.fact(f"{', '.join(stale)} would be made anew: the config is another one", holds=False)
    return tally.done(), found


def _stored_rows(store: Store) -> str:
    """Return a SELECT of bars and of rows put aside: all that was taken in of the source."""
    manifest = store.manifest
    columns = ", ".join(map(quote_name, (INSTRUMENT, DATETIME, *manifest.fields, *manifest.groups)))
    datasets = [manifest.bars, *([manifest.quarantine] if manifest.quarantine else [])]
    return " UNION ALL ".join(f"SELECT {columns} FROM {store.relation(dataset)}" for dataset in datasets)


def _bars_as_taken_in(case: Case, connection: duckdb.DuckDBPyConnection, forecast: Forecast | None) -> Proof:
    """Compare the hash of every instrument's rows on disk with the hash of its source's rows when they came."""
    tally = Tally(NAME, "instruments: rows on disk and their hash when they were taken in")
    if forecast is not None and forecast.is_fresh:
        return tally.skip("they were hashed by other settings or another version")
    manifest = case.store.manifest
    try:
        see(connection, BarsSelect(_stored_rows(case.store), manifest.fields, manifest.groups))
        sums = "n_rows, mixed, total"
        known = case.store.relation(manifest.instruments)
        rows = connection.execute(
            f"SELECT {INSTRUMENT}, (s.n_rows, s.mixed, s.total) IS DISTINCT FROM (k.n_rows, k.mixed, k.total) "
            f"FROM (SELECT {INSTRUMENT}, {sums} FROM seen) AS s FULL JOIN {known} AS k USING ({INSTRUMENT}) ORDER BY 1"
        ).fetchall()
    except duckdb.Error as error:
        tally.fact(f"the bars cannot be read: {str(error).partition(chr(10))[0]}", holds=False)
        return tally.done()
    failed = [name for name, differs in rows if differs]
    tally.count(len(rows), len(failed), f"the bars of {failed[0]} are not those that came" if failed else "")
    return tally.done()


def _bars_of_source(
    case: Case, connection: duckdb.DuckDBPyConnection, instruments: list[str], forecast: Forecast | None
) -> Proof:
    """Compare a sample's bars, and rows put aside, with the rows of the source, value by value."""
    tally = Tally(NAME, f"rows of {len(instruments)} instruments in source and store, those put aside with them")
    if forecast is None:
        tally.fact("it cannot be proved, for the source cannot be read", holds=False)
        return tally.done()
    config, manifest = case.loaded.config.bars, case.store.manifest
    path = case.loaded.path(config.path)
    columns = ", ".join(map(quote_name, (INSTRUMENT, DATETIME, *manifest.fields, *manifest.groups)))
    own = f"{INSTRUMENT} IN ({listed(instruments)})"
    try:
        make_raw(connection, config, path)
        select = bars_select(connection, config, str(path))
        last = f"SELECT {INSTRUMENT}, last AS known_until FROM {case.store.relation(manifest.instruments)} WHERE {own}"
        connection.execute(
            f"CREATE TABLE of_source AS SELECT {columns} FROM ({select.sql}) JOIN ({last}) USING ({INSTRUMENT}) "
            f"WHERE {own} AND {DATETIME} <= known_until"
        )
        connection.execute(f"CREATE TABLE of_store AS SELECT {columns} FROM ({_stored_rows(case.store)}) WHERE {own}")
        differing = (
            "SELECT 'in the source alone' AS place, * FROM (FROM of_source EXCEPT ALL FROM of_store) UNION ALL "
            "SELECT 'in the store alone' AS place, * FROM (FROM of_store EXCEPT ALL FROM of_source)"
        )
        rows = connection.execute(f"SELECT {INSTRUMENT}, {DATETIME}, place FROM ({differing}) ORDER BY ALL").fetchall()
        n_rows = connection.execute("SELECT count(*) FROM of_source").fetchall()[0][0]
    except (QtsError, duckdb.Error) as error:
        tally.fact(f"they cannot be compared: {str(error).partition(chr(10))[0]}", holds=False)
        return tally.done()
    example = f"{rows[0][0]} on {rows[0][1]}: a row that is {rows[0][2]}" if rows else ""
    tally.count(int(n_rows), len({row[:2] for row in rows}), example)
    return tally.done()


# What was made of it


def _computed_again(case: Case, folder: Path, instruments: list[str]) -> Iterator[Proof]:
    """Make a store aside of a sample's bars, and compare its factors and label with those of the store."""
    manifest = case.store.manifest
    nodes = {name: parse(text) for d in manifest.datasets().values() for name, text in d.expressions.items()}
    is_whole = any(map(crosses, nodes.values()))
    chosen = None if is_whole else instruments
    of = "all instruments" if is_whole else f"{len(instruments)} instruments"
    exact = Tally(NAME, f"factors and label of {of}, and computed again")
    rounded = Tally(NAME, f"windowed factors of {of}, and computed again within {ROUNDING:g} of the largest")
    rounded.pause()
    try:
        again = make_store(case.loaded, folder / "again", extract_bars(case.store, chosen))
    except (QtsError, OSError, pa.ArrowException) as error:
        exact.fact(f"they cannot be computed again: {str(error).partition(chr(10))[0]}", holds=False)
        yield exact.done()
        return
    for dataset in (manifest.label, *manifest.factor_sets.values()):
        names = list(dataset.expressions) + ([HAS_BAR] if dataset is manifest.label else [])
        for at in range(0, len(names), COLUMNS_AT_ONCE):
            some = names[at : at + COLUMNS_AT_ONCE]
            with exact.running():
                _compare_columns(exact, rounded, (again, case.store), some, nodes, chosen or instruments)
    yield exact.done()
    if rounded.n_checked:
        yield rounded.done()


COLUMNS_AT_ONCE = 32
"""Columns that are held in memory at a time."""


def _compare_columns(
    exact: Tally, rounded: Tally, stores: tuple[Store, Store], names: list[str], nodes: dict[str, Node], chosen: list[str]
) -> None:  # fmt: skip
    """Compare some columns of one dataset."""
    kept = pc.field(INSTRUMENT).isin(pa.array(chosen, pa.string()))
    again, there = (read_rows(store, store.dataset_of(names[0]), names, kept) for store in stores)
    keys = [INSTRUMENT, DATETIME]
    if not again.select(keys).cast(KEYS).equals(there.select(keys).cast(KEYS)):
        exact.fact(f"{names[0]} has {there.num_rows:,} rows, and {again.num_rows:,} computed again", holds=False)
        return
    for name in names:
        found, wanted = (_numbers(table[name]) for table in (there, again))
        is_exact = name == HAS_BAR or is_streamable(nodes[name]) or crosses(nodes[name])
        largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)

        def say(at: int, name: str = name) -> str:
            return f"{name} of {there[INSTRUMENT][at]} on {there[DATETIME][at]}"

        (exact if is_exact else rounded).equal(found, wanted, say, 0.0 if is_exact else ROUNDING * float(largest))


KEYS = pa.schema([(INSTRUMENT, pa.string()), (DATETIME, pa.date32())])


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as float32, NaN where it is missing."""
    found: np.ndarray = column.cast(pa.float32()).to_numpy()
    return found
