"""What the data proves of an expression: an interval that holds every value it can have, if there is one.

A value inside a finite interval is never NaN or infinite, so that nothing need be asked of it cell by cell. The
intervals start from the least and the greatest value of each bar column and follow interval arithmetic.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qts.expr.nodes import Call, Field, Node, Number

MARGIN = 1e-6
"""Relative widening of what a window computes: rounding may carry a mean a little beyond its values."""

LARGEST, SMALLEST = 1e38, 1e-30
"""Beyond these an interval proves nothing: 32 bits end at 3.4e38, and near 1e-38 they round to 0."""


@dataclass(frozen=True)
class Interval:
    """Every value that is not missing lies in [low, high]."""

    low: float
    high: float
    smallest: float = 0.0
    """A magnitude that none but 0 falls below; 0: none is known."""

    @property
    def magnitude(self) -> float:
        """The largest distance from 0."""
        return max(abs(self.low), abs(self.high))

    @property
    def reach(self) -> float:
        """The largest distance between two values."""
        return self.high - self.low

    def hull(self, other: "Interval") -> "Interval":
        """Return the least interval that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def widened(self) -> "Interval":
        """Return the interval with room for rounding."""
        room = MARGIN * self.magnitude
        return Interval(self.low - room if self.low < 0 else self.low * (1 - MARGIN), self.high + room)


Bounds = Mapping[str, Interval]
"""Field → the interval of its values in the bars at hand."""


def _corners(a: Interval, b: Interval, combine: Callable[[float, float], float]) -> Interval:
    values = [combine(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    return Interval(min(values), max(values))


def _quotient(a: Interval, b: Interval) -> Interval | None:
    return None if b.low <= SMALLEST and b.high >= -SMALLEST else _corners(a, b, lambda x, y: x / y)


def _logarithm(x: Interval) -> Interval | None:
    return Interval(math.log(x.low), math.log(x.high)) if x.low > SMALLEST else None


def _magnitude(x: Interval) -> Interval:
    least = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    return Interval(least, x.magnitude)


_ROW_BY_ROW: dict[str, Callable[..., Interval | None]] = {
    "Add": lambda a, b: Interval(a.low + b.low, a.high + b.high),
    "Sub": lambda a, b: Interval(a.low - b.high, a.high - b.low),
    "Mul": lambda a, b: _corners(a, b, lambda x, y: x * y),
    "Div": _quotient,
    "Greater": lambda a, b: Interval(max(a.low, b.low), max(a.high, b.high)),
    "Less": lambda a, b: Interval(min(a.low, b.low), min(a.high, b.high)),
    "Abs": _magnitude,
    "Log": _logarithm,
}
_OVER_WINDOW: dict[str, Callable[[Interval, int], Interval]] = {
    "Ref": lambda x, _n: x,
    "Delta": lambda x, _n: Interval(-x.reach, x.reach),
    "Mean": lambda x, _n: x.widened(),
    "Med": lambda x, _n: x.widened(),
    "Quantile": lambda x, _n: x.widened(),
    "Max": lambda x, _n: x,
    "Min": lambda x, _n: x,
    "Sum": lambda x, n: Interval(min(n * x.low, x.low, 0.0), max(n * x.high, x.high, 0.0)).widened(),
    "Std": lambda x, _n: Interval(0.0, x.reach).widened(),
    "Var": lambda x, _n: Interval(0.0, x.reach**2).widened(),
    "Slope": lambda x, _n: Interval(-x.reach, x.reach).widened(),
    "Resi": lambda x, n: Interval(-(n + 1) * x.reach, (n + 1) * x.reach).widened(),
}
_ALWAYS: dict[str, Callable[[int], Interval]] = {
    "Sign": lambda _n: Interval(-1, 1),
    "Corr": lambda _n: Interval(-2, 2),
    "Rsquare": lambda _n: Interval(-2, 2),
    "Rank": lambda _n: Interval(0, 1),
    "IdxMax": lambda n: Interval(0, n),
    "IdxMin": lambda n: Interval(0, n),
    "Count": lambda n: Interval(0, n),
    **dict.fromkeys(("Gt", "Ge", "Lt", "Le", "Eq", "Ne", "And", "Or", "Not"), lambda _n: Interval(0, 1)),
}


_BY_LENGTH = frozenset({"Sum", "Resi", "IdxMax", "IdxMin", "Count"})
"""Operators whose values grow with the window: over all rows so far they have no interval."""


def interval_of(node: Node, bounds: Bounds, memo: dict[Node, Interval | None] | None = None) -> Interval | None:
    """Return an interval that holds every value of an expression, or None if none is proved."""
    memo = {} if memo is None else memo
    if node not in memo:
        found = _interval(node, bounds, memo)
        memo[node] = found if found and found.magnitude <= LARGEST else None
    return memo[node]


def _interval(node: Node, bounds: Bounds, memo: dict[Node, Interval | None]) -> Interval | None:
    match node:
        case Field(name):
            return bounds.get(name)
        case Number(value):
            return Interval(float(value), float(value))
        case Call(operator, arguments):
            return _interval_of_call(operator, arguments, bounds, memo)
    return None


def _interval_of_call(
    operator: str, arguments: tuple[Node, ...], bounds: Bounds, memo: dict[Node, Interval | None]
) -> Interval | None:
    rows = next((int(a.value) for a in reversed(arguments) if isinstance(a, Number) and a.value >= 1), 0)
    if rows == 0 and operator in _BY_LENGTH:
        return None
    if operator in _ALWAYS:
        return _ALWAYS[operator](rows)
    inner = [interval_of(argument, bounds, memo) for argument in arguments]
    if operator == "If" and inner[1] and inner[2]:
        return inner[1].hull(inner[2])
    if operator in _OVER_WINDOW and inner[0]:
        return _OVER_WINDOW[operator](inner[0], rows)
    return _ROW_BY_ROW[operator](*inner) if operator in _ROW_BY_ROW and all(inner) else None
