"""Named expressions → one SELECT over the panel: streams side by side, and windowed SQL for what cannot stream.

A stream is one pass over rows in order. What it carries must stay in the cache, so that expressions are dealt out to
several streams of limited size, those together that share most; their results are glued row to row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from qts.expr.bounds import Bounds, Interval, interval_of
from qts.expr.lookback import span_of
from qts.expr.lowering import narrow
from qts.expr.nodes import Call, Field, Node, Number, Text
from qts.expr.operators import OPERATORS
from qts.expr.quote import quote_name
from qts.expr.sql import compile_select
from qts.expr.stages import PANEL_COLUMNS, POSITION, ROW_COLUMN, ROWS_SINCE, Kind, Value
from qts.expr.stream import MOST_ROWS, Stream
from qts.expr.streamed import STREAMED

STREAM_SIZE = 420
"""Definitions in one stream at most, unless a single expression needs more: about what the second-level cache holds."""

_STRICT = frozenset({"Add", "Sub", "Mul", "Div", "Power", "Greater", "Less", "Abs", "Sign", "Log"})
"""Row by row, and missing wherever one of their arguments is."""

_ROW_BY_ROW = _STRICT | {"Gt", "Ge", "Lt", "Le", "Eq", "Ne", "And", "Or", "Not", "If"}

_BEFORE = "_before_"
_DISORDER = "CAST(error('the rows of the panel are out of order') AS BOOLEAN)"


def is_row_by_row(node: Call) -> bool:
    """Return whether an operator looks at its own row alone."""
    return node.operator in _ROW_BY_ROW


@dataclass(frozen=True)
class PanelSelect:
    """SQL of instrument, datetime, row_number and one FLOAT column an expression, in the order of the panel."""

    sql: str
    n_streams: int
    """Streams it consists of; windowed SQL, if there is any, comes on top."""


def is_streamable(node: Node) -> bool:
    """Return whether an expression can be computed from lags alone."""
    span = span_of(node)
    return span.back is not None and span.back + span.ahead <= MOST_ROWS and _can_stream(node)


def _can_stream(node: Node) -> bool:
    if not isinstance(node, Call):
        return True
    if node.operator in STREAMED:
        parameters = OPERATORS[node.operator].parameters
        numbers = zip(node.arguments, parameters, strict=True)
        rows = [a.value for a, p in numbers if isinstance(a, Number) and p.name in ("N", "n")]
        if any(not isinstance(n, int) or n == 0 or abs(n) > STREAMED[node.operator].most_rows for n in rows):
            return False
    elif node.operator not in _ROW_BY_ROW:
        return False
    return all(_can_stream(argument) for argument in node.arguments)


def padding_rows(nodes: Collection[Node]) -> int:
    """Return how many padding rows the panel needs before each instrument."""
    spans = [span_of(node) for node in nodes if is_streamable(node)]
    return max((max(span.back or 0, span.ahead) for span in spans), default=0)


def compile_panel(
    expressions: Mapping[str, Node],
    fields: Collection[str],
    bounds: Bounds,
    panel: str,
    condition: str = "true",
    *,
    wanted: str = f"{ROWS_SINCE} >= 0",
    is_whole: bool = False,
) -> PanelSelect:
    """Compile named trees over the rows of `panel` that meet a condition; it must keep instruments whole.

    The panel is a table, in order of `position`, with PANEL_COLUMNS and the fields of a compiled source (`sql.py`);
    before each instrument stand at least `padding_rows` rows that nobody asks for, numbered 0 and below, their fields
    NULL. `bounds` must hold for every row of it. The result is the rows that meet `wanted`, a condition on
    PANEL_COLUMNS. With `is_whole` each of them must have, as far back as the expressions look, rows of its own
    instrument in which every field of `bounds` is there; most rows of a market do, and need no counting.
    """
    if is_whole and any(span_of(node).ahead for node in expressions.values()):
        raise ValueError("rows are whole as far back as an expression looks, not ahead")
    streamable = {name: node for name, node in expressions.items() if is_streamable(node)}
    others = {name: node for name, node in expressions.items() if name not in streamable}
    groups = _deal(streamable, fields, bounds, is_whole=is_whole)
    source = f"(SELECT * FROM {panel} WHERE {condition})"
    parts = [
        _stream_sql(group, _StreamCompiler(fields, bounds, is_whole=is_whole), source, wanted, has_keys=at == 0)
        for at, group in enumerate(groups)
    ]
    if others:
        rows = f"(SELECT * FROM {panel} WHERE {ROW_COLUMN} > 0 AND {condition})"
        compiled = compile_select(others, fields, rows, PANEL_COLUMNS).sql
        parts.append(f"SELECT * FROM ({compiled}) AS w WHERE {wanted} ORDER BY w.{POSITION}")
        if groups:
            parts[-1] = f"SELECT {POSITION} AS _same_, {', '.join(map(quote_name, others))} FROM ({parts[-1]})"
    names = ", ".join([*PANEL_COLUMNS, *map(quote_name, expressions)])
    joined = " POSITIONAL JOIN ".join(f"({part}) AS _s{at}_" for at, part in enumerate(parts))
    check = f" WHERE CASE WHEN _same_ <> {POSITION} THEN {_DISORDER} ELSE true END" if groups and others else ""
    return PanelSelect(f"SELECT {names}\nFROM {joined}{check}", len(groups))


def _deal(
    expressions: Mapping[str, Node], fields: Collection[str], bounds: Bounds, *, is_whole: bool
) -> list[dict[str, Node]]:
    """Deal expressions out to streams: again and again those two become one that share most, as long as there is room.

    What a stream rests on is a set of definitions, held as the bits of a number.
    """
    compiler = _StreamCompiler(fields, bounds, is_whole=is_whole)
    place: dict[str, int] = {}
    groups: list[tuple[tuple[str, ...], int]] = []
    for name, node in expressions.items():
        needed = compiler.stream.needed([compiler.output(node)])
        bits = sum(1 << place.setdefault(d.name, len(place)) for d in needed)
        groups.append(((name,), bits))
    while pair := _closest(groups):
        (one, its), (other, others) = (groups[at] for at in pair)
        groups = [g for at, g in enumerate(groups) if at not in pair] + [(one + other, its | others)]
    groups.sort(key=lambda group: -len(group[0]))  # the first one flows through, the others are held until it passes
    return [{name: expressions[name] for name in expressions if name in names} for names, _ in groups]


def _closest(groups: Sequence[tuple[tuple[str, ...], int]]) -> tuple[int, int] | None:
    """Return the two groups that share most of those that fit into one stream."""
    best, found = -1, None
    for at, (_, one) in enumerate(groups):
        for to, (_, other) in enumerate(groups[:at]):
            shared = (one & other).bit_count()
            if shared > best and (one | other).bit_count() <= STREAM_SIZE:
                best, found = shared, (to, at)
    return found


def _stream_sql(
    expressions: Mapping[str, Node], compiler: "_StreamCompiler", source: str, wanted: str, *, has_keys: bool
) -> str:
    """Return the SELECT of one stream.

    The rows of padding fall out last, by a condition on a window column: on anything else the optimiser would push it
    down, below the windows. The same condition asserts that rows did arrive in order.
    """
    outputs = {quote_name(name): compiler.output(node) for name, node in expressions.items()}
    inner = compiler.stream.select(outputs, source)
    keys = PANEL_COLUMNS if has_keys else ()
    in_order = f"CASE WHEN {_BEFORE} >= 0 AND {_BEFORE} <> {POSITION} - 1 THEN {_DISORDER} ELSE ({wanted}) END"
    return (
        f"SELECT {', '.join([*keys, *outputs])} FROM "
        f"(SELECT *, lag({POSITION}, 1, -1) OVER () AS {_BEFORE} FROM ({inner})) WHERE {in_order}"
    )


class _StreamCompiler:
    """Lowers trees into one stream, with what the data proves of them."""

    def __init__(self, fields: Collection[str], bounds: Bounds, *, is_whole: bool) -> None:
        self.stream = Stream(frozenset(fields), PANEL_COLUMNS, is_whole=is_whole)
        self.bounds = bounds
        self._values: dict[Node, Value] = {}
        self._intervals: dict[Node, Interval | None] = {}

    def interval(self, node: Node) -> Interval | None:
        return interval_of(node, self.bounds, self._intervals)

    def value(self, node: Node) -> Value:
        """Return the column of a tree."""
        if node not in self._values:
            self._values[node] = self._lower(node)
        return self._values[node]

    def output(self, node: Node) -> Value:
        """Return a column as it is stored: FLOAT, NULL for NaN, infinite beyond the range of 32 bits."""
        value = self.value(node)
        if value.kind is Kind.FLOAT:
            return self.stream.without_nan(value)
        is_finite = self.interval(node) is not None
        sql = f"CAST({value.sql} AS FLOAT)" if is_finite or value.kind is Kind.BOOL else narrow(value.sql)
        return self.stream.define(sql, Kind.FLOAT, is_clean=True)

    def _lower(self, node: Node) -> Value:
        match node:
            case Field(name):
                return self._field(name)
            case Number(number):
                return Value(repr(number), Kind.DOUBLE, is_clean=True, constant=float(number), presence=frozenset())
            case Call(operator, arguments):
                ready = [
                    a if isinstance(a, Text) or (isinstance(a, Number) and not p.lifts_numbers) else self.value(a)
                    for a, p in zip(arguments, OPERATORS[operator].parameters, strict=True)
                ]
                lower = STREAMED[operator].lower if operator in STREAMED else OPERATORS[operator].lower
                return self._prove(node, lower(self.stream, *ready), [r for r in ready if isinstance(r, Value)])
        raise TypeError(f"this is no column: {node}")

    def _field(self, name: str) -> Value:
        value = self.stream.field_value(name)
        interval = self.bounds.get(name)
        is_there = self.stream.is_whole and name in self.bounds
        presence = frozenset() if is_there else frozenset({self.stream.presence(value).sql})
        span = interval.magnitude / interval.smallest if interval and interval.smallest > 0 else None
        return replace(value, presence=presence, span=span)

    def _prove(self, node: Call, value: Value, arguments: list[Value]) -> Value:
        """Return a value with what follows from its arguments and from the data."""
        is_strict = node.operator in _STRICT
        is_rowwise = node.operator in _ROW_BY_ROW
        is_finite = self.interval(node) is not None
        is_ahead = node.operator == "Ref" and isinstance(n := node.arguments[1], Number) and n.value < 0
        presence = None
        if is_strict and is_finite and all(a.presence is not None for a in arguments):
            presence = frozenset().union(*(a.presence or () for a in arguments))
        if node.operator == "Ref" and is_finite and arguments[0].presence is not None:
            presence = self._shifted_presence(arguments[0].presence, node.arguments[1])
        return replace(
            value,
            is_clean=value.is_clean or is_finite,
            is_anywhere=is_ahead
            or (is_rowwise and not (is_strict and any(not a.is_anywhere and a.constant is None for a in arguments))),
            presence=presence,
            span=arguments[0].span if node.operator == "Ref" else None,
        )

    def _shifted_presence(self, presence: frozenset[str], rows: Node) -> frozenset[str] | None:
        if not isinstance(rows, Number) or rows.value < 0:
            return None
        columns = (Value(name, Kind.DOUBLE) for name in presence)
        shifted = (self.stream.lag(column, int(rows.value), default="0.0e0") for column in columns)
        return frozenset(self.stream.define(sql, Kind.DOUBLE, is_clean=True).sql for sql in shifted)
