"""Universes: dated membership from a CSV or from Qlib's instruments file."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from qts.bars.universe import read_universe
from qts.config import LimitsConfig
from qts.errors import DataCheckError, ExitCode, InputError, QtsError
from qts.store.engine import connect

GOLDEN = Path(__file__).parents[1] / "golden"
FOREVER = date(9999, 12, 31)
FIRST, LAST, NEXT = date(2024, 1, 2), date(2024, 3, 4), date(2024, 5, 6)

Interval = tuple[str, date, date]


def intervals(path: Path) -> list[Interval]:
    """Return the table `universe`, in the order of the file."""
    connection = connect(LimitsConfig(threads=1))
    n_rows = read_universe(connection, path)
    rows = connection.execute('SELECT instrument, "start", "end" FROM universe ORDER BY row').fetchall()
    assert len(rows) == n_rows
    return rows


def read(folder: Path, text: str, name: str = "universe.csv") -> list[Interval]:
    (folder / name).write_text(text, encoding="utf-8")
    return intervals(folder / name)


def refusal(folder: Path, text: str) -> QtsError:
    with pytest.raises(QtsError) as caught:
        read(folder, text)
    assert str(folder / "universe.csv") in caught.value.message
    assert caught.value.hint
    return caught.value


# CSV


def test_a_csv_has_a_row_for_each_interval(tmp_path: Path) -> None:
    text = "instrument,start,end\nA,2024-01-02,2024-03-04\nB,2024-01-02,2024-01-02\nA,2024-05-06,2024-05-06\n"
    assert read(tmp_path, text) == [("A", FIRST, LAST), ("B", FIRST, FIRST), ("A", NEXT, NEXT)]


@pytest.mark.parametrize("row", ["A,2024-01-02,", "A,2024-01-02,  ", "A,2024-01-02", 'A,2024-01-02,""'])
def test_an_open_end_lasts_for_ever(tmp_path: Path, row: str) -> None:
    text = f"instrument,start,end\nB,2024-01-02,2024-03-04\n{row}\n"
    assert read(tmp_path, text)[1] == ("A", FIRST, FOREVER)


@pytest.mark.parametrize(
    "text",
    [
        "end,weight,Instrument,START\n2024-03-04,0.5,A,2024-01-02\n",
        "instrument, start, end\n A , 2024-01-02 , 2024-03-04 \n",
        "instrument\tstart\tend\nA\t2024-01-02\t2024-03-04\n",
        '"instrument","start","end"\n"A","2024-01-02","2024-03-04"\n',
        "\ufeffinstrument,start,end\r\nA,2024-01-02,2024-03-04\r\n",
        "instrument,start,end\n\nA,2024-01-02,2024-03-04\n\n",
        "instrument,start,end\nA,2024/01/02,2024-03-04 00:00:00\n",
    ],
    ids=["another order", "blanks", "tabs", "quotes", "byte-order mark", "blank lines", "other days"],
)
def test_a_csv_is_read_as_other_tools_write_it(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [("A", FIRST, LAST)]


def test_leading_zeros_of_an_instrument_are_kept(tmp_path: Path) -> None:
    assert read(tmp_path, "instrument,start,end\n000001,2024-01-02,2024-03-04\n")[0][0] == "000001"


# Qlib's instruments file


def test_qlib_s_file_has_no_header_and_tabs(tmp_path: Path) -> None:
    text = "SH1\t2024-01-02\t2024-03-04\nSZ2\t2024-01-02\t2024-05-06\nSH1\t2024-05-06\t2024-05-06\n"
    assert read(tmp_path, text, "csi300.txt") == [("SH1", FIRST, LAST), ("SZ2", FIRST, NEXT), ("SH1", NEXT, NEXT)]


def test_only_the_first_three_columns_of_qlib_s_file_count(tmp_path: Path) -> None:
    text = "SH1\t2024-01-02\t2024-03-04\tfirst\t1\nSZ2\t2024-01-02\t2024-05-06\tsecond\t2\n"
    assert read(tmp_path, text, "csi300.txt") == [("SH1", FIRST, LAST), ("SZ2", FIRST, NEXT)]


@pytest.mark.parametrize("row", ["SZ2\t2024-01-02\t", "SZ2\t2024-01-02"])
def test_an_open_end_of_qlib_s_file_lasts_for_ever(tmp_path: Path, row: str) -> None:
    assert read(tmp_path, f"SH1\t2024-01-02\t2024-03-04\n{row}\n")[1] == ("SZ2", FIRST, FOREVER)


def test_the_golden_membership_is_read_from_qlib_s_file() -> None:
    want = pl.read_parquet(GOLDEN / "bars/csi_demo.parquet").rows()
    assert intervals(GOLDEN / "qlib_data/instruments/csi_demo.txt") == want


def test_the_golden_membership_is_read_from_a_csv(tmp_path: Path) -> None:
    want = pl.read_parquet(GOLDEN / "bars/csi_demo.parquet")
    assert read(tmp_path, want.write_csv()) == want.rows()


# What is refused


def test_a_start_after_the_end_is_refused_with_its_row(tmp_path: Path) -> None:
    problem = refusal(tmp_path, "instrument,start,end\nA,2024-01-02,2024-03-04\nB,2024-03-04,2024-01-02\n")
    assert (type(problem), problem.code) == (DataCheckError, ExitCode.DATA_CHECK)
    assert problem.message.startswith("row 2 of the universe ")
    assert problem.message.endswith("B is a member from 2024-03-04 to 2024-01-02")


@pytest.mark.parametrize("row", ["B,2024-02-30,2024-03-04", "B,soon,2024-03-04", "B,,2024-03-04", "B,2024-01-02,soon"])
def test_a_day_that_is_none_is_refused_with_its_row(tmp_path: Path, row: str) -> None:
    problem = refusal(tmp_path, f"instrument,start,end\nA,2024-01-02,2024-03-04\n{row}\n")
    assert type(problem) is DataCheckError
    assert problem.message.startswith("row 2 of the universe ")
    assert "B is a member from" in problem.message


def test_a_member_without_a_name_is_refused_with_its_row(tmp_path: Path) -> None:
    problem = refusal(tmp_path, "instrument,start,end\nA,2024-01-02,2024-03-04\n,2024-01-02,2024-03-04\n")
    assert type(problem) is DataCheckError
    assert problem.message.startswith("row 2 of the universe ")


@pytest.mark.parametrize("text", ["", "\n \n", "instrument,start,end\n"])
def test_an_empty_universe_is_refused(tmp_path: Path, text: str) -> None:
    problem = refusal(tmp_path, text)
    assert (type(problem), problem.code) == (InputError, ExitCode.INPUT)
    assert "is empty" in problem.message


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("instrument,start", "end"),
        ("instrument,end", "start"),
        ("instrument,from,to", "end, start"),
        ("symbol,start,end", "instrument"),
    ],
)
def test_a_missing_column_is_named(tmp_path: Path, header: str, missing: str) -> None:
    row = ",".join(["A", "2024-01-02", "2024-03-04"][: header.count(",") + 1])
    problem = refusal(tmp_path, f"{header}\n{row}\n")
    assert type(problem) is InputError
    assert f"has no column {missing}" in problem.message
    assert problem.hint == "its header must be instrument,start,end"


def test_a_missing_file_is_an_input_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no universe file .*csi300\.txt") as caught:
        intervals(tmp_path / "csi300.txt")
    assert (caught.value.code, caught.value.hint) == (ExitCode.INPUT, "check [bars] universe")


@pytest.mark.parametrize("content", [b"PAR1\x00\xff\xfe", b"A\nB\n"], ids=["no text", "one column"])
def test_a_file_of_another_kind_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "universe.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read the universe .*universe\.csv") as caught:
        intervals(tmp_path / "universe.csv")
    assert "instruments file" in (caught.value.hint or "")
