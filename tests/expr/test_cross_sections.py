"""Operators across a day: what each means, and that no order of rows and no number of threads changes a bit."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.expr.lookback import crosses, span_of
from qts.expr.operators import Span
from qts.expr.parse import parse
from qts.expr.quote import quote_name
from qts.expr.sql import compile_select
from tests.small_panel import ROWS, Cells, bars_table, cells, compute, open_panel

Values = Sequence[float | None]
TIES, FLAT, NOTHING, ALONE = range(4)
"""The days below: ties beside a missing value, all equal, all missing, one value alone."""

BARS = bars_table({
    "instrument": [*"ABCDE"] * 4,
    "day": [TIES] * 5 + [FLAT] * 5 + [NOTHING] * 5 + [ALONE] * 5,
    "close": [3, 1, 3, None, 2,  7, 7, 7, 7, None,  *[None] * 5,  None, None, 9, None, None],
    "industry": ["bank", "bank", "bank", "steel", None] * 4,
    "board": [1, 2, 2, 2, 1] * 4,
})  # fmt: skip


def day_of(found: Cells, day: int) -> list[float | None]:
    return [found[instrument, day] for instrument in "ABCDE"]


def are_near(got: Values, want: Values) -> bool:
    """Return whether two days agree as far as 32 bits go, missing where the other is missing."""
    return np.allclose(*(np.array(side, dtype=float) for side in (got, want)), rtol=1e-6, atol=0, equal_nan=True)


def naive_rank(values: Values) -> list[float | None]:
    known = [v for v in values if v is not None]
    return [
        None if v is None else (sum(w < v for w in known) + (sum(w == v for w in known) + 1) / 2) / len(known)
        for v in values
    ]


def naive_demean(values: Values) -> list[float | None]:
    known = [Fraction(v) for v in values if v is not None]
    return [None if v is None else float(Fraction(v) - sum(known) / len(known)) for v in values]


def naive_zscore(values: Values) -> list[float | None]:
    known = [Fraction(v) for v in values if v is not None]
    if len(set(known)) < 2:
        return [None] * len(values)
    mean = sum(known) / len(known)
    std = math.sqrt(sum((v - mean) ** 2 for v in known) / (len(known) - 1))
    return [None if v is None else float(Fraction(v) - mean) / std for v in values]


NAIVE: dict[str, Callable[[Values], list[float | None]]] = {
    "CSRank": naive_rank,
    "CSDemean": naive_demean,
    "CSZScore": naive_zscore,
}


def test_ties_share_the_average_rank_and_missing_stays_missing() -> None:
    found = cells(BARS, "CSRank($close)")
    assert day_of(found, TIES) == [3.5 / 4, 1 / 4, 3.5 / 4, None, 2 / 4]
    assert day_of(found, FLAT) == [2.5 / 4] * 4 + [None]
    assert day_of(found, NOTHING) == [None] * 5
    assert day_of(found, ALONE) == [None, None, 1.0, None, None]


def test_a_mean_taken_off_leaves_nothing_of_equal_values() -> None:
    found = cells(BARS, "CSDemean($close)")
    assert day_of(found, TIES) == [0.75, -1.25, 0.75, None, -0.25]
    assert day_of(found, FLAT) == [0.0] * 4 + [None]
    assert day_of(found, NOTHING) == [None] * 5
    assert day_of(found, ALONE) == [None, None, 0.0, None, None]


def test_a_z_score_has_ddof_1_and_none_where_nothing_stands_out() -> None:
    found = cells(BARS, "CSZScore($close)")
    std = math.sqrt((0.75**2 + 1.25**2 + 0.75**2 + 0.25**2) / 3)
    assert are_near(day_of(found, TIES), [0.75 / std, -1.25 / std, 0.75 / std, None, -0.25 / std])
    assert day_of(found, FLAT) == [None] * 5
    assert day_of(found, ALONE) == [None] * 5


def test_a_group_is_ranked_by_itself_and_nobody_s_group_is_missing() -> None:
    ranks = cells(BARS, 'CSRank($close, by="industry")')
    assert are_near(day_of(ranks, TIES), [2.5 / 3, 1 / 3, 2.5 / 3, None, None])
    assert are_near(day_of(ranks, FLAT), [2 / 3, 2 / 3, 2 / 3, 1.0, None])
    centered = cells(BARS, 'CSDemean($close, "industry")')
    assert are_near(day_of(centered, TIES), [2 / 3, -4 / 3, 2 / 3, None, None])


def test_a_column_of_numbers_makes_groups_too() -> None:
    assert are_near(day_of(cells(BARS, 'CSRank($close, by="board")'), TIES), [1, 1 / 2, 1, None, 1 / 2])


def test_a_column_the_bars_lack_is_nobody_s_group() -> None:
    assert day_of(cells(BARS, 'CSRank($close, by="sector")'), TIES) == [None] * 5


def test_infinite_values_count_as_missing() -> None:
    assert day_of(cells(BARS, "CSRank($close/($close-3))"), TIES) == [
        None,
        1.0,
        None,
        None,
        0.5,
    ]  # inf, -1/2, inf, -, -2


def test_an_operator_across_the_day_takes_and_gives_expressions() -> None:
    assert day_of(cells(BARS, "CSRank(Ref($close, 1))"), FLAT) == [3.5 / 4, 1 / 4, 3.5 / 4, None, 2 / 4]
    assert day_of(cells(BARS, "Sum(CSRank($close), 2)"), FLAT) == [1.5, 0.875, 1.5, 0.625, 0.5]


SECTION = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-2, 2).map(float), st.floats(width=32, allow_nan=False, allow_infinity=False)),
        st.sampled_from(["bank", "steel", None]),
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(SECTION, min_size=1, max_size=4), st.booleans())
def test_any_day_is_what_a_naive_twin_computes(
    days: list[list[tuple[float | None, str | None]]], grouped: bool
) -> None:
    rows = [(f"I{at}", day, *row) for day, section in enumerate(days) for at, row in enumerate(section)]
    columns = dict(zip(("instrument", "day", "close", "industry"), zip(*rows, strict=True), strict=True))
    by = ', by="industry"' if grouped else ""
    found = compute(bars_table(columns), {name: f"{name}($close{by})" for name in NAIVE})
    got = {(i, d): at for at, (i, d) in enumerate(zip(found["instrument"], found["day"], strict=True))}
    sections: dict[object, list[tuple[int, float | None]]] = defaultdict(list)
    for instrument, day, value, group in rows:
        if not grouped or group is not None:
            sections[day, group if grouped else ""].append((got[instrument, day], value))
    want = {name: np.full(len(found["day"]), np.nan) for name in NAIVE}
    for section in sections.values():
        spread = np.ptp([v for _, v in section if v is not None] or [0.0])
        for name, naive in NAIVE.items():
            made = naive([v for _, v in section])
            want[name][[at for at, _ in section]] = [np.nan if v is None else v for v in made]
            at = [at for at, _ in section]
            near = spread * 2.0**-43 if name == "CSDemean" else 1e-9
            np.testing.assert_allclose(found[name][at], want[name][at], rtol=1e-6, atol=near)


def large_market() -> pa.Table:
    """Return 220 days of 700 instruments whose values span 30 orders of magnitude: their sums depend on their order."""
    rng = np.random.default_rng(5)
    n_days, n_instruments = 220, 700
    day, code = np.divmod(np.arange(n_days * n_instruments), n_instruments)
    close = rng.normal(size=len(day)) * 10.0 ** rng.integers(-15, 15, len(day))
    return pa.table({
        "instrument": pa.array([f"I{c:03}" for c in code]),
        "datetime": pa.array(np.datetime64("2024-01-01") + day),
        "close": pa.array(close.astype(np.float32)),
        "industry": pa.array([f"G{c % 7}" for c in code]),
    })  # fmt: skip


def test_neither_order_of_rows_nor_threads_nor_other_days_change_a_bit() -> None:
    nodes = {
        f"{name} {x}": parse(f"{name}({x})*1234567891.3 - {name}({x})*1234567890.1")  # carries the last bits up into 32
        for name in NAIVE
        for x in ("$close", '$close*$close, by="industry"')
    }
    names = ", ".join(map(quote_name, nodes))
    late, early = "2025-01-01", "2024-03-01"
    found = []
    for order, threads, last in (("1", 1, late), ("hash(instrument, datetime)", 4, late), ("1", 4, early)):
        connection = open_panel(large_market(), threads)
        source = f"(SELECT * FROM {ROWS} WHERE datetime <= DATE '{last}' ORDER BY {order})"
        sql = compile_select(nodes, ["close", "industry"], source).sql
        connection.execute(f"CREATE TABLE made AS {sql}")
        rows = connection.execute(
            f"SELECT {names} FROM made WHERE datetime <= DATE '{early}' ORDER BY instrument, datetime"
        ).fetchnumpy()
        found.append([rows[name].tobytes() for name in nodes])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("text", ["CSRank($close)", 'CSDemean($close, by="industry")/$close', 'Mask($close, "A")',
                                  'Mean(ChangeInstrument("A", $close), 5)'])  # fmt: skip
def test_what_reads_other_instruments_says_so(text: str) -> None:
    assert crosses(parse(text))
    assert compile_select({"x": parse("$close"), "y": parse(text)}, ["close"], "panel").crosses


def test_what_reads_one_instrument_says_so() -> None:
    assert not compile_select({"x": parse("Rank($close, 5)")}, ["close"], "panel").crosses


def test_a_cross_section_reads_no_other_day() -> None:
    assert span_of(parse('CSRank(Mean($close, 5), by="industry")')) == Span(4, 0)
