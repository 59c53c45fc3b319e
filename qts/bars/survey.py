"""What has changed in the bars since the store was written: found by a hash for each instrument, never by dates alone.

A vendor's file is a claim about all of history. Every ingest reads it once; an instrument whose rows up to the last
known day have the hash they had is left alone but for its new rows, one whose hash differs is taken in anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from qts.bars.door import BarsSelect
from qts.columns import DATETIME, INSTRUMENT
from qts.expr.quote import quote_name, quote_text

_SUMS = ("n_rows", "mixed", "total")
"""Of an instrument's rows: how many, and two ways to add up their hashes in which the order does not count."""


@dataclass(frozen=True)
class Survey:
    """Which instruments of the source have something new."""

    grown: tuple[str, ...] = ()
    """History as known, and later rows."""
    restated: tuple[str, ...] = ()
    """Rows of their known history differ, are missing, or stand between the known ones."""
    new: tuple[str, ...] = ()
    """Not known before."""
    gone: tuple[str, ...] = ()
    """Known, and no longer in the source."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Instruments to be taken in whole."""
        return (*self.restated, *self.new)

    @property
    def is_nothing(self) -> bool:
        """Whether the bars are those the store was made from."""
        return not (self.grown or self.restated or self.new or self.gone)


def _summed(suffix: str = "", condition: str = "") -> str:
    of = f" FILTER (WHERE {condition})" if condition else ""
    return (
        f"count(*){of} AS n_rows{suffix}, coalesce(bit_xor(h){of}, 0) AS mixed{suffix}, "
        f"CAST(coalesce(sum(h & 4294967295){of}, 0) AS BIGINT) AS total{suffix}"
    )


def _hashed(bars: BarsSelect) -> str:
    columns = ", ".join(map(quote_name, (DATETIME, *bars.fields, *bars.groups)))
    return f"(SELECT {INSTRUMENT}, {DATETIME}, hash({columns}) AS h FROM ({bars.sql}))"


def see(connection: duckdb.DuckDBPyConnection, bars: BarsSelect) -> None:
    """Make the table `seen`: of each instrument of the source first and last day and the sums of its rows."""
    connection.execute(
        f"CREATE OR REPLACE TABLE seen AS SELECT {INSTRUMENT}, min({DATETIME}) AS first, max({DATETIME}) AS last, "
        f"{_summed()} FROM {_hashed(bars)} GROUP BY {INSTRUMENT}"
    )


def survey(connection: duckdb.DuckDBPyConnection, bars: BarsSelect, known_until: date) -> Survey:
    """Compare the source with the table `known`, the `seen` of the ingest before; make `seen` anew."""
    before = f"{DATETIME} <= DATE {quote_text(str(known_until))}"
    connection.execute(
        f"CREATE OR REPLACE TABLE seen_parts AS SELECT {INSTRUMENT}, min({DATETIME}) AS first, max({DATETIME}) AS last, "
        f"{_summed()}, {_summed('_before', before)} FROM {_hashed(bars)} GROUP BY {INSTRUMENT}"
    )
    connection.execute(
        "CREATE OR REPLACE TABLE seen AS SELECT * EXCLUDE (n_rows_before, mixed_before, total_before) FROM seen_parts"
    )
    differs = " OR ".join(f"s.{name}_before <> k.{name}" for name in _SUMS)
    rows = connection.execute(
        f"SELECT {INSTRUMENT}, CASE WHEN k.n_rows IS NULL THEN 'new' WHEN s.n_rows IS NULL THEN 'gone' "
        f"WHEN {differs} THEN 'restated' WHEN s.last > k.last THEN 'grown' END AS state "
        f"FROM seen_parts AS s FULL JOIN known AS k USING ({INSTRUMENT}) ORDER BY 1"
    ).fetchall()
    named = {state: tuple(name for name, s in rows if s == state) for state in ("grown", "restated", "new", "gone")}
    late = _late(connection, bars, named["restated"])
    return Survey(
        grown=tuple(sorted({*named["grown"], *late})),
        restated=tuple(name for name in named["restated"] if name not in late),
        new=named["new"],
        gone=named["gone"],
    )


def _late(connection: duckdb.DuckDBPyConnection, bars: BarsSelect, names: tuple[str, ...]) -> set[str]:
    """Return those whose own history is as known, and whose new rows are only older than other instruments' last."""
    if not names:
        return set()
    differs = " OR ".join(f"s.{name}_own <> k.{name}" for name in _SUMS)
    rows = connection.execute(
        f"SELECT {INSTRUMENT} FROM (SELECT {INSTRUMENT}, {_summed('_own', f'{DATETIME} <= k.last')} "
        f"FROM {_hashed(bars)} JOIN known AS k USING ({INSTRUMENT}) WHERE {INSTRUMENT} IN ({listed(names)}) "
        f"GROUP BY {INSTRUMENT}) AS s JOIN known AS k USING ({INSTRUMENT}) WHERE NOT ({differs})"
    ).fetchall()
    return {name for (name,) in rows}


def listed(names: Sequence[str]) -> str:
    """Return names as SQL, for IN; of none the empty name, which no instrument has."""
    return ", ".join(map(quote_text, names)) or "''"
