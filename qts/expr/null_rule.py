"""When an expression has no value: a sentence made from its tree."""

from collections.abc import Callable, Iterator

from qts.expr.nodes import Call, Field, Group, Node, Number, Text, render

LEAST_VALID = {
    "Mean": 1, "Sum": 1, "Max": 1, "Min": 1, "Med": 1, "Quantile": 1, "Mad": 1, "Rank": 1, "IdxMax": 1, "IdxMin": 1,
    "WMA": 1, "EMA": 1, "Std": 2, "Var": 2, "Slope": 2, "Rsquare": 2, "Resi": 2, "Corr": 2, "Cov": 2, "Skew": 3,
    "Kurt": 4,
}  # fmt: skip
"""Window operator → valid values, or pairs of them, below which it has none."""

_NEEDS_NEWEST = frozenset({"Rank", "Resi"})
_NEEDS_SPREAD = frozenset({"Rsquare", "Corr", "Skew", "Kurt"})
_NOT_DECAYING = frozenset({"Slope", "Resi"})
_NAMED = {"mean": "Mean", "sum": "Sum", "std": "Std", "var": "Var", "min": "Min", "max": "Max", "median": "Med",
          "count": "Count", "sem": "Std"}  # fmt: skip

Conditions = Iterator[str]


def null_rule(node: Node) -> str:
    """Return in words when an expression is missing."""
    found = list(dict.fromkeys(conditions_of(node)))
    return f"missing if {', or if '.join(found)}" if found else "never missing"


def conditions_of(node: Node) -> Conditions:
    """Yield the conditions under which an expression is missing, as clauses; some may come twice."""
    match node:
        case Field(name):
            yield f"${name} is missing"
        case Call(operator):
            yield from RULES[operator](node)


def _any_missing(call: Call) -> Conditions:
    for argument in call.arguments:
        yield from conditions_of(argument)


def _or_if(clause: str) -> Callable[[Call], Conditions]:
    """Return the rule of an operator that is missing where an operand is, and under one more condition."""

    def rule(call: Call) -> Conditions:
        yield from _any_missing(call)
        yield clause

    return rule


def _never(_call: Call) -> Conditions:
    return iter(())


def _chosen(call: Call) -> Conditions:
    condition, a, b = call.arguments
    yield from (f"{render(condition)} holds and {clause}" for clause in conditions_of(a))
    yield from (f"{render(condition)} does not hold and {clause}" for clause in conditions_of(b))


def _shifted(call: Call) -> Conditions:
    x, n = call.arguments
    rows = int(n.value) if isinstance(n, Number) else 0
    if rows == 0:
        yield f"there is no first {render(x)}"
    else:
        plural = "" if abs(rows) == 1 else "s"
        yield f"there is no {render(x)} {abs(rows)} row{plural} {'ago' if rows > 0 else 'ahead'}"


def _changed(call: Call) -> Conditions:
    yield from conditions_of(call.arguments[0])
    yield from _shifted(call)


def _windowed(call: Call) -> Conditions:
    """A window skips what is missing, so that it needs some valid values, not all."""
    series = [argument for argument in call.arguments if isinstance(argument, Field | Call)]
    rows = next(argument.value for argument in call.arguments if isinstance(argument, Number))
    named = next((_NAMED[argument.value] for argument in call.arguments if isinstance(argument, Text)), call.operator)
    is_decaying = 0 < rows < 1
    if is_decaying and named in _NOT_DECAYING:
        yield "ever: it has no decaying form"
    if named == "Count" and not is_decaying:
        return
    least = LEAST_VALID["Mean" if is_decaying or named == "Count" else named]
    shown = " with ".join(map(render, series))
    span = f"in the last {rows} rows" if rows >= 1 and named != "EMA" else "so far"
    is_always_there = not any(clause for argument in series for clause in conditions_of(argument))
    if least > 1:
        yield f"{shown} has fewer than {least} valid values {span}"
    elif not is_always_there:
        yield f"{shown} has no valid value {span}"
    if named in _NEEDS_NEWEST:
        yield from conditions_of(series[0])
    if named in _NEEDS_SPREAD:
        yield f"{' or '.join(map(render, series))} is flat {span}"


def _ranked(call: Call) -> Conditions:
    yield from _any_missing(call)
    yield from (f"${argument.name} is missing" for argument in call.arguments if isinstance(argument, Group))


def _standardised(call: Call) -> Conditions:
    yield from _ranked(call)
    by = next((f" with its ${argument.name}" for argument in call.arguments if isinstance(argument, Group)), "")
    yield f"the valid {render(call.arguments[0])} of its day{by} are all equal"


def _of_another(call: Call) -> Conditions:
    instrument = next(argument.value for argument in call.arguments if isinstance(argument, Text))
    for argument in call.arguments:
        yield from (f"{clause} for {instrument} that day" for clause in conditions_of(argument))


RULES: dict[str, Callable[[Call], Conditions]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Greater", "Less", "Abs", "Sign", "Not"), _any_missing),
    **dict.fromkeys(("Gt", "Ge", "Lt", "Le", "Eq", "Ne", "And", "Or"), _never),
    "Div": _or_if("0 is divided by 0"),
    "Power": _or_if("a power has no real value"),
    "Log": _or_if("a logarithm is of less than 0"),
    "If": _chosen,
    "Ref": _shifted,
    "Delta": _changed,
    **dict.fromkeys((*LEAST_VALID, "Count", "Rolling"), _windowed),
    "ChangeInstrument": _of_another,
    "Mask": _of_another,
    "CSRank": _ranked,
    "CSDemean": _ranked,
    "CSZScore": _standardised,
}
"""Operator → when it is missing."""
