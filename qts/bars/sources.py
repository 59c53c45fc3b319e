"""SOURCES: each kind of bar source, as a function that makes the view `raw` of the vendor's rows.

`raw` has the vendor's column names and types, and `qts_file`, the file a row came from. What the columns mean and
whether the values will do is decided behind the door (`door.py`), once for all sources.
"""

import csv
import glob
import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import TextIO

import duckdb

from qts.bars.files import expand
from qts.bars.qlib_bin import read_qlib_bin
from qts.columns import INSTRUMENT
from qts.config import BarsConfig
from qts.errors import InputError
from qts.expr.quote import quote_name, quote_text
from qts.plain_file import is_file
from qts.registry import Registry

FILE_COLUMN = "qts_file"

_SUFFIXES = {"parquet": (".parquet", ".pq"), "csv": (".csv", ".csv.gz", ".txt")}

Source = Callable[[duckdb.DuckDBPyConnection, BarsConfig, Path], None]

SOURCES: Registry[Source] = Registry("bar source")


def make_raw(connection: duckdb.DuckDBPyConnection, config: BarsConfig, path: Path) -> None:
    """Make the view or table `raw` of the source that the config names."""
    try:
        SOURCES[config.source](connection, config, path)
    except (duckdb.Error, OSError, EOFError, zlib.error) as error:
        if not is_of_source(error):
            raise
        reason = say_reason(error)
        hint = "check [bars] source and path"
        raise InputError(f"cannot read {path} as {config.source}: {reason}", hint=hint) from error


def stamps(config: BarsConfig, path: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change (ns) of each file of the source; empty where nobody can know which they are."""
    if config.source in _SUFFIXES:
        files = expand(path, _SUFFIXES[config.source])
    elif config.source == "duckdb" and config.query is None:
        files = [path, path.with_name(f"{path.name}.wal")]
    elif config.source == "qlib_bin":
        files = sorted(path.rglob("*"))
    else:  # a query may read whatever it likes
        files = []
    found: dict[str, tuple[int, int]] = {}
    for file in files:
        with suppress(OSError):  # it may go while we look; whoever reads it says what is wrong with it
            stat = file.stat()
            if S_ISREG(stat.st_mode):
                found[_name(file, path)] = (stat.st_size, stat.st_mtime_ns)
    return found


def _name(file: Path, source: Path) -> str:
    """Return a file's path from the source's folder, so that a study that moves keeps its names."""
    folder = _folder(source)
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


def named_file(name: str, source: Path) -> Path:
    """Return the file that a name in `stamps` stands for."""
    return _folder(source) / name


def _folder(source: Path) -> Path:
    """Return the folder of a source: itself, or where its file lies, or what stands before a glob's first wildcard."""
    if source.is_dir():
        return source
    plain = [at for at, part in enumerate(source.parts) if glob.has_magic(part)]
    return Path(*source.parts[: plain[0]]) if plain else source.parent


def is_of_source(error: Exception) -> bool:
    """Return whether what the engine says while it reads is the source's fault: not memory, nor room to spill."""
    return not isinstance(error, duckdb.OutOfMemoryException) and "duckdb_temp_storage" not in str(error)


def say_reason(error: Exception) -> str:
    """Return the engine's message in one line: what happened, and for a CSV which line, but not its advice."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    told = [
        line for line in lines[:4] if line.strip("^ ") and not line.startswith(("LINE ", "Possible", "*", "file ="))
    ]
    return "; ".join(told)[:300].encode("ascii", "backslashreplace").decode()


def _file_list(files: list[Path]) -> str:
    return "[" + ", ".join(quote_text(glob.escape(str(file))) for file in files) + "]"


def _parquet(connection: duckdb.DuckDBPyConnection, _config: BarsConfig, path: Path) -> None:
    files = expand(path, _SUFFIXES["parquet"])
    _refuse_empty_files(files)
    connection.execute(
        f"CREATE VIEW raw AS SELECT * FROM "
        f"read_parquet({_file_list(files)}, union_by_name = true, filename = {quote_text(FILE_COLUMN)})"
    )


def _csv(connection: duckdb.DuckDBPyConnection, config: BarsConfig, path: Path) -> None:
    """One long file, or one file an instrument, whose name is then the instrument."""
    files = expand(path, _SUFFIXES["csv"])
    _refuse_empty_files(files)
    options = "all_varchar = true, header = true, union_by_name = true, filename = true, skip = 0, quote = '\"', escape = '\"'"
    scan = f"read_csv({_file_list(files)}, {options}, delim = {quote_text(_delimiter(files[0]))})"
    try:
        columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()]
    except duckdb.Error:
        _refuse_ragged_row(files)
        raise
    wanted = config.columns.get(INSTRUMENT, INSTRUMENT)
    stem = ""
    if config.columns.get(INSTRUMENT) is None and not any(is_called(column, wanted) for column in columns):
        stem = (
            f", regexp_replace(parse_filename(filename), '[.](csv|csv[.]gz|txt)$', '') AS {INSTRUMENT}"
            if _one_file_each(files, path)
            else ""
        )
    connection.execute(f"CREATE VIEW raw AS SELECT * RENAME (filename AS {FILE_COLUMN}){stem} FROM {scan}")


def _refuse_empty_files(files: list[Path]) -> None:
    for file in files:
        if file.stat().st_size == 0:
            raise InputError(f"{file} is empty", hint="write it again, or leave it out")


def _refuse_ragged_row(files: list[Path]) -> None:
    """Name the first row with another number of cells than its header; the engine's sniffer does not."""
    for file in files:
        with _open_text(file) as stream:
            rows = csv.reader(stream, delimiter=_delimiter(file))
            try:
                header = next(rows, [])
                told = next(
                    (_say_ragged(n, row, header) for n, row in enumerate(rows, 1) if len(row) not in (0, len(header))),
                    "",
                )
            except csv.Error as error:  # a cell longer than any
                told = f"{error}, in line {rows.line_num}"
            if told:
                raise InputError(f"cannot read {file}: {told}", hint="mend the row: is a quote or a comma missing?")


def _say_ragged(number: int, row: list[str], header: list[str]) -> str:
    return f"row {number} has {len(row)} cells, the header {len(header)}"


def _open_text(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", errors="replace", newline="")
    return file.open(encoding="utf-8", errors="replace", newline="")


def _delimiter(file: Path) -> str:
    """Return the sign between the names of the header; a ragged row further down must not sway it."""
    with _open_text(file) as stream:
        header = stream.readline()
    return max(",;\t|", key=header.count)


def _one_file_each(files: list[Path], path: Path) -> bool:
    return len(files) > 1 or not is_file(path)


def _duckdb(connection: duckdb.DuckDBPyConnection, config: BarsConfig, path: Path) -> None:
    """A database may hold views and macros of anybody's making: an engine of its own reads it, and no other file."""
    if not is_file(path):
        raise InputError(f"no database file {path}", hint="check [bars] path")
    with _engine_like(connection) as reader:
        reader.execute(f"ATTACH {quote_text(str(path))} AS source_database (READ_ONLY)")
        reader.execute("SET enable_external_access = false")
        reader.execute("SET lock_configuration = true")
        if config.table is not None:
            relation = ".".join(map(quote_name, ("source_database", *config.table.split("."))))
        else:
            reader.execute("USE source_database")
            relation = f"({(config.query or '').rstrip().rstrip(';')}\n)"
        rows = reader.sql(f"SELECT *, {quote_text(str(path))} AS {FILE_COLUMN} FROM {relation}")
        connection.register("database_rows", rows.to_arrow_reader())
        connection.execute("CREATE TABLE raw AS SELECT * FROM database_rows")
        connection.unregister("database_rows")


_COPIED = (
    "threads", "memory_limit", "temp_directory", "autoinstall_known_extensions", "autoload_known_extensions",
    "allow_community_extensions", "python_enable_replacements",
)  # fmt: skip


def _engine_like(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Return another engine with the limits, the seals and the zone of a connection's."""
    asked = ", ".join(f"current_setting({quote_text(name)})" for name in _COPIED)
    settings = connection.execute(f"SELECT {asked}").fetchall()[0]
    engine = duckdb.connect(":memory:", config=dict(zip(_COPIED, settings, strict=True)))
    zone = connection.execute("SELECT current_setting('TimeZone')").fetchall()[0][0]
    engine.execute(f"SET TimeZone = {quote_text(zone)}")
    return engine


def _qlib_bin(connection: duckdb.DuckDBPyConnection, _config: BarsConfig, path: Path) -> None:
    rows = read_qlib_bin(path)
    connection.register("qlib_rows", rows)
    connection.execute("CREATE TABLE raw AS SELECT * FROM qlib_rows")
    connection.unregister("qlib_rows")


KNOWN_AS: dict[str, tuple[str, ...]] = {
    "instrument": ("symbol", "ticker", "code"),
    "datetime": ("date", "trade_date", "timestamp"),
    "adj_factor": ("factor",),
    "score": ("pred", "prediction", "signal"),
}
"""Other names a column goes by when the config maps nothing."""


def is_called(column: str, name: str) -> bool:
    """Return whether a vendor's column is the one we call `name`, ignoring case."""
    return column.casefold() in (name, *KNOWN_AS.get(name, ()))


SOURCES.enter("parquet", _parquet)
SOURCES.enter("csv", _csv)
SOURCES.enter("duckdb", _duckdb)
SOURCES.enter("qlib_bin", _qlib_bin)
