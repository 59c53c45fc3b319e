"""Order statistics of a window in a stream: sorting networks whose halves are shared between windows.

A window is sorted by merging the sorted halves it consists of (Batcher's odd-even merge); the older half is the newer
one some rows ago. Only comparators that lead to a value asked for are ever defined.
"""

from dataclasses import dataclass, field

from qts.expr.stages import Kind, Value
from qts.expr.stream import Stream, split

DIRECT = 40
"""Rows from which single order statistics are cheaper picked from two sorted halves than merged in full."""


@dataclass(frozen=True, eq=False)
class Wire:
    """A value on its way through the network: a column, or the lesser or greater of two wires, or an older wire."""

    kind: str
    inputs: "tuple[Wire, ...]" = ()
    rows: int = 0


@dataclass
class Network:
    """The network of one series, over a stream.

    With `is_exact`, two columns are compared by arithmetic, (a + b) - |a - b| being twice the lesser: a quarter of
    the price of CASE, and exact where every sum of two values has at most 53 bits.
    """

    stream: Stream
    filled: Value
    is_exact: bool
    _leaf: Wire = field(default_factory=lambda: Wire("leaf"))
    _sorted: dict[int, list[Wire]] = field(default_factory=dict)
    _older: dict[tuple[Wire, int], Wire] = field(default_factory=dict)
    _made: dict[Wire, tuple[str, int]] = field(default_factory=dict)

    def pick(self, n: int, places: tuple[int, ...]) -> list[str]:
        """Return SQL of the values at places (from 0) of a sorted window of n rows that are all there."""
        if n < DIRECT:
            wires = [self._window(n)[place] for place in places]
        else:
            a, b = split(n)
            newer, older = self._window(a), [self._lagged(w, a) for w in self._window(b)]
            wires = [_select(newer, older, place) for place in places]
        return [self._plain(wire) for wire in wires]

    def _window(self, n: int) -> list[Wire]:
        if n == 1:
            return [self._leaf]
        if n not in self._sorted:
            a, b = split(n)
            self._sorted[n] = _merge(self._window(a), [self._lagged(wire, a) for wire in self._window(b)])
        return self._sorted[n]

    def _lagged(self, wire: Wire, rows: int) -> Wire:
        if (wire, rows) not in self._older:
            self._older[wire, rows] = Wire("lag", (wire,), rows)
        return self._older[wire, rows]

    def _plain(self, wire: Wire) -> str:
        name, doubled = self._column(wire)
        return name if not doubled else f"({name} * {2.0**-doubled!r})"

    def _column(self, wire: Wire) -> tuple[str, int]:
        """Return the column of a wire, and how often its value was doubled on the way."""
        if wire not in self._made:
            self._made[wire] = self._define(wire)
        return self._made[wire]

    def _define(self, wire: Wire) -> tuple[str, int]:
        if wire.kind == "leaf":
            return self.filled.sql, 0
        columns = [self._column(w) for w in wire.inputs]
        doubled = max(times for _, times in columns)
        if wire.kind == "lag":
            value = Value(columns[0][0], Kind.DOUBLE)
            sql = self.stream.lag(value, wire.rows, default="0.0e0")
        elif self.is_exact:
            a, b = (
                name if times == doubled else f"({name} * {2.0 ** (doubled - times)!r}e0)" for name, times in columns
            )
            sql = f"({a} + {b}) {'-' if wire.kind == 'min' else '+'} abs({a} - {b})"
            doubled += 1
        else:
            a, b = (name for name, _ in columns)
            sql = f"CASE WHEN {a} {'<' if wire.kind == 'min' else '>'} {b} THEN {a} ELSE {b} END"
        return self.stream.define(sql, Kind.DOUBLE, is_clean=True).sql, doubled


def _compare(a: Wire, b: Wire) -> list[Wire]:
    return [Wire("min", (a, b)), Wire("max", (a, b))]


def _merge(a: list[Wire], b: list[Wire]) -> list[Wire]:
    """Return two sorted lists of any lengths as one sorted list."""
    if not a or not b:
        return [*a, *b]
    if len(a) == len(b) == 1:
        return _compare(a[0], b[0])
    even, odd = _merge(a[0::2], b[0::2]), _merge(a[1::2], b[1::2])
    merged = [even[0]]
    for place in range(max(len(odd), len(even) - 1)):
        if place < len(odd) and place + 1 < len(even):
            merged += _compare(odd[place], even[place + 1])
        else:
            merged.append(odd[place] if place < len(odd) else even[place + 1])
    return merged


def _select(a: list[Wire], b: list[Wire], place: int) -> Wire:
    """Return the value at a place of the merged list, counted from the nearer end."""
    length = len(a) + len(b)
    if 2 * place > length:
        return _pick(a[::-1], b[::-1], length - 1 - place, "min", "max")
    return _pick(a, b, place, "max", "min")


def _pick(a: list[Wire], b: list[Wire], place: int, within: str, among: str) -> Wire:
    """The place-th value is the least, over every way to take place + 1 values from both heads, of the last taken."""
    ways = [(taken, place + 1 - taken) for taken in range(place + 2) if taken <= len(a) and place + 1 - taken <= len(b)]
    pairs = [[side[count - 1] for side, count in ((a, i), (b, j)) if count] for i, j in ways]
    return _fold([_pair(pair, within) for pair in pairs], among)


def _pair(pair: list[Wire], kind: str) -> Wire:
    return pair[0] if len(pair) == 1 else Wire(kind, (pair[0], pair[1]))


def _fold(wires: list[Wire], kind: str) -> Wire:
    """Combine pairwise, as a tree: a chain would be as deep as it is long."""
    while len(wires) > 1:
        wires = [_pair(wires[at : at + 2], kind) for at in range(0, len(wires), 2)]
    return wires[0]
