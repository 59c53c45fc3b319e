"""The SQL engine's connection, within the limits of the config."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from qts.config import LimitsConfig
from qts.errors import ConfigError
from qts.expr.sql import quote_text

RESERVE = 300_000_000
"""Bytes of `[limits] memory` that the engine does not get: the interpreter, its modules, and what the engine uses but
does not count."""

LEAST_SHARE = 0.4
"""Share of a small `[limits] memory` that the engine gets all the same."""


def n_threads(limits: LimitsConfig) -> int:
    """Return how many threads work."""
    return limits.threads or os.cpu_count() or 1


def engine_memory(n_bytes: int) -> int:
    """Return how much of a process's bytes are the engine's."""
    return int(max(n_bytes - RESERVE, n_bytes * LEAST_SHARE))


def connect(limits: LimitsConfig, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return an in-memory database; past its share of the memory limit it spills into `spill`."""
    connection = duckdb.connect(":memory:", config={"threads": n_threads(limits)})
    connection.execute("SET TimeZone = 'UTC'")  # a stamp with a zone must not mean another day on another machine
    if limits.n_bytes:
        connection.execute(f"SET memory_limit = {quote_text(f'{engine_memory(limits.n_bytes)}B')}")
    if spill is not None:
        connection.execute(f"SET temp_directory = {quote_text(str(spill))}")
    return connection


@contextmanager
def spill_folder(folder: Path | None, otherwise: Path | None = None) -> Iterator[Path]:
    """Give a folder for what is spilled: one of its own inside `folder`, else `otherwise`, else one of the system's."""
    if folder is None and otherwise is not None:
        yield otherwise
        return
    try:
        made = TemporaryDirectory(prefix="qts-", dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}", hint="check [limits] temp_folder") from error
    with made as name:
        yield Path(name)
