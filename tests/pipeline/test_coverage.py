"""Coverage: the share of days with a bar, by instrument and month, and how a large market is made small."""

import duckdb
import pytest

import qts.pipeline.coverage as coverage_module
from qts.config import LimitsConfig
from qts.pipeline.coverage import OUTSIDE, cover
from qts.store.engine import connect

ROWS = """('A', '2024-01-30', 1), ('A', '2024-01-31', 1), ('A', '2024-03-01', 1), ('B', '2024-01-31', 1), ('B', '2024-02-01', NULL),
('B', '2024-02-02', 1), ('C', '2024-02-01', 1), ('C', '2024-03-01', 1), ('C', '2024-03-04', 1)"""


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    connection = connect(LimitsConfig(threads=1))
    connection.execute(
        f"CREATE TABLE bars AS SELECT i AS instrument, d::DATE AS datetime, c::FLOAT AS close FROM (VALUES {ROWS}) AS v(i, d, c)"
    )
    return connection


def test_a_share_is_of_the_calendar_and_life_ends_with_the_last_bar(connection: duckdb.DuckDBPyConnection) -> None:
    seen = cover(connection, "bars")
    assert (seen.names, seen.periods) == (["A", "B", "C"], ["2024-01-01", "2024-02-01", "2024-03-01"])
    assert seen.percent.tolist() == [[100, 0, 50], [50, 50, OUTSIDE], [OUTSIDE, 50, 100]]


def test_a_large_market_is_drawn_in_bands_and_longer_periods(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_module, "MOST_ROWS", 2)
    monkeypatch.setattr(coverage_module, "MOST_COLUMNS", 2)
    seen = cover(connection, "bars")
    assert (seen.names, seen.periods) == (["A … B", "C"], ["2024-01-01"])
    assert seen.percent.tolist() == [[42], [50]]
