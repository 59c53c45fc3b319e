"""The panel: one row for each calendar day between an instrument's first and last bar; suspended days are NULL."""

from collections.abc import Collection

import duckdb

from qts.columns import DATETIME, INSTRUMENT
from qts.expr.quote import quote_name
from qts.expr.sql import FIELD_PREFIX, POSITION, ROW_COLUMN, ROWS_LEFT, ROWS_SINCE, ROWS_WHOLE


def make_panel(connection: duckdb.DuckDBPyConnection, fields: tuple[str, ...], padding: int = 1) -> None:
    """Make the tables `calendar` and `panel` from the table `bars`, as compiled expressions want it.

    The calendar is every day on which some instrument has a bar. Operators count the panel's rows, so a day that an
    instrument was suspended is a row of NULLs, not a gap.
    """
    make_calendar(connection, f"SELECT DISTINCT {DATETIME} FROM bars")
    make_spans(connection, "bars")
    lay_out(connection, fields, "bars", padding=padding)


def make_calendar(connection: duckdb.DuckDBPyConnection, days: str) -> None:
    """Make the table `calendar` (datetime, position from 0) of a SELECT of days."""
    connection.execute(
        f"CREATE TABLE calendar AS SELECT {DATETIME}, CAST(row_number() OVER (ORDER BY {DATETIME}) - 1 AS INTEGER) "
        f"AS position FROM ({days})"
    )


def make_spans(connection: duckdb.DuckDBPyConnection, bars: str, table: str = "spans") -> None:
    """Make a table of spans: of each instrument the whole of its rows, all of them asked for.

    Its columns are calendar positions: `first`, where row 1 lies; `start`, from which rows are laid out;
    `wanted_from`, from which they are asked for; `last`.
    """
    connection.execute(
        f"CREATE TABLE {table} AS SELECT {INSTRUMENT}, min(position) AS first, min(position) AS start, "
        f"min(position) AS wanted_from, max(position) AS last FROM {bars} JOIN calendar USING ({DATETIME}) "
        f"GROUP BY {INSTRUMENT}"
    )


def lay_out(
    connection: duckdb.DuckDBPyConnection,
    fields: tuple[str, ...],
    bars: str,
    *,
    padding: int,
    least: int = 1,
    table: str = "panel",
    used: Collection[str] = (),
    spans: str = "spans",
) -> None:
    """Make the table `panel` of the rows that `spans` ask for, in order, from a relation that holds their bars.

    Before an instrument's rows stand `padding` rows without values, numbered 0 and below, less the rows that lie
    between its row 1 and where they start, but never fewer than `least`. `used` are the fields whose rows count as
    whole if none of them is missing.
    """
    names = f"{table}_instrument"
    connection.execute(f"CREATE TYPE {names} AS ENUM (SELECT {INSTRUMENT} FROM {spans} ORDER BY 1)")
    connection.execute(
        f"CREATE TABLE placed AS SELECT *, sum(length) OVER (ORDER BY {INSTRUMENT} ROWS UNBOUNDED PRECEDING) - length "
        f"AS before FROM (SELECT CAST({INSTRUMENT} AS {names}) AS {INSTRUMENT}, first, start, wanted_from, last, pad, "
        f"pad + last - start + 1 AS length FROM "
        f"(SELECT *, greatest({least}, {padding} - (start - first)) AS pad FROM {spans}))"
    )
    has_rest, wanted = connection.execute(
        f"SELECT bool_or(start > first) OR count(*) <> (SELECT count(DISTINCT {INSTRUMENT}) FROM {bars}), "
        f"sum(last - start + 1) FROM placed"
    ).fetchall()[0]
    # only names that have a span are in the type
    of_spans = f"(SELECT * FROM {bars} SEMI JOIN {spans} USING ({INSTRUMENT}))"
    laid_out = f"({_bars_rows(of_spans, names)})" if has_rest else bars
    found = connection.execute(f"SELECT count(*) FROM {laid_out}").fetchall()[0][0]
    values = ", ".join(f"b.{quote_name(name)} AS {quote_name(FIELD_PREFIX + name)}" for name in fields)
    nothing = ", ".join("NULL" for _ in fields)
    rows = _bars_rows(of_spans, names) if found == wanted else _every_row(of_spans, names)
    numbers = _integers("p - first + 1", "before + pad + p - start", "p - wanted_from", "last - p")
    padded = _integers("p - pad + 1", "before + p", f"p - {_FAR}", f"{_FAR}")
    connection.execute(
        f"CREATE TABLE placed_rows AS SELECT b.{INSTRUMENT}, b.{DATETIME}, {numbers}, {values} FROM ({rows}) AS b "
        f"UNION ALL SELECT {INSTRUMENT}, NULL, {padded}, {nothing} "
        f"FROM (SELECT *, unnest(range(pad)) AS p FROM placed) ORDER BY {POSITION}"
    )
    gap = " OR ".join(f"{quote_name(FIELD_PREFIX + name)} IS NULL" for name in used)
    last_gap = (
        f"max(CASE WHEN {ROW_COLUMN} <= 0{gap and f' OR {gap}'} THEN {POSITION} END) OVER (ROWS UNBOUNDED PRECEDING)"
    )
    connection.execute(f"CREATE TABLE {table} AS SELECT *, {POSITION} - {last_gap} AS {ROWS_WHOLE} FROM placed_rows")
    connection.execute("DROP TABLE placed_rows; DROP TABLE placed")


def cut_out(connection: duckdb.DuckDBPyConnection, panel: str, table: str, back: int) -> None:
    """Make the table of a panel's rows that are not whole over `back` rows before them, and of those rows.

    What it asks for is what `rows_whole <= back` asks for; positions are numbered anew.
    """
    gaps = f"SELECT {POSITION} AS p FROM {panel} WHERE {ROWS_WHOLE} = 0 AND {ROW_COLUMN} > 0"
    near = f"SELECT DISTINCT unnest(range(p - {back}, p + {back} + 1)) AS {POSITION} FROM ({gaps})"
    connection.execute(
        f"CREATE TABLE {table} AS SELECT * REPLACE (CAST(row_number() OVER (ORDER BY {POSITION}) - 1 AS INTEGER) AS {POSITION}) "
        f"FROM {panel} WHERE {ROW_COLUMN} <= {back} OR {POSITION} IN ({near}) ORDER BY {POSITION}"
    )


_FAR = 1_000_000_000
"""Padding lies so far from what is asked for that nobody reaches it."""


def _integers(row_number: str, position: str, rows_since: str, rows_left: str) -> str:
    """Return a panel's numbers as SQL."""
    named = {ROW_COLUMN: row_number, POSITION: position, ROWS_SINCE: rows_since, ROWS_LEFT: rows_left}
    return ", ".join(f"CAST({sql} AS INTEGER) AS {name}" for name, sql in named.items())


def _bars_rows(bars: str, names: str) -> str:
    """Return a SELECT of the bars that are laid out, with their place `p` in the calendar."""
    return (
        f"SELECT b.* EXCLUDE ({INSTRUMENT}), c.position AS p, s.* FROM {bars} AS b JOIN calendar AS c USING ({DATETIME}) "
        f"JOIN placed AS s ON CAST(b.{INSTRUMENT} AS {names}) = s.{INSTRUMENT} WHERE c.position BETWEEN s.start AND s.last"
    )


def _every_row(bars: str, names: str) -> str:
    """Return the same for every day of the spans; where there is no bar the fields are NULL."""
    return (
        f"SELECT b.* EXCLUDE ({INSTRUMENT}, {DATETIME}), c.{DATETIME}, s.* "
        f"FROM (SELECT *, unnest(range(start, last + 1)) AS p FROM placed) AS s JOIN calendar AS c ON c.position = s.p "
        f"LEFT JOIN (SELECT CAST({INSTRUMENT} AS {names}) AS {INSTRUMENT}, * EXCLUDE ({INSTRUMENT}) FROM {bars}) AS b "
        f"ON b.{INSTRUMENT} = s.{INSTRUMENT} AND b.{DATETIME} = c.{DATETIME}"
    )
