"""What arrives at an ingest: the source's rows behind the door and through the gate, as far as they are new.

Leaves tables behind: `seen` (what the source holds now), `arrived` (new rows, and known ones before them as context),
`calendar`, and `spans`, which says what of each instrument the panel is laid out and asked for.
"""

from dataclasses import dataclass
from datetime import date

import duckdb

from qts.bars.door import BarsSelect, said_plainly
from qts.bars.gate import GateReport, pass_gate
from qts.bars.panel import make_calendar, make_spans
from qts.bars.survey import Survey, listed, see, survey
from qts.columns import DATETIME, INSTRUMENT
from qts.config import CheckConfig
from qts.errors import InputError
from qts.expr.quote import quote_text

CONTEXT_DAYS = 30
"""Known days the gate sees before new ones, at least: what went before decides whether a tail is flat or a day thin."""

MOST_RESTATED = 0.5
"""Share of instruments to be taken in whole from which everything is: it is no more work and leaves fewer parts."""


@dataclass(frozen=True)
class Arrivals:
    """What an ingest has to take in."""

    is_fresh: bool
    """Everything: there is no store to go on from, or too much has changed."""
    survey: Survey
    report: GateReport | None
    """What the gate found; None if nothing came through it."""

    @property
    def is_nothing(self) -> bool:
        """Whether the bars are those the store was made from."""
        return not self.is_fresh and self.survey.is_nothing


def take_in_all(
    connection: duckdb.DuckDBPyConnection, bars: BarsSelect, check: CheckConfig, today: date, where: str
) -> Arrivals:
    """Take in every row of the source; raises InputError if there is none, DataCheckError if the gate refuses."""
    with said_plainly(where):
        see(connection, bars)
        connection.execute(
            f"CREATE TABLE arrived AS SELECT *, true AS is_new FROM ({bars.sql}) ORDER BY {INSTRUMENT}, {DATETIME}"
        )
    report = pass_gate(connection, check, bars.fields, today=today)
    _refuse_nothing(connection, where)
    make_calendar(connection, f"SELECT DISTINCT {DATETIME} FROM arrived")
    make_spans(connection, "arrived")
    return Arrivals(is_fresh=True, survey=Survey(), report=report)


def _refuse_nothing(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    if not connection.execute("SELECT count(*) FROM arrived").fetchall()[0][0]:
        raise InputError(f"{where} has no rows", hint="a header alone, or rows that were all put aside, are not enough")


def take_in_news(
    connection: duckdb.DuckDBPyConnection,
    bars: BarsSelect,
    check: CheckConfig,
    today: date,
    where: str,
    *,
    known_bars: str,
    known_days: str,
    lookback: int,
    news: str | None = None,
) -> Arrivals | None:
    """Take in what is new beside the store, whose `instruments` dataset is the table `known`.

    `known_bars` and `known_days` are relations of its bars and its calendar. A panel row needs `lookback` rows before
    it. Returns None if everything must be taken in: much was restated, or the calendar of known days has changed.
    `news` is a SELECT of the rows that can be new at all, where that is known.
    """
    until = connection.execute(f"SELECT max({DATETIME}) FROM {known_days}").fetchall()[0][0]
    with said_plainly(where):
        found = (news and _survey_of_news(connection, bars, news)) or survey(connection, bars, until)
    n_known = connection.execute("SELECT count(*) FROM known").fetchall()[0][0]
    if len(found.changed) + len(found.gone) > MOST_RESTATED * n_known:
        return None
    if found.is_nothing:
        return Arrivals(is_fresh=False, survey=found, report=None)
    make_calendar(connection, f"FROM {known_days}")
    with said_plainly(where):
        _arrive(connection, bars, found, known_bars, max(lookback, CONTEXT_DAYS))
    report = pass_gate(connection, check, bars.fields, today=today)
    if not _extend_calendar(connection, found, known_bars, until):
        for table in ("arrived", "calendar"):
            connection.execute(f"DROP TABLE {table}")
        return None
    _make_news_spans(connection, found, lookback)
    return Arrivals(is_fresh=False, survey=found, report=report)


def _survey_of_news(connection: duckdb.DuckDBPyConnection, bars: BarsSelect, news: str) -> Survey | None:
    """Survey new files alone: their rows come on top of what is known; None if one lies in an instrument's past."""
    connection.execute("ALTER TABLE known RENAME TO all_known")
    see(connection, BarsSelect(news, bars.fields, bars.groups))
    rows = connection.execute(
        f"SELECT {INSTRUMENT}, k.last, s.first FROM seen AS s LEFT JOIN all_known AS k USING ({INSTRUMENT}) ORDER BY 1"
    ).fetchall()
    connection.execute("ALTER TABLE all_known RENAME TO known")
    if any(last is not None and first <= last for _, last, first in rows):
        return None
    connection.execute(
        f"CREATE OR REPLACE TABLE seen AS SELECT {INSTRUMENT}, min(first) AS first, max(last) AS last, "
        f"CAST(sum(n_rows) AS BIGINT) AS n_rows, bit_xor(mixed) AS mixed, CAST(sum(total) AS BIGINT) AS total FROM "
        f"(SELECT * FROM seen UNION ALL SELECT {INSTRUMENT}, first, last, n_rows, mixed, total FROM known) GROUP BY 1"
    )
    return Survey(
        grown=tuple(name for name, last, _ in rows if last is not None),
        new=tuple(name for name, last, _ in rows if last is None),
    )


def _arrive(
    connection: duckdb.DuckDBPyConnection, bars: BarsSelect, found: Survey, known_bars: str, context: int
) -> None:
    """Make `arrived`: new rows of grown instruments after their last known ones, and all rows of changed ones."""
    connection.execute(
        f"CREATE OR REPLACE TABLE grown AS SELECT k.{INSTRUMENT}, k.last, s.{DATETIME} AS since FROM known AS k "
        f"LEFT JOIN calendar AS l ON l.{DATETIME} = k.last_bar "
        f"LEFT JOIN calendar AS s ON s.position = greatest(l.position - {context} + 1, 0) "
        f"WHERE k.{INSTRUMENT} IN ({listed(found.grown)})"
    )
    selects = []
    if found.grown:
        oldest, earliest = connection.execute("SELECT min(last), min(since) FROM grown").fetchall()[0]
        on_grown = f"JOIN grown AS g ON g.{INSTRUMENT} = b.{INSTRUMENT} WHERE b.{DATETIME}"
        selects.append(
            f"SELECT b.*, true AS is_new FROM ({bars.sql}) AS b {on_grown} > DATE {quote_text(str(oldest))} "
            f"AND b.{DATETIME} > g.last"
        )
        if earliest is not None:
            selects.append(
                f"SELECT b.*, false AS is_new FROM {known_bars} AS b {on_grown} >= DATE {quote_text(str(earliest))} "
                f"AND b.{DATETIME} >= g.since"
            )
    if found.changed:
        selects.append(f"SELECT *, true AS is_new FROM ({bars.sql}) WHERE {INSTRUMENT} IN ({listed(found.changed)})")
    if not selects:  # instruments are gone, nothing came
        selects = [f"SELECT *, true AS is_new FROM ({bars.sql}) WHERE false"]
    connection.execute(
        f"CREATE TABLE arrived AS {' UNION ALL BY NAME '.join(selects)} ORDER BY {INSTRUMENT}, {DATETIME}"
    )


def _extend_calendar(connection: duckdb.DuckDBPyConnection, found: Survey, known_bars: str, until: date) -> bool:
    """Add new days to `calendar`; return False if days up to the last known one have come or gone."""
    connection.execute("ALTER TABLE calendar RENAME TO known_calendar")
    days = f"SELECT {DATETIME} FROM known_calendar UNION SELECT {DATETIME} FROM arrived"
    make_calendar(connection, days)
    known = f"{DATETIME} <= DATE {quote_text(str(until))}"
    before, after = connection.execute(
        f"SELECT (SELECT count(*) FROM known_calendar), (SELECT count(*) FROM calendar WHERE {known})"
    ).fetchall()[0]
    if after == before and (found.restated or found.gone):
        others = f"{INSTRUMENT} NOT IN ({listed((*found.restated, *found.gone))})"
        after = connection.execute(
            f"SELECT count(*) FROM (SELECT {DATETIME} FROM {known_bars} WHERE {others} UNION "
            f"SELECT {DATETIME} FROM arrived WHERE {known})"
        ).fetchall()[0][0]
    connection.execute("DROP TABLE known_calendar")
    return bool(after == before)


def _make_news_spans(connection: duckdb.DuckDBPyConnection, found: Survey, lookback: int) -> None:
    """Make `spans`: grown instruments from `lookback` rows before their new ones, changed ones whole."""
    changed = f"{INSTRUMENT} IN ({listed(found.changed)})"
    connection.execute(
        f"""CREATE OR REPLACE TABLE spans AS
        WITH news AS (
            SELECT {INSTRUMENT}, min(position) AS earliest, max(position) AS last
            FROM arrived JOIN calendar USING ({DATETIME}) WHERE is_new GROUP BY {INSTRUMENT}
        ), before AS (
            SELECT {INSTRUMENT}, f.position AS first, l.position + 1 AS wanted_from FROM known
            JOIN calendar AS f ON f.{DATETIME} = known.first_bar JOIN calendar AS l ON l.{DATETIME} = known.last_bar
            WHERE NOT ({changed})
        )
        SELECT {INSTRUMENT}, coalesce(first, earliest) AS first,
               greatest(coalesce(first, earliest), coalesce(wanted_from, earliest) - {lookback}) AS start,
               coalesce(wanted_from, earliest) AS wanted_from, last
        FROM news LEFT JOIN before USING ({INSTRUMENT})"""
    )
