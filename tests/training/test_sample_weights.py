"""Sample weights: mean 1, halves by age, and given weights that are no weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.errors import DataCheckError
from qts.training.sample_weights import make_weights

DAY = np.array([4, 10, 7, 4, 1])
samples = st.lists(st.tuples(st.integers(0, 5000), st.floats(1e-3, 1e3)), min_size=1, max_size=40)
half_lives = st.none() | st.floats(1.0, 1e5)


def naive(day: list[int], given_weight: list[float], half_life: float | None) -> list[float]:
    """Sample by sample, in 64 bits."""
    each = [
        w * (1.0 if half_life is None else 2.0 ** (-(max(day) - d) / half_life))
        for d, w in zip(day, given_weight, strict=True)
    ]
    return [w * len(each) / sum(each) for w in each]


def test_a_sample_a_half_life_older_weighs_half() -> None:
    weight = make_weights(DAY, None, 3.0)
    np.testing.assert_allclose(weight / weight[1], [0.25, 1.0, 0.5, 0.25, 0.125], rtol=1e-6)


def test_without_any_reason_every_sample_weighs_one() -> None:
    weight = make_weights(DAY, None, None)
    assert weight.dtype == np.float32
    assert weight.tolist() == [1.0] * 5


@given(samples, half_lives)
def test_weights_are_the_given_ones_times_the_decay_over_their_mean(
    rows: list[tuple[int, float]], half: float | None
) -> None:
    day, weight = (list(column) for column in zip(*rows, strict=True))
    found = make_weights(np.array(day), np.array(weight), half)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, naive(day, weight, half), rtol=1e-5, atol=1e-37)
    assert found.astype(np.float64).mean() == pytest.approx(1.0, rel=1e-6)


@given(samples, half_lives, st.floats(1e-300, 1e300), st.integers(0, 10**6))
def test_neither_the_unit_of_given_weights_nor_the_first_day_matters(
    rows: list[tuple[int, float]], half: float | None, unit: float, shift: int
) -> None:
    day, weight = (np.array(column) for column in zip(*rows, strict=True))
    found = make_weights(day + shift, weight * unit, half)
    np.testing.assert_allclose(found, make_weights(day, weight, half), rtol=1e-5)


def test_given_weights_may_be_as_large_as_floats_are() -> None:
    assert make_weights(DAY, np.full(5, 1e308), None).tolist() == [1.0] * 5


def test_a_weight_of_zero_is_one_and_the_given_weights_are_not_written_to() -> None:
    weight = np.array([0.0, 3.0, 1.0, 0.0, 1.0], dtype=np.float32)
    assert make_weights(DAY, weight, None).tolist() == [0.0, 3.0, 1.0, 0.0, 1.0]
    make_weights(DAY, weight, 2.0)
    assert weight.tolist() == [0.0, 3.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("bad", "said"),
    [(np.nan, "missing"), (np.inf, "infinite"), (-np.inf, "infinite"), (-0.5, "negative")],
)
def test_a_given_weight_that_is_none_is_refused_with_its_place(bad: float, said: str) -> None:
    with pytest.raises(DataCheckError, match=f"2 of 5 sample weights are {said}, the first at sample 2") as caught:
        make_weights(DAY, np.array([1.0, 1.0, bad, 1.0, bad]), None)
    assert caught.value.hint is not None


@pytest.mark.parametrize("day", [DAY, DAY[:0]])
def test_a_segment_that_weighs_nothing_is_refused(day: np.ndarray) -> None:
    with pytest.raises(DataCheckError, match="weighs 0"):
        make_weights(day, np.zeros(len(day)), 5.0)


def test_weights_of_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\) for 5 samples"):
        make_weights(DAY, np.ones(4), None)
