"""Streams: the values of windowed SQL, the same bytes whatever is asked for beside them and however the panel is cut."""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qts.bars.panel import cut_out, lay_out
from qts.expr import plan
from qts.expr.bounds import Bounds, Interval, interval_of
from qts.expr.lookback import span_of
from qts.expr.network import Network
from qts.expr.nodes import Call, Field, Node, Number, Text, render
from qts.expr.operators import OPERATORS
from qts.expr.parse import parse
from qts.expr.plan import compile_panel, is_streamable, padding_rows
from qts.expr.stages import PANEL_COLUMNS, Kind, Value
from qts.expr.stream import MOST_ROWS, Stream, split
from qts.expr.streamed import STREAMED
from qts.factors import load_factor_set
from tests.random_trees import FIELDS, trees_of
from tests.small_panel import bars_table, bounds_of, compute_over, fetch, numbers_of, open_panel, select_of

ROW_BY_ROW = ["Add", "Sub", "Mul", "Div", "Power", "Greater", "Less", "Abs", "Sign", "Log", "Gt", "Ge", "Lt", "Le",
              "Eq", "Ne", "And", "Or", "Not", "If"]  # fmt: skip
LENGTHS = {"WHOLE": 66, "HOLES": 41, "ONE": 1, "MISSING": 37, "FLAT": 33, "TWO": 2}
"""Instrument → rows: one without a gap, with days without a bar, one row, missing fields, one value for long."""


def market(*, is_positive: bool) -> pa.Table:
    """Return ragged histories of quarters, so that sums and differences are exact: with ties, and zeros or none."""
    rng = np.random.default_rng(11)
    columns: dict[str, list[object]] = {name: [] for name in ("instrument", "day", *FIELDS)}
    for name, n_rows in LENGTHS.items():
        for day in range(70 - n_rows, 70):
            values = (rng.integers(1, 24, len(FIELDS)) if is_positive else rng.integers(-9, 10, len(FIELDS))) / 4
            if name == "FLAT" and day % 12 < 9:
                values[:4] = 1.25 if is_positive else 0
            if name == "MISSING":
                values[rng.random(len(FIELDS)) < 0.2] = np.nan
            if name != "HOLES" or day == 70 - n_rows or rng.random() < 0.8:
                for column, value in zip(columns, (name, day, *values), strict=True):
                    columns[column].append(value)
    return bars_table(columns)


POSITIVE, SIGNED = (open_panel(market(is_positive=sign), padding=MOST_ROWS) for sign in (True, False))
PANELS = st.sampled_from([POSITIVE, SIGNED])
STREAMABLE = trees_of([*STREAMED, *ROW_BY_ROW])
"""Trees that can stream, but for a few windows: what has none is left out by `kept`."""
SOME = st.lists(STREAMABLE, min_size=5, max_size=5)


def kept(trees: list[Node], *, ahead: bool = True) -> dict[str, Node]:
    """Return the trees that can stream, by their spelling; without `ahead` only what looks back."""
    found = {render(tree): tree for tree in trees if is_streamable(tree) and (ahead or not span_of(tree).ahead)}
    assume(found)
    return found


def streamed(
    panel: duckdb.DuckDBPyConnection, trees: Mapping[str, Node], bounds: Bounds | None = None, **options: str
) -> dict[str, np.ndarray]:
    """Return the columns of trees over a panel, with what its values prove unless told otherwise."""
    held = bounds_of(panel) if bounds is None else bounds
    return fetch(panel, compile_panel(trees, FIELDS, held, "panel", **options).sql, trees)


def assert_same_bytes(got: dict[str, np.ndarray], want: dict[str, np.ndarray], trees: Mapping[str, Node]) -> None:
    for name in trees:
        assert got[name].tobytes() == want[name].tobytes(), name


# The values of windowed SQL


def exact_trees() -> st.SearchStrategy[Node]:
    """Trees whose every value is a small number of quarters, sixteenths, …: both lowerings compute it without error.

    Comparisons, ranks and places turn on a last bit; here there is none to turn on.
    """
    windows, rows = st.sampled_from([1, 2, 3, 5, 12, 60]).map(Number), st.sampled_from([1, 4]).map(Number)

    def grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        def calls(names: str, *arguments: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
            return st.builds(lambda name, *a: Call(name, a), st.sampled_from(names.split()), *arguments)

        other = st.one_of(inner, st.sampled_from([Number(2), Number(-0.5)]))
        truth = calls("Gt Ge Lt Le Eq Ne", inner, other)
        return st.one_of(
            calls("Add Sub Mul Greater Less", inner, other),
            calls("Abs Sign", inner),
            calls("Ref Delta", inner, rows),
            calls("Ref", inner, st.sampled_from([-1, -3]).map(Number)),
            calls("Max Min IdxMax IdxMin Count Sum", inner, windows),
            calls("If", truth, inner, other),
            calls("And Or", truth, truth),
        )

    return st.recursive(st.sampled_from(FIELDS).map(Field), grow, max_leaves=3)


def figures(exact: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Trees with one figure that both lowerings round, each in its way, and nothing above that could turn on it."""
    windows = st.sampled_from([2, 3, 5, 12, 60]).map(Number)
    names = ["Mean", "Std", "Var", "Med", "Rank", "WMA", "Slope", "Rsquare", "Resi"]
    figure = st.one_of(
        st.builds(lambda name, *a: Call(name, a), st.sampled_from(names), exact, windows),
        st.builds(lambda *a: Call("Quantile", a), exact, windows, st.sampled_from([0, 0.2, 0.5, 0.83, 1]).map(Number)),
        st.builds(lambda name, *a: Call(name, a), st.sampled_from(["Corr", "Cov"]), exact, exact, windows),
        st.builds(lambda *a: Call("Rolling", a), exact, windows, st.sampled_from(["sem", "median", "var"]).map(Text)),
    )
    above = st.builds(
        lambda name, x, n: Call(name, (x, n)), st.sampled_from(["Ref", "Mean", "Max", "Med", "Sum"]), figure, windows
    )
    return st.one_of(figure, above, st.builds(lambda a, b: Call("Add", (a, b)), figure, exact))


def ratios(exact: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Trees with infinite values and NaN, and what is picked from them."""
    ratio = st.one_of(
        st.builds(lambda a, b: Call("Div", (a, b)), exact, exact),
        st.builds(lambda a: Call("Log", (a,)), exact),
        st.builds(lambda a, b: Call("Power", (a, Number(b))), exact, st.sampled_from([-1, 0.5, 2, 40])),
    )
    picked = st.builds(
        lambda name, x, n: Call(name, (x, Number(n))),
        st.sampled_from(["Max", "Min", "Count", "Ref", "Mean", "IdxMax", "Med", "Sum"]),
        ratio,
        st.sampled_from([1, 3, 5]),
    )
    return st.one_of(ratio, picked)


@settings(max_examples=60, deadline=None)
@given(st.lists(exact_trees().filter(lambda tree: isinstance(tree, Call)), min_size=4, max_size=4), PANELS)
def test_what_needs_no_rounding_is_what_windowed_sql_computes(
    trees: list[Node], panel: duckdb.DuckDBPyConnection
) -> None:
    nodes = kept(trees)
    want, got = (compute_over(panel, FIELDS, nodes, lowering) for lowering in ("windowed", "streamed"))
    for name in nodes:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(figures(exact_trees()), ratios(exact_trees())), min_size=4, max_size=4), PANELS)
def test_figures_are_those_of_windowed_sql_and_missing_in_the_same_places(
    trees: list[Node], panel: duckdb.DuckDBPyConnection
) -> None:
    """Sums in another order may round to the neighbouring 32-bit number, or leave next to nothing where they cancel."""
    nodes = kept(trees)
    want, got = (compute_over(panel, FIELDS, nodes, lowering) for lowering in ("windowed", "streamed"))
    for name in nodes:
        np.testing.assert_allclose(got[name], want[name], rtol=2e-7, atol=1e-8, equal_nan=True, err_msg=name)


def test_a_flat_window_has_a_spread_of_zero_whatever_its_value() -> None:
    bars = bars_table({"instrument": ["A"] * 9, "day": [*range(9)], "close": [0.1] * 9})
    spreads = {"std": "Std($close, 5)", "var": "Var($close, 7)"}
    found = compute_over(open_panel(bars, padding=8), ["close"], spreads, "streamed")
    assert found["std"][1:].tolist() == found["var"][1:].tolist() == [0.0] * 8


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Ref(Mean($close, 2), -1)", [1.5, None, 15.0, None]),
        ("Mean(Ref($close, -1), 2)", [2.0, 2.0, 20.0, 20.0]),
        ("Sum(Ref($close, 1) > 0, 2)", [0.0, 1.0, 0.0, 1.0]),
        ("Delta($close > 1, 1)", [None, 1.0, None, 0.0]),
        ("Count(If($open > 0, 1, 2) + 0 * $close, 3)", [1.0, 2.0, 1.0, 2.0]),
    ],
)
def test_nothing_of_a_neighbour_is_seen_from_either_end(text: str, wanted: list[float | None]) -> None:
    """A has 1, 2 and B 10, 20."""
    columns = {"instrument": [*"AABB"], "day": [0, 1, 0, 1], "close": [1, 2, 10, 20], "open": [1, 2, 10, 20]}
    panel = open_panel(bars_table(columns), padding=padding_rows([parse(text)]))
    for lowering in ("windowed", "streamed"):
        found = compute_over(panel, ["close", "open"], {"value": text}, lowering)["value"]
        assert [None if np.isnan(value) else float(value) for value in found] == wanted


# Shortcuts taken from what the data proves

PROVED = {
    text: parse(text)
    for text in (
        "Quantile($close, 5, 0.2)", "Med($close, 12)", "Quantile(Ref($close, 1), 60, 0.83)", "Med($open/$close, 5)",
        "Log($close)", "Log($volume + 1)", "$close/$open", "Std($close/$open, 5)", "Corr($close, Log($volume + 1), 12)",
        "Mean($close/Ref($close, 1), 5)", "Sum(Greater($close - $open, 0), 5)/(Sum(Abs($close - $open), 5) + 1e-12)",
        "Resi($close, 12)/$close", "Rsquare($close, 5)", "Count($close/$open, 5)", "($high - $low)/$open",
    )
}  # fmt: skip


@pytest.mark.parametrize("panel", [POSITIVE, SIGNED], ids=["positive", "signed"])
def test_what_the_data_proves_changes_no_byte(panel: duckdb.DuckDBPyConnection) -> None:
    assert_same_bytes(streamed(panel, PROVED), streamed(panel, PROVED, {}), PROVED)


@settings(max_examples=30, deadline=None)
@given(SOME, PANELS)
def test_what_the_data_proves_changes_no_byte_of_any_tree(trees: list[Node], panel: duckdb.DuckDBPyConnection) -> None:
    nodes = kept(trees)
    assert_same_bytes(streamed(panel, nodes), streamed(panel, nodes, {}), nodes)


@settings(max_examples=80, deadline=None)
@given(SOME, PANELS)
def test_every_value_lies_in_the_interval_that_is_proved(trees: list[Node], panel: duckdb.DuckDBPyConnection) -> None:
    """But for the last bits of 32: a product of bounds may be rounded away from 0."""
    nodes, bounds = kept(trees), bounds_of(panel)
    found = compute_over(panel, FIELDS, nodes, "windowed")
    for name, node in nodes.items():
        if interval := interval_of(node, bounds):
            room = 1e-6 * interval.magnitude
            values = found[name][~np.isnan(found[name])]
            assert ((values >= interval.low - room) & (values <= interval.high + room)).all(), name


def test_no_interval_is_proved_where_a_value_can_be_infinite_or_none() -> None:
    bounds = {"close": Interval(-1.0, 3.0), "volume": Interval(0.0, 9.0), "open": Interval(1.0, 1e30)}
    for text in ("$close/$volume", "Log($volume)", "Log($close)", "$open*$open", "$absent", "Mean($absent, 5)"):
        assert interval_of(parse(text), bounds) is None
    assert interval_of(parse("Log($open)"), bounds)


# What a value does not depend on


@settings(max_examples=30, deadline=None)
@given(SOME, PANELS)
def test_a_value_does_not_depend_on_what_else_is_asked_for(trees: list[Node], panel: duckdb.DuckDBPyConnection) -> None:
    nodes = kept(trees)
    alone: dict[str, np.ndarray] = {}
    for name, node in nodes.items():
        alone |= {name: streamed(panel, {name: node})[name]}
    assert_same_bytes(streamed(panel, nodes), alone, nodes)


FACTORS = {factor.name: factor.node for factor in load_factor_set("alpha158", Path()).factors}
N_BACK = padding_rows(FACTORS.values())
FAMILIES = {name: node for name, node in FACTORS.items() if name.endswith(("20", "60")) or not name[-1].isdigit()}
"""Each family once or twice, for tests that compile them again and again."""


def test_a_value_does_not_depend_on_the_size_of_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    want = streamed(POSITIVE, FAMILIES)
    n_streams = compile_panel(FAMILIES, FIELDS, {}, "panel").n_streams
    monkeypatch.setattr(plan, "STREAM_SIZE", 20)
    assert compile_panel(FAMILIES, FIELDS, {}, "panel").n_streams > n_streams
    assert_same_bytes(streamed(POSITIVE, FAMILIES), want, FAMILIES)


def test_a_value_does_not_depend_on_the_bucket() -> None:
    whole = streamed(POSITIVE, FAMILIES)
    for name, n_rows in LENGTHS.items():
        bucket = streamed(POSITIVE, FAMILIES, condition=f"instrument = '{name}'")
        own = {factor: values[whole["instrument"] == name] for factor, values in whole.items()}
        assert len(bucket["day"]) == len(own["day"]) == n_rows
        assert_same_bytes(bucket, own, FAMILIES)


@settings(max_examples=30, deadline=None)
@given(SOME, PANELS)
def test_a_row_without_a_gap_behind_it_needs_no_counting(trees: list[Node], panel: duckdb.DuckDBPyConnection) -> None:
    nodes = kept(trees, ahead=False)
    found = fetch(panel, select_of("in two", nodes, FIELDS, bounds_of(panel)), nodes)
    assert_same_bytes(found, streamed(panel, nodes), nodes)


def test_no_factor_of_a_set_needs_counting_where_there_is_no_gap() -> None:
    wanted = f"rows_whole > {N_BACK}"
    select = compile_panel(FACTORS, FIELDS, bounds_of(POSITIVE), "panel", wanted=wanted, is_whole=True)
    found = fetch(POSITIVE, select.sql, FACTORS)
    assert len(found["day"]) == LENGTHS["WHOLE"] - N_BACK
    assert_same_bytes(found, streamed(POSITIVE, FACTORS, wanted=wanted), FACTORS)


@settings(max_examples=15, deadline=None)
@given(SOME, PANELS)
def test_rows_near_a_gap_can_be_cut_out_of_the_panel(trees: list[Node], panel: duckdb.DuckDBPyConnection) -> None:
    nodes = kept(trees, ahead=False)
    back = max(padding_rows(nodes.values()), 1)
    cut_out(panel, "panel", "edges", back)
    try:
        wanted = f"row_number > 0 AND rows_whole <= {back}"
        found = fetch(panel, compile_panel(nodes, FIELDS, bounds_of(panel), "edges", wanted=wanted).sql, nodes)
    finally:
        panel.execute("DROP TABLE edges")
    assert_same_bytes(found, streamed(panel, nodes, wanted=wanted), nodes)


def tail(bars: pa.Table, last: int, lookback: int) -> duckdb.DuckDBPyConnection:
    """Return a panel of which the last rows of each instrument are asked for, with as many before them as they need."""
    made = open_panel(bars, padding=MOST_ROWS)
    made.execute(
        f"UPDATE spans SET wanted_from = greatest(first, last - {last} + 1);"
        f"UPDATE spans SET start = greatest(first, wanted_from - {lookback}); DROP TABLE panel"
    )
    lay_out(made, FIELDS, "bars", padding=lookback, least=3, used=numbers_of(made, "bars"), table="panel_")
    made.execute("ALTER TABLE panel_ RENAME TO panel")
    return made


def last_rows(found: dict[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
    """Return the rows of the last n days: every instrument of the market lives to the end."""
    return {name: values[found["day"] >= 70 - n] for name, values in found.items()}


@pytest.mark.parametrize("is_positive", [True, False])
def test_a_factor_does_not_depend_on_where_history_begins_beyond_its_lookback(is_positive: bool) -> None:
    whole = streamed(POSITIVE if is_positive else SIGNED, FACTORS)
    news = streamed(tail(market(is_positive=is_positive), 3, N_BACK), FACTORS)
    assert len(news["day"]) < len(whole["day"]) / 4
    assert_same_bytes(news, last_rows(whole, 3), FACTORS)


TAILS = {back: tail(market(is_positive=False), 2, back) for back in (3, 9, 64)}


@settings(max_examples=30, deadline=None)
@given(SOME)
def test_no_tree_depends_on_where_history_begins_beyond_its_lookback(trees: list[Node]) -> None:
    for back, panel in TAILS.items():
        nodes = {render(t): t for t in trees if is_streamable(t) and padding_rows([t]) <= back and span_of(t).ahead < 3}
        if nodes:
            assert_same_bytes(streamed(panel, nodes), last_rows(streamed(SIGNED, nodes), 2), nodes)


# Padding and order


def with_padding(rows: int, clean: int) -> duckdb.DuckDBPyConnection:
    """Return a panel with padding rows, all but the `clean` ones next to the instrument full of numbers."""
    made = open_panel(market(is_positive=True), padding=rows)
    garbage = ", ".join(f"field_{name} = 0.25 + position % 23 / 4" for name in FIELDS)
    made.execute(f"UPDATE panel SET {garbage} WHERE row_number <= {-clean}")
    return made


def test_the_padding_asked_for_is_enough_for_every_factor_and_a_row_less_is_not() -> None:
    want, bounds = streamed(POSITIVE, FACTORS), bounds_of(POSITIVE)
    assert_same_bytes(streamed(with_padding(N_BACK + 9, N_BACK), FACTORS, bounds), want, FACTORS)
    short = streamed(with_padding(N_BACK + 9, N_BACK - 1), FACTORS, bounds)
    assert [name for name in FACTORS if short[name].tobytes() != want[name].tobytes()] == ["ROC60"]


@pytest.mark.parametrize(
    "texts", [["$close"], ["Mean($close, 5)", "EMA($close, 3)"]], ids=["streams", "windows beside"]
)
@pytest.mark.parametrize("order", ["position DESC", "hash(position)", "instrument DESC, row_number"])
def test_rows_out_of_order_are_refused(texts: list[str], order: str) -> None:
    POSITIVE.execute(f"CREATE OR REPLACE TABLE disorder AS FROM panel ORDER BY {order}")
    select = compile_panel({text: parse(text) for text in texts}, FIELDS, {}, "disorder").sql
    with pytest.raises(duckdb.Error, match="the rows of the panel are out of order"):
        POSITIVE.execute(select).fetchall()


def test_what_cannot_stream_stands_beside_what_can_row_for_row() -> None:
    texts = ["Mean($close, 5)", "EMA($close, 3)", "CSRank($close)", "Mean($close, 0)", "Rank($close, 200)"]
    nodes = {text: parse(text) for text in texts}
    assert [text for text, node in nodes.items() if is_streamable(node)] == texts[:1]
    want, got = (compute_over(POSITIVE, FIELDS, nodes, lowering) for lowering in ("windowed", "streamed"))
    for text in texts:
        np.testing.assert_allclose(got[text], want[text], rtol=2e-7, err_msg=text)


def test_every_operator_with_a_lowering_over_a_stream_is_one_of_the_language() -> None:
    assert {*STREAMED} <= {*OPERATORS}


# Sorting networks


@pytest.mark.parametrize("is_exact", [True, False], ids=["arithmetic", "CASE"])
@pytest.mark.parametrize("n", [*range(1, 25), 40, 60])
def test_a_network_picks_what_sorting_picks(n: int, is_exact: bool) -> None:
    rng = np.random.default_rng(n)
    values = rng.integers(-20, 20, 150).astype(np.float32) / 4
    panel = duckdb.connect(config={"threads": 1})
    panel.register("given", pa.table({"field_x": values, "place": np.arange(len(values), dtype=np.int32)}))
    keys = ", ".join(f"place AS {name}" for name in PANEL_COLUMNS)
    stream = Stream(frozenset({"x"}), PANEL_COLUMNS)
    filled = stream.define("CAST(field_x AS DOUBLE)", Kind.DOUBLE, is_clean=True)
    stream.definitions[filled.sql].sql = 'CAST("field_x" AS DOUBLE)'
    picked = Network(stream, filled, is_exact).pick(n, tuple(range(n)))
    outputs = {f"place_{at}": Value(sql, Kind.DOUBLE) for at, sql in enumerate(picked)}
    found = panel.execute(stream.select(outputs, f"(SELECT {keys}, field_x FROM given)")).fetchnumpy()
    got = np.stack([found[name] for name in outputs], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(values, n)
    np.testing.assert_array_equal(got[n - 1 :], np.sort(windows, axis=1))


def test_a_window_is_split_in_two_that_cover_it() -> None:
    for n in range(2, MOST_ROWS + 1):
        newer, older = split(n)
        assert (newer + older, newer >= older >= 1) == (n, True)


def test_the_windows_of_the_factor_sets_are_built_in_seven_steps() -> None:
    sizes, waiting = set(), [5, 10, 20, 30, 60]
    while waiting:
        if (n := waiting.pop()) > 1 and n not in sizes:
            sizes.add(n)
            waiting.extend(split(n))
    assert sorted(sizes) == [2, 4, 5, 10, 20, 30, 60]
