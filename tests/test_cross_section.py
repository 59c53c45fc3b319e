"""Figures by day against numpy on each day alone."""

from collections.abc import Callable

import numpy as np
import pytest

from qts.cross_section import CrossSections

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


def test_equal_values_have_no_spread_whatever_their_rounding() -> None:
    assert CrossSections(np.zeros(7, dtype=int)).std(np.full(7, 0.1, dtype=np.float32)).tolist() == [0.0] * 7


def test_a_row_that_does_not_count_is_ranked_as_if_it_alone_joined() -> None:
    day, x = np.zeros(5, dtype=int), np.array([1.0, 3.0, 5.0, 3.0, 9.0])
    sections = CrossSections(day, np.array([True, True, True, False, False]))
    assert sections.rank(x).tolist() == [1, 2, 3, 2.5, 4]
    assert sections.rank_share(x).tolist() == [1 / 3, 2 / 3, 1, 2.5 / 4, 1]
