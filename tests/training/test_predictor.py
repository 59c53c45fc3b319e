"""A sample's score is a function of its window, or of its cross-section: to the last bit, whatever is asked beside it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from qts.models import model_names
from qts.models._architecture import Architecture, WholeFit
from qts.training.batches import DeviceWindows, Pass
from qts.training.checkpoint import build_network
from qts.training.predictor import FULL, predict_scores
from qts.windows import Samples, View, WindowDataset
from tests.models.configs import minimal

CPU = torch.device("cpu")
N_INSTRUMENTS, N_DAYS, F, T = 23, 11, 3, 5
KEYS: dict[str, dict[str, object]] = {
    "lightgbm": {"lambda_l1": 0.0, "lambda_l2": 0.0, "n_rounds": 5},  # else so few samples grow no tree
}


def windows() -> DeviceWindows:
    rng = np.random.default_rng(1)
    instrument, day = np.repeat(np.arange(N_INSTRUMENTS), N_DAYS), np.tile(np.arange(N_DAYS), N_INSTRUMENTS)
    matrix = rng.normal(size=(len(day), F)).astype(np.float32)
    rows = np.flatnonzero(day >= T - 1)
    view = View.of_rows(np.arange(len(day)), instrument, day)
    samples = Samples(rows, instrument[rows], day[rows])
    return DeviceWindows(WindowDataset(matrix, matrix[:, 0], matrix[:, 0], samples, view, T, "ffill"), CPU)


def some(data: DeviceWindows, chosen: np.ndarray) -> DeviceWindows:
    return DeviceWindows(replace(data.dataset, samples=data.dataset.samples.take(chosen)), CPU, beside=data)


def network(name: str, data: DeviceWindows) -> Architecture:
    torch.manual_seed(4)
    made = build_network(name, minimal(name) | KEYS.get(name, {}), F)
    if isinstance(made, WholeFit):
        made.fit(Pass(data), Pass(data), 0, lambda _: None)
    return made


def parts_of(network: Architecture, data: DeviceWindows) -> list[np.ndarray]:
    """Return what may be asked alone: some samples in any order, or one whole cross-section."""
    if network.batches == "by_day":
        day = data.dataset.samples.day
        return [np.flatnonzero(day == at) for at in (day[0], N_DAYS - 1)]
    order = np.random.default_rng(2).permutation(len(data))
    return [order[:1], order[1:8], order[8:90], order]


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", model_names())
def test_scores_do_not_depend_on_the_batch_size_nor_on_what_else_is_asked(name: str, precision: str) -> None:
    data = windows()
    made = network(name, data)
    whole = predict_scores(made, data, precision=precision)
    assert np.ptp(whole) > 0
    for part in parts_of(made, data):
        for batch_size in (len(part) // 3 + 1, FULL, 100):
            found = predict_scores(made, some(data, part), batch_size, precision)
            np.testing.assert_array_equal(found, whole[part])


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize("name", model_names())
def test_scores_do_not_depend_on_the_number_of_threads(name: str) -> None:
    data = windows()
    made = network(name, data)
    by_two = predict_scores(made, data)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(by_two, predict_scores(made, data))
