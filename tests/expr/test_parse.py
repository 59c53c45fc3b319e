"""Text → tree: Python's precedence, errors that point at the character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.errors import ExpressionError
from qts.expr.nodes import Call, Field, Group, Node, Number, render
from qts.expr.operators import ALIASES, OPERATORS
from qts.expr.parse import MAX_DEPTH, bare_names, parse, parse_with_places

C, O, V = Field("close"), Field("open"), Field("volume")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("$close", C),
        ("close", C),
        ("$CLOSE", C),
        ("$factor", Field("adj_factor")),
        ("$close+$open*$volume", Call("Add", (C, Call("Mul", (O, V))))),
        ("($close+$open)*$volume", Call("Mul", (Call("Add", (C, O)), V))),
        ("$close-$open-$volume", Call("Sub", (Call("Sub", (C, O)), V))),
        ("$close**$open**$volume", Call("Power", (C, Call("Power", (O, V))))),
        ("-$close**2", Call("Sub", (Number(0), Call("Power", (C, Number(2)))))),
        ("$close**-1", Call("Power", (C, Number(-1)))),
        ("$close>$open+1", Call("Gt", (C, Call("Add", (O, Number(1)))))),
        ("($close>$open)&($close>1)|($open>1)",
         Call("Or", (Call("And", (Call("Gt", (C, O)), Call("Gt", (C, Number(1))))), Call("Gt", (O, Number(1)))))),
        ("~($close>$open)", Call("Not", (Call("Gt", (C, O)),))),
        ("Ref( $close , -2 )", Call("Ref", (C, Number(-2)))),
        ("$close*(1+2)", Call("Mul", (C, Number(3)))),
        ("$high-$low+1e-12", Call("Add", (Call("Sub", (Field("high"), Field("low"))), Number(1e-12)))),
    ],
)  # fmt: skip
def test_signs_bind_as_in_python(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("Maen($close, 5)", 0, 'unknown operator "Maen"'),
        ("$close + Mean($close)", 20, "Mean takes 2 arguments, not 1"),
        ("Mean($close, 5.0)", 13, "N must be a whole number of rows"),
        ("Mean($close, -1)", 13, "N must be a whole number of rows"),
        ("Mean(1, 5)", 5, "x must be an expression"),
        ("$a > $b > $c", 8, "comparisons cannot be chained"),
        ("($close + ", 10, "expected a field, a number or an operator, found the end"),
        ("($close", 7, 'expected ")", found the end'),
        ("$close $open", 7, 'did not expect "$open" here'),
        ("$close @ 2", 7, 'did not expect "@" here'),
        ("1 + 2", 0, "must read at least one field"),
        ("10**1000*$close", 2, "no finite real value"),
        ("$$roe_q", 0, "point-in-time"),
        ("P($$roe_q)", 0, "P is not supported"),
        ("TResample($close, 'W', 'last')", 0, "TResample is not supported"),
        ("And($close, $open)", 4, "p must be a comparison"),
        ("Skew($close, 2)", 5, "N must be at least 3"),
        ('Rolling($close, 5, "skw")', 19, "function must be one of"),
        ("", 0, "the expression is empty"),
        ("$close*1e999", 7, "this number is too large"),
        ("$close*(1e308*10)", 13, "no finite real value"),
        ("Mean($close, 1e-20)", 13, "N must be a whole number of rows"),
        ("$close = 5", 7, 'did not expect "=" here'),
        ("Mean(x=$close, 5)", 5, "no argument can be named x here"),
        ('CSRank($close, per="industry")', 15, "no argument can be named per here"),
        ('CSRank(by="industry", $close)', 7, "no argument can be named by here"),
        ("CSRank($close, by=5)", 15, "by must be a column of the bars in quotes"),
        ("CSRank($close, $industry)", 15, "by must be a column of the bars in quotes"),
        ('CSRank($close, by="in dustry")', 15, "by must be a column of the bars in quotes"),
        ('CSRank("close")', 7, "x must be an expression"),
        ('CSRank($close, "industry", 3)', 28, "CSRank takes 1 or 2 arguments, not 3"),
        ("CSRank()", 7, "CSRank takes 1 or 2 arguments, not 0"),
        ("Delay($close, -1)", 14, "n must be a whole number of rows up to 1,000,000, not ahead"),
        ("$high/$low | $close", 11, '"|": p must be a comparison'),
        ("~$close", 0, '"~": p must be a comparison'),
        ("Ref($close, 1000001)", 12, "n must be a whole number of rows up to 1,000,000"),
        ("TsMean($close)", 13, "TsMean takes 2 arguments, not 1"),
        ("TsMean", 0, "TsMean needs brackets"),
    ],
)
def test_an_error_points_at_the_character(text: str, position: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert message in caught.value.message
    assert caught.value.position == position
    assert caught.value.message.splitlines()[-1] == "  " + " " * position + "^"


def test_a_misspelt_operator_is_answered_with_the_nearest() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("Quantil($close, 5, 0.5)")
    assert caught.value.hint == 'did you mean "Quantile"?'


@pytest.mark.parametrize(
    "text", ["(" * 5000 + "$close", "$close" + "+$close" * 5000, "-" * 5000 + "$close", "9" * 5000 + "*$close"]
)
def test_a_text_of_absurd_depth_or_length_is_an_error_not_a_crash(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"nested deeper|too long"):
        parse(text)


def test_a_deep_but_sane_expression_is_read() -> None:
    assert parse("$close" + "+$close" * (MAX_DEPTH - 10))


@given(st.text(max_size=40))
def test_any_text_is_a_tree_or_an_expression_error(text: str) -> None:
    try:
        parse(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)


def trees() -> st.SearchStrategy[Node]:
    leaves = st.sampled_from(["close", "open", "volume"]).map(Field)
    numbers = st.one_of(st.integers(-5, 5), st.floats(-9, 9, allow_nan=False)).map(Number)
    signs = st.sampled_from(["Add", "Sub", "Mul", "Div", "Power"])

    def grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        infix = st.builds(lambda o, a, b: Call(o, (a, b)), signs, inner, st.one_of(inner, numbers))
        rolling = st.builds(lambda a, n: Call("Mean", (a, Number(n))), inner, st.integers(0, 60))
        shifted = st.builds(lambda a, n: Call("Ref", (a, Number(n))), inner, st.integers(-5, 60))
        compared = st.builds(lambda a, b: Call("Gt", (a, b)), inner, inner)
        ranked = st.builds(lambda *a: Call("CSRank", a), inner)
        grouped = st.builds(lambda a, g: Call("CSZScore", (a, Group(g))), inner, st.sampled_from(["industry", "board"]))
        return st.one_of(infix, rolling, shifted, compared, ranked, grouped)

    return st.recursive(leaves, grow, max_leaves=8)


@given(trees())
def test_the_canonical_spelling_parses_to_the_same_tree(tree: Node) -> None:
    assert parse(render(tree)) == tree


@pytest.mark.parametrize(
    "text", ['CSRank($close, by="industry")', 'CSRank($close,"Industry")', "CSRank(close, by = 'industry')"]
)
def test_a_group_is_named_or_in_its_place(text: str) -> None:
    assert parse(text) == Call("CSRank", (C, Group("industry")))
    assert render(parse(text)) == 'CSRank($close, by="industry")'


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Delay($close, 5)", "Ref($close, 5)"),
        ("TsMean($close, 5)", "Mean($close, 5)"),
        ("TsArgMax($high, 20)", "IdxMax($high, 20)"),
        ("TsQuantile($close, 5, 0.8)", "Quantile($close, 5, 0.8)"),
        ("TsCorr($close, TsDelta($volume, 1), 5)", "Corr($close, Delta($volume, 1), 5)"),
    ],
)
def test_another_name_of_an_operator_is_spelled_as_the_operator(text: str, canonical: str) -> None:
    assert render(parse(text)) == canonical


def test_no_other_name_hides_an_operator_and_all_take_what_it_takes() -> None:
    assert not ALIASES.keys() & OPERATORS.keys()
    for alias in ALIASES.values():
        assert [p.name for p in alias.parameters] == [p.name for p in OPERATORS[alias.operator].parameters]


def test_a_misspelt_other_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("TsCor($close, $open, 5)")
    assert caught.value.hint == 'did you mean "TsCorr"?'


def test_a_name_stands_for_the_tree_it_is_given() -> None:
    names = {"mom": parse("$close/Ref($close, 5)"), "close": parse("$open")}
    tree, _ = parse_with_places("CSRank(Mom) + close - $close", names)
    assert render(tree) == "CSRank($close/Ref($close, 5)) + $open - $close"


def test_bare_names_are_those_that_could_stand_for_a_factor() -> None:
    assert [*bare_names('mom + CSRank (x2, by="y")*$z == w')] == [("mom", 0), ("x2", 14), ("w", 32)]


@pytest.mark.parametrize("text", ["a * a", "Abs(a)"], ids=["in width", "in depth"])
def test_names_that_grow_an_expression_without_end_are_refused(text: str) -> None:
    def grow() -> None:
        tree = parse("$close")
        for _ in range(MAX_DEPTH):
            tree = parse_with_places(text, {"a": tree})[0]

    with pytest.raises(ExpressionError, match="too large with this factor written out"):
        grow()


def test_a_quoted_text_keeps_its_quotes() -> None:
    tree = parse("Mask($close, 'S\"1')")
    assert parse(render(tree)) == tree


def test_every_operator_says_how_it_is_written() -> None:
    for name, row in OPERATORS.items():
        assert row.usage().startswith(f"{name}(")
        assert row.about
