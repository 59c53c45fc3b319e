"""Read-only SQL over the store's tables."""

import duckdb
import pyarrow as pa

from qts.config import LoadedConfig
from qts.errors import ConfigError
from qts.expr.sql import quote_text
from qts.store import open_store
from qts.store.engine import connect


def query(loaded: LoadedConfig, sql: str) -> pa.Table:
    """Run one SELECT over views of the store's datasets; nothing outside the store can be read or written."""
    store = open_store(loaded.path(loaded.config.store.path))
    connection = connect(loaded.config.limits)
    views = store.make_views(connection)
    connection.execute(f"SET allowed_directories = [{quote_text(str(store.folder.resolve()))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise ConfigError("only a single SELECT can be asked", hint=f"tables: {', '.join(views)}")
        return connection.sql(sql).to_arrow_table()
    except duckdb.Error as error:
        raise ConfigError(
            f"the query failed: {str(error).strip().partition(chr(10))[0]}", hint=f"tables: {', '.join(views)}"
        ) from error
