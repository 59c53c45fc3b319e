"""The panel: one row for each calendar day between an instrument's first and last bar; suspended days are NULL."""

import duckdb

from qts.columns import DATETIME, INSTRUMENT
from qts.expr.sql import FIELD_PREFIX, ROW_COLUMN, quote_name


def make_panel(connection: duckdb.DuckDBPyConnection, fields: tuple[str, ...]) -> None:
    """Make the tables `calendar` (datetime, position) and `panel` from `bars`, as compiled expressions want it.

    The calendar is every day on which some instrument has a bar. Operators count the panel's rows, so a day that an
    instrument was suspended is a row of NULLs, not a gap.
    """
    connection.execute(f"CREATE TYPE instrument_name AS ENUM (SELECT DISTINCT {INSTRUMENT} FROM bars ORDER BY 1)")
    connection.execute(
        f"CREATE TABLE calendar AS SELECT {DATETIME}, CAST(row_number() OVER (ORDER BY {DATETIME}) - 1 AS INTEGER) AS position "
        f"FROM (SELECT DISTINCT {DATETIME} FROM bars)"
    )
    values = ", ".join(f"b.{quote_name(name)} AS {quote_name(FIELD_PREFIX + name)}" for name in fields)
    connection.execute(
        f"""CREATE TABLE panel AS
        SELECT CAST(s.{INSTRUMENT} AS instrument_name) AS {INSTRUMENT}, c.{DATETIME},
               CAST(c.position - s.first + 1 AS INTEGER) AS {ROW_COLUMN}, {values}
        FROM (SELECT {INSTRUMENT}, min(position) AS first, max(position) AS last
              FROM bars JOIN calendar USING ({DATETIME}) GROUP BY {INSTRUMENT}) AS s
        JOIN calendar AS c ON c.position BETWEEN s.first AND s.last
        LEFT JOIN bars AS b ON b.{INSTRUMENT} = s.{INSTRUMENT} AND b.{DATETIME} = c.{DATETIME}
        ORDER BY 1, 2"""
    )
