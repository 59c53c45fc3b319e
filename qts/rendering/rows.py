"""FORMATS: rows of results in every format `--format` takes, one row each."""

import csv
import io
from collections.abc import Callable
from typing import IO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from qts.json_text import to_json
from qts.registry import Registry

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
    stream.write(header.getvalue().encode())
    pyarrow.csv.write_csv(table, stream, pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed"))


def _write_jsonl(table: pa.Table, stream: IO[bytes]) -> None:
    for batch in table.to_batches(max_chunksize=10_000):
        lines = (to_json(row) for row in batch.to_pylist())
        stream.write("".join(f"{line}\n" for line in lines).encode())


def _write_json(table: pa.Table, stream: IO[bytes]) -> None:
    stream.write(to_json(table.to_pylist(), indent=1).encode() + b"\n")


def _write_parquet(table: pa.Table, stream: IO[bytes]) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    stream.write(buffer.getvalue())


def _write_terminal(table: pa.Table, stream: IO[bytes]) -> None:
    """A long table is shown by its head; the other formats hold all of it."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in table.column_names:
        numeric = pa.types.is_integer(table[name].type) or pa.types.is_floating(table[name].type)
        drawn.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in table.slice(0, SHOWN_ROWS).to_pylist():
        drawn.add_row(*("" if value is None else _shown(value) for value in row.values()))
    text = io.StringIO()
    console = Console(file=text, width=Console().width, force_terminal=Console().is_terminal)
    console.print(drawn)
    if table.num_rows > SHOWN_ROWS:
        console.print(f"… {table.num_rows - SHOWN_ROWS} more rows; --format csv prints all", style="dim")
    stream.write(text.getvalue().encode())


def _shown(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("[", "\\[")


FORMATS.enter("table", _write_terminal)
FORMATS.enter("csv", _write_csv)
FORMATS.enter("json", _write_json)
FORMATS.enter("jsonl", _write_jsonl)
FORMATS.enter("parquet", _write_parquet)
