"""Read-only SQL over the store's tables and what was published."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from qts.config import LoadedConfig
from qts.errors import ConfigError, StoreError
from qts.expr.quote import quote_name, quote_text, sound
from qts.predictions import Book, read_book
from qts.predictions.book import DAYS_SCHEMA, SCORES_SCHEMA, SUPERSEDED_SCHEMA
from qts.store import open_store
from qts.store.engine import connect, interruptibly


def query(loaded: LoadedConfig, sql: str) -> pa.Table:
    """Run one SELECT over views of the store's datasets and the published scores; nothing else can be read or written."""
    try:
        return _query(loaded, sql)
    except _PartMovedError:
        return _query(loaded, sql, is_again=True)


class _PartMovedError(Exception):
    """A commit has just moved a part that a view names: the store is another one now."""


@contextmanager
def _said_of_views() -> Iterator[None]:
    """Say of a part that cannot be opened what it is."""
    try:
        yield
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        message = f"a table cannot be opened: {reason}"
        raise StoreError(message, hint="is one of its files damaged? qts verify looks at all of them") from error


def _query(loaded: LoadedConfig, sql: str, *, is_again: bool = False) -> pa.Table:
    store = open_store(loaded.path(loaded.config.store.path))
    connection = connect(loaded.config.limits)
    with _said_of_views():
        views = store.make_views(connection)
    files = [file for dataset in store.manifest.datasets().values() for file in store.files(dataset)]
    book = read_book(loaded.path(loaded.config.store.predictions))
    for name, (parts, schema) in _published(book).items():
        listed = ", ".join(map(quote_text, parts))
        if parts:
            with _said_of_views():
                connection.execute(f"CREATE VIEW {quote_name(name)} AS SELECT * FROM read_parquet([{listed}])")
        else:
            connection.register(name, schema.empty_table())
        views.append(name)
        files += parts
    connection.execute(f"SET allowed_paths = [{', '.join(map(quote_text, files))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    try:
        statements = connection.extract_statements(sound(sql))
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise ConfigError("only a single SELECT can be asked", hint=f"tables: {', '.join(views)}")
        found = interruptibly(connection, lambda: connection.sql(sql).to_arrow_table())
    except duckdb.Error as error:
        if not is_again and not all(Path(file).is_file() for file in files):
            raise _PartMovedError from error
        raise ConfigError(
            f"the query failed: {str(error).strip().partition(chr(10))[0]}", hint=f"tables: {', '.join(views)}"
        ) from error
    _refuse_twins(found)
    return found


def _refuse_twins(found: pa.Table) -> None:
    """Of two columns under one name most formats would keep one."""
    twins = [name for name, count in Counter(found.column_names).items() if count > 1]
    if twins:
        raise ConfigError(f'two columns of the query are called "{twins[0]}"', hint="name them apart: SELECT … AS …")


def _published(book: Book | None) -> dict[str, tuple[list[str], pa.Schema]]:
    """Return view → its files, which may be none, and its columns; no view before the first night."""
    if book is None:
        return {}
    manifest = book.manifest
    parts = {
        "predictions": (tuple(manifest.months.values()), SCORES_SCHEMA),
        "superseded": (manifest.superseded, SUPERSEDED_SCHEMA),
        "prediction_days": ((manifest.days,) if manifest.days else (), DAYS_SCHEMA),
    }
    return {name: (book.files(some), schema) for name, (some, schema) in parts.items()}
