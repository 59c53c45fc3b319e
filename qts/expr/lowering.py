"""How operators become SQL: a few shapes, each a function from parameters to a `Lower`.

Missing is NULL. NaN and infinity live only in the results of row-by-row arithmetic, which follows IEEE in 32 bits
where every input has 32 bits; windows take them as missing, comparisons take NaN as missing.
"""

import math
from collections.abc import Callable

from qts.columns import DATETIME, INSTRUMENT
from qts.expr.nodes import Group, Number, Text
from qts.expr.quote import quote_text
from qts.expr.stages import ROW_COLUMN, Kind, Stages, Value

Lower = Callable[..., Value]
"""(stages, *lowered arguments) → the column; numbers arrive as they were written, expressions as Values."""

FLAT_STD = 2e-5
"""At or under this standard deviation a series counts as flat: it correlates with nothing (Qlib's threshold)."""

DECAY_FORGETS = 1e-18
"""Share of an old value's weight below which a decaying mean no longer reads it; doubles resolve 1e-16."""


def frame(window: float) -> str:
    """Return the rows a window of N spans; 0 is everything so far."""
    start = f"{int(window) - 1} PRECEDING" if window else "UNBOUNDED PRECEDING"
    return f"ROWS BETWEEN {start} AND CURRENT ROW"


def rows_in(window: float) -> str:
    """Return SQL of the number of rows in a window, missing ones included."""
    return f"least({ROW_COLUMN}, {int(window)})" if window else ROW_COLUMN


# Row by row


def common_kind(*values: Value) -> Kind:
    """Return FLOAT if every operand that is no constant is 32 bits or a truth value, else DOUBLE."""
    kinds = {value.kind for value in values if value.constant is None}
    return Kind.FLOAT if kinds <= {Kind.FLOAT, Kind.BOOL} and kinds else Kind.DOUBLE


def arithmetic(sign: str) -> Lower:
    """Return the lowering of an infix sign."""

    def lower(stages: Stages, a: Value, b: Value) -> Value:
        kind = common_kind(a, b)
        return stages.define(f"({a.as_kind(kind)} {sign} {b.as_kind(kind)})", kind)

    return lower


def rowwise(template: str) -> Lower:
    """Return the lowering of a function of one number whose 64-bit result is rounded to the input's bits."""

    def lower(stages: Stages, x: Value) -> Value:
        kind = common_kind(x)
        return stages.define(f"CAST({template.format(x=x.as_kind(kind))} AS {kind})", kind)

    return lower


def sign(stages: Stages, x: Value) -> Value:
    """-1, 0 or 1, in 32 bits; missing stays missing."""
    known = stages.without_nan(x)
    return stages.define(f"CAST(sign({known.as_kind(Kind.DOUBLE)}) AS FLOAT)", Kind.FLOAT, is_clean=True)


def power(stages: Stages, a: Value, b: Value) -> Value:
    """A to the b; beyond 32 bits it is infinite, as IEEE arithmetic would have it."""
    kind = common_kind(a, b)
    wide = f"power({a.as_kind(kind)}, {b.as_kind(kind)})"
    return stages.define(narrow(wide) if kind is Kind.FLOAT else wide, kind)


def narrow(wide: str) -> str:
    """Return SQL of a double as a float: NULL for NaN, infinite beyond the range of 32 bits."""
    return (
        f"CASE WHEN abs({wide}) <= 3.4028234663852886e38 THEN CAST({wide} AS FLOAT) WHEN isnan({wide}) THEN NULL "
        f"WHEN {wide} > 0 THEN CAST('inf' AS FLOAT) WHEN {wide} < 0 THEN CAST('-inf' AS FLOAT) END"
    )


def extreme(comparison: str) -> Lower:
    """Return the lowering of the larger or smaller of two; missing if either is missing."""

    def lower(stages: Stages, a: Value, b: Value) -> Value:
        kind = common_kind(a, b)
        left, right = (stages.without_nan(v).as_kind(kind) for v in (a, b))
        sql = f"CASE WHEN {left} {comparison} {right} THEN {left} WHEN {right} IS NOT NULL THEN {right} END"
        if a.constant is None:
            sql = f"CASE WHEN {left} IS NOT NULL THEN {sql} END"
        return stages.define(sql, kind, is_clean=a.is_clean and (b.is_clean or b.constant is not None))

    return lower


def comparison(sign: str, *, when_missing: bool = False) -> Lower:
    """Return the lowering of a comparison; with a missing side it is `when_missing`, never missing itself."""

    def lower(stages: Stages, a: Value, b: Value) -> Value:
        kind = common_kind(a, b)
        left, right = (stages.without_nan(v).as_kind(kind) for v in (a, b))
        sql = f"coalesce({left} {sign} {right}, {str(when_missing).lower()})"
        return stages.define(sql, Kind.BOOL, is_clean=True)

    return lower


def logical(sign: str) -> Lower:
    """Return the lowering of & or |; a truth value that is missing counts as true, as in numpy."""

    def lower(stages: Stages, a: Value, b: Value) -> Value:
        return stages.define(f"(coalesce({a.sql}, true) {sign} coalesce({b.sql}, true))", Kind.BOOL, is_clean=True)

    return lower


def negation(stages: Stages, a: Value) -> Value:
    """Not."""
    return stages.define(f"(NOT {a.sql})", Kind.BOOL, is_clean=True)


def conditional(stages: Stages, condition: Value, a: Value, b: Value) -> Value:
    """A where the condition holds, else b; a missing condition holds."""
    test = condition.sql if condition.kind is Kind.BOOL else f"({condition.sql} <> 0)"
    kind = common_kind(a, b)
    sql = f"CASE WHEN coalesce({test}, true) THEN {a.as_kind(kind)} ELSE {b.as_kind(kind)} END"
    return stages.define(sql, kind)


# Shifts


def shift(stages: Stages, x: Value, n: Number) -> Value:
    """The value n rows ago; a negative n looks ahead; 0 is the instrument's first value, always."""
    if n.value == 0:
        call = f"first_value({x.sql})"
        return stages.window(call, frame(0), x.kind, is_clean=x.is_clean)
    call = f"lag({x.sql}, {n.value})" if n.value > 0 else f"lead({x.sql}, {-n.value})"
    return stages.window(call, "", x.kind, is_clean=x.is_clean)


def delta(stages: Stages, x: Value, n: Number) -> Value:
    """The change over n rows."""
    return arithmetic("-")(stages, x, shift(stages, x, n))


# Windows of one series


def aggregate(call: str) -> Lower:
    """Return the lowering of an aggregate over the valid values of a window; 0 < N < 1 is a decaying mean."""

    def lower(stages: Stages, x: Value, n: Number) -> Value:
        if 0 < n.value < 1:
            return decaying_mean(stages, x, 1 - n.value)
        return stages.window(call.format(x=stages.series(x).sql), frame(n.value))

    return lower


def mean_of(stages: Stages, x: Value, n: Number) -> Value:
    """The mean, with which other windows are built."""
    return aggregate("avg({x})")(stages, x, n)


def count(stages: Stages, x: Value, n: Number) -> Value:
    """The number of rows that are not missing; infinite ones count."""
    if 0 < n.value < 1:
        return decaying_mean(stages, x, 1 - n.value)
    known = stages.without_nan(x)
    n_valid = stages.window(f"count({known.sql})", frame(n.value))
    return stages.define(f"CAST({n_valid.sql} AS DOUBLE)", Kind.DOUBLE, is_clean=True)


def decaying_mean(stages: Stages, x: Value, keep: float) -> Value:
    """The mean with weights keep^age over the valid rows so far; where a row is missing the last mean stands.

    Rows are cut into blocks so long that what lies two blocks back has lost its weight; inside a block the weights
    are powers counted from its start, so that one running sum serves every row.
    """
    series = stages.series(x).sql
    if keep == 0:
        return stages.window(f"last_value({series} IGNORE NULLS)", frame(0))
    block = max(1, math.ceil(math.log(DECAY_FORGETS) / math.log(keep)))
    offset = f"(({ROW_COLUMN} - 1) % {block})"
    weight = f"power(CAST({1 / keep!r} AS DOUBLE), {offset})"
    over = f"OVER (PARTITION BY {INSTRUMENT}, ({ROW_COLUMN} - 1) // {block} ORDER BY {ROW_COLUMN} {frame(0)})"
    sums = []
    for term in (f"{series} * {weight}", f"CASE WHEN {series} IS NOT NULL THEN {weight} END"):
        column = stages.define(term, Kind.DOUBLE, is_clean=True)
        within = stages.define(f"coalesce(sum({column.sql}) {over}, 0.0)", Kind.DOUBLE, is_window=True)
        before = stages.window(f"lag({within.sql}, CAST({offset} + 1 AS BIGINT), CAST(0 AS DOUBLE))", "")
        faded = f"({within.sql} + {before.sql} * CAST({keep**block!r} AS DOUBLE))"
        sums.append(stages.define(faded, Kind.DOUBLE))
    return stages.define(f"({sums[0].sql} / nullif({sums[1].sql}, 0.0))", Kind.DOUBLE)


def exponential_mean(stages: Stages, x: Value, n: Number) -> Value:
    """The exponential mean of span N, or of weight N if 0 < N < 1; N = 0 widens its span with the history."""
    if n.value == 0:
        return _widening_mean(stages, x)
    weight = n.value if n.value < 1 else 2 / (n.value + 1)
    return decaying_mean(stages, x, 1 - weight)


def _widening_mean(stages: Stages, x: Value) -> Value:
    """Weights (1 - 2/(1 + rows))^age over all rows so far, divided by the sum over all rows, missing ones too."""
    rows = ROW_COLUMN
    keep = f"(1.0 - 2.0 / (1.0 + {rows}))"
    history = stages.window(f"list({stages.series(x).sql})", frame(0))
    weighted = f"list_sum(list_transform({history.sql}, lambda y, i: y * power({keep}, {rows} - i)))"
    total = f"list_sum(list_transform(range(1, {rows} + 1), lambda i: power({keep}, {rows} - i)))"
    return stages.define(f"({weighted} / {total})", Kind.DOUBLE)


def quantile(stages: Stages, x: Value, n: Number, q: Number) -> Value:
    """The value at position q (k - 1) of the k sorted valid values, interpolated."""
    return stages.window(f"quantile_cont({stages.series(x).sql}, {float(q.value)!r})", frame(n.value))


def rank(stages: Stages, x: Value, n: Number) -> Value:
    """The share of valid values at or under the newest; ties share the average rank."""
    series = stages.series(x).sql
    up = stages.window(f"rank(ORDER BY {series} NULLS LAST)", frame(n.value))
    down = stages.window(f"rank(ORDER BY {series} DESC NULLS LAST)", frame(n.value))
    n_valid = stages.window(f"count({series})", frame(n.value))
    position = f"({n_valid.sql} + {up.sql} - {down.sql} + 1) / (2.0 * {n_valid.sql})"
    sql = f"CASE WHEN {series} IS NOT NULL THEN CAST({position} AS DOUBLE) END"
    return stages.define(sql, Kind.DOUBLE, is_clean=True)


def position_of(call: str) -> Lower:
    """Return the lowering of the place of the extreme in its window, oldest row 1; ties go to the oldest.

    A missing row in the window wins over every value, as numpy's argmax has it, unless all are missing.
    """

    def lower(stages: Stages, x: Value, n: Number) -> Value:
        series = stages.series(x).sql
        best = stages.window(f"{call}({ROW_COLUMN}, {series})", frame(n.value))
        missing = stages.define(f"CASE WHEN {series} IS NULL THEN {ROW_COLUMN} END", Kind.DOUBLE)
        oldest = stages.window(f"min({missing.sql})", frame(n.value))
        start = f"({ROW_COLUMN} - {rows_in(n.value)})"
        row = f"coalesce({oldest.sql}, {best.sql})"
        sql = f"CASE WHEN {best.sql} IS NOT NULL THEN CAST({row} - {start} AS DOUBLE) END"
        return stages.define(sql, Kind.DOUBLE, is_clean=True)

    return lower


def absolute_deviation(stages: Stages, x: Value, n: Number) -> Value:
    """The mean distance from the mean of the valid values."""
    series = stages.series(x).sql
    values = stages.window(f"list({series})", frame(n.value))
    mean = stages.window(f"avg({series})", frame(n.value))
    return stages.define(f"list_avg(list_transform({values.sql}, lambda y: abs(y - {mean.sql})))", Kind.DOUBLE)


def standardised_moment(power_of: int, least: int, scale: str) -> Lower:
    """Return the lowering of a bias-corrected standardised moment, in two passes so that no digits are lost.

    `scale` turns m = sum(d^p) / n / (sum(d^2) / n)^(p/2) and n into the corrected figure; fewer than `least` valid
    values, or values all equal, have none.
    """

    def lower(stages: Stages, x: Value, n: Number) -> Value:
        series = stages.series(x).sql
        values = stages.window(f"list({series})", frame(n.value))
        mean = stages.window(f"avg({series})", frame(n.value))
        n_valid = stages.window(f"count({series})", frame(n.value))
        high, low = (stages.window(f"{call}({series})", frame(n.value)) for call in ("max", "min"))
        moments = [
            stages.define(f"list_avg(list_transform({values.sql}, lambda y: power(y - {mean.sql}, {p})))", Kind.DOUBLE)
            for p in (2, power_of)
        ]
        m = f"({moments[1].sql} / power({moments[0].sql}, {power_of / 2!r}))"
        figure = scale.format(m=m, n=f"CAST({n_valid.sql} AS DOUBLE)")
        sql = f"CASE WHEN {n_valid.sql} >= {least} AND {high.sql} > {low.sql} THEN {figure} END"
        return stages.define(sql, Kind.DOUBLE)

    return lower


def weighted_mean(stages: Stages, x: Value, n: Number) -> Value:
    """The linearly weighted mean, divided once more by the number of valid values: the reference's definition."""
    series = stages.series(x).sql
    by_row = stages.define(f"({series} * {ROW_COLUMN})", Kind.DOUBLE, is_clean=True)
    weighted = stages.window(f"sum({by_row.sql})", frame(n.value))
    total = stages.window(f"sum({series})", frame(n.value))
    n_valid = stages.window(f"count({series})", frame(n.value))
    rows = rows_in(n.value)
    numerator = f"({weighted.sql} - ({ROW_COLUMN} - {rows}) * {total.sql})"
    return stages.define(f"({numerator} / ({n_valid.sql} * ({rows} * ({rows} + 1) / 2.0)))", Kind.DOUBLE)


# Windows against time, and of two series


def regression(call: str) -> Lower:
    """Return the lowering of a least-squares figure of a series against its row number; two valid rows at least."""

    def lower(stages: Stages, x: Value, n: Number) -> Value:
        if 0 < n.value < 1:  # the reference casts such a window to none at all
            return stages.define("CAST(NULL AS DOUBLE)", Kind.DOUBLE)
        series = stages.series(x).sql
        figure = stages.window(f"{call}({series}, {ROW_COLUMN})", frame(n.value))
        n_valid = stages.window(f"count({series})", frame(n.value))
        return stages.define(f"CASE WHEN {n_valid.sql} >= 2 THEN {figure.sql} END", Kind.DOUBLE)

    return lower


def r_squared(stages: Stages, x: Value, n: Number) -> Value:
    """The squared correlation with time; none for a flat window."""
    figure = regression("regr_r2")(stages, x, n)
    series = stages.series(x).sql
    if n.value == 0:
        high, low = (stages.window(f"{call}({series})", frame(0)) for call in ("max", "min"))
        is_flat = f"{high.sql} = {low.sql}"
    else:
        std = stages.window(f"stddev_samp({series})", frame(n.value))
        is_flat = f"{std.sql} <= {FLAT_STD}"
    return stages.define(f"CASE WHEN NOT coalesce({is_flat}, false) THEN {figure.sql} END", Kind.DOUBLE)


def residual(stages: Stages, x: Value, n: Number) -> Value:
    """How far the newest value lies above the regression line; none if it is missing itself."""
    slope = regression("regr_slope")(stages, x, n)
    if 0 < n.value < 1:
        return slope
    series = stages.series(x).sql
    mean = mean_of(stages, x, n)
    mean_row = stages.window(f"regr_avgx({series}, {ROW_COLUMN})", frame(n.value))
    return stages.define(f"(({series} - {mean.sql}) - {slope.sql} * ({ROW_COLUMN} - {mean_row.sql}))", Kind.DOUBLE)


def covariance(stages: Stages, a: Value, b: Value, n: Number) -> Value:
    """The covariance over rows where both are valid."""
    return stages.window(f"covar_samp({stages.series(a).sql}, {stages.series(b).sql})", frame(n.value))


def correlation(stages: Stages, a: Value, b: Value, n: Number) -> Value:
    """The correlation over rows where both are valid; none if either is flat over its own valid rows."""
    left, right = stages.series(a).sql, stages.series(b).sql
    figure = stages.window(f"corr({left}, {right})", frame(n.value))
    stds = [stages.window(f"stddev_samp({side})", frame(n.value)) for side in (left, right)]
    is_flat = " OR ".join(f"{std.sql} <= {FLAT_STD}" for std in stds)
    return stages.define(f"CASE WHEN NOT coalesce({is_flat}, false) THEN {figure.sql} END", Kind.DOUBLE)


# Across instruments and by name


def of_instrument(stages: Stages, instrument: Text, x: Value) -> Value:
    """The value another instrument has on the same datetime."""
    stages.instruments.add(instrument.value)
    theirs = f"CASE WHEN {INSTRUMENT} = {quote_text(instrument.value)} THEN {x.sql} END"
    column = stages.define(theirs, x.kind, is_clean=x.is_clean)
    over = f"OVER (PARTITION BY {DATETIME})"
    return stages.define(f"max({column.sql}) {over}", x.kind, is_clean=x.is_clean, is_window=True)


def mask(stages: Stages, x: Value, instrument: Text) -> Value:
    """The same as ChangeInstrument with its arguments exchanged."""
    return of_instrument(stages, instrument, x)


def standard_error(stages: Stages, x: Value, n: Number) -> Value:
    """The standard deviation over the square root of the number of valid values."""
    std, n_valid = (aggregate(call)(stages, x, n) for call in ("stddev_samp({x})", "count({x})"))
    return stages.define(f"({std.sql} / sqrt({n_valid.sql}))", Kind.DOUBLE)


NAMED_AGGREGATES: dict[str, Lower] = {
    "mean": aggregate("avg({x})"),
    "sum": aggregate("sum({x})"),
    "std": aggregate("stddev_samp({x})"),
    "var": aggregate("var_samp({x})"),
    "min": aggregate("min({x})"),
    "max": aggregate("max({x})"),
    "median": aggregate("median({x})"),
    "count": count,
    "sem": standard_error,
}


def named_aggregate(stages: Stages, x: Value, n: Number, name: Text) -> Value:
    """The window aggregate of that name."""
    return NAMED_AGGREGATES[name.value](stages, x, n)


# Across the day

SECTION_BITS = 44
"""Bits of the whole numbers a day's values become, so that their sums and squares fit 128 for 2^18 instruments."""


def over_section(stages: Stages, by: Group | None, order: str = "") -> str:
    """Return the OVER of a day's rows, or of those in the row's group."""
    keys = [DATETIME] if by is None else [DATETIME, stages.field_value(by.name).sql]
    return f"OVER (PARTITION BY {', '.join(keys)}{order})"


def section_series(stages: Stages, x: Value, by: Group | None) -> str:
    """Return the column a cross-section is taken of: missing also where the group is."""
    series = stages.series(x).sql
    if by is None:
        return series
    group = stages.field_value(by.name).sql
    return stages.define(f"CASE WHEN {group} IS NOT NULL THEN {series} END", Kind.DOUBLE, is_clean=True).sql


def section_rank(stages: Stages, x: Value, by: Group | None = None) -> Value:
    """The rank among the day's valid values over their number, in (0, 1]; ties share the average rank."""
    series = section_series(stages, x, by)
    ordered = over_section(stages, by, f" ORDER BY {series} NULLS LAST")
    first = stages.define(f"rank() {ordered}", Kind.DOUBLE, is_window=True)
    last = stages.define(f"count({series}) {ordered}", Kind.DOUBLE, is_window=True)  # peers included
    n_valid = stages.define(f"count({series}) {over_section(stages, by)}", Kind.DOUBLE, is_window=True)
    share = f"CAST(({first.sql} + {last.sql}) / (2.0 * {n_valid.sql}) AS DOUBLE)"
    return stages.define(f"CASE WHEN {series} IS NOT NULL THEN {share} END", Kind.DOUBLE, is_clean=True)


def _section_sums(stages: Stages, x: Value, by: Group | None) -> tuple[str, str, str, str, str, str]:
    """Return columns of a series, its day's least value, the unit, whole, sum of wholes and number of valid values.

    A sum of doubles depends on their order, and rows of a day come in any. So a value is counted in whole units above
    the day's least; the unit is a power of two, fine beyond the digits of any stored value, and sums are exact.
    Everything is halved at first, lest the span of extreme values overflow.
    """
    series, over = section_series(stages, x, by), over_section(stages, by)
    low, high = (
        stages.define(f"{call}({series}) {over}", Kind.DOUBLE, is_clean=True, is_window=True).sql
        for call in ("min", "max")
    )
    n_valid = stages.define(f"count({series}) {over}", Kind.DOUBLE, is_window=True).sql
    exponent = f"greatest(ceil(log2(nullif({high} * 0.5 - {low} * 0.5, 0.0))) - {SECTION_BITS}, -1022)"
    unit = stages.define(f"power(CAST(2 AS DOUBLE), {exponent})", Kind.DOUBLE).sql
    whole = stages.define(f"CAST(({series} * 0.5 - {low} * 0.5) / {unit} AS HUGEINT)", Kind.DOUBLE).sql
    total = stages.define(f"sum({whole}) {over}", Kind.DOUBLE, is_window=True).sql
    return series, low, unit, whole, total, n_valid


def section_demean(stages: Stages, x: Value, by: Group | None = None) -> Value:
    """The distance from the mean of the day's valid values."""
    series, low, unit, _, total, n_valid = _section_sums(stages, x, by)
    mean = f"({low} * 0.5 + CAST({total} AS DOUBLE) / {n_valid} * {unit}) * 2.0"
    return stages.define(f"({series} - {mean})", Kind.DOUBLE)


def section_zscore(stages: Stages, x: Value, by: Group | None = None) -> Value:
    """The distance from the day's mean in standard deviations; none if the day's values are all equal, or one."""
    _, _, _, whole, total, n_valid = _section_sums(stages, x, by)
    over = over_section(stages, by)
    squares = stages.define(f"sum({whole} * {whole}) {over}", Kind.DOUBLE, is_window=True).sql
    spread = f"CAST(nullif({n_valid} * {squares} - {total} * {total}, 0) AS DOUBLE)"
    std = f"sqrt({spread} * {n_valid} / ({n_valid} - 1.0))"
    return stages.define(f"(CAST({n_valid} * {whole} - {total} AS DOUBLE) / {std})", Kind.DOUBLE, is_clean=True)
