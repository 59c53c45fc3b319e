"""The panel: one row a calendar day between first and last bar, against a twin in plain Python and golden edges."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.bars.door import clean_bars
from qts.bars.panel import lay_out, make_panel
from qts.bars.sources import make_raw
from qts.config import BarsConfig, LimitsConfig
from qts.expr.stages import PANEL_COLUMNS
from qts.store.engine import connect
from tests.golden_market import open_golden_market

GOLDEN = Path(__file__).parents[1] / "golden"
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2024, 1, 1) + timedelta(days=n) for n in range(5))

Bars = Mapping[tuple[str, date], float | None]
"""Instrument and day → close; None is a bar without a close."""


def panel(bars: Bars) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return the tables `calendar` and `panel` as they lie, but for padding: instrument, datetime, row number, close."""
    connection = open_panel(bars)
    rows = connection.execute("SELECT instrument, datetime, row_number, field_close FROM panel WHERE row_number > 0")
    found = rows.fetchall()
    return connection.execute("FROM calendar").fetchall(), found


def open_panel(bars: Bars, padding: int = 1) -> duckdb.DuckDBPyConnection:
    connection = connect(LimitsConfig(threads=1))
    schema = {"instrument": pl.String, "datetime": pl.Date, "close": pl.Float32}
    rows = pl.DataFrame([(*key, value) for key, value in bars.items()], schema=schema, orient="row")
    connection.register("bars", rows.to_arrow())
    make_panel(connection, ("close",), padding)
    names = [row[0] for row in connection.execute("DESCRIBE panel").fetchall()]
    assert {*names} == {*PANEL_COLUMNS, "field_close"}
    return connection


def test_a_day_without_a_bar_between_two_is_a_row_of_nulls() -> None:
    bars = {("A", MONDAY): 1.5, ("A", WEDNESDAY): 2.5, ("B", MONDAY): 3.5, ("B", TUESDAY): 4.5, ("B", WEDNESDAY): 5.5}
    assert panel(bars)[1] == [
        ("A", MONDAY, 1, 1.5),
        ("A", TUESDAY, 2, None),
        ("A", WEDNESDAY, 3, 2.5),
        ("B", MONDAY, 1, 3.5),
        ("B", TUESDAY, 2, 4.5),
        ("B", WEDNESDAY, 3, 5.5),
    ]


def test_there_is_no_row_before_the_first_bar_or_after_the_last() -> None:
    whole = {("A", day): 1.0 for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)}
    late, gone = {("LATE", THURSDAY): 2.0, ("LATE", FRIDAY): 3.0}, {("GONE", MONDAY): 4.0, ("GONE", TUESDAY): 5.0}
    rows = panel(whole | late | gone)[1]
    assert [row[1:] for row in rows if row[0] == "LATE"] == [(THURSDAY, 1, 2.0), (FRIDAY, 2, 3.0)]
    assert [row[1:] for row in rows if row[0] == "GONE"] == [(MONDAY, 1, 4.0), (TUESDAY, 2, 5.0)]


def test_a_day_on_which_nobody_trades_is_no_day() -> None:
    calendar, rows = panel({("A", MONDAY): 1.0, ("A", FRIDAY): 2.0, ("B", TUESDAY): 3.0})
    assert calendar == [(MONDAY, 0), (TUESDAY, 1), (FRIDAY, 2)]
    assert rows == [("A", MONDAY, 1, 1.0), ("A", TUESDAY, 2, None), ("A", FRIDAY, 3, 2.0), ("B", TUESDAY, 1, 3.0)]


def test_a_bar_without_a_close_is_a_row_at_either_end() -> None:
    rows = panel({("A", MONDAY): None, ("A", TUESDAY): 1.0, ("A", WEDNESDAY): None})[1]
    assert [row[2:] for row in rows] == [(1, None), (2, 1.0), (3, None)]


def test_every_field_has_a_column_of_its_own() -> None:
    connection = connect(LimitsConfig(threads=1))
    connection.execute(
        "CREATE TABLE bars AS SELECT 'A' AS instrument, DATE '2024-01-01' AS datetime, "
        '1.5::FLOAT AS close, 2.5::FLOAT AS "order", 3.5::FLOAT AS row_number'
    )
    make_panel(connection, ("close", "order", "row_number"))
    assert connection.execute(
        'SELECT row_number, field_close, "field_order", field_row_number FROM panel WHERE row_number > 0'
    ).fetchall() == [(1, 1.5, 2.5, 3.5)]


def naive_panel(bars: Bars) -> list[tuple[str, date, int, float | None]]:
    calendar = sorted({day for _, day in bars})
    rows = []
    for name in sorted({name for name, _ in bars}):
        own = [day for other, day in bars if other == name]
        lifetime = [day for day in calendar if min(own) <= day <= max(own)]
        rows += [(name, day, n, bars.get((name, day))) for n, day in enumerate(lifetime, start=1)]
    return rows


KEYS = st.tuples(
    st.sampled_from(["A", "B10", "B9", "a", "É", "中"]), st.integers(0, 11).map(lambda n: MONDAY + timedelta(n))
)
CLOSES = st.one_of(st.none(), st.integers(-99, 99).map(lambda n: n / 4))


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(KEYS, CLOSES, min_size=1, max_size=25))
def test_ragged_histories_become_the_panel_of_the_naive_twin(bars: dict[tuple[str, date], float | None]) -> None:
    calendar, rows = panel(bars)
    assert calendar == [(day, position) for position, day in enumerate(sorted({day for _, day in bars}))]
    assert rows == naive_panel(bars)


FAR = 1_000_000


def test_before_each_instrument_stand_padding_rows_of_nothing() -> None:
    bars = {("A", MONDAY): 1.5, ("A", TUESDAY): 2.5, ("B", TUESDAY): 3.5}
    rows = open_panel(bars, padding=2).execute("SELECT instrument, datetime, row_number, field_close FROM panel")
    assert rows.fetchall() == [
        ("A", None, -1, None),
        ("A", None, 0, None),
        ("A", MONDAY, 1, 1.5),
        ("A", TUESDAY, 2, 2.5),
        ("B", None, -1, None),
        ("B", None, 0, None),
        ("B", TUESDAY, 1, 3.5),
    ]


def test_positions_have_no_gap_and_padding_is_far_from_what_is_asked_for() -> None:
    bars = {("A", MONDAY): 1.5, ("A", TUESDAY): 2.5, ("B", TUESDAY): 3.5}
    rows = open_panel(bars).execute("SELECT position, rows_since, rows_left FROM panel").fetchall()
    assert [row[0] for row in rows] == [0, 1, 2, 3, 4]
    assert [row[1:] for row in rows if row[1] >= -FAR] == [(0, 1), (1, 0), (0, 0)]
    assert all(since < -FAR and left > FAR for at, since, left in rows if at in (0, 3))


@pytest.mark.parametrize(("start", "n_padding"), [(1, 2), (3, 1), (4, 1)])
def test_rows_that_stand_before_what_is_asked_for_save_padding_but_never_all(start: int, n_padding: int) -> None:
    """Of A's four rows the last is asked for; rows from `start` on are laid out under their own numbers."""
    days = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)
    connection = open_panel({("A", day): float(at) for at, day in enumerate(days, start=1)})
    connection.execute(f"UPDATE spans SET start = {start - 1}, wanted_from = 3")
    lay_out(connection, ("close",), "bars", padding=2, table="news")
    rows = connection.execute("SELECT position, row_number, rows_since, rows_left, field_close FROM news").fetchall()
    assert [row[0] for row in rows] == [*range(len(rows))]
    assert [(row[1], row[4]) for row in rows[:n_padding]] == [(n, None) for n in range(1 - n_padding, 1)]
    assert [row[1:] for row in rows[n_padding:]] == [(n, n - 4, 4 - n, float(n)) for n in range(start, 5)]


# The golden market


SHOWN = (
    "SELECT * EXCLUDE (position, rows_since, rows_left, rows_whole) REPLACE (CAST(instrument AS VARCHAR) AS instrument) "
    "FROM panel WHERE row_number > 0"
)


@pytest.fixture(scope="module")
def market() -> pl.DataFrame:
    return pl.DataFrame(open_golden_market(GOLDEN).connection.sql(SHOWN).to_arrow_table())


@pytest.mark.parametrize(
    ("role", "n_days"), [("susp_long", 37), ("susp_multi", 17), ("susp_reenter", 20), ("limit", 2)]
)
def test_suspended_days_of_the_golden_market_are_rows_of_nulls(market: pl.DataFrame, role: str, n_days: int) -> None:
    edge = json.loads((GOLDEN / "bars/edges.json").read_text())[f"missing rows ({role})"]
    own = market.filter(pl.col("instrument") == edge["instrument"])
    fields = [name for name in own.columns if name.startswith("field_")]
    suspended = own.filter(pl.all_horizontal(pl.col(fields).is_null()))["datetime"].cast(pl.String).to_list()
    assert (len(suspended), suspended) == (n_days, edge["dates"])


@pytest.mark.parametrize(("role", "first", "last"), [("late", 305, 419), ("delisted", 0, 200), ("short8", 250, 257)])
def test_golden_lives_that_start_late_or_end_early_have_their_days(
    market: pl.DataFrame, role: str, first: int, last: int
) -> None:
    calendar = (GOLDEN / "bars/calendar.txt").read_text().split()
    name = json.loads((GOLDEN / "bars/roles.json").read_text())[role]
    own = market.filter(pl.col("instrument") == name)
    assert own["datetime"].cast(pl.String).to_list() == calendar[first : last + 1]
    assert own["row_number"].to_list() == list(range(1, last - first + 2))


def test_a_qlib_folder_gives_the_same_panel_as_a_table_without_suspended_days(market: pl.DataFrame) -> None:
    connection = connect(LimitsConfig(threads=2))
    config = BarsConfig(source="qlib_bin")
    make_raw(connection, config, GOLDEN / "qlib_data")
    make_panel(connection, clean_bars(connection, config, "golden folder"))
    from_qlib = pl.DataFrame(connection.sql(SHOWN).to_arrow_table())
    assert from_qlib.drop("field_change").equals(market)
