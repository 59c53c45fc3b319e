"""The data gate: each rule on both sides of its threshold, what each action does, and that no row is lost unseen."""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import duckdb
import pytest
from pydantic import ValidationError

from qts import clock
from qts.bars.gate import GateReport, judge, pass_gate
from qts.bars.rules import RULES
from qts.config import CheckActions, CheckConfig, LimitsConfig
from qts.errors import DataCheckError, ExitCode
from qts.json_text import to_json
from qts.store.engine import connect

FIELDS = ("open", "high", "low", "close", "volume", "adj_factor", "amount", "change")
TODAY = date(2024, 1, 31)
DATABASE = connect(LimitsConfig(threads=1))
"""One for all tests: to open one costs as much as to judge."""

Row = dict[str, Any]


def day(number: int) -> date:
    """Day 1 is Monday, the first of January 2024; day 0 the Sunday before."""
    return date(2023, 12, 31) + timedelta(number)


def bar(instrument: str, at: int, **changes: Any) -> Row:
    """Return a sound bar, but for the changes."""
    sound = {"open": 10.0, "high": 11.0 + at / 100, "low": 9.0, "close": 10.0, "volume": 100.0, "adj_factor": 1.0}
    return {"instrument": instrument, "datetime": day(at), **sound, "is_new": True} | changes


def bars(names: str, days: Iterable[int], **changes: Any) -> list[Row]:
    return [bar(name, at, **changes) for name in names for at in days]


def arrive(rows: list[Row], universe: list[tuple[str, int, int]] | None = None) -> duckdb.DuckDBPyConnection:
    """Make the table `arrived`, sorted by key as the door does, and `universe` if it is given."""
    connection = DATABASE.cursor()
    for table in ("arrived", "quarantined", "universe"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    numbers = "".join(f'"{name}" FLOAT, ' for name in FIELDS)
    connection.execute(
        f"CREATE TABLE arrived (instrument VARCHAR, datetime DATE, {numbers}sector VARCHAR, is_new BOOLEAN)"
    )
    names = ("instrument", "datetime", *FIELDS, "sector", "is_new")
    connection.executemany(
        f"INSERT INTO arrived VALUES ({', '.join('?' * len(names))})",
        [
            [row.get(name) for name in names]
            for row in sorted(rows, key=lambda row: (row["instrument"], row["datetime"]))
        ],
    )
    if universe is not None:
        connection.execute('CREATE TABLE universe (instrument VARCHAR, start DATE, "end" DATE)')
        for name, start, end in universe:
            connection.execute("INSERT INTO universe VALUES (?, ?, ?)", [name, day(start), day(end)])
    return connection


def look(rows: list[Row], universe: list[tuple[str, int, int]] | None = None, **config: Any) -> GateReport:
    return judge(arrive(rows, universe), CheckConfig(**config), FIELDS, today=TODAY)


def found(report: GateReport) -> dict[str, int]:
    return {finding.rule: finding.n_rows for finding in report.findings}


def told(report: GateReport, rule: str) -> list[str]:
    return [str(example) for finding in report.findings if finding.rule == rule for example in finding.examples]


def let_in(rows: list[Row], **actions: str) -> tuple[duckdb.DuckDBPyConnection, GateReport]:
    connection = arrive(rows)
    config = CheckConfig(actions=CheckActions.model_validate(actions))
    return connection, pass_gate(connection, config, FIELDS, today=TODAY)


# What is found, and what is not


def test_sound_bars_are_sound() -> None:
    report = look(bars("AB", range(1, 6)))
    assert (report.findings, report.n_rows, report.n_quarantined) == ((), 10, 0)


@pytest.mark.parametrize(
    ("rule", "broken", "kept"),
    [
        ("future", {"datetime": date(2024, 2, 1)}, {"datetime": TODAY}),
        ("non_positive", {"low": 0.0}, {"low": 0.01}),
        ("non_positive", {"open": -10.0}, {"open": 9.5}),
        ("crossed", {"high": 9.9, "low": 10.0, "open": 9.9, "close": 9.9}, {"high": 9.9999, "low": 10.0}),
        ("crossed", {"open": 11.2}, {"open": 11.03}),
        ("crossed", {"open": 8.9}, {"open": 8.9995}),
        ("crossed", {"close": 11.2}, {"close": 11.03}),
        ("crossed", {"close": 8.9}, {"close": 8.9995}),
        ("negative_volume", {"volume": -1.0}, {"volume": 0.0}),
        ("bad_factor", {"adj_factor": 0.0}, {"adj_factor": 0.01}),
        ("bad_factor", {"adj_factor": -1.0}, {"adj_factor": None}),
        ("partial_bar", {"open": None}, {}),
        ("partial_bar", {"open": None, "high": None, "low": None, "close": None}, {}),
        ("jump", {"close": 14.6, "high": 15.0}, {"close": 14.4, "high": 15.0}),
        ("jump", {"close": 6.8, "low": 6.0}, {"close": 7.0, "low": 6.0}),
        ("missing_bar", {"open": None, "high": None, "low": None, "close": None, "volume": None}, {}),
        ("zero_volume", {"volume": 0.0}, {"volume": 1.0}),
        ("missing_volume", {"volume": None}, {"volume": 1.0}),
    ],
)
def test_a_row_on_either_side_of_a_rule(rule: str, broken: Row, kept: Row) -> None:
    before = bars("A", (1, 2))
    wrong = look([*before, bar("A", 3, **broken)])
    assert found(wrong)[rule] == 1
    assert rule not in found(look([*before, bar("A", 3, **kept)]))
    (finding,) = (finding for finding in wrong.findings if finding.rule == rule)
    assert (finding.n_instruments, finding.examples[0].instrument) == (1, "A")
    assert finding.examples[0].datetime == broken.get("datetime", day(3))


def test_the_detail_of_a_row_names_its_values() -> None:
    report = look([bar("A", 1, open=-1.0, low=9.5, close=12.0)])
    assert told(report, "non_positive") == ["A on 2024-01-01: open is -1.0"]
    assert told(report, "crossed") == ["A on 2024-01-01: open -1.0, high 11.01, low 9.5, close 12.0"]


def test_the_tolerance_is_a_share_of_the_price() -> None:
    rows = [bar("A", 1, close=11.5)]
    assert "crossed" in found(look(rows, tolerance=0.04))
    assert "crossed" not in found(look(rows, tolerance=0.05))


@pytest.mark.parametrize(("factor", "n"), [(1.0, 1), (1.0005, 1), (None, 1), (0.5, 0)])
def test_a_jump_is_explained_by_a_change_of_the_factor(factor: float | None, n: int) -> None:
    report = look([bar("A", 1), bar("A", 2, close=20.0, high=20.0, adj_factor=factor)])
    assert found(report).get("jump", 0) == n


def test_a_jump_is_seen_across_a_suspension_but_never_across_instruments() -> None:
    suspended = {"open": None, "high": None, "low": None, "close": None, "volume": None}
    rows = [bar("A", 1), bar("A", 2, **suspended), bar("A", 3, close=20.0, high=20.0), bar("B", 4)]
    assert told(look(rows), "jump") == ["A on 2024-01-03: close from 10 to 20, +100.0 %"]


def test_a_flat_tail_is_the_last_bars_alone() -> None:
    rows = [bar("A", at, high=11.0) for at in (1, 2, 3)] + [bar("B", at, high=11.0) for at in (1, 2)] + [bar("B", 3)]
    report = look(rows, flat_bars=3)
    assert told(report, "flat_tail") == ["A on 2024-01-03: the same prices in the last 3 bars"]
    assert "flat_tail" not in found(look(rows, flat_bars=4))


def test_a_stale_tail_ends_too_long_before_the_calendar() -> None:
    rows = [*bars("A", (1, 8)), *bars("BC", (1, 2))]
    report = look(rows, stale_days=5)
    assert told(report, "stale_tail")[0] == "B on 2024-01-02: last bar 6 days before 2024-01-08"
    assert found(report)["stale_tail"] == 2
    assert "stale_tail" not in found(look(rows, stale_days=6))
    assert found(look(rows, [("A", 1, 9), ("B", 1, 5), ("C", 1, 9)], stale_days=5))["stale_tail"] == 1


@pytest.mark.parametrize(("present", "rules"), [("ABC", {}), ("AB", {"thin_day": 1}), ("A", {"stray_day": 1})])
def test_a_day_is_thin_under_half_and_stray_under_a_share_of_the_usual(present: str, rules: dict[str, int]) -> None:
    rows = [*bars("ABCDEF", (1, 2, 4, 5)), *bars(present, (3,))]
    assert found(look(rows, stray_share=0.2)) == rules


@pytest.mark.parametrize(("present", "rules"), [("ABC", {}), ("AB", {"stray_day": 2})])
def test_a_weekend_that_few_have_is_stray(present: str, rules: dict[str, int]) -> None:
    rows = [*bars("ABCDEF", (1, 2, 3, 4, 5, 8, 9)), *bars(present, (6,))]
    assert found(look(rows)) == rules


def test_a_market_that_trades_on_weekends_has_no_stray_saturday() -> None:
    rows = [*bars("ABCDEF", [n for n in range(1, 16) if n != 6]), *bars("AB", (6,))]
    assert found(look(rows)) == {"thin_day": 1}


def test_a_stray_day_makes_no_hole() -> None:
    rows = [*bars("ABCDEF", (1, 2, 3)), *bars("A", (-30,))]
    assert found(look(rows, stray_share=0.2)) == {"stray_day": 1}


def test_a_hole_is_longer_than_any_holiday() -> None:
    rows = bars("AB", (1, 6))
    report = look(rows, gap_days=4)
    assert told(report, "calendar_hole") == ["2024-01-06: 5 days after 2024-01-01"]
    assert "calendar_hole" not in found(look(rows, gap_days=5))


def test_a_member_without_bars_is_named() -> None:
    report = look(bars("A", (1,)), [("A", 1, 9), ("Z", 3, 9), ("Z", 1, 2)])
    assert told(report, "absent_member") == ["Z: a member from 2024-01-01"]


@pytest.mark.parametrize(("unit", "n"), [(100, 1), (1, 0)])
def test_a_change_in_percent_is_seen(unit: float, n: int) -> None:
    closes = [10.0, 10.1, 10.0, 10.2, 10.1, 10.4]
    moves = [None, *(unit * (b / a - 1) for a, b in pairwise(closes))]
    rows = [bar("A", at, close=c, change=m) for at, (c, m) in enumerate(zip(closes, moves, strict=True), 1)]
    assert found(look(rows)).get("percent_change", 0) == n


@pytest.mark.parametrize(
    ("unit", "factor", "n"), [(100, 1.0, 1), (1, 1.0, 0), (100, 4.0, 1), (25, 4.0, 1), (1, 100.0, 1)]
)
def test_a_volume_in_lots_is_seen_whether_or_not_it_is_adjusted(unit: float, factor: float, n: int) -> None:
    rows = bars("A", range(1, 7), amount=unit * 100.0 * 10.0, adj_factor=factor)
    assert found(look(rows)).get("volume_in_lots", 0) == n


def test_too_few_rows_say_nothing_about_a_unit() -> None:
    assert look(bars("A", range(1, 5), amount=1e5)).findings == ()


def test_order_is_judged_where_the_source_is_known() -> None:
    connection = arrive(bars("AB", (1, 2, 3)))
    days = [("A", 1), ("B", 1), ("A", 3), ("A", 2), ("B", 2), ("B", 3)]
    connection.execute("CREATE OR REPLACE TABLE file (instrument VARCHAR, datetime DATE)")
    for name, at in days:
        connection.execute("INSERT INTO file VALUES (?, ?)", [name, day(at)])
    report = judge(connection, CheckConfig(), FIELDS, today=TODAY, source="file")
    assert told(report, "unordered") == ["A on 2024-01-02: behind 2024-01-03"]
    assert report.warnings() == []


def test_examples_are_few_and_of_several_instruments() -> None:
    report = look(bars("ABCD", (1, 2), volume=-1.0))
    assert found(report)["negative_volume"] == 8
    assert [text[:15] for text in told(report, "negative_volume")] == [
        "A on 2024-01-01",
        "B on 2024-01-01",
        "C on 2024-01-01",
    ]


# New rows and their context


def test_only_new_rows_are_judged_and_the_context_gives_the_close_before() -> None:
    rows = [
        bar("A", 1, is_new=False, low=-1.0),
        bar("A", 2, close=20.0, high=20.0),
        bar("B", 2, is_new=False, volume=-5.0),
    ]
    report = look(rows)
    assert (found(report), report.n_rows) == ({"jump": 1}, 1)


def test_a_restated_row_of_an_old_day_is_no_stray_day() -> None:
    nightly = [*bars("ABCDEF", (19,), is_new=False), *bars("ABCDEF", (22,))]
    restated = [bar("A", 2, is_new=False), *bars("A", (3, 4))]
    assert look([*restated, *nightly]).findings == ()


def test_a_flat_tail_may_have_begun_in_the_context() -> None:
    context = [bar(name, at, high=11.0, is_new=False) for name in "AB" for at in (1, 2)]
    assert told(look([*context, bar("A", 3, high=11.0)], flat_bars=3), "flat_tail")[0].startswith("A on 2024-01-03")
    assert look([*context, bar("A", 3)], flat_bars=2).findings == ()


def test_the_newest_day_is_compared_with_the_context() -> None:
    rows = [*bars("ABCDEF", (4, 5), is_new=False), *bars("AB", (8,))]
    assert found(look(rows)) == {"thin_day": 1}


# Duplicates


def test_of_equal_rows_one_is_kept() -> None:
    rows = [*bars("A", (1, 2, 2, 2)), bar("B", 2)]
    connection, report = let_in(rows, duplicate="quarantine")
    assert told(report, "duplicate") == ["A on 2024-01-02: 3 equal rows"] * 2
    assert connection.execute("SELECT instrument, day(datetime) FROM arrived").fetchall() == [
        ("A", 1),
        ("A", 2),
        ("B", 2),
    ]
    assert connection.execute("SELECT count(*) FROM quarantined").fetchall() == [(2,)]


@pytest.mark.parametrize("other", [{"close": 10.5}, {"volume": None}, {"sector": "banks"}])
def test_of_rows_that_differ_none_is_kept(other: Row) -> None:
    connection, report = let_in([*bars("A", (1, 2)), bar("A", 2, **other)], duplicate="quarantine")
    expected = 2 if "sector" not in other else 1  # groups are no fields, and are not asked
    assert found(report)["duplicate"] == expected
    assert connection.execute("SELECT count(*) FROM arrived").fetchall() == [(3 - expected,)]


def test_a_copy_of_a_context_row_is_put_aside_and_the_context_stays() -> None:
    connection, _ = let_in([bar("A", 1, is_new=False), bar("A", 1)], duplicate="quarantine")
    assert connection.execute("SELECT is_new FROM arrived").fetchall() == [(False,)]


# What is done


def test_rows_in_are_rows_kept_and_rows_put_aside() -> None:
    wrong = [
        bar("A", 3, low=-1.0),
        bar("A", 4, close=99.0),
        bar("B", 3, volume=-1.0),
        bar("C", 3, high=1.0, volume=-2.0),
    ]
    rows = [*bars("ABC", (1, 2)), *bars("AB", (5,)), *wrong]
    connection = arrive(rows)
    connection.execute("CREATE OR REPLACE TABLE before AS SELECT * EXCLUDE (is_new) FROM arrived")
    report = pass_gate(connection, CheckConfig(), FIELDS, today=TODAY)
    after = "(SELECT * EXCLUDE (is_new) FROM arrived UNION ALL SELECT * EXCLUDE (rule, reason) FROM quarantined)"
    for one, other in (("before", after), (after, "before")):
        assert connection.execute(f"FROM {one} EXCEPT ALL FROM {other}").fetchall() == []
    assert (report.n_rows, report.n_quarantined) == (len(rows), 4)


def test_a_row_that_breaks_two_rules_stands_once_with_both_reasons() -> None:
    connection, report = let_in([bar("A", 1, high=8.0, volume=-2.0)])
    assert connection.execute("SELECT instrument, volume, rule, reason FROM quarantined").fetchall() == [
        ("A", -2.0, "crossed, negative_volume",
         "open 10.0, high 8.0, low 9.0, close 10.0; volume is -2.0"),
    ]  # fmt: skip
    assert report.n_quarantined == 1


def test_every_row_of_a_stray_day_is_put_aside() -> None:
    connection, _ = let_in([*bars("ABCDEF", (1, 2, 3, 4, 5, 8)), *bars("AB", (6,))])
    assert connection.execute("SELECT instrument, datetime, reason FROM quarantined").fetchall() == [
        ("A", day(6), "a Saturday of 2 instruments, usually 6"), ("B", day(6), "a Saturday of 2 instruments, usually 6"),
    ]  # fmt: skip


def test_a_failing_rule_refuses_after_all_were_looked_at_and_moves_nothing() -> None:
    connection = arrive([bar("A", 1), bar("A", 1, close=10.5), bar("B", 40), bar("C", 1, volume=-1.0)])
    with pytest.raises(DataCheckError) as caught:
        pass_gate(connection, CheckConfig(), FIELDS, today=TODAY)
    assert caught.value.code is ExitCode.DATA_CHECK
    assert caught.value.message == (
        "the bars do not pass the data gate: duplicate: 2 rows of 1 instrument, refused; A on 2024-01-01: 2 rows that "
        "differ; future: 1 row of 1 instrument, refused; B on 2024-02-09: after 2024-01-31"
    )
    assert '[check] actions = { duplicate = "quarantine", future = "quarantine" }' in (caught.value.hint or "")
    assert connection.execute("SELECT count(*) FROM arrived").fetchall() == [(4,)]


def test_the_hint_of_a_refusal_is_a_config_that_lets_the_bars_in() -> None:
    rows = bars("A", (1, 20, 40))
    with pytest.raises(DataCheckError):
        let_in(rows, calendar_hole="fail", future="fail")
    connection, report = let_in(rows, calendar_hole="warn", future="quarantine")
    assert connection.execute("SELECT count(*) FROM arrived").fetchall() == [(2,)]
    assert [text.partition(":")[0] for text in report.warnings()] == ["future", "calendar_hole"]


@pytest.mark.parametrize(("action", "n_kept", "n_warnings"), [("quarantine", 0, 1), ("warn", 1, 1), ("ignore", 1, 0)])
def test_an_action_puts_aside_or_tells_or_only_counts(action: str, n_kept: int, n_warnings: int) -> None:
    connection, report = let_in([bar("A", 1, volume=-1.0)], negative_volume=action)
    assert found(report) == {"negative_volume": 1}
    assert connection.execute("SELECT count(*) FROM arrived").fetchall() == [(n_kept,)]
    assert len(report.warnings()) == n_warnings


def test_suspended_days_of_every_convention_are_counted_in_silence() -> None:
    nothing = dict.fromkeys(("open", "high", "low", "close", "volume"))
    report = look(
        [
            *bars("AB", (1, 2)),
            bar("A", 3, **nothing),
            bar("B", 3),
            *bars("A", (4, 5), volume=0.0),
            *bars("B", (4, 5, 6), volume=None),
        ]
    )
    assert found(report) == {"missing_bar": 1, "zero_volume": 2, "missing_volume": 3}
    assert report.warnings() == []


# The table of rules and its config


def test_every_rule_has_its_action_in_the_config_in_the_same_order() -> None:
    assert list(RULES) == list(CheckActions.model_fields)


@pytest.mark.parametrize("name", [rule.name for rule in RULES.values() if rule.counts != "rows"])
def test_what_is_no_row_cannot_be_put_aside(name: str) -> None:
    with pytest.raises(ValidationError):
        CheckActions.model_validate({name: "quarantine"})


def test_a_report_is_json() -> None:
    (row,) = json.loads(to_json(look([bar("A", 1, volume=-1.0)]).rows()))
    assert row == {
        "rule": "negative_volume", "action": "quarantine", "counts": "rows", "n_rows": 1, "n_instruments": 1,
        "examples": [{"instrument": "A", "datetime": "2024-01-01", "detail": "volume is -1.0"}],
        "found": "1 row of 1 instrument", "done": "put aside", "shown": ["A on 2024-01-01: volume is -1.0"],
    }  # fmt: skip


def test_today_has_begun_somewhere() -> None:
    assert timedelta() <= clock.today_somewhere() - date.today() <= timedelta(1)  # noqa: DTZ011 - the day here
