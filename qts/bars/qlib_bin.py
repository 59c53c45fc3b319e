"""Reads a Qlib data folder: `calendars/day.txt`, `instruments/*.txt`, `features/<instrument>/<field>.day.bin`.

A .bin file is little-endian float32: first the calendar position of its first value, as a float, then a value a day.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from qts.columns import DATETIME, INSTRUMENT
from qts.errors import DataCheckError, InputError
from qts.plain_file import read_plain

_SUFFIX = ".day.bin"
_CALENDAR_HINT = "[bars] path must be a Qlib data folder"
_FIELD_HINT = "the file is damaged or does not belong to this calendar: dump the data again"
_DEVICE_PREFIX = "_qlib_"  # put before names that Windows reserves, such as CON


def read_qlib_bin(folder: Path) -> pa.Table:
    """Return all bars of a Qlib data folder: instrument, datetime, qts_file and a float32 column a field.

    An instrument has a row for each calendar day from the first to the last value of any of its fields.
    Raises InputError for missing parts, DataCheckError for a file whose header or length cannot be right.
    """
    calendar = read_calendar(folder / "calendars" / "day.txt")
    features = folder / "features"
    if not features.is_dir():
        raise InputError(
            f"no folder {features}", hint="[bars] path must be the folder that holds calendars/ and features/"
        )
    names = _instrument_names(folder / "instruments")
    blocks = [_read_instrument(path, names, len(calendar)) for path in sorted(features.iterdir()) if path.is_dir()]
    tables = [_to_table(name, path, start, values, calendar) for name, path, start, values in blocks if values]
    if not tables:
        raise InputError(f"no values under {features}", hint=f"expected files like sh600000/close{_SUFFIX}")
    return pa.concat_tables(tables, promote_options="default")


def read_calendar(file: Path) -> np.ndarray:
    """Return the days of a calendar file as datetime64[D], ascending."""
    try:
        lines = read_plain(file).decode().split()
    except FileNotFoundError:
        raise InputError(f"no calendar file {file}", hint=_CALENDAR_HINT) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the calendar file {file}: {error}", hint=_CALENDAR_HINT) from None
    days = np.array([_to_day(line, file) for line in lines], dtype="datetime64[D]")
    if len(days) == 0:
        raise InputError(f"the calendar file {file} is empty", hint=_CALENDAR_HINT)
    out_of_order = np.flatnonzero(np.diff(days) <= np.timedelta64(0, "D"))
    if len(out_of_order):
        place = f"line {out_of_order[0] + 2} ({days[out_of_order[0] + 1]})"
        raise DataCheckError(f"{file} is not ascending at {place}", hint="sort its days, each once")
    return days


def _to_day(line: str, file: Path) -> date:
    try:
        return date.fromisoformat(line)
    except ValueError:
        raise DataCheckError(f'a line of {file} is no date: "{line[:50]}"', hint="write days as 2024-12-31") from None


def _instrument_names(folder: Path) -> dict[str, str]:
    """Return folded name → name as the instruments files spell it; folders are named in any case."""
    names: dict[str, str] = {}
    for file in sorted(folder.glob("*.txt")) if folder.is_dir() else []:
        for line in _text_of(file).splitlines():
            if name := line.split("\t")[0].strip():
                names.setdefault(name.casefold(), name)
    return names


def _text_of(file: Path) -> str:
    try:
        return read_plain(file).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}", hint="it names an instrument a line, in UTF-8") from None


def _read_instrument(folder: Path, names: dict[str, str], n_days: int) -> tuple[str, Path, int, dict[str, np.ndarray]]:
    """Return name, folder, calendar position of the first row, and field → values aligned to it."""
    stored = folder.name.casefold().removeprefix(_DEVICE_PREFIX)
    name = names.get(stored, stored.upper())
    read = {}
    for file in sorted(folder.iterdir()):
        if file.name.lower().endswith(_SUFFIX) and (found := _read_field(file, n_days)):
            read[file.name[: -len(_SUFFIX)].lower()] = found
    if not read:
        return name, folder, 0, {}
    first = min(start for start, _ in read.values())
    last = max(start + len(values) for start, values in read.values())
    aligned = {}
    for field, (start, values) in read.items():
        aligned[field] = np.full(last - first, np.nan, dtype=np.float32)
        aligned[field][start - first : start - first + len(values)] = values
    return name, folder, first, aligned


def _read_field(file: Path, n_days: int) -> tuple[int, np.ndarray] | None:
    """Return the calendar position of the first value, and the values; None if there are none."""
    try:
        content = read_plain(file)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", hint=_FIELD_HINT) from None
    size = len(content)
    if size % 4:
        raise DataCheckError(f"{file} has {size} bytes, which is no whole number of float32 values", hint=_FIELD_HINT)
    numbers = np.frombuffer(content, dtype="<f4")
    if len(numbers) < 2:
        return None
    header, values = float(numbers[0]), numbers[1:]
    if not header.is_integer() or header < 0 or header + len(values) > n_days:
        message = (
            f"{file} starts at calendar position {header:g} with {len(values)} values; the calendar has {n_days} days"
        )
        raise DataCheckError(message, hint=_FIELD_HINT)
    return int(header), values.astype(np.float32)


def _to_table(name: str, folder: Path, start: int, values: dict[str, np.ndarray], calendar: np.ndarray) -> pa.Table:
    n_rows = len(next(iter(values.values())))
    columns = {
        INSTRUMENT: pa.array([name] * n_rows),
        DATETIME: pa.array(calendar[start : start + n_rows]),
        "qts_file": pa.array([str(folder)] * n_rows),
    }
    return pa.table(columns | {field: pa.array(column) for field, column in values.items()})
