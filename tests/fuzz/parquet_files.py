"""Parquet files of bars as no vendor should write them: every type there is, and files far larger than they look."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

_DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(5)]
_TIMES = [datetime(day.year, day.month, day.day) for day in _DAYS]  # noqa: DTZ001 - what a file holds has no zone
_EXTREMES = [0, -(2**63), 2**63 - 1, 1, 2]

TYPES: dict[str, Callable[[], pa.Array]] = {
    "names": lambda: pa.array(["S1", "S2", "S3", "S4", "S5"]),
    "dictionary": lambda: pa.array(["S1", "S2", "S3", "S1", "S2"]).dictionary_encode(),
    "large_text": lambda: pa.array(["S1", "S2", "S3", "S4", "S5"], pa.large_string()),
    "binary": lambda: pa.array([b"S1", b"\xff\xfe", b"", b"\x00", None]),
    "fixed": lambda: pa.array([b"abcd"] * 5, pa.binary(4)),
    "days": lambda: pa.array(_DAYS),
    "date64": lambda: pa.array(_DAYS, pa.date64()),
    "year_1": lambda: pa.array([date(1, 1, 1), date(9999, 12, 31), *_DAYS[:3]]),
    "far_days": lambda: pa.array([-(2**31), 2**31 - 1, 0, 1, 2], pa.int32()).cast(pa.date32()),
    "nanoseconds": lambda: pa.array(_TIMES, pa.timestamp("ns")),
    "zoned": lambda: pa.array(_TIMES, pa.timestamp("us", "Asia/Shanghai")),
    "no_such_zone": lambda: pa.array(_TIMES, pa.timestamp("us", "Nowhere/At_All")),
    "far_times": lambda: pa.array(_EXTREMES, pa.int64()).cast(pa.timestamp("us")),
    "far_seconds": lambda: pa.array([9_223_372_036_854, -(10**13), 0, 1, 2], pa.int64()).cast(pa.timestamp("ms")),
    "time": lambda: pa.array([1, 2, 3, 4, 5], pa.time64("us")),
    "duration": lambda: pa.array([1, 2, 3, 4, 5], pa.duration("us")),
    "int8": lambda: pa.array([1, -128, 127, 0, None], pa.int8()),
    "int64": lambda: pa.array(_EXTREMES, pa.int64()),
    "uint64": lambda: pa.array([2**64 - 1, 0, 1, 2, 3], pa.uint64()),
    "days_as_numbers": lambda: pa.array([20240101, 20240102, 99991231, 1, 20240103], pa.int64()),
    "half": lambda: pa.array([1.0, 2.0, float("inf"), None, 3.0]).cast(pa.float16()),
    "float": lambda: pa.array([1.0, float("nan"), float("-inf"), 1e-45, 3e38], pa.float32()),
    "double": lambda: pa.array([1e308, 5e-324, -1e308, float("nan"), 1.0]),
    "ones": lambda: pa.array([1.0] * 5),
    "decimal": lambda: pa.array([Decimal("1.5"), Decimal("-" + "9" * 36), None, Decimal(0), Decimal(1)], pa.decimal128(38, 2)),
    "decimal256": lambda: pa.array([Decimal(1)] * 5, pa.decimal256(70, 2)),
    "bool": lambda: pa.array([True, False, None, True, True]),
    "null": lambda: pa.nulls(5),
    "list": lambda: pa.array([[1.0], [], None, [2.0, 3.0], [1.0]]),
    "struct": lambda: pa.array([{"close": 1.0}] * 5),
    "map": lambda: pa.array([[("a", 1.0)]] * 5, pa.map_(pa.string(), pa.float64())),
    "number_texts": lambda: pa.array(["1.5", "nan", "-inf", "1e999", "0x10"]),
    "texts": lambda: pa.array(["", "\x00", "\u202eabc", "'; DROP TABLE raw; --", "a" * 5000]),
}  # fmt: skip
"""Kind → a column of five values."""

SOUND = {"instrument": "names", "datetime": "days"} | dict.fromkeys(("open", "high", "low", "close", "volume"), "ones")


def write_typed(file: Path, kinds: dict[str, str]) -> None:
    """Write sound bars of five rows, but for the columns that are named with their kind."""
    columns = {**SOUND, **kinds}
    parquet.write_table(pa.table({name: TYPES[kind]() for name, kind in columns.items()}), file)


def _constant(value: Any, type_: pa.DataType, n_rows: int) -> pa.Array:
    indices = pa.repeat(pa.scalar(0, pa.int32()), n_rows)
    return pa.DictionaryArray.from_arrays(indices, pa.array([value], type_))


def _many_rows(file: Path, n_rows: int) -> None:
    """One row, a number of times, in few bytes."""
    sound = {"instrument": ("S1", pa.string()), "datetime": (date(2024, 1, 1), pa.date32())}
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), (1.0, pa.float64()))
    columns = {name: _constant(value, type_, n_rows) for name, (value, type_) in {**sound, **prices}.items()}
    parquet.write_table(pa.table(columns), file, compression="zstd")


def _many_columns(file: Path, n_columns: int) -> None:
    more = {f"c{n}": pa.array([1.0] * 5) for n in range(n_columns)}
    parquet.write_table(pa.table({**{name: TYPES[kind]() for name, kind in SOUND.items()}, **more}), file)


def _long_text(file: Path, n_bytes: int) -> None:
    """One name that is very long, well compressed."""
    columns = {name: TYPES[kind]().slice(0, 1) for name, kind in SOUND.items()}
    parquet.write_table(pa.table({**columns, "instrument": pa.array(["S" * n_bytes])}), file, compression="zstd")


def _nested(file: Path, depth: int) -> None:
    value: Any = pa.array([1.0] * 5)
    for _ in range(depth):
        value = pa.StructArray.from_arrays([value], ["a"])
    columns: dict[str, pa.Array] = {name: TYPES[kind]() for name, kind in SOUND.items()}
    parquet.write_table(pa.table({**columns, "deep": value}), file)


BOMBS: dict[str, Callable[[Path, int], None]] = {
    "rows": _many_rows, "columns": _many_columns, "text": _long_text, "nested": _nested,
}  # fmt: skip


def write_bomb(file: Path, kind: str, size: int) -> None:
    """Write a Parquet file that is larger than it looks."""
    BOMBS[kind](file, size)
