"""FORMATS: rows of results in every format `--format` takes, one row each."""

import csv
import io
from collections.abc import Callable
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qts.errors import QtsError
from qts.json_text import to_json
from qts.registry import Registry
from qts.terminal_text import tame

Writer = Callable[[pa.Table, IO[bytes]], None]

FORMATS: Registry[Writer] = Registry("format")

SHOWN_ROWS = 40
"""Rows of a long table that a terminal is shown."""


def to_table(rows: list[dict[str, object]] | pa.Table) -> pa.Table:
    """Return rows as a table; lists inside them become text."""
    if isinstance(rows, pa.Table):
        return rows
    names = list(dict.fromkeys(key for row in rows for key in row))
    columns = {name: [_plain(row.get(name)) for row in rows] for name in names}
    return pa.table({name: _column(values) for name, values in columns.items()})


def _column(values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def _plain(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _write_csv(table: pa.Table, stream: IO[bytes]) -> None:
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(table.column_names)  # pyarrow quotes every name
    stream.write(header.getvalue().encode("utf-8", "backslashreplace"))
    columns = [column if _is_plain(column.type) else _as_texts(column) for column in table.columns]
    texts = pa.table(columns, names=table.column_names)
    pyarrow.csv.write_csv(texts, stream, pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed"))


_PLAIN = (
    pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_date, pa.types.is_time,
    pa.types.is_timestamp, pa.types.is_string, pa.types.is_large_string, pa.types.is_null, pa.types.is_dictionary,
)  # fmt: skip


def _is_plain(type_: pa.DataType) -> bool:
    """Return whether CSV has words for a type."""
    return any(is_it(type_) for is_it in _PLAIN)


def _as_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of lists, structs and whatever else a format has no words for as JSON."""
    texts = [None if value is None else to_json(value) for value in _values(column)]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; days that Python has no word for, such as infinity, as text."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        pass
    try:
        return list(column.cast(pa.string()).to_pylist())
    except pa.ArrowException as error:
        message = "a column holds values that cannot be shown"
        raise QtsError(f"{message}: {error}", hint="cast it to VARCHAR, or choose --format parquet") from error


def to_dicts(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows as JSON has them."""
    columns = [_values(column) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _write_jsonl(table: pa.Table, stream: IO[bytes]) -> None:
    for batch in table.to_batches(max_chunksize=10_000):
        lines = (to_json(row) for row in to_dicts(pa.Table.from_batches([batch])))
        stream.write("".join(f"{line}\n" for line in lines).encode())


def _write_json(table: pa.Table, stream: IO[bytes]) -> None:
    stream.write(to_json(to_dicts(table), indent=1).encode() + b"\n")


def _write_parquet(table: pa.Table, stream: IO[bytes]) -> None:
    buffer = io.BytesIO()
    columns = [column if _fits_parquet(column) else _as_texts(column) for column in table.columns]
    pq.write_table(pa.table(columns, names=table.column_names), buffer)
    stream.write(buffer.getvalue())


def _fits_parquet(column: pa.ChunkedArray) -> bool:
    try:
        pq.write_table(pa.table({"": column.slice(0, 0)}), io.BytesIO())
    except pa.ArrowNotImplementedError:
        return False
    return True


def _write_terminal(table: pa.Table, stream: IO[bytes]) -> None:
    """A long table is shown by its head; the other formats hold all of it."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in table.column_names:
        numeric = pa.types.is_integer(table[name].type) or pa.types.is_floating(table[name].type)
        drawn.add_column(_one_line(name), justify="right" if numeric else "left", overflow="fold")
    for row in to_dicts(table.slice(0, SHOWN_ROWS)):
        drawn.add_row(*("" if value is None else _shown(value) for value in row.values()))
    text = io.StringIO()
    console = Console(file=text, width=Console().width, force_terminal=Console().is_terminal)
    console.print(drawn)
    if table.num_rows > SHOWN_ROWS:
        console.print(f"… {table.num_rows - SHOWN_ROWS} more rows; --format csv prints all", style="dim")
    stream.write(text.getvalue().encode())


def _shown(value: object) -> Text:
    return _one_line(
        f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )


def _one_line(text: str) -> Text:
    """Whatever a name holds is neither markup nor an order to the terminal."""
    return Text(tame(text))


FORMATS.enter("table", _write_terminal)
FORMATS.enter("csv", _write_csv)
FORMATS.enter("json", _write_json)
FORMATS.enter("jsonl", _write_jsonl)
FORMATS.enter("parquet", _write_parquet)
