"""The door: foreign rows in, checked rows out. A wrong file names itself, its column and its first bad row.

Makes a table of instrument, datetime and FLOAT columns. NaN and infinity become NULL here, so that nothing behind the
door needs to think of them. Columns of bars that are no bar field but numbers are kept and can be used as fields.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches

import duckdb

from qts.bars.sources import FILE_COLUMN, is_called, is_of_source, say_reason
from qts.columns import DATETIME, INSTRUMENT, KEYS, OPTIONAL_FIELDS, REQUIRED_FIELDS
from qts.config import BarsConfig
from qts.errors import ConfigError, DataCheckError, InputError
from qts.expr.quote import quote_name, quote_text

_NUMBER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "UTINYINT",
                 "USMALLINT", "UINTEGER", "UBIGINT")  # fmt: skip
_DATE_TYPES = ("DATE", "TIMESTAMP")
_TEXT_FORMS = (
    "%Y-%m-%d",
    "%Y%m%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%d-%b-%Y",
    "%d %b %Y",
)
"""Unambiguous ways to write a day; 03/04/2024 is not among them, `date_format` is for that."""
_AT_ONCE = 500
"""Columns of text that one scan looks at."""
_MOST_COLUMNS = 4_000
"""Columns at which a table is refused: the engine holds a block of each for every step of a query."""
_EMPTY_TEXTS = ("", "na", "n/a", "nan", "null", "none", "-")


@dataclass(frozen=True)
class _Column:
    """A vendor column, what it is to us, and the SQL that reads it."""

    ours: str
    theirs: str
    type: str
    read: str
    is_bad: str


@dataclass(frozen=True)
class Wanted:
    """What a table must and may hold besides its keys, and how its source spells it."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    mapping: Mapping[str, str] = field(default_factory=dict)
    date_format: str | None = None
    keeps_others: bool = False
    """Whether other numeric columns come along."""
    texts: tuple[str, ...] = ()
    """Columns of text to keep beside the numbers."""
    doubles: tuple[str, ...] = ()
    """Columns of numbers that keep their 64 bits, and infinities; others are FLOAT and finite."""
    remedy: str = "rename a column of the file"
    """What to do about a column under another name."""


@dataclass(frozen=True)
class BarsSelect:
    """How the rows of a bar source read behind the door."""

    sql: str
    """SELECT of instrument, datetime, one FLOAT column a field and one VARCHAR column a group, in no order."""
    fields: tuple[str, ...]
    groups: tuple[str, ...]


def bars_select(connection: duckdb.DuckDBPyConnection, config: BarsConfig, where: str) -> BarsSelect:
    """Return the cleaned SELECT over `raw`, once every value has been looked at.

    Raises InputError for a missing column, DataCheckError for a value that is not what its column needs. Whether a
    key stands twice is the data gate's business (`gate.py`).
    """
    wanted = _wanted_of_bars(config)
    with said_plainly(where, wanted.date_format):
        columns = _match_columns(connection, wanted, where)
        _refuse_bad_values(connection, columns, where, wanted)
    fields = tuple(c.ours for c in columns if c.ours not in (*KEYS, *config.groups))
    return BarsSelect(f"SELECT {_reads(columns)} FROM raw", fields, tuple(config.groups))


def _wanted_of_bars(config: BarsConfig) -> Wanted:
    return Wanted(
        REQUIRED_FIELDS,
        OPTIONAL_FIELDS,
        config.columns,
        config.date_format,
        keeps_others=True,
        remedy="map it in [bars] columns",
        texts=config.groups,
    )


def clean_bars(connection: duckdb.DuckDBPyConnection, config: BarsConfig, where: str) -> tuple[str, ...]:
    """Make the table `bars` from `raw`, sorted by key; return its fields, canonical ones first."""
    return clean_rows(connection, _wanted_of_bars(config), "bars", where)


def clean_rows(connection: duckdb.DuckDBPyConnection, wanted: Wanted, table: str, where: str) -> tuple[str, ...]:
    """Make `table` from `raw`, sorted by key; return its columns beside the keys.

    Raises InputError for a missing column or no rows, DataCheckError for a value that is not what its column needs
    and for a key that stands twice.
    """
    with said_plainly(where, wanted.date_format):
        columns = _match_columns(connection, wanted, where)
        _refuse_bad_values(connection, columns, where, wanted)
        connection.execute(
            f"CREATE TABLE {table} AS SELECT {_reads(columns)} FROM raw ORDER BY {INSTRUMENT}, {DATETIME}"
        )
        if _one(connection, f"SELECT count(*) FROM {table}") == 0:
            raise InputError(f"{where} has no rows", hint="a header alone is not enough")
        _refuse_duplicates(connection, columns, table, where)
    return tuple(column.ours for column in columns if column.ours not in KEYS)


@contextmanager
def said_plainly(where: str, date_format: str | None = None) -> Iterator[None]:
    """Turn what the engine says while it reads a source into an InputError, or a ConfigError about the date format."""
    try:
        yield
    except duckdb.Error as error:
        if not is_of_source(error):
            raise
        if date_format and "format specifier" in str(error):
            message = f'"{date_format}" is no date format: {say_reason(error)}'
            raise ConfigError(message, where="[bars] date_format", hint="write it as %Y-%m-%d") from error
        raise InputError(
            f"cannot read {where}: {say_reason(error)}", hint="the file is damaged: write it again"
        ) from error


def _reads(columns: list[_Column]) -> str:
    return ", ".join(f"{column.read} AS {quote_name(column.ours)}" for column in columns)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _match_columns(connection: duckdb.DuckDBPyConnection, wanted: Wanted, where: str) -> list[_Column]:
    types = {row[0]: str(row[1]) for row in connection.execute("DESCRIBE raw").fetchall() if row[0] != FILE_COLUMN}
    if len(types) > _MOST_COLUMNS:
        message = f"{where} has {len(types):,} columns, more than {_MOST_COLUMNS:,}"
        raise InputError(message, hint="is it the right file? else write one with the columns you need")
    unknown = [theirs for theirs in wanted.mapping.values() if theirs not in types]
    if unknown:
        raise InputError(
            f'{where} has no column "{unknown[0]}", which [bars] columns names', hint=f"its columns: {', '.join(types)}"
        )
    for name in wanted.mapping:
        ours = (*KEYS, *wanted.required, *wanted.optional)
        if name not in ours and (near := get_close_matches(name, ours, n=1, cutoff=0.75)):
            raise ConfigError(f'unknown column "{name}" in [bars] columns', hint=f'did you mean "{near[0]}"?')
    names = tuple(dict.fromkeys((*KEYS, *wanted.required, *wanted.optional, *wanted.mapping, *wanted.texts)))
    matched = {name: theirs for name in names if (theirs := _find(name, types, wanted.mapping))}
    missing = [name for name in (*KEYS, *wanted.required, *wanted.texts) if name not in matched]
    if missing:
        near = get_close_matches(missing[0], list(types), n=1, cutoff=0.6)
        example = f': columns = {{ {missing[0]} = "{near[0] if near else "its name there"}" }}'
        hint = wanted.remedy + (example if wanted.keeps_others else f" to {missing[0]}")
        lacking = ", ".join(f'"{name}"' for name in missing)
        raise InputError(f"{where} has no column {lacking}; its columns: {', '.join(types)}", hint=hint)
    if wanted.keeps_others:
        others = {theirs.lower(): theirs for theirs in types if theirs not in matched.values()}
        matched |= _numbers_among(
            connection,
            {name: theirs for name, theirs in others.items() if name.isidentifier() and name not in matched},
            types,
        )
    return [
        _text_column(ours, theirs)
        if ours in wanted.texts
        else _column(
            ours, theirs, types[theirs], wanted.date_format, _to_double if ours in wanted.doubles else _to_float
        )
        for ours, theirs in matched.items()
    ]


def _find(name: str, types: Mapping[str, str], mapping: Mapping[str, str]) -> str | None:
    if name in mapping:
        return mapping[name]
    exact = [column for column in types if column.casefold() == name]
    return next(iter(exact + [column for column in types if is_called(column, name)]), None)


def _numbers_among(
    connection: duckdb.DuckDBPyConnection, names: Mapping[str, str], types: Mapping[str, str]
) -> dict[str, str]:
    """Return those of some columns, ours → theirs, that are of numbers, or of texts that all are."""
    kept = {theirs for theirs in names.values() if _is_number(types[theirs])}
    texts = [theirs for theirs in names.values() if types[theirs] == "VARCHAR"]
    for at in range(0, len(texts), _AT_ONCE):  # a scan for each would take hours of a file of thousands
        asked = texts[at : at + _AT_ONCE]
        found = connection.execute(f"SELECT {', '.join(map(_holds_numbers, asked))} FROM raw").fetchone() or ()
        kept.update(theirs for theirs, holds in zip(asked, found, strict=True) if holds)
    return {ours: theirs for ours, theirs in names.items() if theirs in kept}


def _holds_numbers(theirs: str) -> str:
    """Return SQL that tells whether all texts of a column are numbers, and some are there."""
    column = _column(theirs, theirs, "VARCHAR", None)
    return f"count(*) FILTER (WHERE {column.is_bad}) = 0 AND count({column.read}) > 0"


def _is_number(type_: str) -> bool:
    return type_.startswith(_NUMBER_TYPES)


def _column(
    ours: str, theirs: str, type_: str, date_format: str | None, kept: Callable[[str], str] | None = None
) -> _Column:
    """Return how a column is read; `kept` turns the SQL of a 64-bit number into that of what is kept of it."""
    to_number = kept or _to_float
    name = quote_name(theirs)
    if ours == INSTRUMENT:
        text = f"trim(CAST({name} AS VARCHAR))"
        return _Column(ours, theirs, type_, text, f"({text} IS NULL OR {text} = '')")
    if ours == DATETIME:
        read = _read_day(name, type_, date_format)
        return _Column(ours, theirs, type_, read, f"({read} IS NULL)")
    if type_ == "VARCHAR":
        known = f"lower(trim({name})) IN ({', '.join(map(quote_text, _EMPTY_TEXTS))})"
        number = f"TRY_CAST(trim({name}) AS DOUBLE)"
        return _Column(
            ours, theirs, type_, to_number(number), f"({name} IS NOT NULL AND NOT {known} AND {number} IS NULL)"
        )
    if type_ == "FLOAT" and to_number is _to_float:
        return _Column(ours, theirs, type_, f"CASE WHEN isfinite({name}) THEN {name} END", "false")
    if _is_number(type_):
        return _Column(ours, theirs, type_, to_number(f"CAST({name} AS DOUBLE)"), "false")
    return _Column(ours, theirs, type_, "CAST(NULL AS FLOAT)", f"({name} IS NOT NULL)")


def _text_column(ours: str, theirs: str) -> _Column:
    """A group: whatever it is, as text; an empty one is missing."""
    return _Column(ours, theirs, "VARCHAR", f"nullif(trim(CAST({quote_name(theirs)} AS VARCHAR)), '')", "false")


def _to_float(number: str) -> str:
    """NULL for NaN and infinity, and for what 32 bits cannot hold."""
    return f"CASE WHEN isfinite({number}) THEN TRY_CAST({number} AS FLOAT) END"


def _to_double(number: str) -> str:
    """NULL for NaN; infinity stays, for somebody to be told of it."""
    return f"CASE WHEN NOT isnan({number}) THEN {number} END"


def _read_day(name: str, type_: str, form: str | None) -> str:
    if type_.startswith(_DATE_TYPES):
        return f"CASE WHEN CAST({name} AS TIMESTAMP) = CAST(CAST({name} AS DATE) AS TIMESTAMP) THEN CAST({name} AS DATE) END"
    if not (type_ == "VARCHAR" or type_.endswith(("INT", "INTEGER"))):
        return "CAST(NULL AS DATE)"
    forms = quote_text(form) if form else "[" + ", ".join(map(quote_text, _TEXT_FORMS)) + "]"
    parsed = f"try_strptime(trim(CAST({name} AS VARCHAR)), {forms})"
    # a year of two digits would be read as one of the first century
    is_day = f"{parsed} = date_trunc('day', {parsed}) AND {parsed} >= TIMESTAMP '1800-01-01'"
    return f"CASE WHEN {is_day} THEN CAST({parsed} AS DATE) END"


_REMEDY = {
    INSTRUMENT: "every row needs an instrument",
    DATETIME: "qts reads days: write them as 2024-12-31, or for bars say how they are written in [bars] date_format",
}


def _refuse_bad_values(
    connection: duckdb.DuckDBPyConnection, columns: list[_Column], where: str, wanted: Wanted
) -> None:
    doubtful = [column for column in columns if column.is_bad != "false"]
    counts = ", ".join(f"count(*) FILTER (WHERE {column.is_bad})" for column in doubtful)
    found = connection.execute(f"SELECT {counts} FROM raw").fetchone() or ()
    for column, count in zip(doubtful, found, strict=True):
        if count:
            file, row, value = _first_row(connection, column.is_bad, quote_name(column.theirs))
            kind = {INSTRUMENT: "an instrument", DATETIME: "a day"}.get(column.ours, "a number")
            raise DataCheckError(
                f'column "{column.theirs}" of {file or where}: row {row} is {value!r}, not {kind} ({count} such rows)',
                hint=_REMEDY.get(column.ours, f"mend the file, or {wanted.remedy}"),
            )


def _first_row(connection: duckdb.DuckDBPyConnection, condition: str, value: str) -> tuple[str, int, object]:
    """Return file, row within the file (data rows count from 1) and value of the first row that meets a condition."""
    row = connection.execute(
        f"SELECT {FILE_COLUMN}, row, value FROM (SELECT {FILE_COLUMN}, value, is_bad, n,"
        f" n - min(n) OVER (PARTITION BY {FILE_COLUMN}) + 1 AS row FROM (SELECT {FILE_COLUMN}, CAST({value} AS VARCHAR) AS value,"
        f" {condition} AS is_bad, row_number() OVER () AS n FROM raw)) WHERE is_bad ORDER BY n LIMIT 1"
    ).fetchone()
    return row or ("", 0, None)


def _refuse_duplicates(connection: duckdb.DuckDBPyConnection, columns: list[_Column], table: str, where: str) -> None:
    twice = connection.execute(
        f"SELECT {INSTRUMENT}, {DATETIME}, count(*), count(*) OVER () FROM {table} GROUP BY ALL HAVING count(*) > 1 "
        f"ORDER BY {INSTRUMENT}, {DATETIME} LIMIT 1"
    ).fetchone()
    if twice is None:
        return
    instrument, day, n_rows, n_keys = twice
    read = {column.ours: column.read for column in columns}
    condition = f"({read[INSTRUMENT]} = {quote_text(instrument)} AND {read[DATETIME]} = DATE {quote_text(str(day))})"
    file, row, _ = _first_row(connection, condition, "NULL")
    raise DataCheckError(
        f"{instrument} has {n_rows} rows for {day}, the first in {file or where} at row {row} ({n_keys} such keys)",
        hint="keep one row for each instrument and datetime",
    )
