"""Sorting by bits and places, against numpy's own sort; ranks against ranks counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.evaluation.ranking import Runs, centered_ranks, correlation_of_ranks, sort_lines
from qts.evaluation.scored import ScoredDays
from tests.evaluation.naive import ranks, spearman

NUMBERS = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-3, 3).map(float),
    st.sampled_from([0.0, -0.0, 1.0, np.nextafter(1.0, 2.0), 1e-320]),
)


@given(
    st.integers(1, 9).flatmap(
        lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=4)
    )
)
def test_lines_are_sorted_as_numpy_does_equals_as_they_stood(rows: list[list[float]]) -> None:
    values = np.array(rows)
    want = np.argsort(values, axis=1, kind="stable") + np.arange(len(values))[:, None] * values.shape[1]
    assert sort_lines(values).tolist() == want.tolist()


def test_values_that_differ_in_their_last_bits_alone_are_sorted_too() -> None:
    tiny = 1.0 + np.arange(40)[::-1] * 2.0**-52
    assert sort_lines(np.stack([tiny, -tiny]))[0].tolist() == list(range(40))[::-1]
    assert sort_lines(np.stack([tiny, -tiny]))[1].tolist() == list(range(40, 80))


def test_lines_without_cells_and_no_lines_are_sorted_into_nothing() -> None:
    assert sort_lines(np.empty((3, 0))).shape == (3, 0)
    assert sort_lines(np.empty((0, 4))).shape == (0, 4)


def test_runs_hold_all_that_are_equal_and_nothing_that_stands_alone() -> None:
    equal = np.array([[True, True, False, True, False], [False, True, True, True, False]])
    runs = Runs.of(equal)
    assert list(zip(runs.start.tolist(), runs.length.tolist(), strict=True)) == [(0, 3), (3, 2), (6, 4)]
    assert runs.cells.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=9))
def test_centered_ranks_are_twice_the_ranks_of_what_is_taken_less_their_mean(cells: list[tuple[int, bool]]) -> None:
    values, taken = np.array([[float(cell[0]) for cell in cells]]), np.array([[cell[1] for cell in cells]])
    found = centered_ranks(values, taken)
    kept = [float(value) for value, is_taken in cells if is_taken]
    want = [2 * rank - len(kept) - 1 for rank in ranks(kept)]
    assert found.values[taken].tolist() == want
    assert not found.values[~taken].any()
    assert found.squares[0] == sum(value**2 for value in want)


@pytest.mark.parametrize("seed", range(5))
def test_scores_laid_out_once_are_ranked_among_any_of_the_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [6, 0, 1, 9]
    day = np.repeat(np.arange(4), sizes)
    score = rng.integers(-2, 3, len(day)).astype(float)
    score[rng.random(len(day)) < 0.2] = np.nan
    days = ScoredDays.of(day, score, slice(0, 4))
    other = rng.integers(-2, 3, len(day)).astype(float)
    taken = days.is_name & (rng.random(days.shape) < 0.7)
    values = days.lay(other)
    n = np.count_nonzero(taken, axis=1)
    found = correlation_of_ranks(days.ranks(taken), centered_ranks(values, taken), n, 2)
    for line in range(4):
        assert days.n[line] == np.isfinite(score[day == line]).sum()
        order = days.row[line, : days.n[line]]
        assert order.tolist() == sorted(order, key=lambda row: (-score[row], row))
        rows = days.row[line, taken[line]]
        want = spearman(score[rows].tolist(), other[rows].tolist())
        np.testing.assert_allclose(found[line], want, rtol=1e-12, equal_nan=True)
