"""Figures by day against numpy on each day alone."""

from collections.abc import Callable

import numpy as np
import pytest

from qts.cross_section import CrossSections, DayGrid, DayOrder

N_DAYS = 5


def panel(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return day and a column with ties and gaps, in no order; day 3 has one value, day 4 equal ones."""
    rng = np.random.default_rng(seed)
    day = rng.permutation(np.repeat(np.arange(N_DAYS), [9, 6, 7, 1, 4]))
    x = rng.integers(0, 5, len(day)).astype(np.float64)
    x[rng.random(len(x)) < 0.2] = np.nan
    x[day == 4] = 0.1
    return day, x


def average_rank(values: np.ndarray) -> np.ndarray:
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


@pytest.mark.parametrize(
    ("method", "naive"),
    [
        ("mean", np.mean),
        ("median", np.median),
        ("std", lambda v: np.std(v, ddof=1) if len(v) > 1 and v.min() < v.max() else (0.0 if len(v) > 1 else np.nan)),
        ("rank", average_rank),
    ],
)
def test_a_figure_by_day_is_the_figure_of_each_day_alone(
    method: str, naive: Callable[[np.ndarray], np.ndarray]
) -> None:
    day, x = panel()
    got = getattr(CrossSections(day), method)(x)
    for one in range(N_DAYS):
        rows = (day == one) & ~np.isnan(x)
        if rows.any():
            np.testing.assert_allclose(got[rows], naive(x[rows]), equal_nan=True)


def test_ranks_do_not_depend_on_how_many_days_are_worked_on_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    day, x = panel()
    whole = CrossSections(day, x != 2).rank(x)
    monkeypatch.setattr("qts.cross_section.SPAN_CELLS", 20)
    np.testing.assert_array_equal(CrossSections(day, x != 2).rank(x), whole)


def test_equal_values_have_no_spread_whatever_their_rounding() -> None:
    assert CrossSections(np.zeros(7, dtype=int)).std(np.full(7, 0.1, dtype=np.float32)).tolist() == [0.0] * 7


def test_a_row_that_does_not_count_is_ranked_as_if_it_alone_joined() -> None:
    day, x = np.zeros(5, dtype=int), np.array([1.0, 3.0, 5.0, 3.0, 9.0])
    sections = CrossSections(day, np.array([True, True, True, False, False]))
    assert sections.rank(x).tolist() == [1, 2, 3, 2.5, 4]
    assert sections.rank_share(x).tolist() == [1 / 3, 2 / 3, 1, 2.5 / 4, 1]


def grid_of_a_panel() -> tuple[np.ndarray, np.ndarray, DayGrid]:
    day, x = panel()
    return day, x, DayGrid.of(day, N_DAYS + 2)  # two days without a row


def test_a_grid_keeps_the_rows_of_a_day_in_their_order() -> None:
    day, x, grid = grid_of_a_panel()
    laid = grid.lay(x)
    assert laid.shape == (N_DAYS + 2, 9)
    for one in range(N_DAYS + 2):
        rows = x[day == one]
        np.testing.assert_array_equal(laid[one, : len(rows)], rows)
        assert np.isnan(laid[one, len(rows) :]).all()
    np.testing.assert_array_equal(grid.pick(laid), x)


@pytest.mark.parametrize("descending", [True, False])
def test_places_are_those_of_a_stable_sort_of_each_day(descending: bool) -> None:
    day, x, grid = grid_of_a_panel()
    got = grid.pick(DayOrder.of(grid.lay(x)).places(descending=descending))
    for one in range(N_DAYS):
        rows = np.flatnonzero((day == one) & ~np.isnan(x))
        ordered = sorted(rows, key=lambda row: -x[row] if descending else x[row])
        assert got[ordered].tolist() == list(range(len(rows)))


def test_ranks_among_some_cells_need_no_second_sort() -> None:
    day, x, grid = grid_of_a_panel()
    counts = np.random.default_rng(0).random(len(x)) < 0.6
    got = grid.pick(DayOrder.of(grid.lay(x)).ranks(grid.lay(counts, missing=False)))
    for one in range(N_DAYS):
        rows = (day == one) & counts & ~np.isnan(x)
        np.testing.assert_array_equal(got[rows], average_rank(x[rows]))
    assert np.isnan(got[np.isnan(x)]).all()


def test_no_rows_make_an_empty_grid() -> None:
    grid = DayGrid.of(np.zeros(0, dtype=int), 3)
    order = DayOrder.of(grid.lay(np.zeros(0)))
    assert order.ranks().shape == order.places(descending=True).shape == (3, 0)
