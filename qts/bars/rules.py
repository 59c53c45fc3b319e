"""RULES: everything the data gate looks for, one row each; a rule is the SELECT of what breaks it.

A SELECT has row (the rowid of an offending row, NULL where the rule judges no rows), instrument, datetime and detail.
Rows are judged where `is_new`; the others are context. What is done about a finding stands in `[check.actions]`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from qts.columns import ADJ_FACTOR, AMOUNT, CLOSE, DATETIME, END, HIGH, INSTRUMENT, LOW, OPEN, START, VOLUME, VWAP
from qts.config import CheckConfig
from qts.expr.quote import quote_name, quote_text
from qts.registry import Registry

PRICES = (OPEN, HIGH, LOW, CLOSE)
CHANGE = "change"
"""The return since the bar before, where a vendor gives it; a fraction."""

_UPPER_LOWER = ((HIGH, LOW), (HIGH, OPEN), (HIGH, CLOSE), (OPEN, LOW), (CLOSE, LOW))
"""Pairs of which the first must not be under the second."""
_ENOUGH = 5
"""Rows that a unit is not judged by fewer of."""
_SAME_FACTOR = 1e-3
"""Relative difference under which an adjustment factor is the same as before."""
_NEAR = 10
"""Days of the calendar on either side that say what is usual."""


@dataclass(frozen=True)
class Case:
    """What the rules are asked about."""

    relation: str
    """A table sorted by key, with `is_new`."""
    columns: tuple[str, ...]
    """All its columns but `is_new`."""
    config: CheckConfig
    today: date
    since: date | None
    """The last day of the context: days up to it were judged when they arrived. None: this is all there is."""
    has_universe: bool
    source: str | None
    """Instrument and datetime in the order of the source; None: it is not known."""

    @property
    def is_whole(self) -> bool:
        """Whether the table holds the whole history, so that absences can be told."""
        return self.since is None

    @property
    def sql_today(self) -> str:
        """Today as a literal."""
        return f"DATE {quote_text(str(self.today))}"

    @property
    def sql_later(self) -> str:
        """The condition of a day to judge as a day: that it is later than the context."""
        return f"{DATETIME} > DATE {quote_text(str(self.since))}" if self.since else "true"


@dataclass(frozen=True)
class Rule:
    """A row of the table."""

    name: str
    counts: str
    """What a finding is a number of."""
    find: Callable[[Case], str | None]
    """The SELECT; None where the case has nothing it could be asked of."""


RULES: Registry[Rule] = Registry("rule")


def _float(number: float) -> str:
    return f"CAST({number!r} AS FLOAT)"


def _rows(condition: str, detail: str) -> Callable[[Case], str]:
    """A rule that a row keeps or breaks by itself."""
    return lambda case: (
        f"SELECT rowid AS row, {INSTRUMENT}, {DATETIME}, {detail} AS detail "
        f"FROM {case.relation} WHERE is_new AND ({condition})"
    )


def _one(detail: str, relation: str, instrument: str = "NULL", day: str = "NULL", where: str = "true") -> str:
    """A finding that is no row."""
    return (
        f"SELECT CAST(NULL AS BIGINT) AS row, {instrument} AS {INSTRUMENT}, CAST({day} AS DATE) AS {DATETIME}, "
        f"{detail} AS detail FROM {relation} WHERE {where}"
    )


def _duplicate(case: Case) -> str:
    """Neighbours with one key are looked for first: that costs a scan, to compare whole rows costs a sort."""
    same = (
        f"SELECT DISTINCT {INSTRUMENT}, {DATETIME} FROM (SELECT {INSTRUMENT}, {DATETIME}, lag({INSTRUMENT}) OVER () AS "
        f"before, lag({DATETIME}) OVER () AS day FROM {case.relation}) WHERE before = {INSTRUMENT} AND day = {DATETIME}"
    )
    whole = f"row({', '.join(map(quote_name, case.columns))})"
    key = f"PARTITION BY {INSTRUMENT}, {DATETIME}"
    return (
        f"SELECT row, {INSTRUMENT}, {DATETIME}, n || CASE WHEN versions = 1 THEN ' equal rows' ELSE ' rows that differ' "
        f"END AS detail FROM (SELECT rowid AS row, is_new, {INSTRUMENT}, {DATETIME}, count(*) OVER ({key}) AS n, "
        f"count(DISTINCT {whole}) OVER ({key}) AS versions, row_number() OVER ({key} ORDER BY is_new, rowid) AS place "
        f"FROM {case.relation} WHERE ({INSTRUMENT}, {DATETIME}) IN ({same})) "
        f"WHERE is_new AND (versions > 1 OR place > 1)"
    )


def _future(case: Case) -> str:
    return _rows(f"{DATETIME} > {case.sql_today}", quote_text(f"after {case.today}"))(case)


def _said(conditions: dict[str, str]) -> str:
    """SQL of the texts whose condition holds, one after another."""
    cases = ", ".join(f"CASE WHEN {condition} THEN {text} END" for condition, text in conditions.items())
    return f"concat_ws(', ', {cases})"


_NON_POSITIVE = {f"{name} <= 0": f"'{name} is ' || {name}" for name in PRICES}


def _crossed(case: Case) -> str:
    least = _float(1 - case.config.tolerance)
    crossed = " OR ".join(f"{upper} < {lower} * {least}" for upper, lower in _UPPER_LOWER)
    values = ", ".join(f"'{name} ' || {name}" for name in PRICES)
    return _rows(crossed, f"concat_ws(', ', {values})")(case)


def _bad_factor(case: Case) -> str | None:
    if ADJ_FACTOR not in case.columns:
        return None
    return _rows(f"{ADJ_FACTOR} <= 0", f"'{ADJ_FACTOR} is ' || {ADJ_FACTOR}")(case)


def _days(case: Case) -> str:
    """SQL of the days to judge: how many instruments have a bar, how many are usual, and whether the day is a mistake."""
    config = case.config
    return (
        f"(SELECT *, n > 0 AND (n < {config.stray_share} * usual OR (is_weekend AND weekends < 0.2 AND "
        f"n < {config.thin_share} * usual)) AS is_stray, n || ' instruments, usually ' || usual::INTEGER AS told FROM (SELECT *, "
        f"median(n) OVER near AS usual, avg(is_weekend::INTEGER) OVER near AS weekends FROM (SELECT {DATETIME}, "
        f"count({CLOSE}) AS n, dayofweek({DATETIME}) IN (0, 6) AS is_weekend FROM {case.relation} GROUP BY {DATETIME}) "
        f"WINDOW near AS (ORDER BY {DATETIME} ROWS BETWEEN {_NEAR} PRECEDING AND {_NEAR} FOLLOWING EXCLUDE CURRENT ROW)) "
        f"WHERE {case.sql_later})"
    )


def _stray_day(case: Case) -> str:
    return (
        f"SELECT b.rowid AS row, b.{INSTRUMENT}, b.{DATETIME}, 'a ' || dayname(b.{DATETIME}) || ' of ' || told AS detail "
        f"FROM {case.relation} AS b JOIN {_days(case)} AS d ON b.{DATETIME} = d.{DATETIME} WHERE b.is_new AND is_stray"
    )


def _thin_day(case: Case) -> str:
    thin = f"n < {case.config.thin_share} * usual AND is_stray IS NOT TRUE"
    return _one("told", _days(case), day=DATETIME, where=thin)


def _calendar_hole(case: Case) -> str:
    """The calendar is that of the context too, so that a hole before the first new day is seen."""
    gaps = (
        f"(SELECT {DATETIME}, lag({DATETIME}) OVER (ORDER BY {DATETIME}) AS before FROM "
        f"(SELECT DISTINCT {DATETIME} FROM {case.relation} WHERE {DATETIME} <= {case.sql_today}) ANTI JOIN "
        f"(SELECT {DATETIME} FROM {_days(case)} WHERE is_stray) USING ({DATETIME}))"
    )
    far = f"{DATETIME} - before > {case.config.gap_days} AND {case.sql_later}"
    return _one(f"({DATETIME} - before) || ' days after ' || before", gaps, day=DATETIME, where=far)


_ANY_PRICE = " OR ".join(f"{name} IS NOT NULL" for name in PRICES)
_NO_PRICE = " AND ".join(f"{name} IS NULL" for name in PRICES)
_LACKS = {f"{name} IS NULL": f"'no {name}'" for name in PRICES}
_PARTIAL = f"({' OR '.join(_LACKS)}) AND ({_ANY_PRICE} OR {VOLUME} > 0)"


def _moves(case: Case) -> str:
    """SQL of the rows with a close, beside the close before, that of the day before or of the last one that traded."""
    names = (CLOSE, *(name for name in (ADJ_FACTOR, CHANGE) if name in case.columns))
    before = ", ".join(f"lag({name}) OVER () AS {name}_before" for name in names)
    return (
        f"(SELECT row, is_new, {INSTRUMENT}, {DATETIME}, {', '.join(names)}, {', '.join(f'{n}_before' for n in names)} FROM "
        f"(SELECT rowid AS row, is_new, {INSTRUMENT}, {DATETIME}, {', '.join(names)}, {before}, lag({INSTRUMENT}) OVER () AS "
        f"same, lag({DATETIME}) OVER () AS day FROM {case.relation} WHERE {CLOSE} > 0) "
        f"WHERE is_new AND same = {INSTRUMENT} AND day < {DATETIME})"
    )


def _jump(case: Case) -> str:
    most = _float(1 + case.config.jump)
    far = f"({CLOSE} > {CLOSE}_before * {most} OR {CLOSE}_before > {CLOSE} * {most})"
    if ADJ_FACTOR in case.columns:
        far += f" AND (abs({ADJ_FACTOR} / {ADJ_FACTOR}_before - 1) > {_SAME_FACTOR}) IS NOT TRUE"
    detail = (
        f"printf('close from %.6g to %.6g, %+.1f %%', {CLOSE}_before, {CLOSE}, 100 * ({CLOSE} / {CLOSE}_before - 1))"
    )
    return f"SELECT row, {INSTRUMENT}, {DATETIME}, {detail} AS detail FROM {_moves(case)} WHERE {far}"


def _flat_tail(case: Case) -> str:
    """Rows of an instrument stand one after another, so its last bars are found by their rowid."""
    n = case.config.flat_bars
    last = f"SELECT max(rowid) - unnest(range({n})) FROM {case.relation} GROUP BY {INSTRUMENT}"
    same = " AND ".join(f"count({name}) = {n} AND min({name}) = max({name})" for name in PRICES)
    tails = (
        f"(SELECT {INSTRUMENT}, max({DATETIME}) AS day FROM {case.relation} WHERE rowid IN ({last}) "
        f"GROUP BY {INSTRUMENT} HAVING bool_or(is_new) AND {same})"
    )
    return _one(f"'the same prices in the last {n} bars'", tails, INSTRUMENT, "day")


def _stale_tail(case: Case) -> str | None:
    """Members of the last day ought to have bars; who has left the universe may be delisted."""
    if not case.is_whole:
        return None
    ends = (
        f"(SELECT {INSTRUMENT}, max({DATETIME}) FILTER ({CLOSE} IS NOT NULL) AS last, max(max({DATETIME})) OVER () AS today "
        f"FROM {case.relation} WHERE {DATETIME} <= {case.sql_today} GROUP BY {INSTRUMENT}) AS e"
    )
    late = f"today - last > {case.config.stale_days}"
    if case.has_universe:
        member = f'u.{INSTRUMENT} = e.{INSTRUMENT} AND today BETWEEN u."{START}" AND u."{END}"'
        late += f" AND EXISTS (FROM universe AS u WHERE {member})"
    return _one("'last bar ' || (today - last) || ' days before ' || today", ends, INSTRUMENT, "last", late)


def _absent_member(case: Case) -> str | None:
    absent = (
        f'(SELECT {INSTRUMENT}, min("{START}") AS since FROM universe WHERE {INSTRUMENT} NOT IN '
        f"(SELECT DISTINCT {INSTRUMENT} FROM {case.relation}) GROUP BY {INSTRUMENT})"
    )
    return _one("'a member from ' || since", absent, INSTRUMENT) if case.has_universe and case.is_whole else None


def _share(holds: str, relation: str, detail: str, where: str) -> str:
    """A finding about a unit: that a condition holds in more than half of the rows it can be asked of."""
    counted = f"(SELECT count(*) FILTER ({holds}) AS n, count(*) AS n_asked FROM {relation} WHERE {where})"
    return _one(
        f"'in ' || n || ' of ' || n_asked || ' rows {detail}'",
        counted,
        where=f"n_asked >= {_ENOUGH} AND 2 * n > n_asked",
    )


def _percent_change(case: Case) -> str | None:
    move = f"({CLOSE} / {CLOSE}_before - 1)"
    percent = f"abs({CHANGE} - 100 * {move}) < abs({CHANGE} - {move})"
    asked = f"abs({move}) > 1e-3 AND {CHANGE} IS NOT NULL"
    return _share(percent, _moves(case), "change is percent", asked) if CHANGE in case.columns else None


def _volume_in_lots(case: Case) -> str | None:
    """Volume may be adjusted by the factor as prices are, or be as traded: either way a hundred is too much."""
    if AMOUNT not in case.columns:
        return None
    price = f"coalesce({VWAP}, {CLOSE})" if VWAP in case.columns else CLOSE
    ratio = f"({AMOUNT} / ({VOLUME}::DOUBLE * {price}))"
    lots = f"{ratio} BETWEEN 80 AND 125"
    if ADJ_FACTOR in case.columns:
        lots = f"{lots} OR {ratio} * {ADJ_FACTOR} BETWEEN 80 AND 125"
    asked = f"is_new AND {VOLUME} > 0 AND {AMOUNT} > 0 AND {price} > 0"
    return _share(lots, case.relation, "amount is about 100 times volume times price", asked)


def _unordered(case: Case) -> str | None:
    rows = (
        f"(SELECT {INSTRUMENT}, {DATETIME}, lag({DATETIME}) OVER (PARTITION BY {INSTRUMENT} ORDER BY place) AS before FROM "
        f"(SELECT {INSTRUMENT}, {DATETIME}, row_number() OVER () AS place FROM {case.source}))"
    )
    return _one("'behind ' || before", rows, INSTRUMENT, DATETIME, f"{DATETIME} < before") if case.source else None


for _rule in (
    Rule("duplicate", "rows", _duplicate),
    Rule("future", "rows", _future),
    Rule("non_positive", "rows", _rows(" OR ".join(_NON_POSITIVE), _said(_NON_POSITIVE))),
    Rule("crossed", "rows", _crossed),
    Rule("negative_volume", "rows", _rows(f"{VOLUME} < 0", f"'{VOLUME} is ' || {VOLUME}")),
    Rule("bad_factor", "rows", _bad_factor),
    Rule("stray_day", "rows", _stray_day),
    Rule("partial_bar", "rows", _rows(_PARTIAL, _said(_LACKS))),
    Rule("jump", "rows", _jump),
    Rule("flat_tail", "instruments", _flat_tail),
    Rule("stale_tail", "instruments", _stale_tail),
    Rule("thin_day", "days", _thin_day),
    Rule("calendar_hole", "holes", _calendar_hole),
    Rule("absent_member", "instruments", _absent_member),
    Rule("percent_change", "columns", _percent_change),
    Rule("volume_in_lots", "columns", _volume_in_lots),
    Rule("unordered", "rows", _unordered),
    Rule("missing_bar", "rows", _rows(f"{_NO_PRICE} AND ({VOLUME} > 0) IS NOT TRUE", "'no prices'")),
    Rule("zero_volume", "rows", _rows(f"{VOLUME} = 0 AND {CLOSE} IS NOT NULL", "'volume 0'")),
    Rule("missing_volume", "rows", _rows(f"{VOLUME} IS NULL AND {CLOSE} IS NOT NULL", "'no volume'")),
):
    RULES.enter(_rule.name, _rule)
