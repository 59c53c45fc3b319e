"""The data gate: what of the bars is let in. It looks at everything, then refuses, puts aside, tells or only counts.

Rules stand in `rules.py`; what is done about each, and their thresholds, in `[check]`.
"""

from dataclasses import asdict, dataclass
from datetime import date

import duckdb

from qts.bars.rules import RULES, Case
from qts.columns import DATETIME, INSTRUMENT
from qts.config import CheckConfig
from qts.errors import DataCheckError
from qts.expr.quote import quote_text

N_EXAMPLES = 3
"""Examples of a finding, each of another instrument where there are several."""

_DONE = {"fail": "refused", "quarantine": "put aside", "warn": "let in", "ignore": "let in"}


@dataclass(frozen=True)
class Example:
    """One of the things found."""

    instrument: str | None
    datetime: date | None
    detail: str

    def __str__(self) -> str:
        place = " on ".join(str(part) for part in (self.instrument, self.datetime) if part is not None)
        return f"{place}: {self.detail}" if place else self.detail


@dataclass(frozen=True)
class Finding:
    """What one rule found, and what is done about it."""

    rule: str
    action: str
    counts: str
    """What `n_rows` is a number of: rows, or the days or instruments that the rule judges instead."""
    n_rows: int
    n_instruments: int
    examples: tuple[Example, ...]

    @property
    def found(self) -> str:
        """How much was found, in words."""
        of = f" of {self.n_instruments:,}" if self.counts == "rows" else ""
        counts = self.counts.removesuffix("s") if self.n_rows == 1 else self.counts
        return f"{self.n_rows:,} {counts}" + (f"{of} instrument{'s' * (self.n_instruments != 1)}" if of else "")

    @property
    def done(self) -> str:
        """What the action does to what was found."""
        return _DONE[self.action]

    def __str__(self) -> str:
        return f"{self.rule}: {self.found}, {self.done}; {self.examples[0]}"


@dataclass(frozen=True)
class GateReport:
    """What the gate found, in the order of RULES; rules that found nothing are not in it."""

    findings: tuple[Finding, ...]
    n_rows: int
    """Rows judged."""
    n_quarantined: int
    """Rows put aside; a row that breaks two rules counts once."""

    def warnings(self) -> list[str]:
        """Return what a user must be told: every finding that is neither refused nor only counted."""
        return [str(finding) for finding in self.findings if finding.action in ("quarantine", "warn")]

    def refusal(self) -> DataCheckError | None:
        """Return the error that lists every failing rule; None if none fails."""
        failing = [finding for finding in self.findings if finding.action == "fail"]
        if not failing:
            return None
        other = ", ".join(f'{f.rule} = "{"quarantine" if f.counts == "rows" else "warn"}"' for f in failing)
        return DataCheckError(
            "the bars do not pass the data gate: " + "; ".join(map(str, failing)),
            hint=f"mend the data, or let qts go on without them: [check] actions = {{ {other} }}",
        )

    def rows(self) -> list[dict[str, object]]:
        """Return the findings as JSON can say them; `found` and `shown` are for people."""
        return [
            {**asdict(f), "found": f.found, "done": f.done, "shown": [str(example) for example in f.examples]}
            for f in self.findings
        ]


def pass_gate(
    connection: duckdb.DuckDBPyConnection,
    config: CheckConfig,
    fields: tuple[str, ...],
    *,
    relation: str = "arrived",
    today: date,
    source: str | None = None,
) -> GateReport:
    """Judge the new rows of a table; move those to be put aside into the table `quarantined`.

    `relation` is sorted by key and has `is_new`; rows that are not are context, and an instrument's last row is the last
    it has. Without any context it is taken for the whole history. `source` is a relation of instrument
    and datetime in the order of the file, where order is to be judged. A table `universe` is looked at if it exists.
    Raises DataCheckError, after all rules were looked at and before a row was moved, if a rule whose action is `fail`
    found something.
    """
    report = judge(connection, config, fields, relation=relation, today=today, source=source)
    if refusal := report.refusal():
        raise refusal
    _put_aside(connection, config, relation)
    return report


def judge(
    connection: duckdb.DuckDBPyConnection,
    config: CheckConfig,
    fields: tuple[str, ...],
    *,
    relation: str = "arrived",
    today: date,
    source: str | None = None,
) -> GateReport:
    """Return what the gate finds, without moving a row; what `fail` would refuse is in it too."""
    n_new, since = connection.execute(
        f"SELECT count(*) FILTER (is_new), max({DATETIME}) FILTER (NOT is_new) FROM {relation}"
    ).fetchall()[0]
    columns = tuple(
        name
        for name, *_ in connection.execute(f"DESCRIBE {relation}").fetchall()
        if name in (INSTRUMENT, DATETIME, *fields)
    )
    has_universe = bool(connection.execute("FROM duckdb_tables() WHERE table_name = 'universe'").fetchall())
    case = Case(relation, columns, config, today, since, has_universe, source)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE offences (rule VARCHAR, row BIGINT, {INSTRUMENT} VARCHAR, {DATETIME} DATE, detail VARCHAR)"
    )
    for rule in RULES.values():
        if select := rule.find(case):
            connection.execute(f"INSERT INTO offences SELECT {quote_text(rule.name)}, * FROM ({select}) ORDER BY ALL")
    row = connection.execute(f"SELECT count(DISTINCT row) FROM ({_aside(config)})").fetchone()
    return GateReport(_findings(connection, config), n_new, row[0] if row else 0)


def _aside(config: CheckConfig) -> str:
    """SQL of the offences whose rows are to be put aside."""
    rules = ["", *(name for name, action in config.actions if action == "quarantine")]
    return f"SELECT * FROM offences WHERE row IS NOT NULL AND rule IN ({', '.join(map(quote_text, rules))})"


def _findings(connection: duckdb.DuckDBPyConnection, config: CheckConfig) -> tuple[Finding, ...]:
    found = connection.execute(
        f"WITH own AS (SELECT rule, {INSTRUMENT}, count(*) AS n, min(rowid, {N_EXAMPLES}) AS places FROM offences GROUP BY ALL), "
        f"turns AS (SELECT rule, unnest(places) AS place, generate_subscripts(places, 1) AS turn FROM own) "
        f"SELECT rule, sum(n)::BIGINT, count({INSTRUMENT}), (SELECT list(place ORDER BY turn, place)[:{N_EXAMPLES}] FROM turns "
        f"WHERE turns.rule = own.rule) FROM own GROUP BY rule"
    ).fetchall()
    counted = {rule: (n_rows, n_instruments, places) for rule, n_rows, n_instruments, places in found}
    findings = []
    for rule in RULES.values():
        if rule.name in counted:
            n_rows, n_instruments, places = counted[rule.name]
            chosen = f"rowid IN ({', '.join(map(str, places))})"
            shown = connection.execute(
                f"SELECT {INSTRUMENT}, {DATETIME}, detail FROM offences WHERE {chosen} ORDER BY rowid"
            ).fetchall()
            examples = tuple(Example(*values) for values in shown)
            action = getattr(config.actions, rule.name)
            findings.append(Finding(rule.name, action, rule.counts, n_rows, n_instruments, examples))
    return tuple(findings)


def _put_aside(connection: duckdb.DuckDBPyConnection, config: CheckConfig, relation: str) -> None:
    """Move the rows of quarantining rules into the table `quarantined`, each once, with all its rules and reasons."""
    connection.execute(
        f"CREATE OR REPLACE TABLE quarantined AS SELECT r.* EXCLUDE (is_new), o.rule, o.reason FROM {relation} AS r JOIN "
        f"(SELECT row, string_agg(rule, ', ' ORDER BY place) AS rule, string_agg(detail, '; ' ORDER BY place) AS reason "
        f"FROM (SELECT *, rowid AS place FROM offences) SEMI JOIN ({_aside(config)}) USING (row, rule) GROUP BY row) AS o "
        f"ON r.rowid = o.row ORDER BY r.{INSTRUMENT}, r.{DATETIME}, r.rowid"
    )
    connection.execute(f"DELETE FROM {relation} WHERE rowid IN (SELECT row FROM ({_aside(config)}))")
