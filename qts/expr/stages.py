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

ROW_COLUMN = "row_number"
"""Number of a row within its instrument, from 1; every source relation of compiled SQL has it."""

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

    def as_kind(self, kind: Kind) -> str:
        """Return SQL of this value in another kind."""
        if self.constant is not None and kind is Kind.FLOAT and abs(self.constant) > MAX_FLOAT:
            return "CAST('inf' AS FLOAT)" if self.constant > 0 else "CAST('-inf' AS FLOAT)"
        if self.constant is not None:
            return f"CAST({self.constant!r} AS {kind})"
        return self.sql if self.kind is kind else f"CAST({self.sql} AS {kind})"


@dataclass
class _Definition:
    name: str
    sql: str
    is_window: bool
    inputs: frozenset[str]
    stage: int = 0
    depth: int = 0

    def wave(self) -> tuple[int, int]:
        """Return the place in the order of work; windows have depth 0 and come first in their stage."""
        return self.stage, self.depth


_KEY_COLUMNS = (INSTRUMENT, DATETIME, ROW_COLUMN)
_COLUMN = re.compile(rf'\b_v\d+_\b|"{FIELD_PREFIX}\w+"')


def _columns(texts: Iterable[str]) -> set[str]:
    """Return the definitions and fields that pieces of SQL read."""
    return {column for text in texts for column in _COLUMN.findall(text)}


@dataclass
class Stages:
    """Collects definitions; the same SQL asked for twice is one column."""

    fields: frozenset[str]
    instruments: set[str] = field(default_factory=set)
    """Instruments that some expression names: their rows are needed next to everybody's."""
    _by_sql: dict[str, Value] = field(default_factory=dict)
    _definitions: dict[str, _Definition] = field(default_factory=dict)

    def field_value(self, name: str) -> Value:
        """Return a bar column; one that the bars lack is missing everywhere."""
        if name not in self.fields:
            return Value("CAST(NULL AS FLOAT)", Kind.FLOAT, is_clean=True)
        return Value(f'"{FIELD_PREFIX}{name}"', Kind.FLOAT, is_clean=True)

    def define(self, sql: str, kind: Kind, *, is_clean: bool = False, is_window: bool = False) -> Value:
        """Return the column that holds `sql`, defining it if it is new."""
        if sql not in self._by_sql:
            name = f"_v{len(self._definitions)}_"
            inputs = frozenset(_columns([sql]) & self._definitions.keys())
            definition = _Definition(name, sql, is_window, inputs)
            before = [self._definitions[i] for i in inputs]
            definition.stage = max((d.stage for d in before), default=0) + is_window
            self._definitions[name] = definition
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
        """Return one SELECT of the outputs, named as given, over the relation `source`."""
        plan = self._schedule(outputs.values())
        order = sorted({d.wave() for d in plan})
        needed = _columns(value.sql for value in outputs.values())
        waves: list[list[str]] = []
        for wave in reversed(order):
            made = [d for d in plan if d.wave() == wave]
            carried = needed - {d.name for d in made}
            waves.append([*sorted(carried), *(f"{d.sql} AS {d.name}" for d in made)])
            needed = carried | _columns(d.sql for d in made)
        relation = source
        for items in reversed(waves):
            relation = f"(SELECT {', '.join([*_KEY_COLUMNS, *items])}\nFROM {relation})"
        named = [f"{value.sql} AS {name}" for name, value in outputs.items()]
        return f"SELECT {', '.join([*_KEY_COLUMNS, *named])}\nFROM {relation}"

    def _schedule(self, outputs: Iterable[Value]) -> list[_Definition]:
        """Give each needed definition the latest stage its users allow, and its depth inside that stage."""
        needed: set[str] = set()
        waiting = list(_columns(value.sql for value in outputs) & self._definitions.keys())
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting.extend(self._definitions[name].inputs)
        plan = [replace(d) for d in self._definitions.values() if d.name in needed]
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
