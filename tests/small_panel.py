"""Bars written out in a test, and expressions computed over them in memory."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa

from qts.bars.panel import lay_out, make_calendar, make_spans
from qts.expr.bounds import Bounds, Interval
from qts.expr.lookback import span_of
from qts.expr.nodes import Node
from qts.expr.parse import parse
from qts.expr.plan import compile_panel, is_streamable
from qts.expr.quote import quote_name
from qts.expr.sql import FIELD_PREFIX, ROW_COLUMN, ROWS_WHOLE, compile_select

LOWERINGS = ("windowed", "streamed", "in two")
"""Ways to compute an expression: by windowed SQL; by streams; by streams, rows without a gap behind them apart."""

FIRST_DAY = date(2024, 1, 1)
ROWS = f"(SELECT * FROM panel WHERE {ROW_COLUMN} > 0)"
"""The panel without the rows that stand before each instrument."""
Cells = dict[tuple[str, int], float | None]
"""(instrument, day from 0) → value, None where missing."""


def bars_table(columns: Mapping[str, Sequence[object]]) -> pa.Table:
    """Return bars of columns `instrument`, `day` (from 0) and fields: numbers become FLOAT, texts stay texts."""
    made = {
        "instrument": pa.array(columns["instrument"], pa.string()),
        "datetime": pa.array([FIRST_DAY + timedelta(int(day)) for day in columns["day"]], pa.date32()),
    }
    for name, values in columns.items():
        if name not in ("instrument", "day"):
            is_text = any(isinstance(value, str) for value in values)
            made[name] = pa.array(values, pa.string() if is_text else pa.float32(), from_pandas=True)
    return pa.table(made)


def open_panel(bars: pa.Table, threads: int = 1, padding: int = 1) -> duckdb.DuckDBPyConnection:
    """Return a connection with the table `panel` of bars."""
    connection = duckdb.connect(config={"threads": threads})
    connection.register("given", bars)
    connection.execute("CREATE TABLE bars AS SELECT * FROM given")
    lay_out_all(connection, tuple(bars.column_names[2:]), padding)
    return connection


def lay_out_all(connection: duckdb.DuckDBPyConnection, fields: tuple[str, ...], padding: int) -> None:
    """Make the table `panel` of the table `bars`, in which a row counts as whole if none of its numbers is missing."""
    make_calendar(connection, "SELECT DISTINCT datetime FROM bars")
    make_spans(connection, "bars")
    lay_out(connection, fields, "bars", padding=padding, used=numbers_of(connection, "bars"))


def numbers_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """Return the names of the columns of 32-bit numbers."""
    return [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall() if row[1] == "FLOAT"]


def bounds_of(connection: duckdb.DuckDBPyConnection) -> dict[str, Interval]:
    """Return what the panel's values prove of each number."""
    found = {}
    for column in numbers_of(connection, "panel"):
        name = quote_name(column)
        low, high, least = connection.execute(
            f"SELECT min({name}), max({name}), min(abs({name})) FILTER ({name} <> 0) FROM panel"
        ).fetchall()[0]
        if low is not None:
            found[column.removeprefix(FIELD_PREFIX)] = Interval(low, high, least or 0.0)
    return found


def select_of(lowering: str, trees: Mapping[str, Node], fields: Sequence[str], bounds: Bounds) -> str:
    """Return a SELECT of trees over the table `panel` in one of LOWERINGS; what looks ahead is never computed in two."""
    if lowering == "windowed":
        return compile_select(trees, fields, ROWS).sql
    if lowering == "streamed":
        return compile_panel(trees, fields, bounds, "panel").sql
    ahead = {name: tree for name, tree in trees.items() if span_of(tree).ahead}
    if ahead:
        others = {name: tree for name, tree in trees.items() if name not in ahead}
        keys = f"instrument, datetime, {', '.join(map(quote_name, ahead))}"
        sides = select_of(lowering, others, fields, bounds), select_of("streamed", ahead, fields, bounds)
        return f"FROM ({sides[0]}) JOIN (SELECT {keys} FROM ({sides[1]})) USING (instrument, datetime)"
    back = max((span_of(tree).back or 0 for tree in trees.values() if is_streamable(tree)), default=0)
    parts = (
        compile_panel(trees, fields, bounds, "panel", wanted=f"{ROWS_WHOLE} > {back}", is_whole=True),
        compile_panel(trees, fields, bounds, "panel", wanted=f"{ROW_COLUMN} > 0 AND {ROWS_WHOLE} <= {back}"),
    )
    return " UNION ALL ".join(f"FROM ({part.sql})" for part in parts)


def compute(bars: pa.Table, nodes: Mapping[str, Node | str]) -> dict[str, np.ndarray]:
    """Return instrument, day and a FLOAT column an expression, NaN where missing, sorted by instrument and day."""
    with open_panel(bars) as connection:
        return compute_over(connection, bars.column_names[2:], nodes)


def compute_over(
    connection: duckdb.DuckDBPyConnection,
    fields: Sequence[str],
    nodes: Mapping[str, Node | str],
    lowering: str = "windowed",
) -> dict[str, np.ndarray]:
    """Return the same of a connection's `panel`; for streams it must have the padding they need."""
    trees = {name: parse(node) if isinstance(node, str) else node for name, node in nodes.items()}
    sql = select_of(lowering, trees, fields, bounds_of(connection))
    return fetch(connection, sql, trees)


def fetch(connection: duckdb.DuckDBPyConnection, sql: str, trees: Mapping[str, Node]) -> dict[str, np.ndarray]:
    """Return instrument, day and columns of a SELECT, sorted by instrument and day."""
    names = "".join(f", {quote_name(name)}" for name in trees)
    days = f"datetime - DATE '{FIRST_DAY}'"
    rows = connection.execute(
        f"SELECT CAST(instrument AS VARCHAR) AS instrument, CAST({days} AS INTEGER) AS day{names} FROM ({sql}) ORDER BY 1, 2"
    ).fetchnumpy()
    return {
        name: np.ma.filled(np.ma.asarray(column), np.nan) if name in trees else np.asarray(column)
        for name, column in rows.items()
    }


def cells(bars: pa.Table, text: str) -> Cells:
    """Return the values of one expression by (instrument, day)."""
    found = compute(bars, {"value": text})
    return {
        (str(instrument), int(day)): None if np.isnan(value) else float(value)
        for instrument, day, value in zip(found["instrument"], found["day"], found["value"], strict=True)
    }
