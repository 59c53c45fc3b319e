"""No look-ahead, shown on data: bars after a day never change a value on it, whatever the tree that the lint lets pass.

The lint of `lookback` reads trees; this knows nothing of it but its verdict. Two panels share all bars up to a day and
no value after it, so what differs up to that day has looked ahead.
"""

from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.errors import ExpressionError
from qts.expr.lookback import find_look_ahead
from qts.expr.lowering import NAMED_AGGREGATES
from qts.expr.nodes import Call, Field, Group, Node, Number, Text, render
from qts.expr.operators import OPERATORS, Operator
from qts.expr.parse import parse
from qts.expr.plan import is_streamable
from qts.expr.stream import MOST_ROWS
from qts.factors import load_factor_set
from tests.random_trees import FIELDS, TREES
from tests.small_panel import LOWERINGS, bars_table, compute_over, open_panel

N_INSTRUMENTS, N_DAYS, LAST = 4, 74, 66
"""LAST is the day after which all is different; before it lie more rows than the longest window of a factor set."""


def market(n_days: int, seed_after: int) -> pa.Table:
    """Return bars with gaps, missing values, ties and a late listing; after LAST all values depend on `seed_after`."""
    columns: dict[str, list[object]] = {name: [] for name in ("instrument", "day", *FIELDS, "industry")}
    for number, day in product(range(N_INSTRUMENTS), range(n_days)):
        rng = np.random.default_rng([number, day, seed_after if day > LAST else 0])
        values = np.round(np.exp(rng.normal(0, 1 if day > LAST else 0.1, len(FIELDS))) * 20, 1)
        values[rng.random(len(FIELDS)) < 0.1] = np.nan
        is_absent = (number == 3 and day < 9) or (number == 2 and np.random.default_rng(day).random() < 0.2)
        if is_absent:
            continue
        industry = ("bank", "steel", None)[rng.integers(3)]
        for name, value in zip(columns, (f"I{number}", day, *values, industry), strict=True):
            columns[name].append(value)
    return bars_table(columns)


BARS, OTHER_LATER, NONE_LATER = (
    open_panel(market(*which), padding=MOST_ROWS) for which in ((N_DAYS, 1), (N_DAYS, 2), (LAST + 1, 0))
)


def changed(nodes: dict[str, Node], lowering: str, *, also_without: bool = True) -> list[str]:
    """Return the expressions with a value up to LAST that is another one with other later bars, or without any.

    Without them windowed sums may differ in their last bits: the engine adds up rows in blocks that lie elsewhere
    then. A stream adds up what the window holds, always in the same order.
    """
    bars, *others = (
        compute_over(panel, (*FIELDS, "industry"), nodes, lowering)
        for panel in (BARS, OTHER_LATER, NONE_LATER)[: 3 if also_without else 2]
    )
    early = bars["day"] <= LAST
    assert early.sum() > N_INSTRUMENTS * (LAST - 9)
    found = set()
    for other, is_shorter in zip(others, (False, True), strict=False):
        for name, node in nodes.items():
            near = 1e-6 if is_shorter and (lowering == "windowed" or not is_streamable(node)) else 0
            values = bars[name][early], other[name][other["day"] <= LAST]
            if not np.allclose(*values, rtol=near, atol=near, equal_nan=True):
                found.add(name)
    return [name for name in nodes if name in found]


BY_EACH_LOWERING = pytest.mark.parametrize("lowering", LOWERINGS)


ARGUMENTS: dict[str, list[Node]] = {
    "x": [Field("close"), Call("Sub", (Field("high"), Field("low")))],
    "y": [Field("volume")],
    "a": [Field("close")],
    "b": [Field("open"), Number(2)],
    "p": [Call("Gt", (Field("close"), Field("open")))],
    "q": [Call("Le", (Field("volume"), Field("vwap")))],
    "condition": [Call("Ge", (Field("close"), Field("open"))), Field("volume")],
    "N": [Number(5), Number(0), Number(0.3)],
    "n": [Number(4), Number(0)],
    "q of Quantile": [Number(0.2)],
    "instrument": [Text("I1")],
    "function": [Text(name) for name in NAMED_AGGREGATES],
    "by": [Group("industry"), Group("volume")],
}


def uses_of(operator: Operator) -> dict[str, Node]:
    """Return every way to write an operator with the arguments above, by its spelling."""
    keys = [f"{p.name} of {operator.name}" if operator.name == "Quantile" else p.name for p in operator.parameters]
    choices = [ARGUMENTS.get(key, ARGUMENTS[p.name]) for key, p in zip(keys, operator.parameters, strict=True)]
    if operator.parameters[-1].is_group:
        choices[-1] = [*choices[-1], Group("")]
    found = {}
    for arguments in product(*choices):
        node = Call(operator.name, tuple(a for a in arguments if a != Group("")))
        try:
            found[render(node)] = parse(render(node))
        except ExpressionError:  # this operator takes no such window
            continue
    return found


@BY_EACH_LOWERING
@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_no_later_bar_changes_an_operator_s_value(operator: Operator, lowering: str) -> None:
    nodes = uses_of(operator)
    assert nodes
    assert changed(nodes, lowering) == []


@BY_EACH_LOWERING
@pytest.mark.parametrize("name", ["alpha158", "alpha360"])
def test_no_later_bar_changes_a_factor_of_a_set(name: str, lowering: str) -> None:
    factors = {factor.name: factor.node for factor in load_factor_set(name, Path()).factors}
    assert changed(factors, lowering) == []


@pytest.mark.parametrize("lowering", ["windowed", "streamed"])
def test_what_does_look_ahead_is_seen_in_the_data(lowering: str) -> None:
    nodes = {text: parse(text) for text in ("Ref($close, -1)", "Mean(Ref($close, -3), 5)", "CSRank(Ref($close, -1))")}
    assert changed(nodes, lowering) == [*nodes]


@settings(max_examples=20, deadline=None)
@given(st.lists(TREES, min_size=6, max_size=6), st.sampled_from(LOWERINGS))
def test_no_later_bar_changes_any_tree_the_lint_lets_pass(trees: list[Node], lowering: str) -> None:
    sound = {render(tree): tree for tree in trees if find_look_ahead(tree) is None}
    assert changed(sound, lowering, also_without=False) == []
