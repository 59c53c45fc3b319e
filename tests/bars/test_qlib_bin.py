"""Qlib's data folder: the rows of the golden market, and what a folder that lies is answered."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from qts.bars.qlib_bin import read_calendar, read_qlib_bin
from qts.errors import DataCheckError, ExitCode, InputError

GOLDEN = Path(__file__).parents[1] / "golden"
FIELDS = ["open", "high", "low", "close", "volume", "vwap", "factor"]
DAYS = (date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 5), date(2024, 1, 8))


def write(folder: Path, files: Mapping[str, list[float] | bytes], calendar: str | None = None) -> Path:
    """Write a data folder of five days; a file's first number is the calendar position it starts at."""
    (folder / "calendars").mkdir()
    (folder / "calendars" / "day.txt").write_text("\n".join(map(str, DAYS)) if calendar is None else calendar)
    for name, content in files.items():
        file = folder / "features" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else np.array(content, dtype="<f4").tobytes())
    return folder


def rows(folder: Path, *fields: str) -> list[tuple[Any, ...]]:
    """Return instrument, datetime and these fields of every row, NaN as None."""
    table = pl.DataFrame(read_qlib_bin(folder)).fill_nan(None)
    return table.select("instrument", "datetime", *fields).rows()


# Against the golden market


@pytest.fixture(scope="module")
def read() -> pl.DataFrame:
    return pl.DataFrame(read_qlib_bin(GOLDEN / "qlib_data"))


@pytest.fixture(scope="module")
def want() -> pl.DataFrame:
    """The same market as a table; a suspended day has no row in it."""
    stocks, index = (pl.read_parquet(GOLDEN / f"bars/{name}.parquet") for name in ("bars", "benchmark"))
    change = pl.read_parquet(GOLDEN / "bars/change.parquet")
    return pl.concat([stocks, index]).join(change, on=["instrument", "date"], how="left").rename({"date": "datetime"})


@pytest.mark.parametrize("field", FIELDS)
def test_every_traded_day_has_the_golden_value(read: pl.DataFrame, want: pl.DataFrame, field: str) -> None:
    both = want.join(read, on=["instrument", "datetime"], suffix="_read")
    assert len(both) == len(want)
    np.testing.assert_array_equal(both[f"{field}_read"].to_numpy(), both[field].to_numpy())


def test_a_field_of_qlib_s_own_is_read_too(read: pl.DataFrame, want: pl.DataFrame) -> None:
    stocks = want.filter(pl.col("instrument") != "SH000300").join(read, on=["instrument", "datetime"], suffix="_read")
    np.testing.assert_array_equal(stocks["change_read"].to_numpy(), stocks["change"].to_numpy())


def test_a_suspended_day_is_a_row_of_nan(read: pl.DataFrame, want: pl.DataFrame) -> None:
    beside = read.join(want, on=["instrument", "datetime"], how="anti")
    assert len(beside) == 37 + 17 + 20 + 2  # of the four instruments with missing rows
    assert beside.select(pl.col("change", *FIELDS).is_nan().all()).row(0) == (True,) * 8


def test_rows_fill_the_calendar_from_first_to_last_value(read: pl.DataFrame, want: pl.DataFrame) -> None:
    calendar = [date.fromisoformat(line) for line in (GOLDEN / "bars/calendar.txt").read_text().split()]
    for (name,), own in want.group_by("instrument"):
        traded = own["datetime"].to_list()
        days = [day for day in calendar if min(traded) <= day <= max(traded)]
        assert read.filter(pl.col("instrument") == name)["datetime"].to_list() == days


def test_instruments_are_spelled_as_the_instruments_files_do(read: pl.DataFrame, want: pl.DataFrame) -> None:
    assert sorted(read["instrument"].unique()) == sorted(want["instrument"].unique())


def test_values_stay_32_bit_floats(read: pl.DataFrame) -> None:
    assert {read.schema[field] for field in ("change", *FIELDS)} == {pl.Float32()}


def test_the_calendar_is_the_golden_one() -> None:
    days = read_calendar(GOLDEN / "qlib_data/calendars/day.txt")
    assert list(map(str, days)) == (GOLDEN / "bars/calendar.txt").read_text().split()


# The header


@pytest.mark.parametrize("start", range(5))
def test_any_header_places_the_values_on_the_calendar(tmp_path: Path, start: int) -> None:
    values = [10.5, 11.5, 12.5, 13.5, 14.5][start:]
    folder = write(tmp_path, {"sh1/close.day.bin": [start, *values]})
    assert rows(folder, "close") == [("SH1", day, v) for day, v in zip(DAYS[start:], values, strict=True)]


def test_a_file_may_end_before_the_calendar_does(tmp_path: Path) -> None:
    folder = write(tmp_path, {"sh1/close.day.bin": [1, 10.5, 11.5]})
    assert rows(folder, "close") == [("SH1", DAYS[1], 10.5), ("SH1", DAYS[2], 11.5)]


def test_fields_of_other_spans_are_aligned_by_day(tmp_path: Path) -> None:
    folder = write(tmp_path, {"sh1/close.day.bin": [0, 1.5, 2.5], "sh1/open.day.bin": [1, 3.5, 4.5, 5.5]})
    assert rows(folder, "open", "close") == [
        ("SH1", DAYS[0], None, 1.5),
        ("SH1", DAYS[1], 3.5, 2.5),
        ("SH1", DAYS[2], 4.5, None),
        ("SH1", DAYS[3], 5.5, None),
    ]


def test_a_field_that_an_instrument_lacks_is_missing_for_it_alone(tmp_path: Path) -> None:
    files = {"a/close.day.bin": [0, 1.5], "b/close.day.bin": [0, 2.5], "b/vwap.day.bin": [0, 3.5]}
    assert rows(write(tmp_path, files), "close", "vwap") == [("A", DAYS[0], 1.5, None), ("B", DAYS[0], 2.5, 3.5)]


def test_values_are_little_endian(tmp_path: Path) -> None:
    content = bytes.fromhex("00004040 0000803f 00000040")  # 3, then 1 and 2
    folder = write(tmp_path, {"sh1/close.day.bin": content})
    assert rows(folder, "close") == [("SH1", DAYS[3], 1.0), ("SH1", DAYS[4], 2.0)]


# Names


@pytest.mark.parametrize("name", ["sh600000", "SH600000", "Sh600000"])
def test_a_folder_in_any_case_is_the_listed_instrument(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, {f"{name}/Close.day.bin": [0, 1.5]})
    (folder / "instruments").mkdir()
    (folder / "instruments" / "all.txt").write_text("sH600000\t2024-01-02\t2024-01-08\n")
    assert rows(folder, "close") == [("sH600000", DAYS[0], 1.5)]


def test_an_instrument_on_no_list_is_in_capitals(tmp_path: Path) -> None:
    assert rows(write(tmp_path, {"brk.a/close.day.bin": [0, 1.5]}), "close") == [("BRK.A", DAYS[0], 1.5)]


def test_a_name_that_windows_reserves_loses_its_prefix(tmp_path: Path) -> None:
    assert rows(write(tmp_path, {"_qlib_con/close.day.bin": [0, 1.5]}), "close") == [("CON", DAYS[0], 1.5)]


def test_files_of_another_frequency_are_left_alone(tmp_path: Path) -> None:
    folder = write(tmp_path, {"sh1/close.day.bin": [0, 1.5], "sh1/close.1min.bin": [7, 1.5], "sh1/notes.txt": b"x"})
    assert read_qlib_bin(folder).column_names == ["instrument", "datetime", "qts_file", "close"]


# What is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([3, 1.5, 2.5, 3.5], "starts at calendar position 3 with 3 values; the calendar has 5 days"),
        ([5, 1.5], "starts at calendar position 5 with 1 values"),
        ([4000, 1.5], "starts at calendar position 4000 with 1 values"),
        ([-1, 1.5], "starts at calendar position -1"),
        ([0.5, 1.5], "starts at calendar position 0.5"),
        ([float("nan"), 1.5], "starts at calendar position nan"),
        ([float("inf"), 1.5], "starts at calendar position inf"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, content: list[float], message: str) -> None:
    folder = write(tmp_path, {"sh1/open.day.bin": [0, 1.5], "sh2/close.day.bin": content})
    with pytest.raises(DataCheckError) as caught:
        read_qlib_bin(folder)
    assert caught.value.code is ExitCode.DATA_CHECK
    assert str(folder / "features" / "sh2" / "close.day.bin") in caught.value.message
    assert message in caught.value.message
    assert "does not belong to this calendar" in (caught.value.hint or "")


@pytest.mark.parametrize("n_bytes", [1, 5, 11])
def test_a_length_that_is_no_number_of_floats_is_refused(tmp_path: Path, n_bytes: int) -> None:
    folder = write(tmp_path, {"sh1/close.day.bin": bytes(n_bytes)})
    with pytest.raises(DataCheckError, match=f"close.day.bin has {n_bytes} bytes, which is no whole number"):
        read_qlib_bin(folder)


@pytest.mark.parametrize("content", [b"", [2]], ids=["empty", "header alone"])
def test_a_file_without_values_is_a_field_without_values(tmp_path: Path, content: list[float] | bytes) -> None:
    folder = write(tmp_path, {"sh1/close.day.bin": content, "sh1/open.day.bin": [1, 1.5]})
    assert read_qlib_bin(folder).column_names == ["instrument", "datetime", "qts_file", "open"]
    assert rows(folder, "open") == [("SH1", DAYS[1], 1.5)]


def test_a_folder_without_a_single_value_is_empty(tmp_path: Path) -> None:
    folder = write(tmp_path, {"sh1/close.day.bin": b"", "sh2/close.day.bin": [1]})
    with pytest.raises(InputError, match="no values under") as caught:
        read_qlib_bin(folder)
    assert caught.value.code is ExitCode.INPUT


def test_a_missing_calendar_is_an_input_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no calendar file .*day\.txt") as caught:
        read_qlib_bin(tmp_path)
    assert (caught.value.code, caught.value.hint) == (ExitCode.INPUT, "[bars] path must be a Qlib data folder")


def test_missing_features_are_an_input_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .*features") as caught:
        read_qlib_bin(write(tmp_path, {}))
    assert "calendars/ and features/" in (caught.value.hint or "")


def test_an_empty_calendar_is_an_input_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        read_qlib_bin(write(tmp_path, {"sh1/close.day.bin": [0, 1.5]}, calendar="\n"))


@pytest.mark.parametrize(
    ("calendar", "message"),
    [
        ("2024-01-02\nsoon\n", '"soon"'),
        ("2024-01-02\n2024-01-04\n2024-01-03\n", "not ascending at line 3 (2024-01-03)"),
        ("2024-01-02\n2024-01-02\n", "not ascending at line 2 (2024-01-02)"),
    ],
)
def test_a_calendar_out_of_order_or_without_days_is_refused(tmp_path: Path, calendar: str, message: str) -> None:
    with pytest.raises(DataCheckError) as caught:
        read_qlib_bin(write(tmp_path, {"sh1/close.day.bin": [0, 1.5]}, calendar=calendar))
    assert str(tmp_path / "calendars" / "day.txt") in caught.value.message
    assert message in caught.value.message
