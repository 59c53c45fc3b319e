"""Trees at random: any operator over any argument it takes."""

from hypothesis import strategies as st

from qts.expr.lowering import NAMED_AGGREGATES
from qts.expr.nodes import Call, Field, Group, Node, Number, Text
from qts.expr.operators import OPERATORS, Operator

FIELDS = ("open", "high", "low", "close", "volume", "vwap")


def arguments_of(operator: Operator, inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Return calls of an operator with arguments drawn from `inner`; some of them it does not take."""
    truth = st.builds(lambda a, b: Call("Gt", (a, b)), inner, inner)
    windows = st.sampled_from([0, 1, 2, 3, 5, 60, 0.3])
    by_name: dict[str, st.SearchStrategy[object]] = {
        "b": st.one_of(inner, st.sampled_from([Number(2), Number(0.5), Number(-1)])),
        "p": truth, "q": truth, "N": windows.map(Number), "n": st.sampled_from([-2, 0, 1, 4]).map(Number),
        "instrument": st.just(Text("I1")), "function": st.sampled_from([*NAMED_AGGREGATES]).map(Text),
        "by": st.sampled_from([None, Group("industry")]),
    }  # fmt: skip
    drawn = [
        st.just(Number(0.2)) if (operator.name, p.name) == ("Quantile", "q") else by_name.get(p.name, inner)
        for p in operator.parameters
    ]
    return st.tuples(*drawn).map(lambda found: Call(operator.name, tuple(a for a in found if a is not None)))


def is_sound(node: Node) -> bool:
    """Return whether an operator takes the arguments it was given."""
    assert isinstance(node, Call)
    operator = OPERATORS[node.operator]
    pairs = zip(operator.parameters, node.arguments, strict=False)
    return not operator.complaint(node.arguments) and not any(p.complaint(argument) for p, argument in pairs)


def trees_of(names: list[str]) -> st.SearchStrategy[Node]:
    """Return trees of some operators over FIELDS."""
    rows = [OPERATORS[name] for name in names]
    return st.recursive(
        st.sampled_from(FIELDS).map(Field),
        lambda inner: st.sampled_from(rows).flatmap(lambda row: arguments_of(row, inner)).filter(is_sound),
        max_leaves=6,
    )


TREES = trees_of([*OPERATORS])
