"""Windows as z-scores: the medians and deviations of each cell over the train windows, as one would compute them by hand."""

import json

import numpy as np
import torch

from qts.training.batches import DeviceWindows
from qts.training.window_scale import WindowScale
from qts.windows import Samples, View, WindowDataset

CPU = torch.device("cpu")
N_INSTRUMENTS, N_DAYS, F, T = 7, 11, 3, 4
DIVISORS = np.array([0, 0, -1])
"""Feature 1 over the newest feature 0, feature 0 over its own newest value, feature 2 as it is."""


def held(seed: int) -> DeviceWindows:
    rng = np.random.default_rng(seed)
    instrument, day = np.repeat(np.arange(N_INSTRUMENTS), N_DAYS), np.tile(np.arange(N_DAYS), N_INSTRUMENTS)
    matrix = rng.lognormal(size=(len(day), F)).astype(np.float32)
    matrix[rng.random(len(day)) < 0.1, 2] = np.nan
    rows = np.flatnonzero(day >= T - 1)
    samples = Samples(rows, instrument[rows], day[rows])
    view = View.of_rows(np.arange(len(day)), instrument, day)
    label = np.zeros(len(day), dtype=np.float32)
    return DeviceWindows(WindowDataset(matrix, label, label, samples, view, T, "ffill", DIVISORS), CPU)


def test_each_cell_is_scaled_by_its_own_median_and_deviation_of_the_train_windows() -> None:
    train, other = held(1), held(2)
    raw = train.windows(torch.arange(len(train))).double().numpy()
    median = np.nanmedian(raw, axis=0)  # (T, F)
    deviation = (np.nanmedian(np.abs(raw - median), axis=0) + 1e-12) * 1.4826
    x = other.windows(torch.arange(len(other))).double().numpy()
    want = np.nan_to_num(np.clip((x - median) / deviation, -3, 3), nan=0.0)
    other.scale = WindowScale.fit(train).on(CPU)
    got = other.windows(torch.arange(len(other))).numpy()
    assert got.shape == (len(other), T, F)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
    assert np.abs(got).max() == 3
    assert (got[:, -1, 0] == 0).all()  # the newest value over itself


def test_a_scale_comes_back_from_json() -> None:
    scale = WindowScale.fit(held(1))
    back = WindowScale.from_json(json.loads(json.dumps(scale.to_json())))
    assert torch.equal(back.center, scale.center)
    assert torch.equal(back.spread, scale.spread)
