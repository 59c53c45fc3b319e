"""Samples of a segment: purged where the label looks into the next one, whole windows only, Qlib's view on request."""

from datetime import date

import numpy as np
import pytest
import torch

from qts.config import WindowConfig
from qts.pipeline.segments import SampleCounts, make_dataset
from qts.training.batches import DeviceWindows
from qts.windows import WindowDataset, WindowStore

N_DAYS, AHEAD = 12, 2
CALENDAR = np.arange("2024-01-01", N_DAYS, dtype="datetime64[D]").astype("datetime64[D]")


def windows() -> WindowStore:
    """Three instruments: 0 whole, 1 from day 4 on, 2 a member only on days 5 to 8; labels end two days early."""
    instrument = np.repeat([0, 1, 2], [N_DAYS, N_DAYS - 4, N_DAYS])
    day = np.concatenate([np.arange(N_DAYS), np.arange(4, N_DAYS), np.arange(N_DAYS)])
    matrix = np.stack([day, instrument], axis=1).astype(np.float32)
    members = (instrument != 2) | ((day >= 5) & (day <= 8))
    label = np.where(day < N_DAYS - AHEAD, day * 0.1, np.nan).astype(np.float32)
    label[(instrument == 0) & (day == 3)] = np.nan
    target = np.where(members, label, np.nan).astype(np.float32)
    names = np.array(["A", "B", "C"])
    return WindowStore(matrix, target, label, names, instrument, day, members, CALENDAR, {"label": {"ahead": AHEAD}})


def batch(windows: WindowDataset, chosen: np.ndarray) -> np.ndarray:
    """Return the batch that training gathers."""
    return DeviceWindows(windows, torch.device("cpu")).windows(torch.from_numpy(chosen)).numpy()


def segment(
    first: int, last: int, following: int | None, *, needs_label: bool = True, **window: object
) -> tuple[WindowDataset, SampleCounts]:
    config = WindowConfig.model_validate({"step_len": 3, **window})
    days = [date(2024, 1, 1 + at) for at in (first, last)]
    next_start = date(2024, 1, 1 + following) if following is not None else None
    return make_dataset(windows(), config, (days[0], days[1]), next_start, needs_label=needs_label)


def test_a_sample_whose_label_reaches_the_next_segment_is_purged_and_counted() -> None:
    dataset, counts = segment(2, 6, 7)
    assert dataset.samples.day.max() == 7 - AHEAD - 1
    assert counts == SampleCounts(rows=10, no_label=1, purged=6, short_history=1, samples=2)


def test_no_purged_sample_could_have_been_kept_and_none_kept_should_have_been_purged() -> None:
    for following in range(4, N_DAYS):
        dataset, _ = segment(0, following - 1, following, fill="ffill+bfill")
        assert (dataset.samples.day + AHEAD < following).all()
        if following > 6:  # on day 3 nobody has a label
            assert dataset.samples.day.max() == following - AHEAD - 1


def test_the_last_segment_is_not_purged() -> None:
    dataset, counts = segment(7, 11, None, needs_label=False)
    assert counts.purged == 0
    assert dataset.samples.day.max() == 11


@pytest.mark.parametrize(("fill", "short"), [("none", 2), ("ffill", 2), ("ffill+bfill", 0)])
def test_a_window_longer_than_the_history_is_no_sample_unless_filled(fill: str, short: int) -> None:
    _, counts = segment(4, 6, None, fill=fill)
    assert counts.short_history == short
    assert counts.rows == counts.samples + counts.short_history


def test_history_of_the_instrument_reaches_back_before_membership() -> None:
    dataset, _ = segment(5, 5, None)
    at = np.flatnonzero(dataset.samples.instrument == 2)
    assert batch(dataset, at)[0, :, 0].tolist() == [3, 4, 5]


def test_history_of_the_universe_sees_member_rows_alone() -> None:
    dataset, _ = segment(5, 6, None, history="universe", fill="ffill+bfill")
    at = np.flatnonzero(dataset.samples.instrument == 2)
    assert batch(dataset, at)[:, :, 0].tolist() == [[5, 5, 5], [5, 5, 6]]


def test_history_of_the_universe_learns_from_rows_with_a_label_and_scores_from_all() -> None:
    """Day 3, on which no row has a label, is no day of the learner's calendar."""
    learning, _ = segment(5, 5, None, history="universe", fill="ffill+bfill")
    scoring, _ = segment(5, 5, None, history="universe", fill="ffill+bfill", needs_label=False)
    assert batch(learning, np.array([0]))[0, :, 0].tolist() == [2, 4, 5]
    assert batch(scoring, np.array([0]))[0, :, 0].tolist() == [3, 4, 5]
