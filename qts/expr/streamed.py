"""How operators become SQL over a stream: the same definitions as in `lowering.py`, built from lags.

Row by row an operator is lowered as everywhere; here are shifts and windows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from qts.expr.lowering import FLAT_STD, Lower, arithmetic
from qts.expr.network import Network
from qts.expr.nodes import Number, Text
from qts.expr.stages import ROW_COLUMN, Kind, Value
from qts.expr.stream import MOST_ROWS, Series, Stream, number

RANK_BLOCK = 5
"""Comparisons with the newest row are summed in blocks of so many lags, which windows of several lengths share."""

PAIRED_ROWS = 128
"""The longest window whose rows are compared one with another."""

EXACT_SPAN = 2.0**27
"""Largest over smallest magnitude of 32-bit values whose sums a double holds exactly, with bits to spare."""


def shift(stream: Stream, x: Value, n: Number) -> Value:
    """The value n rows ago; a negative n looks ahead.

    Ahead of an instrument's last row lies the padding of the next, from where windows still reach back to it.
    """
    rows = int(n.value)
    value = stream.on_rows(replace(x, is_anywhere=x.is_anywhere or rows < 0))
    if rows > 0:
        return stream.define(stream.lag(value, rows), value.kind, is_clean=value.is_clean)
    sql = f"lead({value.sql}, {-rows}, CAST(NULL AS {value.kind})) OVER ()"
    return stream.define(sql, value.kind, is_clean=value.is_clean)


def delta(stream: Stream, x: Value, n: Number) -> Value:
    """The change over n rows."""
    value = stream.on_rows(x)
    return arithmetic("-")(stream, value, shift(stream, value, n))


def _double(stream: Stream, sql: str) -> Value:
    return stream.define(sql, Kind.DOUBLE)


def over_one(formula: Callable[[Stream, Series, int], Value]) -> Lower:
    """Return the lowering of a window figure of one series."""

    def lower(stream: Stream, x: Value, n: Number) -> Value:
        return formula(stream, stream.observed(x), int(n.value))

    return lower


def _count(stream: Stream, x: Series, n: int) -> str:
    return stream.count(x, n).sql


def _inverse_count(stream: Stream, x: Series, n: int, less: int = 0) -> str:
    """Return 1 / (valid rows - less), NULL where there are no more than that."""
    if not x.present:
        return number(1 / (n - less)).sql if n > less else "CAST(NULL AS DOUBLE)"
    count = _count(stream, x, n)
    if less:
        return _double(stream, f"1.0e0 / CASE WHEN {count} > {less} THEN {count} - {float(less)!r}e0 END").sql
    return _double(stream, f"1.0e0 / CASE WHEN {count} > 0 THEN {count} END").sql


def mean(stream: Stream, x: Series, n: int) -> Value:
    """Sum over count."""
    return _double(stream, f"({stream.total(x.filled, n).sql} * {_inverse_count(stream, x, n)})")


def total(stream: Stream, x: Series, n: int) -> Value:
    """The sum; missing if nothing is valid."""
    if not x.present:
        return stream.total(x.filled, n)
    return _double(stream, f"CASE WHEN {_count(stream, x, n)} > 0 THEN {stream.total(x.filled, n).sql} END")


def variance(stream: Stream, x: Series, n: int) -> Value:
    """The spread over count - 1."""
    spread = stream.comoment(x, x, n)
    return _double(stream, f"({spread.sql if spread else '0.0e0'} * {_inverse_count(stream, x, n, 1)})")


def deviation(stream: Stream, x: Series, n: int) -> Value:
    """The root of the variance."""
    return _double(stream, f"sqrt({variance(stream, x, n).sql})")


def standard_error(stream: Stream, x: Series, n: int) -> Value:
    """The deviation over the root of the count."""
    return _double(stream, f"({deviation(stream, x, n).sql} / sqrt({_count(stream, x, n)}))")


def largest(stream: Stream, x: Series, n: int) -> Value:
    """The greatest value."""
    found = stream.greatest(x, n)
    wide = found.as_kind(Kind.DOUBLE)
    return _double(stream, wide if not x.present else f"CASE WHEN {found.sql} > CAST('-inf' AS FLOAT) THEN {wide} END")


def smallest(stream: Stream, x: Series, n: int) -> Value:
    """The least value."""
    found = stream.least(x, n)
    wide = found.as_kind(Kind.DOUBLE)
    return _double(stream, wide if not x.present else f"CASE WHEN {found.sql} < CAST('inf' AS FLOAT) THEN {wide} END")


def position_of(sign: str) -> Lower:
    """Return the lowering of the place of the extreme in its window, oldest row 1.

    A missing row in the window wins over every value, the oldest one first, unless all are missing.
    """

    def lower(stream: Stream, x: Value, n: Number) -> Value:
        series, rows = stream.observed(x), int(n.value)
        best = stream.row_of_extreme(series, rows, sign).as_kind(Kind.DOUBLE)
        if not series.present:
            place = f"({best} - {stream.row().sql} + {number(rows).sql})"
            return stream.define(place, Kind.DOUBLE, is_clean=True)
        missing = stream.oldest_missing(series.known, rows).sql
        start = stream.define(f"({stream.row().sql} - {stream.rows(rows).sql})", Kind.DOUBLE, is_clean=True).sql
        row = f"CASE WHEN {missing} < CAST('inf' AS DOUBLE) THEN {missing} ELSE {best} END"
        place = _double(stream, f"({row} - {start})").sql
        sql = f"CASE WHEN {_count(stream, series, rows)} > 0 THEN {place} END"
        return stream.define(sql, Kind.DOUBLE, is_clean=True)

    return lower


def count(stream: Stream, x: Value, n: Number) -> Value:
    """The number of rows that are not missing; infinite ones count."""
    known = stream.without_nan(stream.on_rows(x))
    if known.presence is not None and not known.presence:
        return number(int(n.value))
    counted = stream.total(stream.presence(known), int(n.value))
    sql = f"CASE WHEN {ROW_COLUMN} > 0 THEN {counted.sql} END"
    return stream.define(sql, Kind.DOUBLE, is_clean=True)


def quantile(stream: Stream, x: Value, n: Number, q: Number) -> Value:
    """The value at position q (k - 1) of the k sorted valid values, interpolated.

    Complete windows go through a sorting network; the few with a missing row sort a list.
    """
    series, rows = stream.observed(x), int(n.value)
    position = q.value * (rows - 1)
    at = min(int(position), max(rows - 2, 0))
    if rows == 1:
        return series.known
    low, high = _network(stream, x, series).pick(rows, (at, at + 1))
    figure = f"{low} + ({high} - {low}) * {float(position - at)!r}e0"
    if not series.present:
        return _double(stream, figure)
    complete = _double(stream, figure).sql
    held = _held(stream, series)
    values = f"[{', '.join(stream.lag(held, k, default=_BEYOND) for k in range(rows))}]"
    n_valid = _count(stream, series, rows)
    ordered = stream.define(f"CASE WHEN {n_valid} < {rows} THEN list_sort({values}) END", Kind.DOUBLE).sql
    place = f"{float(q.value)!r}e0 * ({n_valid} - 1)"
    first = f"CAST(floor({place}) AS INTEGER)"
    lower = f"CAST({ordered}[{first} + 1] AS DOUBLE)"
    upper = f"CAST({ordered}[least({first} + 2, CAST({n_valid} AS INTEGER))] AS DOUBLE)"
    partial = f"CASE WHEN {n_valid} > 0 THEN {lower} + ({upper} - {lower}) * ({place} - floor({place})) END"
    return _double(stream, f"CASE WHEN {n_valid} = {rows} THEN {complete} ELSE {partial} END")


def _network(stream: Stream, x: Value, series: Series) -> Network:
    if series.filled.sql not in stream.networks:
        is_exact = x.kind is Kind.FLOAT and x.span is not None and x.span <= EXACT_SPAN
        stream.networks[series.filled.sql] = Network(stream, series.filled, is_exact)
    return stream.networks[series.filled.sql]


_BEYOND = "CAST('inf' AS FLOAT)"


def _held(stream: Stream, series: Series) -> Value:
    """Return a series with infinity where it is missing, which sorts behind every value."""
    if not series.present:
        return series.narrow
    return stream.define(f"coalesce({series.narrow.sql}, {_BEYOND})", series.narrow.kind, is_clean=True)


def median(stream: Stream, x: Value, n: Number) -> Value:
    """The 0.5-quantile."""
    return quantile(stream, x, n, Number(0.5))


def rank(stream: Stream, x: Value, n: Number) -> Value:
    """The share of valid values at or under the newest; ties share the average rank.

    A missing row counts as larger than everything. With S the sum of signs of the newest minus each older row, over
    all n rows, the average rank among the valid ones is then (S + n + 1) / 2, whatever is missing.
    """
    series, rows = stream.observed(x), int(n.value)
    held = _held(stream, series)

    def signs(first: int, last: int) -> str:
        terms = (f"sign({held.sql} - {stream.lag(held, k, default=_BEYOND)})::DOUBLE" for k in range(first, last))
        return _double(stream, f"({' + '.join(terms)})").sql

    def up_to(last: int) -> str:
        """Return the sum over lags 1 to last - 1."""
        start = (last - 1) // RANK_BLOCK * RANK_BLOCK
        if start == 0:
            return signs(1, last) if last > 1 else "0.0e0"
        return _double(stream, f"({up_to(start)} + {signs(start, last)})").sql

    position = f"({up_to(rows)} + {float(rows + 1)!r}e0) * 0.5e0"
    figure = f"{position} * {_inverse_count(stream, series, rows)}"
    sql = figure if not series.present else f"CASE WHEN {series.known.sql} IS NOT NULL THEN {figure} END"
    return stream.define(sql, Kind.DOUBLE, is_clean=True)


def weighted_mean(stream: Stream, x: Series, n: int) -> Value:
    """The linearly weighted mean, divided once more by the number of valid values: the reference's definition."""
    rows = stream.rows(n).sql
    by_age = stream.by_age(x.filled, n)
    summed = f"({rows} * {stream.total(x.filled, n).sql} - {by_age.sql if by_age else '0.0e0'})"
    return _double(stream, f"({summed} * {_inverse_count(stream, x, n)} / ({rows} * ({rows} + 1) * 0.5e0))")


def _regression(stream: Stream, x: Series, n: int) -> tuple[str, str, str]:
    """Return count x covariance and slope against the row number, and the mean age of the valid rows."""
    by_age, ages, squares = stream.by_age(x.filled, n), stream.ages(x, n, 1), stream.ages(x, n, 2)
    if not by_age or not ages or not squares:
        nothing = "CAST(NULL AS DOUBLE)"
        return nothing, nothing, "0.0e0"
    n_valid = _count(stream, x, n)
    covariance = _double(stream, f"({ages.sql} * {stream.total(x.filled, n).sql} - {n_valid} * {by_age.sql})").sql
    spread = _double(stream, f"({n_valid} * {squares.sql} - {ages.sql} * {ages.sql})").sql
    slope_ = _double(stream, f"({covariance} / CASE WHEN {spread} > 0 THEN {spread} END)").sql
    return covariance, slope_, f"({ages.sql} * {_inverse_count(stream, x, n)})"


def slope(stream: Stream, x: Series, n: int) -> Value:
    """The slope of the regression on time."""
    return _double(stream, _regression(stream, x, n)[1])


def r_squared(stream: Stream, x: Series, n: int) -> Value:
    """The squared correlation with time; none for a flat window."""
    covariance, slope_, _ = _regression(stream, x, n)
    spread = stream.comoment(x, x, n)
    if not spread:
        return _double(stream, "CAST(NULL AS DOUBLE)")
    figure = f"{covariance} * {slope_} * {_inverse_count(stream, x, n)} / {spread.sql}"
    return _double(stream, f"CASE WHEN {deviation(stream, x, n).sql} > {FLAT_STD!r} THEN {figure} END")


def residual(stream: Stream, x: Series, n: int) -> Value:
    """How far the newest value lies above the regression line; none if it is missing itself."""
    _, slope_, age = _regression(stream, x, n)
    return _double(stream, f"(({x.known.sql} - {mean(stream, x, n).sql}) - {slope_} * {age})")


def covariance(stream: Stream, a: Value, b: Value, n: Number) -> Value:
    """The covariance over rows where both are valid."""
    x, y = stream.both(stream.observed(a), stream.observed(b))
    moment = stream.comoment(x, y, int(n.value))
    return _double(stream, f"({moment.sql if moment else '0.0e0'} * {_inverse_count(stream, x, int(n.value), 1)})")


def correlation(stream: Stream, a: Value, b: Value, n: Number) -> Value:
    """The correlation over rows where both are valid; none if either is flat over its own valid rows."""
    rows = int(n.value)
    left, right = stream.observed(a), stream.observed(b)
    stds = [deviation(stream, side, rows).sql for side in (left, right)]
    x, y = stream.both(left, right)
    moments = [stream.comoment(p, q, rows) for p, q in ((x, x), (y, y), (x, y))]
    if not all(moments):
        return _double(stream, "CAST(NULL AS DOUBLE)")
    xx, yy, xy = (m.sql for m in moments if m)
    tests = [*(f"{std} > {FLAT_STD!r}" for std in stds), f"{xx} > 0", f"{yy} > 0"]
    return _double(stream, f"CASE WHEN {' AND '.join(tests)} THEN {xy} / sqrt({xx} * {yy}) END")


NAMED_AGGREGATES: dict[str, Lower] = {
    "mean": over_one(mean),
    "sum": over_one(total),
    "std": over_one(deviation),
    "var": over_one(variance),
    "min": over_one(smallest),
    "max": over_one(largest),
    "median": median,
    "count": count,
    "sem": over_one(standard_error),
}


def named_aggregate(stream: Stream, x: Value, n: Number, name: Text) -> Value:
    """The window aggregate of that name."""
    return NAMED_AGGREGATES[name.value](stream, x, n)


@dataclass(frozen=True)
class Streamed:
    """How an operator is lowered over a stream."""

    lower: Lower
    most_rows: int = MOST_ROWS
    """The longest window for which it is worth it."""


STREAMED: dict[str, Streamed] = {
    "Ref": Streamed(shift),
    "Delta": Streamed(delta),
    "Mean": Streamed(over_one(mean)),
    "Sum": Streamed(over_one(total)),
    "Std": Streamed(over_one(deviation)),
    "Var": Streamed(over_one(variance)),
    "Max": Streamed(over_one(largest)),
    "Min": Streamed(over_one(smallest)),
    "Med": Streamed(median, PAIRED_ROWS),
    "Count": Streamed(count),
    "Quantile": Streamed(quantile, PAIRED_ROWS),
    "Rank": Streamed(rank, PAIRED_ROWS),
    "IdxMax": Streamed(position_of(">")),
    "IdxMin": Streamed(position_of("<")),
    "WMA": Streamed(over_one(weighted_mean)),
    "Slope": Streamed(over_one(slope)),
    "Rsquare": Streamed(over_one(r_squared)),
    "Resi": Streamed(over_one(residual)),
    "Corr": Streamed(correlation),
    "Cov": Streamed(covariance),
    "Rolling": Streamed(named_aggregate, PAIRED_ROWS),
}
"""Operator → its lowering over a stream, for shifts and windows; what has none is computed by windowed SQL."""
