"""The SQL engine's connection, within the limits of the config."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import duckdb

from qts.config import LimitsConfig
from qts.errors import ConfigError, QtsError, WriteError
from qts.expr.quote import quote_text
from qts.store.atomic import is_alive, reason_of, remove

Made = TypeVar("Made")

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


SEALED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}
"""What the engine must not do by itself: fetch code from the network, load what lies in the home folder, or take a
name that no table has for a variable of ours."""


def connect(limits: LimitsConfig, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return an in-memory database; past its share of the memory limit it spills into `spill`."""
    connection = duckdb.connect(":memory:", config={**SEALED, "threads": n_threads(limits)})
    connection.execute("SET TimeZone = 'UTC'")  # a stamp with a zone must not mean another day on another machine
    if limits.n_bytes:
        connection.execute(f"SET memory_limit = {quote_text(f'{engine_memory(limits.n_bytes)}B')}")
    if spill is not None:
        connection.execute(f"SET temp_directory = {quote_text(str(spill))}")
    return connection


def interruptibly(connection: duckdb.DuckDBPyConnection, work: Callable[[], Made]) -> Made:
    """Return what a piece of work on a connection makes, on a thread of its own.

    The engine looks at signals only between some of its steps; so the main thread waits for them, and has the engine
    break off. Raises what the work raises.
    """
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(work)
        try:
            return made.result()
        except BaseException:
            while not made.done():  # what has not begun yet cannot be interrupted
                connection.interrupt()
                wait([made], timeout=0.05)
            raise


@contextmanager
def spill_folder(folder: Path | None, otherwise: Path | None = None) -> Iterator[Path]:
    """Give a folder for what is spilled: one of its own inside `folder`, else `otherwise`, else one of the system's."""
    if folder is None and otherwise is not None:
        yield otherwise
        return
    try:
        if folder is not None:
            _sweep_spilled(folder)
        made = TemporaryDirectory(prefix=f"qts-{os.getpid()}-", dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}", hint="check [limits] temp_folder") from error
    with made as name:
        yield Path(name)


def _sweep_spilled(folder: Path) -> None:
    """Remove what processes that were killed have spilled into a folder."""
    for path in folder.glob("qts-*-*"):
        pid = path.name.split("-")[1]
        if pid.isdecimal() and not is_alive(int(pid)):
            remove(path)


@contextmanager
def engine_limits() -> Iterator[None]:
    """Turn what the engine says when memory, or room for what it spills, runs out into a QtsError."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        message = f"out of memory: {reason_of(error)}"
        raise QtsError(
            message, hint="raise [limits] memory, lower [limits] threads, or select fewer factors"
        ) from error
    except duckdb.IOException as error:
        raise WriteError.of("what does not fit into memory", reason_of(error)) from error
