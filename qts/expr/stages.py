"""Columns in the making: each distinct piece of SQL is defined once, then laid out in stages of SELECT.

A stage is one sort of the panel: all window functions whose inputs are ready are computed together, then everything
that follows from them row by row. Definitions are scheduled as late as their users allow, so that an early stage
carries only what a later one needs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from qts.columns import DATETIME, INSTRUMENT
from qts.expr.quote import quote_name

ROW_COLUMN = "row_number"
"""Number of a row within its instrument, from 1; every source relation of compiled SQL has it."""

POSITION = "position"
"""Number of a row within the whole panel, padding included, without gaps."""

ROWS_SINCE = "rows_since"
"""Rows since the first one asked for; below 0 are rows to look back on."""

ROWS_LEFT = "rows_left"
"""Rows of the instrument that follow."""

ROWS_WHOLE = "rows_whole"
"""Rows of the instrument, the row at hand the last of them, that follow one another with no field missing."""

FIELD_PREFIX = "field_"
"""Before a field's name in a source relation: no bar column can then collide with a column of ours."""


MAX_FLOAT = 3.4028234663852886e38


class Kind(StrEnum):
    """The SQL type of a column in the making."""

    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    BOOL = "BOOLEAN"


@dataclass(frozen=True)
class Value:
    """A column, or a constant, and what is known of it."""

    sql: str
    kind: Kind
    is_clean: bool = False
    """Never NaN or infinite; missing values are NULL."""
    constant: float | None = None
    is_anywhere: bool = False
    """In a stream: has a value on padding rows too, where a field has none."""
    span: float | None = None
    """In a stream: at most so many times its smallest magnitude above 0 is its largest."""
    presence: frozenset[str] | None = None
    """In a stream: columns that are 1 where a field is there, else 0; their product says where this value is."""

    def as_kind(self, kind: Kind) -> str:
        """Return SQL of this value in another kind."""
        if self.constant is not None and kind is Kind.FLOAT and abs(self.constant) > MAX_FLOAT:
            return "CAST('inf' AS FLOAT)" if self.constant > 0 else "CAST('-inf' AS FLOAT)"
        if self.constant is not None:
            return f"CAST({self.constant!r} AS {kind})"
        return self.sql if self.kind is kind else f"CAST({self.sql} AS {kind})"


@dataclass
class Definition:
    """A column in the making, and its place in the order of work."""

    name: str
    sql: str
    is_window: bool
    inputs: frozenset[str]
    stage: int = 0
    depth: int = 0

    def wave(self) -> tuple[int, int]:
        """Return the place in the order of work; windows have depth 0 and come first in their stage."""
        return self.stage, self.depth


KEY_COLUMNS = (INSTRUMENT, DATETIME, ROW_COLUMN)
"""What every stage carries."""

PANEL_COLUMNS = (*KEY_COLUMNS, POSITION, ROWS_SINCE, ROWS_LEFT, ROWS_WHOLE)
"""The same over a whole panel."""
_COLUMN = re.compile(rf"""'(?:[^']|'')*'|(\b_v\d+_\b|"{FIELD_PREFIX}(?:[^"]|"")+")""")
"""A literal, which may hold anything, or a column."""


def columns_of(texts: Iterable[str]) -> set[str]:
    """Return the definitions and fields that pieces of SQL read."""
    return {column for text in texts for column in _COLUMN.findall(text) if column}


@dataclass
class Stages:
    """Collects definitions; the same SQL asked for twice is one column."""

    fields: frozenset[str]
    keys: tuple[str, ...] = KEY_COLUMNS
    instruments: set[str] = field(default_factory=set)
    """Instruments that some expression names: their rows are needed next to everybody's."""
    _by_sql: dict[str, Value] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)

    def field_value(self, name: str) -> Value:
        """Return a bar column; one that the bars lack is missing everywhere."""
        if name not in self.fields:
            return Value("CAST(NULL AS FLOAT)", Kind.FLOAT, is_clean=True)
        return Value(quote_name(FIELD_PREFIX + name), Kind.FLOAT, is_clean=True)

    def define(self, sql: str, kind: Kind, *, is_clean: bool = False, is_window: bool = False) -> Value:
        """Return the column that holds `sql`, defining it if it is new."""
        if sql not in self._by_sql:
            name = f"_v{len(self.definitions)}_"
            inputs = frozenset(columns_of([sql]) & self.definitions.keys())
            definition = Definition(name, sql, is_window, inputs)
            before = [self.definitions[i] for i in inputs]
            definition.stage = max((d.stage for d in before), default=0) + is_window
            self.definitions[name] = definition
            self._by_sql[sql] = Value(name, kind, is_clean)
        return self._by_sql[sql]

    def window(self, call: str, frame: str, kind: Kind = Kind.DOUBLE, *, is_clean: bool = False) -> Value:
        """Return a window function over the rows of an instrument."""
        over = f"OVER (PARTITION BY {INSTRUMENT} ORDER BY {ROW_COLUMN} {frame})"
        return self.define(f"{call} {over}", kind, is_clean=is_clean, is_window=True)

    def series(self, value: Value) -> Value:
        """Return a value as windows take it: DOUBLE, NULL where it is missing, NaN or infinite."""
        cast = value.as_kind(Kind.DOUBLE)
        if value.is_clean:
            return (
                replace(value, kind=Kind.DOUBLE) if cast == value.sql else self.define(cast, Kind.DOUBLE, is_clean=True)
            )
        return self.define(f"CASE WHEN isfinite({value.sql}) THEN {cast} END", Kind.DOUBLE, is_clean=True)

    def without_nan(self, value: Value) -> Value:
        """Return a value with NULL for NaN; infinities stay."""
        if value.is_clean or value.constant is not None:
            return value
        return self.define(f"CASE WHEN NOT isnan({value.sql}) THEN {value.sql} END", value.kind)

    def select(self, outputs: Mapping[str, Value], source: str) -> str:
        """Return one SELECT of keys and outputs, named as given, over the relation `source`."""
        plan = self.schedule(self.needed(outputs.values()))
        order = sorted({d.wave() for d in plan})
        needed = columns_of(value.sql for value in outputs.values())
        waves: list[list[str]] = []
        for wave in reversed(order):
            made = [d for d in plan if d.wave() == wave]
            carried = needed - {d.name for d in made}
            waves.append([*sorted(carried), *(f"{d.sql} AS {d.name}" for d in made)])
            needed = carried | columns_of(d.sql for d in made)
        relation = source
        for items in reversed(waves):
            relation = f"(SELECT {', '.join([*self.keys, *items])}\nFROM {relation})"
        named = [f"{value.sql} AS {name}" for name, value in outputs.items()]
        return f"SELECT {', '.join([*self.keys, *named])}\nFROM {relation}"

    def needed(self, outputs: Iterable[Value]) -> list[Definition]:
        """Return copies of the definitions that outputs rest on, inputs before their users."""
        found: set[str] = set()
        waiting = list(columns_of(value.sql for value in outputs) & self.definitions.keys())
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self.definitions[name].inputs)
        return [replace(d) for d in self.definitions.values() if d.name in found]

    def schedule(self, plan: list[Definition]) -> list[Definition]:
        """Give each definition the latest stage its users allow, and its depth inside that stage."""
        by_name = {d.name: d for d in plan}
        last = max((d.stage for d in plan), default=0)
        latest = dict.fromkeys(by_name, last)
        for definition in reversed(plan):  # users come after their inputs
            definition.stage = latest[definition.name]
            for name in definition.inputs:
                latest[name] = min(latest[name], definition.stage - definition.is_window)
        for definition in plan:
            same = [by_name[n] for n in definition.inputs if by_name[n].stage == definition.stage]
            definition.depth = 0 if definition.is_window else 1 + max((d.depth for d in same), default=0)
        return plan
