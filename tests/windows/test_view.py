"""Properties of windows: a naive twin over ragged histories, and no row from after the sample's day."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qts.training.batches import DeviceWindows
from qts.windows import Samples, View, WindowDataset
from qts.windows.dataset import complete
from qts.windows.view import ABSENT

FILLS = ("none", "ffill", "ffill+bfill")


def naive_window(
    rows: dict[tuple[int, int], int], calendar: list[int], who: int, day: int, step_len: int, fill: str
) -> list[int]:
    """Look each day up; fill forward, then backward."""
    end = calendar.index(day)
    days = [calendar[at] if at >= 0 else None for at in range(end - step_len + 1, end + 1)]
    window = [rows.get((who, d), ABSENT) if d is not None else ABSENT for d in days]
    if fill != "none":
        for at in range(1, step_len):
            window[at] = window[at] if window[at] != ABSENT else window[at - 1]
    if fill == "ffill+bfill":
        for at in range(step_len - 2, -1, -1):
            window[at] = window[at] if window[at] != ABSENT else window[at + 1]
    return window


@st.composite
def ragged(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return instrument and day of a panel's rows, and which of them a view may see."""
    n_days, histories = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    keys = [(who, day) for who in range(histories) for day in range(n_days) if draw(st.booleans())] or [(0, 0)]
    seen = [at for at in range(len(keys)) if draw(st.integers(0, 4))] or [0]
    return np.array([k[0] for k in keys]), np.array([k[1] for k in keys]), np.array(seen)


@given(ragged(), st.integers(1, 6), st.sampled_from(FILLS))
def test_a_window_is_what_looking_up_each_day_gives(
    panel: tuple[np.ndarray, np.ndarray, np.ndarray], step_len: int, fill: str
) -> None:
    instrument, day, seen = panel
    view = View.of_rows(seen, instrument, day)
    got = view.gather(instrument[seen], day[seen], step_len, fill)
    rows = {(int(instrument[r]), int(day[r])): int(r) for r in seen}
    calendar = sorted({int(d) for d in day[seen]})
    want = [naive_window(rows, calendar, int(instrument[r]), int(day[r]), step_len, fill) for r in seen]
    assert got.tolist() == want


@given(ragged(), st.integers(1, 6), st.sampled_from(FILLS))
def test_no_step_lies_after_the_samples_day_or_belongs_to_another(
    panel: tuple[np.ndarray, np.ndarray, np.ndarray], step_len: int, fill: str
) -> None:
    instrument, day, seen = panel
    rows = View.of_rows(seen, instrument, day).gather(instrument[seen], day[seen], step_len, fill)
    assert (rows[:, -1] == seen).all()
    for row, own in zip(rows, seen, strict=True):
        inside = row[row != ABSENT]
        assert (day[inside] <= day[own]).all()
        assert (instrument[inside] == instrument[own]).all()


@pytest.mark.parametrize("step_len", [1, 3, 5])
def test_a_longer_window_ends_in_the_shorter_one(step_len: int) -> None:
    instrument, day = np.repeat(np.arange(4), 7), np.tile(np.arange(7), 4)
    view = View.of_rows(np.arange(28), instrument, day)
    short, long = (view.gather(instrument, day, n, "ffill+bfill") for n in (step_len, 6))
    assert np.array_equal(long[day >= 5][:, -step_len:], short[day >= 5])


def batch(windows: WindowDataset, chosen: np.ndarray) -> np.ndarray:
    """Return the batch that training gathers."""
    return DeviceWindows(windows, torch.device("cpu")).windows(torch.from_numpy(chosen)).numpy()


def dataset(fill: str) -> WindowDataset:
    """Three rows of instrument 0 and two of instrument 1 that misses the middle day; 2 features, 3 steps."""
    instrument, day = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 2])
    matrix = np.arange(10, dtype=np.float32).reshape(5, 2)
    samples = Samples(np.array([2, 4]), np.array([0, 1]), np.array([2, 2]))
    label = np.array([9, 9, 0.5, 9, np.nan], dtype=np.float32)
    return WindowDataset(matrix, label * 2, label, samples, View.of_rows(np.arange(5), instrument, day), 3, fill)


def test_a_batch_is_step_len_rows_of_features_oldest_first() -> None:
    taken = batch(dataset("ffill"), np.array([1, 0]))
    assert taken.tolist() == [[[6, 7], [6, 7], [8, 9]], [[0, 1], [2, 3], [4, 5]]]


def test_a_day_without_a_row_is_nan_when_nothing_stands_in() -> None:
    assert np.isnan(batch(dataset("none"), np.array([1]))).tolist() == [[[False, False], [True, True], [False, False]]]


def test_labels_and_targets_belong_to_the_samples_own_row() -> None:
    found = dataset("ffill")
    assert found.labels()[0] == 0.5
    assert found.targets()[0] == 1.0
    assert np.isnan(found.labels()[1])


def test_a_sample_is_complete_only_if_every_step_has_a_row() -> None:
    for fill, want in (("none", [True, False]), ("ffill", [True, True])):
        found = dataset(fill)
        assert complete(found.view, found.samples, 3, fill, chunk=1).tolist() == want
