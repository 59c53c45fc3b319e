"""Read-only SQL over the store's tables and what was published."""

from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa

from qts.config import LoadedConfig
from qts.errors import ConfigError
from qts.expr.quote import quote_name, quote_text, sound
from qts.predictions import Book, read_book
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


def _query(loaded: LoadedConfig, sql: str, *, is_again: bool = False) -> pa.Table:
    store = open_store(loaded.path(loaded.config.store.path))
    connection = connect(loaded.config.limits)
    views = store.make_views(connection)
    files = [file for dataset in store.manifest.datasets().values() for file in store.files(dataset)]
    book = read_book(loaded.path(loaded.config.store.predictions))
    for name, parts in _published(book).items():
        listed = ", ".join(map(quote_text, parts))
        connection.execute(f"CREATE VIEW {quote_name(name)} AS SELECT * FROM read_parquet([{listed}])")
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


def _published(book: Book | None) -> dict[str, list[str]]:
    """Return view → its files, of those that have any."""
    if book is None:
        return {}
    manifest = book.manifest
    parts = {
        "predictions": tuple(manifest.months.values()), "superseded": manifest.superseded,
        "prediction_days": (manifest.days,) if manifest.days else (),
    }  # fmt: skip
    return {name: book.files(some) for name, some in parts.items() if some}
