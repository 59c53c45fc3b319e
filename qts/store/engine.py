"""The SQL engine's connection, within the limits of the config."""

import os
from pathlib import Path

import duckdb

from qts.config import LimitsConfig
from qts.expr.sql import quote_text


def connect(limits: LimitsConfig, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return an in-memory database; past the memory limit it spills into `spill`."""
    connection = duckdb.connect(":memory:", config={"threads": limits.threads or os.cpu_count() or 1})
    connection.execute("SET TimeZone = 'UTC'")  # a stamp with a zone must not mean another day on another machine
    if limits.memory:
        connection.execute(f"SET memory_limit = {quote_text(limits.memory)}")
    if spill is not None:
        connection.execute(f"SET temp_directory = {quote_text(str(spill))}")
    return connection
