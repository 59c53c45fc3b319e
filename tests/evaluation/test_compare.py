"""Two runs beside each other: what of a difference is chance, and where two configs part."""

from math import sqrt

import numpy as np
import pytest

from qts.errors import InputError
from qts.evaluation.compare import compare_series, differences

NAN = float("nan")


def days(first: str, n: int) -> np.ndarray:
    return np.datetime64(first) + np.arange(n)


def two_series(n: int = 60, better: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return two series that share most of their noise, the second one better by so much."""
    rng = np.random.default_rng(4)
    shared = rng.normal(0.03, 0.1, n)
    return shared + rng.normal(0, 0.01, n), shared + rng.normal(better, 0.01, n)


def test_only_days_with_both_values_count() -> None:
    a, b = two_series()
    a[10], b[31], b[32] = NAN, NAN, NAN
    got = compare_series(days("2024-01-01", 60), a, days("2024-01-06", 60), b, lag=0)
    pairs = [(a[i + 5], b[i]) for i in range(55) if a[i + 5] == a[i + 5] and b[i] == b[i]]
    left, right = np.array(pairs).T
    off = right - left
    assert got.n == len(pairs) == 52
    assert (str(got.first), str(got.last)) == ("2024-01-06", "2024-02-29")
    assert (got.mean_a, got.mean_b) == (pytest.approx(left.mean()), pytest.approx(right.mean()))
    assert got.difference == pytest.approx(off.mean())
    assert got.error == pytest.approx(off.std(ddof=1) / sqrt(52))
    assert got.t == pytest.approx(off.mean() / off.std(ddof=1) * sqrt(52))
    assert got.effect_size == pytest.approx(off.mean() / off.std(ddof=1))
    assert got.correlation == pytest.approx(np.corrcoef(left, right)[0, 1])


def test_what_both_share_does_not_hide_a_small_difference() -> None:
    a, b = two_series(better=0.01)
    got = compare_series(days("2024-01-01", 60), a, days("2024-01-01", 60), b, lag=1)
    assert got.low > 0
    assert got.b_is_better > 0.99
    assert abs(a.mean() - b.mean()) < a.std() / sqrt(60)


def test_the_other_way_round_is_the_opposite() -> None:
    a, b = two_series()
    day = days("2024-01-01", 60)
    one, other = (compare_series(day, x, day, y, lag=2, draws=500, seed=7) for x, y in ((a, b), (b, a)))
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))
    assert one.b_is_better == pytest.approx(1 - other.b_is_better)


def test_a_run_beside_itself_differs_by_nothing() -> None:
    a, _ = two_series()
    got = compare_series(days("2024-01-01", 60), a, days("2024-01-01", 60), a, lag=1)
    assert (got.difference, got.low, got.high, got.b_is_better) == (0, 0, 0, 0.5)
    assert np.isnan([got.t, got.effect_size]).all()
    assert got.correlation == pytest.approx(1)


def test_a_lag_widens_the_error_of_overlapping_days() -> None:
    rng = np.random.default_rng(0)
    a, b = (np.convolve(rng.normal(size=919), np.ones(20), "valid") for _ in range(2))
    day = days("2024-01-01", 900)
    plain, robust = (compare_series(day, a, day, b, lag=lag) for lag in (0, 19))
    assert robust.error > 2 * plain.error
    assert robust.high - robust.low > 1.2 * (plain.high - plain.low)


def test_too_few_days_in_common_are_refused_with_both_spans() -> None:
    a, b = two_series(40)
    with pytest.raises(InputError) as caught:
        compare_series(days("2024-01-01", 40), a, days("2024-01-22", 40), b, lag=0)
    assert str(caught.value) == (
        "the two series have 19 days with a value in common, and a comparison takes 20: "
        "A has 40 from 2024-01-01 to 2024-02-09, B has 40 from 2024-01-22 to 2024-03-01"
    )
    assert compare_series(days("2024-01-01", 40), a, days("2024-01-21", 40), b, lag=0).n == 20
    with pytest.raises(InputError, match="B has none"):
        compare_series(days("2024-01-01", 40), a, days("2024-01-01", 40), np.full(40, NAN), lag=0)


def test_records_differ_where_a_key_a_table_or_an_item_does() -> None:
    a = {
        "model": {"name": "gru", "dropout": 0.1},
        "train": {"lr": 1e-3, "seed": 1},
        "steps": [{"fit": "train"}, {"x": 1}],
    }
    b = {"model": {"name": "gru", "dropout": 0.25}, "train": {"lr": 1e-3, "clip": None}, "steps": [{"fit": "all"}]}
    assert differences(a, b) == [
        {"key": "model.dropout", "a": "0.1", "b": "0.25"},
        {"key": "train.seed", "a": "1", "b": ""},
        {"key": "steps[0].fit", "a": "train", "b": "all"},
        {"key": "steps[1].x", "a": "1", "b": ""},
        {"key": "train.clip", "a": "", "b": "none"},
    ]


def test_equal_records_have_no_differences() -> None:
    record = {"ic": NAN, "days": [1, 2.0, NAN], "flag": True, "empty": {}, "text": ""}
    assert differences(record, {**record, "days": (1.0, 2, NAN)}) == []


def test_values_that_look_alike_are_told_apart() -> None:
    assert differences({"x": 0.1234567}, {"x": 0.1234568}) == [{"key": "x", "a": "0.1234567", "b": "0.1234568"}]
    assert differences({"x": "1"}, {"x": 1}) == [{"key": "x", "a": "'1'", "b": "1"}]
    assert differences({"x": {}}, {}) == [{"key": "x", "a": "{}", "b": ""}]


def test_of_long_lists_the_items_are_told_that_only_one_has() -> None:
    a = [f"ROC{n}" for n in range(100)]
    b = [*a[:70], "own", *a[71:]]
    assert differences({"factors": a}, {"factors": b}) == [
        {"key": "factors", "a": "100 items, only here: ROC70", "b": "100 items, only here: own"}
    ]


def test_of_long_texts_the_part_is_shown_that_differs() -> None:
    text = "Mean($close, 5) / " * 20
    row = differences({"label": text + "Ref($close, -2)"}, {"label": text + "Ref($close, -6)"})[0]
    assert row["a"] != row["b"]
    assert row["a"].endswith("-2)")
    assert row["b"].endswith("-6)")
    assert len(row["a"]) < 90
