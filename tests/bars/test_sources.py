"""Every source of bars: the same market gives the same table, whoever wrote it and however it spells things."""

import gzip
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from qts.bars.door import clean_bars
from qts.bars.sources import SOURCES, make_raw
from qts.config import BarsConfig, LimitsConfig
from qts.errors import ConfigError, DataCheckError, ExitCode, InputError, QtsError
from qts.store.engine import connect

NAMES = ("instrument", "datetime", "open", "high", "low", "close", "volume", "vwap", "adj_factor")
DAYS = (date(2024, 1, 30), date(2024, 1, 31), date(2024, 2, 1), date(2024, 2, 2))
MARKET = [
    ("SH600000", DAYS[0], 10.0, 10.5, 9.75, 10.25, 1000.0, 10.125, 1.0),
    ("SH600000", DAYS[1], 10.25, 11.0, 10.25, 10.75, 2000.0, 10.625, 1.0),
    ("SH600000", DAYS[2], 10.75, 10.875, 9.5, 9.625, 3000.0, 10.25, 2.0),
    ("SZ000001", DAYS[2], 88.0, 88.5, 87.0, 87.5, 0.0, 88.0, 1.5),
    ("SZ000001", DAYS[3], 87.5, 90.0, 87.5, 90.0, 450.0, 89.0, 1.5),
]
"""Five bars of two instruments; the numbers are sums of halves, exact in 32 bits."""


def bars(path: Path, **config: Any) -> list[tuple[Any, ...]]:
    """Return the table `bars` as the door leaves it, its column names first."""
    connection = connect(LimitsConfig(threads=2))
    wanted = BarsConfig(path=path, **config)
    make_raw(connection, wanted, path)
    clean_bars(connection, wanted, str(path))
    described = connection.execute("DESCRIBE bars").fetchall()
    assert [row[1] for row in described] == ["VARCHAR", "DATE"] + ["FLOAT"] * (len(described) - 2)
    return [tuple(row[0] for row in described), *connection.execute("FROM bars").fetchall()]


def frame() -> pl.DataFrame:
    return pl.DataFrame(MARKET, schema=NAMES, orient="row")


# One market, every kind of source

Writer = Callable[[Path, pl.DataFrame], dict[str, Any]]
"""Writes bars into a folder; returns the keys of [bars] that read them."""


def write_parquet_file(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    rows.write_parquet(folder / "bars.parquet")
    return {"source": "parquet", "path": folder / "bars.parquet"}


def write_parquet_folder(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    (folder / "2024").mkdir()
    rows.slice(2).write_parquet(folder / "a.parquet")
    rows.head(2).write_parquet(folder / "2024" / "b.pq")
    (folder / "notes.md").write_text("no bars here")
    return {"source": "parquet", "path": folder}


def write_parquet_glob(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    rows.slice(2).write_parquet(folder / "bars-1.parquet")
    rows.head(2).write_parquet(folder / "bars-2.parquet")
    rows.write_parquet(folder / "other.parquet")
    return {"source": "parquet", "path": folder / "bars-*.parquet"}


def write_long_csv(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    rows.reverse().write_csv(folder / "bars.csv")
    return {"source": "csv", "path": folder / "bars.csv"}


def write_compressed_csv(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    (folder / "bars.csv.gz").write_bytes(gzip.compress(rows.write_csv().encode()))
    return {"source": "csv", "path": folder / "bars.csv.gz"}


def write_csv_an_instrument(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    for (name,), own in rows.group_by("instrument"):
        own.drop("instrument").write_csv(folder / f"{name}.csv")
    return {"source": "csv", "path": folder}


def write_database_table(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    connection = connect(LimitsConfig(threads=1))
    rows.write_parquet(folder / "bars.parquet")
    connection.execute(f"ATTACH '{folder / 'market.db'}' AS market; CREATE SCHEMA market.daily")
    connection.execute(f"CREATE TABLE market.daily.bars AS FROM '{folder / 'bars.parquet'}'")
    connection.close()
    return {"source": "duckdb", "path": folder / "market.db", "table": "daily.bars"}


def write_database_query(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    given = write_database_table(folder, rows)
    return given | {"table": None, "query": "SELECT * FROM daily.bars ORDER BY volume;"}


def write_qlib_bin(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    (folder / "calendars").mkdir()
    (folder / "calendars" / "day.txt").write_text("\n".join(map(str, DAYS)))
    for (name,), own in rows.rename({"adj_factor": "factor"}).group_by("instrument", maintain_order=True):
        features = folder / "features" / str(name).lower()
        features.mkdir(parents=True)
        start = DAYS.index(own["datetime"][0])
        for field in own.columns[2:]:
            np.array([start, *own[field]], dtype="<f4").tofile(features / f"{field}.day.bin")
    return {"source": "qlib_bin", "path": folder}


WRITERS = [
    write_parquet_file,
    write_parquet_folder,
    write_parquet_glob,
    write_long_csv,
    write_compressed_csv,
    write_csv_an_instrument,
    write_database_table,
    write_database_query,
    write_qlib_bin,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__.removeprefix("write_"))
def test_every_source_yields_the_same_bars(tmp_path: Path, write: Writer) -> None:
    assert bars(**write(tmp_path, frame())) == [NAMES, *MARKET]


def test_every_kind_of_source_is_among_them(tmp_path: Path) -> None:
    kinds = set()
    for number, write in enumerate(WRITERS):
        (tmp_path / str(number)).mkdir()
        kinds.add(write(tmp_path / str(number), frame())["source"])
    assert kinds == set(SOURCES)


@pytest.mark.parametrize(
    "write",
    [write_parquet_file, write_long_csv, write_csv_an_instrument, write_database_table],
    ids=lambda write: write.__name__.removeprefix("write_"),
)
def test_every_source_keeps_extra_numbers(tmp_path: Path, write: Writer) -> None:
    wider = frame().with_columns(pe=pl.Series([5.5, None, 7.0, 8.0, 9.0]), note=pl.lit("x"))
    found = bars(**write(tmp_path, wider))
    assert found[0] == (*NAMES, "pe")
    assert [row[-1] for row in found[1:]] == [5.5, None, 7.0, 8.0, 9.0]


def test_a_file_that_lacks_an_optional_column_gives_nulls_beside_one_that_has_it(tmp_path: Path) -> None:
    frame().head(3).drop("vwap").write_parquet(tmp_path / "a.parquet")
    frame().slice(3).write_parquet(tmp_path / "b.parquet")
    found = bars(tmp_path, source="parquet")
    assert [row[NAMES.index("vwap")] for row in found[1:]] == [None, None, None, 88.0, 89.0]


# Names of columns

THEIRS = "code;day;o;h;l;c;vol\nSH600000;2024-01-31;1;2;0.5;1.5;100\n"
OURS = [NAMES[:7], ("SH600000", date(2024, 1, 31), 1.0, 2.0, 0.5, 1.5, 100.0)]


def test_columns_are_mapped_from_the_vendor_s_names(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(THEIRS)
    mapping = {"datetime": "day", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "vol"}
    assert bars(tmp_path / "bars.csv", source="csv", columns=mapping) == OURS


@pytest.mark.parametrize(
    "header",
    [
        "symbol,date,open,high,low,close,volume",
        "Ticker,Trade_Date,Open,High,Low,Close,Volume",
        "CODE,TIMESTAMP,OPEN,HIGH,LOW,CLOSE,VOLUME",
        " instrument , datetime , open , high , low , close , volume ",
    ],
)
def test_other_names_that_everyone_uses_need_no_mapping(tmp_path: Path, header: str) -> None:
    (tmp_path / "bars.csv").write_text(f"{header}\nSH600000,2024-01-31,1,2,0.5,1.5,100\n")
    assert bars(tmp_path / "bars.csv", source="csv") == OURS


def test_factor_is_the_adjustment_ratio(tmp_path: Path) -> None:
    frame().rename({"adj_factor": "Factor"}).write_parquet(tmp_path / "bars.parquet")
    assert bars(tmp_path / "bars.parquet", source="parquet") == [NAMES, *MARKET]


def test_our_own_name_beats_another_name_for_it(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(
        "symbol,instrument,date,datetime,open,high,low,close,volume\nB,SH600000,x,2024-01-31,1,2,0.5,1.5,100\n"
    )
    assert bars(tmp_path / "bars.csv", source="csv") == OURS


def test_a_mapping_beats_a_column_of_our_own_name(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(
        "instrument,datetime,open,high,low,close,raw,volume\nSH600000,2024-01-31,1,2,0.5,9,1.5,100\n"
    )
    found = bars(tmp_path / "bars.csv", source="csv", columns={"close": "raw"})
    assert found[1] == OURS[1]


def test_an_extra_column_can_be_mapped_to_a_name_of_its_own(tmp_path: Path) -> None:
    frame().with_columns(pl.lit(5.5).alias("PE (TTM)")).write_parquet(tmp_path / "bars.parquet")
    found = bars(tmp_path / "bars.parquet", source="parquet", columns={"pe": "PE (TTM)"})
    assert found[0] == (*NAMES, "pe")


# One CSV an instrument

ONE = "date,open,high,low,close,volume\n2024-01-31,1,2,0.5,1.5,100\n"


@pytest.mark.parametrize("names", [("SH600000", "SZ000001"), ("600000.SH", "600000.SZ"), ("BRK.A", "BRK.B"), ("A",)])
def test_the_whole_file_name_is_the_instrument(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / f"{name}.csv").write_text(ONE)
    assert tuple(row[0] for row in bars(tmp_path, source="csv")[1:]) == names


def test_a_compressed_file_is_named_after_its_instrument_too(tmp_path: Path) -> None:
    (tmp_path / "SH600000.csv.gz").write_bytes(gzip.compress(ONE.encode()))
    assert bars(tmp_path, source="csv") == OURS


@pytest.mark.parametrize("names", [("SH600000", "SZ000001"), ("SH600000",)])
def test_a_glob_reads_files_as_a_folder_does_however_many_there_are(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / f"{name}.csv").write_text(ONE)
    assert tuple(row[0] for row in bars(tmp_path / "*.csv", source="csv")[1:]) == names


def test_one_file_by_its_name_is_a_long_file_and_needs_the_column(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(ONE)
    with pytest.raises(InputError, match='has no column "instrument"'):
        bars(tmp_path / "bars.csv", source="csv")


def test_an_instrument_column_beats_the_file_name(tmp_path: Path) -> None:
    for name in ("2023", "2024"):
        (tmp_path / f"{name}.csv").write_text(
            f"instrument,date,open,high,low,close,volume\nA,{name}-01-31,1,2,0.5,1.5,100\n"
        )
    assert [row[:2] for row in bars(tmp_path, source="csv")[1:]] == [("A", date(2023, 1, 31)), ("A", date(2024, 1, 31))]


# Days


def read_day(folder: Path, written: str, date_format: str | None = None) -> date:
    """Return the day of a one-row CSV."""
    (folder / "bars.csv").write_text(
        f'instrument,datetime,open,high,low,close,volume\nA,"{written}",1,2,0.5,1.5,100\n', encoding="utf-8"
    )
    found: date = bars(folder / "bars.csv", source="csv", date_format=date_format)[1][1]
    return found


@pytest.mark.parametrize(
    "written",
    [
        "2024-01-31",
        "2024-1-31",
        "20240131",
        "2024/01/31",
        "2024/1/31",
        "2024.01.31",
        "31-Jan-2024",
        "31 Jan 2024",
        " 2024-01-31 ",
        "2024-01-31 00:00:00",
        "2024-01-31T00:00:00",
    ],
)
def test_iso_and_common_dates_are_known(tmp_path: Path, written: str) -> None:
    assert read_day(tmp_path, written) == date(2024, 1, 31)


@pytest.mark.parametrize(
    ("written", "date_format"),
    [("31/01/2024", "%d/%m/%Y"), ("01/31/2024", "%m/%d/%Y"), ("310124", "%d%m%y"), ("2024年1月31日", "%Y年%m月%d日")],
)
def test_a_date_format_reads_any_other_form(tmp_path: Path, written: str, date_format: str) -> None:
    assert read_day(tmp_path, written, date_format) == date(2024, 1, 31)


@pytest.mark.parametrize(
    "written", ["31/01/2024", "01/31/2024", "24-01-31", "31-Jan-24", "1/2/24", "240131", "2024-02-30", "soon"]
)
def test_a_date_that_could_be_another_day_or_is_none_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(DataCheckError) as caught:
        read_day(tmp_path, written)
    assert f"row 1 is '{written}', not a day" in caught.value.message
    assert "date_format" in (caught.value.hint or "")


def test_a_date_in_another_form_than_the_date_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataCheckError, match="row 1 is '2024-01-31', not a day"):
        read_day(tmp_path, "2024-01-31", "%d/%m/%Y")


def test_a_date_format_that_is_none_is_the_config_s_fault(tmp_path: Path) -> None:
    with pytest.raises(QtsError, match="date_format") as caught:
        read_day(tmp_path, "2024-01-31", "%Y-%Q")
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize(
    "days",
    [
        pl.Series([20240131], dtype=pl.Int64),
        pl.Series([20240131], dtype=pl.Int32),
        pl.Series(["20240131"]),
        pl.Series([date(2024, 1, 31)]),
        pl.Series([datetime(2024, 1, 31)]),  # noqa: DTZ001 - a market's day has no zone
        pl.Series([datetime(2024, 1, 31)], dtype=pl.Datetime("ns")),  # noqa: DTZ001 - as above
    ],
    ids=lambda days: str(days.dtype),
)
def test_days_may_be_numbers_texts_dates_or_timestamps_at_midnight(tmp_path: Path, days: pl.Series) -> None:
    frame().head(1).with_columns(datetime=days).write_parquet(tmp_path / "bars.parquet")
    assert bars(tmp_path / "bars.parquet", source="parquet")[1][1] == date(2024, 1, 31)


@pytest.mark.parametrize("written", ["2024-01-31 09:30:00", "2024-01-31T00:00:01"])
def test_an_intraday_stamp_as_text_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(DataCheckError) as caught:
        read_day(tmp_path, written)
    assert "not a day" in caught.value.message
    assert "write" in (caught.value.hint or "")


def test_an_intraday_stamp_by_a_date_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataCheckError, match="not a day"):
        read_day(tmp_path, "20240131 0930", "%Y%m%d %H%M")


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Shanghai"])
def test_an_intraday_timestamp_is_refused(tmp_path: Path, zone: str | None) -> None:
    stamps = pl.Series([datetime(2024, 1, 31, 9, 31)] * 5, dtype=pl.Datetime("us")).dt.replace_time_zone(zone)  # noqa: DTZ001 - as above
    frame().with_columns(datetime=stamps).write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataCheckError, match=r"not a day \(5 such rows\)"):
        bars(tmp_path / "bars.parquet", source="parquet")


def test_a_number_that_is_no_day_is_refused(tmp_path: Path) -> None:
    frame().with_columns(datetime=pl.lit(1706659200)).write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataCheckError, match=r"row 1 is .?1706659200.?, not a day"):
        bars(tmp_path / "bars.parquet", source="parquet")


# What cannot be read


def spoil(folder: Path) -> None:
    """Put a file of each bad kind into a folder."""
    (folder / "empty.csv").touch()
    (folder / "empty.parquet").touch()
    (folder / "torn.parquet").write_bytes(b"PAR1 and no more")
    (folder / "torn.csv.gz").write_bytes(b"not compressed")
    (folder / "torn.db").write_bytes(b"no database" * 99)
    (folder / "blank").mkdir()


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        ("csv", "missing.csv", "no file or folder"),
        ("parquet", "missing-*.parquet", "no file matches"),
        ("parquet", "blank", "no .parquet or .pq file in the folder"),
        ("csv", "blank", "no .csv or .csv.gz or .txt file in the folder"),
        ("csv", "empty.csv", "is empty"),
        ("parquet", "empty.parquet", "is empty"),
        ("parquet", "torn.parquet", "as parquet"),
        ("csv", "torn.csv.gz", "cannot read"),
        ("qlib_bin", "blank", "no calendar file"),
    ],
)
def test_an_unreadable_path_is_named_with_what_to_check(tmp_path: Path, source: str, path: str, message: str) -> None:
    spoil(tmp_path)
    with pytest.raises(InputError) as caught:
        bars(tmp_path / path, source=source)
    assert caught.value.code is ExitCode.INPUT
    assert str(tmp_path / path) in caught.value.message
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("path", "relation", "message"),
    [
        ("missing.db", {"table": "bars"}, "no database file"),
        ("torn.db", {"table": "bars"}, "as duckdb"),
        ("market.db", {"table": "daily.brs"}, "brs"),
        ("market.db", {"query": "SELECT * FROM nothing"}, "nothing"),
        ("market.db", {"query": "SELEC 1"}, "syntax error"),
        ("market.db", {"query": "DROP TABLE daily.bars"}, "syntax error"),
    ],
)
def test_a_database_without_the_relation_is_named(
    tmp_path: Path, path: str, relation: dict[str, str], message: str
) -> None:
    spoil(tmp_path)
    write_database_table(tmp_path, frame())
    with pytest.raises(InputError) as caught:
        bars(tmp_path / path, source="duckdb", **relation)
    assert str(tmp_path / path) in caught.value.message
    assert message in caught.value.message


def test_a_query_may_end_in_a_comment(tmp_path: Path) -> None:
    given = write_database_query(tmp_path, frame()) | {"query": "SELECT * FROM daily.bars -- all of them"}
    assert bars(**given) == [NAMES, *MARKET]


def test_reading_a_database_leaves_it_as_it_was(tmp_path: Path) -> None:
    given = write_database_table(tmp_path, frame())
    before = given["path"].read_bytes()
    bars(**given)
    assert given["path"].read_bytes() == before


@pytest.mark.parametrize("row", ["A,2024-01-31,1", "A,2024-01-31,1,2,0.5,1.5,100,7,8"], ids=["short", "long"])
@pytest.mark.parametrize("n_before", [2, 30_000])
def test_a_row_of_another_length_is_a_torn_file_not_a_wrong_header(tmp_path: Path, row: str, n_before: int) -> None:
    days = pl.date_range(date(1900, 1, 1), date(1999, 1, 1), eager=True).head(n_before)
    whole = [f"A,{day},1,2,0.5,1.5,100" for day in days]
    header = "instrument,datetime,open,high,low,close,volume"
    (tmp_path / "bars.csv").write_text("\n".join([header, *whole, row, ""]))
    with pytest.raises((InputError, DataCheckError), match=r"bars\.csv") as caught:
        bars(tmp_path / "bars.csv", source="csv")
    assert "has no column" not in caught.value.message


def test_a_quoted_text_may_first_come_far_down_a_file(tmp_path: Path) -> None:
    days = pl.date_range(date(1900, 1, 1), date(1999, 1, 1), eager=True).head(25_000)
    plain = [f"A,{day},1,2,0.5,1.5,100" for day in days]
    header = "instrument,datetime,open,high,low,close,volume"
    (tmp_path / "bars.csv").write_text("\n".join([header, *plain, '"B, C",2024-01-31,1,2,0.5,1.5,100', ""]))
    assert bars(tmp_path / "bars.csv", source="csv")[-1][0] == "B, C"


def test_files_whose_columns_do_not_fit_together_are_an_input_error(tmp_path: Path) -> None:
    frame().head(2).write_parquet(tmp_path / "a.parquet")
    numbers = frame().slice(2).with_columns(pl.col("datetime").dt.strftime("%Y%m%d").cast(pl.Int64))
    numbers.write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet"):
        bars(tmp_path, source="parquet")


@pytest.mark.parametrize("name", ["it's.csv", "bars[1].csv", "b rs.csv", "日线.csv"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    frame().write_csv(tmp_path / name)
    assert bars(tmp_path / name, source="csv") == [NAMES, *MARKET]


def test_an_unknown_source_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match='unknown bar source "qlib_bins"') as caught:
        SOURCES["qlib_bins"]
    assert caught.value.hint == 'did you mean "qlib_bin"?'
