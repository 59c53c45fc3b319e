"""OPERATORS: every operator of the language, one row each; a new one is a row here and a test.

The definitions, edge cases included, are those of Qlib's expression engine (pyqlib 0.9.7) unless a row says otherwise.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from qts.expr import lowering as low
from qts.expr.lowering import Lower
from qts.expr.nodes import Call, Field, Group, Node, Number, Text
from qts.registry import Registry


@dataclass(frozen=True)
class Parameter:
    """What stands at one place between an operator's brackets."""

    name: str
    accepts: Callable[[Node], bool]
    wants: str
    lifts_numbers: bool = False
    """Whether a number stands for a column of that number."""
    is_group: bool = False
    """Whether it names the column that makes groups: it comes last, may be left out, may be written name="column"."""

    def complaint(self, node: Node) -> str | None:
        """Return what is wrong with an argument, or None."""
        return None if self.accepts(node) else f"{self.name} must be {self.wants}"


_LEAST_WEIGHT = 1e-6


def _is_series(node: Node) -> bool:
    return isinstance(node, Field | Call)


def _is_value(node: Node) -> bool:
    return isinstance(node, Field | Number | Call)


def _is_truth(node: Node) -> bool:
    if not isinstance(node, Call):
        return False
    if node.operator == "Ref":
        return _is_truth(node.arguments[0])
    return OPERATORS[node.operator].is_truth


_MOST_ROWS = 1_000_000
"""Rows that an operator may look back or ahead: thousands of years of days, and no number that overflows anywhere."""


def _is_whole(node: Node) -> bool:
    return isinstance(node, Number) and isinstance(node.value, int) and abs(node.value) <= _MOST_ROWS


def _is_window(node: Node) -> bool:
    return _is_whole(node) and isinstance(node, Number) and node.value >= 0


def _is_span(node: Node) -> bool:
    return _is_window(node) or (isinstance(node, Number) and _LEAST_WEIGHT <= node.value < 1)


def _is_share(node: Node) -> bool:
    return isinstance(node, Number) and 0 <= node.value <= 1


X = Parameter("x", _is_series, "an expression")
A = Parameter("a", _is_value, "an expression or a number", lifts_numbers=True)
B = Parameter("b", _is_value, "an expression or a number", lifts_numbers=True)
P = Parameter("p", _is_truth, "a comparison, or another truth value")
Q = Parameter("q", _is_truth, "a comparison, or another truth value")
C = Parameter("condition", _is_series, "an expression")
SX = Parameter("x", _is_series, "an expression")
SY = Parameter("y", _is_series, "an expression")
N = Parameter(
    "N", _is_span, "a whole number of rows up to 1,000,000, 0 for all rows so far, or a weight between 0 and 1"
)
ROWS = Parameter("N", _is_window, "a whole number of rows up to 1,000,000, or 0 for all rows so far")
PAIRED_ROWS = Parameter(
    "N", lambda node: _is_window(node) and node != Number(0), "a whole number of rows up to 1,000,000, at least 1"
)
SHIFT = Parameter("n", _is_whole, "a whole number of rows up to 1,000,000")
AGO = Parameter("n", _is_window, "a whole number of rows up to 1,000,000, not ahead")
SHARE = Parameter("q", _is_share, "a number between 0 and 1")
INSTRUMENT = Parameter("instrument", lambda node: isinstance(node, Text), 'an instrument in quotes, as "SH600000"')
FUNCTION = Parameter(
    "function",
    lambda node: isinstance(node, Text) and node.value in low.NAMED_AGGREGATES,
    f"one of {', '.join(low.NAMED_AGGREGATES)}, in quotes",
)

BY = Parameter(
    "by",
    lambda node: isinstance(node, Group) and re.fullmatch(r"[A-Za-z_]\w*", node.name) is not None,
    'a column of the bars in quotes, as by="industry"',
    is_group=True,
)

FOREVER = None
"""A lookback without end: the result depends on every row since the instrument's first."""


@dataclass(frozen=True)
class Span:
    """Rows an expression reads: how many before the row at hand (None: all) and how many after."""

    back: int | None = 0
    ahead: int = 0

    def __or__(self, other: "Span") -> "Span":
        back = None if self.back is None or other.back is None else max(self.back, other.back)
        return Span(back, max(self.ahead, other.ahead))

    def extended(self, back: int | None, ahead: int = 0) -> "Span":
        """Return the span of something that reads this over more rows."""
        return Span(None if self.back is None or back is None else self.back + back, self.ahead + ahead)


def _same(inner: Span, _numbers: tuple[Number, ...]) -> Span:
    return inner


def _over_window(inner: Span, numbers: tuple[Number, ...]) -> Span:
    rows = numbers[0].value
    return inner.extended(int(rows) - 1 if rows >= 1 else FOREVER)


def _decaying(inner: Span, _numbers: tuple[Number, ...]) -> Span:
    return inner.extended(FOREVER)


def _shifted(inner: Span, numbers: tuple[Number, ...]) -> Span:
    n = int(numbers[0].value)
    if n == 0:
        return inner.extended(FOREVER)
    return inner.extended(n) if n > 0 else inner.extended(0, -n)


@dataclass(frozen=True)
class Operator:
    """A row of the table."""

    name: str
    parameters: tuple[Parameter, ...]
    lower: Lower
    about: str
    span: Callable[[Span, tuple[Number, ...]], Span] = _same
    is_truth: bool = False
    least_rows: int = 0
    crosses: bool = False
    """Whether it reads other instruments: all of them must then be in one relation."""

    def usage(self) -> str:
        """Return how the operator is written."""
        names = (f'{p.name}="…"' if p.is_group else p.name for p in self.parameters)
        return f"{self.name}({', '.join(names)}): {self.about}"

    def complaint(self, arguments: tuple[Node, ...]) -> str | None:
        """Return what is wrong with the arguments together, or None."""
        if not any(_is_series(argument) for argument in arguments):
            return "at least one argument must be an expression"
        numbers = [argument.value for argument in arguments if isinstance(argument, Number)]
        if self.least_rows and numbers and 0 < numbers[-1] < self.least_rows:
            return f"N must be at least {self.least_rows}"
        return None


_WINDOW, _ROWS, _PAIR, _SECTION = (X, N), (X, ROWS), (SX, SY, PAIRED_ROWS), (X, BY)
_SKEW = "({m} * sqrt({n} * ({n} - 1)) / ({n} - 2))"
_KURT = "(({n} - 1) / (({n} - 2) * ({n} - 3)) * (({n} + 1) * {m} - 3 * ({n} - 1)))"

OPERATORS: Registry[Operator] = Registry("operator")

for _row in (
    Operator("Add", (A, B), low.arithmetic("+"), "a + b"),
    Operator("Sub", (A, B), low.arithmetic("-"), "a - b"),
    Operator("Mul", (A, B), low.arithmetic("*"), "a * b"),
    Operator("Div", (A, B), low.arithmetic("/"), "a / b; x/0 is infinite, 0/0 missing"),
    Operator("Power", (A, B), low.power, "a to the b, also a**b"),
    Operator("Greater", (A, B), low.extreme(">"), "the larger of the two; missing if either is"),
    Operator("Less", (A, B), low.extreme("<"), "the smaller of the two; missing if either is"),
    Operator("Gt", (A, B), low.comparison(">"), "a > b; false if either is missing", is_truth=True),
    Operator("Ge", (A, B), low.comparison(">="), "a >= b; false if either is missing", is_truth=True),
    Operator("Lt", (A, B), low.comparison("<"), "a < b; false if either is missing", is_truth=True),
    Operator("Le", (A, B), low.comparison("<="), "a <= b; false if either is missing", is_truth=True),
    Operator("Eq", (A, B), low.comparison("="), "a == b; false if either is missing", is_truth=True),
    Operator("Ne", (A, B), low.comparison("<>", when_missing=True), "a != b; true if either is missing", is_truth=True),
    Operator("And", (P, Q), low.logical("AND"), "both hold", is_truth=True),
    Operator("Or", (P, Q), low.logical("OR"), "either holds", is_truth=True),
    Operator("Not", (P,), low.negation, "it does not hold", is_truth=True),
    Operator("If", (C, A, B), low.conditional, "a where the condition holds or is missing, else b"),
    Operator("Abs", (X,), low.rowwise("abs({x})"), "distance from 0"),
    Operator("Sign", (X,), low.sign, "-1, 0 or 1"),
    Operator("Log", (X,), low.rowwise("ln({x})"), "natural logarithm; of 0 minus infinity, of less missing"),
    Operator("Ref", (X, SHIFT), low.shift, "the value n rows ago; n < 0 looks ahead; n = 0 the first value", _shifted),
    Operator("Delta", (X, AGO), low.delta, "x minus its value n rows ago; n = 0 minus the first", _shifted),
    Operator("Mean", _WINDOW, low.aggregate("avg({x})"), "mean", _over_window),
    Operator("Sum", _WINDOW, low.aggregate("sum({x})"), "sum; missing if nothing is valid", _over_window),
    Operator("Std", _WINDOW, low.aggregate("stddev_samp({x})"), "standard deviation, ddof 1", _over_window),
    Operator("Var", _WINDOW, low.aggregate("var_samp({x})"), "variance, ddof 1", _over_window),
    Operator("Max", _WINDOW, low.aggregate("max({x})"), "largest value", _over_window),
    Operator("Min", _WINDOW, low.aggregate("min({x})"), "smallest value", _over_window),
    Operator("Med", _WINDOW, low.aggregate("median({x})"), "median", _over_window),
    Operator("Count", _WINDOW, low.count, "rows that are not missing", _over_window),
    Operator(
        "Skew", _WINDOW, low.standardised_moment(3, 3, _SKEW), "skewness, bias corrected", _over_window, least_rows=3
    ),
    Operator(
        "Kurt",
        _WINDOW,
        low.standardised_moment(4, 4, _KURT),
        "excess kurtosis, bias corrected",
        _over_window,
        least_rows=4,
    ),
    Operator("Quantile", (X, ROWS, SHARE), low.quantile, "the q-quantile, interpolated", _over_window),
    Operator("Mad", _ROWS, low.absolute_deviation, "mean distance from the mean", _over_window),
    Operator("Rank", _ROWS, low.rank, "share of values at or under the newest; ties averaged", _over_window),
    Operator("IdxMax", _ROWS, low.position_of("arg_max"), "place of the largest, oldest row 1", _over_window),
    Operator("IdxMin", _ROWS, low.position_of("arg_min"), "place of the smallest, oldest row 1", _over_window),
    Operator("WMA", _ROWS, low.weighted_mean, "linearly weighted mean / valid rows (as the reference)", _over_window),
    Operator("EMA", _WINDOW, low.exponential_mean, "exponential mean of span N, or of weight N < 1", _decaying),
    Operator("Slope", _WINDOW, low.regression("regr_slope"), "slope of the regression on time", _over_window),
    Operator("Rsquare", _ROWS, low.r_squared, "squared correlation with time; missing if flat", _over_window),
    Operator("Resi", _WINDOW, low.residual, "newest value minus the regression line", _over_window),
    Operator("Corr", _PAIR, low.correlation, "correlation of x and y; missing if either is flat", _over_window),
    Operator("Cov", _PAIR, low.covariance, "covariance of x and y, ddof 1", _over_window),
    Operator("Rolling", (X, ROWS, FUNCTION), low.named_aggregate, "the window function of that name", _over_window),
    Operator(
        "ChangeInstrument",
        (INSTRUMENT, X),
        low.of_instrument,
        "x of another instrument on the same datetime",
        crosses=True,
    ),
    Operator("Mask", (X, INSTRUMENT), low.mask, "the same as ChangeInstrument(instrument, x)", crosses=True),
    Operator("CSRank", _SECTION, low.section_rank, "rank of x on its day / valid values, ties averaged", crosses=True),
    Operator(
        "CSZScore",
        _SECTION,
        low.section_zscore,
        "x in standard deviations (ddof 1) from its day's mean; missing if the day is flat",
        crosses=True,
    ),
    Operator("CSDemean", _SECTION, low.section_demean, "x minus its day's mean", crosses=True),
):
    OPERATORS.enter(_row.name, _row)


@dataclass(frozen=True)
class Alias:
    """Another name of an operator; an expression that uses it means, and is spelled, the operator itself."""

    operator: str
    parameters: tuple[Parameter, ...]
    """What it takes: the operator's own, or less."""


ALIASES: dict[str, Alias] = {
    "Delay": Alias("Ref", (X, AGO)),
    "TsDelay": Alias("Ref", (X, AGO)),
    **{
        other: Alias(name, OPERATORS[name].parameters)
        for other, name in {
            "TsDelta": "Delta", "TsMean": "Mean", "TsSum": "Sum", "TsStd": "Std", "TsVar": "Var", "TsMax": "Max",
            "TsMin": "Min", "TsMed": "Med", "TsCount": "Count", "TsSkew": "Skew", "TsKurt": "Kurt",
            "TsQuantile": "Quantile", "TsMad": "Mad", "TsRank": "Rank", "TsArgMax": "IdxMax", "TsArgMin": "IdxMin",
            "TsSlope": "Slope", "TsRsquare": "Rsquare", "TsResi": "Resi", "TsCorr": "Corr", "TsCov": "Cov",
        }.items()
    },
}  # fmt: skip
"""Names other tools use → our operator."""

REFUSED = {
    "P": "point-in-time data is not part of daily bars: join it into the bars by its announcement date",
    "PRef": "point-in-time data is not part of daily bars: join it into the bars by its announcement date",
    "TResample": "resample the bars before ingest; the reference refuses it on daily data too",
}
"""Names the reference knows and qts does not, each with what to do instead."""
