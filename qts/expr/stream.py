"""Windows over rows that arrive in order: nothing but lags, so that one pass serves every window.

The source is sorted by instrument and row number, and before each instrument stand padding rows, at least as many as
any expression looks back, numbered 0 and below, their fields NULL. `lag(x, k) OVER ()` then needs no partition: what
it fetches from beyond an instrument's first row is padding. A window of n rows is built from two shorter ones that
lie next to each other, the newer a rows long and the older b, so that windows of 5 to 60 rows cost seven steps.
Results depend on the rows of the window alone, never on where a table or a bucket begins.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qts.expr.stages import ROW_COLUMN, Definition, Kind, Stages, Value

if TYPE_CHECKING:
    from qts.expr.network import Network

MOST_ROWS = 512
"""Rows a stream looks back at most; longer windows would cost more padding than they save."""


def split(n: int) -> tuple[int, int]:
    """Return the rows of the newer and of the older part a window of n > 1 rows is built from.

    A rule of n alone: what a window of 60 rows sums to, and in which order, must not depend on which other windows
    somebody asked for.
    """
    if n % 4 == 0:
        return n // 2, n // 2
    if n % 3 == 0:
        return n - n // 3, n // 3
    if n % 2 == 0:
        return n // 2, n // 2
    return n - 1, 1


def number(value: float) -> Value:
    """Return a constant DOUBLE."""
    text = repr(float(value))
    return Value(text if "e" in text else f"{text}e0", Kind.DOUBLE, is_clean=True, constant=float(value))


@dataclass(frozen=True)
class Series:
    """A value as windows take it."""

    known: Value
    """DOUBLE, NULL where it is missing."""
    filled: Value
    """DOUBLE, 0 where it is missing."""
    narrow: Value
    """`known` in 32 bits if those are what it has: comparing them costs half."""
    present: Value | None
    """DOUBLE, 1 where it is there, 0 where it is missing; None: it is always there."""


def _nothing(sign: str, kind: Kind) -> str:
    """Return the value that loses every comparison by `sign`."""
    return f"CAST('{'-inf' if sign == '>' else 'inf'}' AS {kind})"


@dataclass
class Stream(Stages):
    """Collects definitions over rows in order."""

    is_whole: bool = False
    """Whether every row asked for has, as far as any expression looks back, rows without a missing field."""
    networks: "dict[str, Network]" = field(default_factory=dict)
    """Sorting networks, by the column they sort."""

    def lag(self, value: Value, rows: int, *, default: str | None = None) -> str:
        """Return SQL of the value some rows earlier; before the very first row stands the default."""
        if rows == 0 or value.constant is not None:
            return value.sql
        filler = default if default is not None else f"CAST(NULL AS {value.kind})"
        return f"lag({value.sql}, {rows}, {filler}) OVER ()"

    def row(self) -> Value:
        """Return the row number as a DOUBLE."""
        return self.define(f"CAST({ROW_COLUMN} AS DOUBLE)", Kind.DOUBLE, is_clean=True)

    def rows(self, n: int) -> Value:
        """Return the number of rows in a window of n, missing ones included."""
        if self.is_whole:
            return number(n)
        sql = f"CASE WHEN {ROW_COLUMN} < {n} THEN {self.row().sql} ELSE {float(n)!r}e0 END"
        return self.define(sql, Kind.DOUBLE, is_clean=True)

    def on_rows(self, value: Value) -> Value:
        """Return a value that is NULL on padding rows, as everything that reads a field row by row is already."""
        if self.is_whole or not value.is_anywhere:
            return value
        sql = f"CASE WHEN {ROW_COLUMN} > 0 THEN {value.sql} END"
        return replace(self.define(sql, value.kind, is_clean=value.is_clean), is_anywhere=False)

    def observed(self, value: Value) -> Series:
        """Return a value as windows take it."""
        value = self.on_rows(value)
        known = self.series(value)
        narrow = value if value.kind is Kind.FLOAT and value.is_clean else known
        if value.presence is not None and not value.presence:
            return Series(known, known, narrow, None)
        filled = self.define(f"coalesce({known.sql}, 0.0e0)", Kind.DOUBLE, is_clean=True)
        if value.presence is not None:
            return Series(known, filled, narrow, self.product(value.presence))
        return Series(known, filled, narrow, self.presence(known))

    def presence(self, known: Value) -> Value:
        """Return 1 where a clean value is there, else 0."""
        return self.define(f"CASE WHEN {known.sql} IS NOT NULL THEN 1.0e0 ELSE 0.0e0 END", Kind.DOUBLE, is_clean=True)

    def product(self, factors: Iterable[str]) -> Value:
        """Return the product of columns."""
        names = sorted(factors)
        if len(names) == 1:
            return Value(names[0], Kind.DOUBLE, is_clean=True)
        return self.define(f"({' * '.join(names)})", Kind.DOUBLE, is_clean=True)

    def both(self, x: Series, y: Series) -> tuple[Series, Series]:
        """Return two series as they are on the rows where both are there."""
        if x.present == y.present:
            return x, y
        present = self.product({s.present.sql for s in (x, y) if s.present})
        held = [
            s.filled
            if s.present == present
            else self.define(f"({s.filled.sql} * {present.sql})", Kind.DOUBLE, is_clean=True)
            for s in (x, y)
        ]
        return Series(x.known, held[0], x.narrow, present), Series(y.known, held[1], y.narrow, present)

    # Windows, each from two shorter ones

    def chain(self, first: Value, n: int, join: Callable[[str, str], str], default: str) -> Value:
        """Return what `join(newer, older)` makes of a window of n rows."""
        if n == 1:
            return first
        a, b = split(n)
        newer, older = self.chain(first, a, join, default), self.chain(first, b, join, default)
        sql = join(newer.sql, self.lag(older, a, default=default))
        return self.define(sql, first.kind, is_clean=True)

    def total(self, filled: Value, n: int) -> Value:
        """Return the sum of a column without NULL."""
        return self.chain(filled, n, lambda new, old: f"({new} + {old})", "0.0e0")

    def count(self, x: Series, n: int) -> Value:
        """Return how many values of a window are there."""
        return self.total(x.present, n) if x.present else number(n)

    def ages(self, x: Series, n: int, power: int) -> Value | None:
        """Return the sum of the ages of the values that are there, or of their squares."""
        if x.present:
            return self.by_age(x.present, n, power)
        return number(sum(age**power for age in range(n))) if n > 1 else None

    def greatest(self, x: Series, n: int) -> Value:
        """Return the largest value; minus infinity if there is none."""
        return self._extreme(x, n, ">")

    def least(self, x: Series, n: int) -> Value:
        """Return the smallest value; infinity if there is none."""
        return self._extreme(x, n, "<")

    def _extreme(self, x: Series, n: int, sign: str) -> Value:
        first = self._or_nothing(x, sign)
        nothing = _nothing(sign, first.kind)
        return self.chain(first, n, lambda new, old: f"CASE WHEN {new} {sign} {old} THEN {new} ELSE {old} END", nothing)

    def _or_nothing(self, x: Series, sign: str) -> Value:
        """Return a series with what every value surpasses where it is missing."""
        if not x.present:
            return x.narrow
        return self.define(f"coalesce({x.narrow.sql}, {_nothing(sign, x.narrow.kind)})", x.narrow.kind, is_clean=True)

    def row_of_extreme(self, x: Series, n: int, sign: str) -> Value:
        """Return the row number of the largest (">") or smallest ("<") value; the oldest of equals."""
        if n == 1:
            # 32 bits count 16 million rows exactly: days of 60,000 years
            return self.define(f"CAST({ROW_COLUMN} AS FLOAT)", Kind.FLOAT, is_clean=True)
        a, b = split(n)
        nothing = _nothing(sign, x.narrow.kind)
        new, old = self._extreme(x, a, sign).sql, self.lag(self._extreme(x, b, sign), a, default=nothing)
        rows = self.row_of_extreme(x, a, sign).sql, self.lag(self.row_of_extreme(x, b, sign), a, default="0")
        sql = f"CASE WHEN {new} {sign} {old} THEN {rows[0]} ELSE {rows[1]} END"
        return self.define(sql, Kind.FLOAT, is_clean=True)

    def oldest_missing(self, known: Value, n: int) -> Value:
        """Return the row number of the oldest row of the window that is missing; infinity if none is."""
        nothing = _nothing("<", Kind.DOUBLE)
        sql = f"CASE WHEN {ROW_COLUMN} > 0 AND {known.sql} IS NULL THEN {self.row().sql} ELSE {nothing} END"
        first = self.define(sql, Kind.DOUBLE, is_clean=True)
        return self.chain(first, n, lambda new, old: f"CASE WHEN {new} < {old} THEN {new} ELSE {old} END", nothing)

    def by_age(self, filled: Value, n: int, power: int = 1) -> Value | None:
        """Return the sum weighted by age (the newest row has age 0), or by its square; None for one row: it is 0."""
        if n == 1:
            return None
        a, b = split(n)
        terms = [newer.sql] if (newer := self.by_age(filled, a, power)) else []
        if older := self.by_age(filled, b, power):
            terms.append(self.lag(older, a, default="0.0e0"))
        if power == 2 and (linear := self.by_age(filled, b)):
            terms.append(f"{2.0 * a!r}e0 * {self.lag(linear, a, default='0.0e0')}")
        terms.append(f"{float(a**power)!r}e0 * {self.lag(self.total(filled, b), a, default='0.0e0')}")
        return self.define(f"({' + '.join(terms)})", Kind.DOUBLE, is_clean=True)

    def comoment(self, x: Series, y: Series, n: int) -> Value | None:
        """Return the sum of (x - mean of x)(y - mean of y), of x with itself its spread; None for one row: it is 0.

        Windows are merged by Chan, Golub and LeVeque's formula, not from sums of squares: where a price stands still
        the result is 0 and not what is left of large numbers. Both series must be there on the same rows.
        """
        if n == 1:
            return None
        a, b = split(n)
        counts = self.count(x, a).sql, self.lag(self.count(x, b), a, default="0.0e0")
        weight = f"1.0e0 / ({counts[0]} * {counts[1]} * ({counts[0]} + {counts[1]}) + 1e-300)"
        scale = self.define(weight, Kind.DOUBLE, is_clean=True).sql if x.present else number(1 / (a * b * (a + b))).sql
        shifts = [
            self.define(
                f"({self.total(s.filled, a).sql} * {counts[1]} - "
                f"{self.lag(self.total(s.filled, b), a, default='0.0e0')} * {counts[0]})",
                Kind.DOUBLE,
                is_clean=True,
            ).sql
            for s in (x, y)
        ]
        terms = [newer.sql] if (newer := self.comoment(x, y, a)) else []
        if older := self.comoment(x, y, b):
            # a step later than the shifts, so that it meets them in the same pass
            terms.append(self.lag(older, a, default="0.0e0"))
        return self.define(
            f"({' + '.join([*terms, f'{shifts[0]} * {shifts[1]} * {scale}'])})", Kind.DOUBLE, is_clean=True
        )

    def schedule(self, plan: list[Definition]) -> list[Definition]:
        """Give each definition the earliest place: what lies in a vector still in the cache is cheap to use."""
        depths: dict[str, int] = {}
        for definition in plan:
            definition.stage = 0
            definition.depth = depths[definition.name] = 1 + max((depths[i] for i in definition.inputs), default=0)
        return plan
