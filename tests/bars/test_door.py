"""The door: what becomes NULL, what is refused, and how exactly the refusal points at the fault."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qts.bars.door import Wanted, clean_bars, clean_rows
from qts.bars.sources import make_raw
from qts.config import BarsConfig, LimitsConfig
from qts.errors import DataCheckError, ExitCode, InputError
from qts.store.engine import connect

HEADER = "instrument,datetime,open,high,low,close,volume"
DAY = date(2024, 1, 31)


def csv(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


def read(path: Path, **config: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the fields and the rows of the table `bars`."""
    connection = connect(LimitsConfig(threads=2))
    wanted = BarsConfig(source="csv" if path.suffix == ".csv" or path.is_dir() else "parquet", path=path, **config)
    make_raw(connection, wanted, path)
    fields = clean_bars(connection, wanted, str(path))
    return fields, connection.execute("FROM bars").fetchall()


def read_csv(folder: Path, *rows: str, header: str = HEADER) -> list[tuple[Any, ...]]:
    (folder / "bars.csv").write_text(csv(*rows, header=header))
    return read(folder / "bars.csv")[1]


def read_frame(folder: Path, **columns: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return fields and rows of a Parquet file of two bars, some columns other than usual; None takes a column out."""
    usual = {"instrument": ["A", "B"], "datetime": [DAY, DAY]} | {name: [1.5, 2.5] for name in HEADER.split(",")[2:]}
    frame = pl.DataFrame({name: values for name, values in (usual | columns).items() if values is not None})
    frame.write_parquet(folder / "bars.parquet")
    return read(folder / "bars.parquet")


# What becomes NULL


def test_nan_and_infinity_become_null(tmp_path: Path) -> None:
    bad = [float("nan"), float("inf")]
    _, rows = read_frame(tmp_path, close=bad, volume=[float("-inf"), None])
    assert rows == [("A", DAY, 1.5, 1.5, 1.5, None, None), ("B", DAY, 2.5, 2.5, 2.5, None, None)]


@pytest.mark.parametrize("text", ["", "NaN", "nan", "inf", "-Infinity", "NA", "n/a", "NULL", "None", "-", " - "])
def test_texts_that_mean_nothing_become_null(tmp_path: Path, text: str) -> None:
    assert read_csv(tmp_path, f"A,2024-01-31,1,2,0.5,{text},100") == [("A", DAY, 1.0, 2.0, 0.5, None, 100.0)]


def test_what_32_bits_cannot_hold_becomes_null(tmp_path: Path) -> None:
    assert read_csv(tmp_path, "A,2024-01-31,1,2,0.5,1e39,100")[0][5] is None


def test_numbers_as_texts_are_numbers(tmp_path: Path) -> None:
    rows = read_csv(tmp_path, 'A,2024-01-31, 1.25 ,+2,.5,1e0,"100"')
    assert rows == [("A", DAY, 1.25, 2.0, 0.5, 1.0, 100.0)]


def test_numbers_of_any_type_become_32_bit_floats(tmp_path: Path) -> None:
    whole = pl.Series([1, 2], dtype=pl.UInt16)
    decimal = pl.Series(["1.25", "2.5"]).cast(pl.Decimal(8, 2))
    _, rows = read_frame(tmp_path, open=whole, high=decimal, low=pl.Series([0.1, 0.1], dtype=pl.Float64))
    assert rows[0][2:5] == (1.0, 1.25, 0.10000000149011612)


def test_a_column_without_a_single_value_is_null_throughout(tmp_path: Path) -> None:
    _, rows = read_frame(tmp_path, volume=pl.Series([None, None], dtype=pl.Null))
    assert [row[-1] for row in rows] == [None, None]


# Which columns come through


def test_fields_come_in_our_order_then_extra_numbers(tmp_path: Path) -> None:
    fields, _ = read_frame(tmp_path, PE=[3.0, 4.0], vwap=[1.0, 2.0], turnover_rate=[5, 6], amount=[7.0, 8.0])
    assert fields == ("open", "high", "low", "close", "volume", "amount", "vwap", "pe", "turnover_rate")


def test_an_extra_number_is_kept_with_its_values(tmp_path: Path) -> None:
    fields, rows = read_frame(tmp_path, pe=[float("nan"), 4.25])
    assert [row[2 + fields.index("pe")] for row in rows] == [None, 4.25]


def test_extra_columns_that_are_no_numbers_stay_outside(tmp_path: Path) -> None:
    fields, _ = read_frame(tmp_path, name=["x", "y"], is_st=[True, False], listed=[DAY, DAY])
    assert fields == ("open", "high", "low", "close", "volume")


def test_rows_are_sorted_by_instrument_then_day(tmp_path: Path) -> None:
    rows = read_csv(tmp_path, "B,2024-01-31,1,2,0.5,1.5,1", "A,2024-02-01,1,2,0.5,1.5,2", "A,2024-01-31,1,2,0.5,1.5,3")
    assert [row[-1] for row in rows] == [3.0, 2.0, 1.0]


def test_an_instrument_that_is_a_number_is_its_digits(tmp_path: Path) -> None:
    _, rows = read_frame(tmp_path, instrument=[600000, 1])
    assert [row[0] for row in rows] == ["1", "600000"]


def test_leading_zeros_of_an_instrument_are_kept(tmp_path: Path) -> None:
    assert read_csv(tmp_path, "000001,2024-01-31,1,2,0.5,1.5,100")[0][0] == "000001"


def test_blanks_around_an_instrument_are_not_part_of_it(tmp_path: Path) -> None:
    assert read_csv(tmp_path, " A ,2024-01-31,1,2,0.5,1.5,100")[0][0] == "A"


# What is refused


def test_text_in_a_price_names_file_column_row_value_and_count(tmp_path: Path) -> None:
    with pytest.raises(DataCheckError) as caught:
        read_csv(tmp_path, "A,2024-01-29,1,2,0.5,1.5,100", "A,2024-01-30,1,2,x1,1.5,100", "A,2024-01-31,1,2,x2,1.5,100")
    assert caught.value.code is ExitCode.DATA_CHECK
    assert caught.value.message == (
        f"column \"low\" of {tmp_path / 'bars.csv'}: row 2 is 'x1', not a number (2 such rows)"
    )
    assert caught.value.hint


def test_a_row_is_counted_within_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv("A,2024-01-30,1,2,0.5,1.5,100", "A,2024-01-31,1,2,0.5,1.5,100"))
    (tmp_path / "b.csv").write_text(csv("B,2024-01-30,1,2,0.5,1.5,100", "B,2024-01-31,1,2,0.5,oops,100"))
    with pytest.raises(DataCheckError) as caught:
        read(tmp_path)
    assert f"\"close\" of {tmp_path / 'b.csv'}: row 2 is 'oops'" in caught.value.message


def test_the_first_of_several_bad_files_is_named(tmp_path: Path) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        (tmp_path / f"{name}.csv").write_text(csv(f"{name},2024-01-3{number % 2},1,2,0.5,1.5,lots"))
    with pytest.raises(DataCheckError, match=r"a\.csv: row 1 .*\(3 such rows\)"):
        read(tmp_path)


def test_a_bad_row_far_down_a_file_is_found(tmp_path: Path) -> None:
    days = pl.date_range(date(1990, 1, 1), date(2004, 1, 1), eager=True)
    rows = [f"A,{day},1,2,0.5,1.5,100" for day in days]
    rows[4999] = rows[4999].replace("1.5", "1,5").replace("0.5,1,5", '0.5,"1,5"')
    with pytest.raises(DataCheckError, match="row 5000 is '1,5', not a number"):
        read_csv(tmp_path, *rows)


def test_a_mapped_column_is_named_as_the_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(csv("A,2024-01-31,1,2,0.5,x,100", header=HEADER.replace("close", "Last Price")))
    with pytest.raises(DataCheckError, match='column "Last Price"'):
        read(tmp_path / "bars.csv", columns={"close": "Last Price"})


@pytest.mark.parametrize("values", [[True, False], [DAY, DAY]])
def test_a_price_of_another_type_is_refused(tmp_path: Path, values: list[Any]) -> None:
    with pytest.raises(DataCheckError, match=r'column "close" .* not a number \(2 such rows\)'):
        read_frame(tmp_path, close=values)


@pytest.mark.parametrize("instrument", ["", "  "])
def test_a_row_without_an_instrument_is_refused(tmp_path: Path, instrument: str) -> None:
    with pytest.raises(DataCheckError, match=r"row 2 .* not an instrument") as caught:
        read_csv(tmp_path, "A,2024-01-31,1,2,0.5,1.5,100", f"{instrument},2024-01-31,1,2,0.5,1.5,100")
    assert caught.value.hint == "every row needs an instrument"


def test_a_row_without_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataCheckError, match="row 2 is None, not a day"):
        read_csv(tmp_path, "A,2024-01-31,1,2,0.5,1.5,100", "A,,1,2,0.5,1.5,100")


# Duplicates


def test_a_key_that_stands_twice_is_refused_with_its_place(tmp_path: Path) -> None:
    row = "A,2024-01-31,1,2,0.5,1.5,100"
    with pytest.raises(DataCheckError) as caught:
        read_csv(tmp_path, "A,2024-01-30,1,2,0.5,1.5,100", row, "B,2024-01-31,1,2,0.5,1.5,100", row, row)
    assert caught.value.message == (
        f"A has 3 rows for 2024-01-31, the first in {tmp_path / 'bars.csv'} at row 2 (1 such keys)"
    )
    assert caught.value.hint


@pytest.mark.parametrize("other", ["A,20240131", " A ,2024/01/31", "A,31-Jan-2024"])
def test_a_key_written_in_another_way_is_the_same_key(tmp_path: Path, other: str) -> None:
    with pytest.raises(DataCheckError, match="A has 2 rows for 2024-01-31"):
        read_csv(tmp_path, "A,2024-01-31,1,2,0.5,1.5,100", f"{other},9,9,9,9,9")


def test_a_key_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv("B,2024-01-31,1,2,0.5,1.5,100"))
    (tmp_path / "b.csv").write_text(csv("A,2024-01-31,1,2,0.5,1.5,100", "B,2024-01-31,1,2,0.5,1.5,100"))
    with pytest.raises(DataCheckError, match=r"B has 2 rows for 2024-01-31, the first in .*a\.csv at row 1"):
        read(tmp_path)


def test_an_instrument_with_an_apostrophe_can_stand_twice_too(tmp_path: Path) -> None:
    with pytest.raises(DataCheckError, match="O'N has 2 rows"):
        read_csv(tmp_path, *["O'N,2024-01-31,1,2,0.5,1.5,100"] * 2)


# Missing columns and rows


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (HEADER.replace("close", "colse"), 'close = "colse"'),
        (HEADER.replace("volume", "vol"), 'volume = "vol"'),
        (HEADER.replace("datetime", "DateTimes"), 'datetime = "DateTimes"'),
        (HEADER.replace("open", "start"), 'open = "its name there"'),
    ],
)
def test_a_missing_column_is_answered_with_the_nearest_and_how_to_map_it(
    tmp_path: Path, header: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_csv(tmp_path, "A,2024-01-31,1,2,0.5,1.5,100", header=header)
    missing = next(ours for ours, theirs in zip(HEADER.split(","), header.split(","), strict=True) if ours != theirs)
    assert caught.value.code is ExitCode.INPUT
    assert f'has no column "{missing}"; its columns: {header.replace(",", ", ")}' in caught.value.message
    assert hint in (caught.value.hint or "")


def test_every_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='has no column "datetime", "low", "volume"'):
        read_csv(tmp_path, "A,1,2,1.5", header="instrument,open,high,close")


def test_a_mapping_to_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(csv("A,2024-01-31,1,2,0.5,1.5,100"))
    with pytest.raises(InputError, match=r'no column "closing", which \[bars\] columns names') as caught:
        read(tmp_path / "bars.csv", columns={"close": "closing"})
    assert caught.value.hint == f"its columns: {HEADER.replace(',', ', ')}"


def test_a_header_alone_is_no_market(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no rows"):
        read_csv(tmp_path)


def test_a_file_without_rows_is_no_market(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no rows"):
        read_frame(tmp_path, **{name: pl.Series([], dtype=pl.Float32) for name in HEADER.split(",")} | {
            "instrument": pl.Series([], dtype=pl.String), "datetime": pl.Series([], dtype=pl.Date)
        })  # fmt: skip


# Other tables through the same door


def test_scores_take_their_column_alone(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("symbol,date,pred,rank\nA,2024-01-31,0.25,1\n")
    connection = connect(LimitsConfig(threads=1))
    make_raw(connection, BarsConfig(source="csv"), tmp_path / "scores.csv")
    assert clean_rows(connection, Wanted(("score",)), "scores", "the scores") == ("score",)
    assert connection.execute("FROM scores").fetchall() == [("A", DAY, 0.25)]
