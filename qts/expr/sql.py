"""Named expressions → one DuckDB SELECT, shared subtrees computed once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from qts.expr.lookback import crosses
from qts.expr.lowering import narrow
from qts.expr.nodes import Call, Field, Group, Node, Number, Text
from qts.expr.operators import OPERATORS
from qts.expr.quote import quote_name
from qts.expr.stages import (
    FIELD_PREFIX,
    KEY_COLUMNS,
    POSITION,
    ROW_COLUMN,
    ROWS_LEFT,
    ROWS_SINCE,
    ROWS_WHOLE,
    Kind,
    Stages,
    Value,
)

__all__ = [
    "FIELD_PREFIX",
    "POSITION",
    "ROWS_LEFT",
    "ROWS_SINCE",
    "ROWS_WHOLE",
    "ROW_COLUMN",
    "CompiledSelect",
    "compile_select",
]


@dataclass(frozen=True)
class CompiledSelect:
    """SQL of instrument, datetime, row_number and one FLOAT column an expression; missing values are NULL.

    The source relation has instrument, datetime, row_number (from 1 within the instrument, no gaps) and a FLOAT
    column `field_<name>` for each field, free of NaN and infinities. A column that makes groups may be of any type.
    """

    sql: str
    instruments: frozenset[str]
    """Instruments the expressions name."""
    crosses: bool
    """Whether some expression reads other instruments: then all of them must be in one relation."""


def compile_select(
    expressions: Mapping[str, Node], fields: Collection[str], source: str, keys: tuple[str, ...] = KEY_COLUMNS
) -> CompiledSelect:
    """Compile named trees over the relation `source`; a field that is not in `fields` is missing everywhere."""
    stages = Stages(frozenset(fields), keys)
    memo: dict[Node, Value] = {}
    outputs = {quote_name(name): _output(stages, _lower(node, stages, memo)) for name, node in expressions.items()}
    return CompiledSelect(
        stages.select(outputs, source), frozenset(stages.instruments), any(map(crosses, expressions.values()))
    )


def _lower(node: Node, stages: Stages, memo: dict[Node, Value]) -> Value:
    if node in memo:
        return memo[node]
    match node:
        case Field(name):
            value = stages.field_value(name)
        case Call(operator, arguments):
            parameters = OPERATORS[operator].parameters
            ready = [
                argument
                if isinstance(argument, Text | Group) or (isinstance(argument, Number) and not parameter.lifts_numbers)
                else _lower(argument, stages, memo)
                for argument, parameter in zip(arguments, parameters, strict=False)
            ]
            value = OPERATORS[operator].lower(stages, *ready)
        case Number(number):
            value = Value(repr(number), Kind.DOUBLE, is_clean=True, constant=float(number))
        case Text(text) | Group(text):
            raise TypeError(f"a text is no column: {text}")
    memo[node] = value
    return value


def _output(stages: Stages, value: Value) -> Value:
    """Return a column as it is stored: FLOAT, NULL for NaN, infinite beyond the range of 32 bits."""
    if value.kind is Kind.BOOL:
        return stages.define(value.as_kind(Kind.FLOAT), Kind.FLOAT, is_clean=True)
    if value.kind is Kind.FLOAT:
        return stages.without_nan(value)
    return stages.define(narrow(value.sql), Kind.FLOAT)
