"""The loop: seeds, early stopping, best weights, every validation row, non-finite losses."""

import numpy as np
import pytest
import torch

from qts.config import TrainConfig
from qts.errors import DeviceError, QtsError
from qts.progress import SilentProgress
from qts.training.batches import DeviceWindows, ordered_batches, shuffled_batches
from qts.training.checkpoint import build_network
from qts.training.device import resolve_device
from qts.training.history import EarlyStop, Epoch
from qts.training.predictor import predict_scores
from qts.training.trainer import Trainer
from qts.windows import Samples, View, WindowDataset

CPU = torch.device("cpu")
N_INSTRUMENTS, N_DAYS, F, T = 11, 13, 3, 4


def windows(seed: int = 1, *, gap_at: int | None = None) -> DeviceWindows:
    """A market whose target is the first feature of the sample's own day."""
    rng = np.random.default_rng(seed)
    instrument, day = np.repeat(np.arange(N_INSTRUMENTS), N_DAYS), np.tile(np.arange(N_DAYS), N_INSTRUMENTS)
    matrix = rng.normal(size=(len(day), F)).astype(np.float32)
    target = matrix[:, 0].copy()
    if gap_at is not None:
        matrix[gap_at, 1] = np.nan
    rows = np.flatnonzero(day >= T - 1)
    view = View.of_rows(np.arange(len(day)), instrument, day)
    samples = Samples(rows, instrument[rows], day[rows])
    return DeviceWindows(WindowDataset(matrix, target, target, samples, view, T, "ffill"), CPU)


def trainer(**keys: object) -> Trainer:
    torch.manual_seed(0)
    config = TrainConfig.model_validate({"epochs": 5, "lr": 0.01, "batch_size": 17, **keys})
    return Trainer(build_network("gru", {"hidden_size": 4}, F), config, CPU, SilentProgress())


def test_training_lowers_the_loss_and_finds_the_planted_signal() -> None:
    made = trainer(epochs=25)
    made.train(windows(1), windows(2))
    assert made.history[-1].train_loss < 0.5 * made.history[0].train_loss
    assert made.validate(windows(3)).rank_ic > 0.7


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    runs = []
    for seed in (0, 0, 1):
        made = trainer(seed=seed)
        made.train(windows(1), windows(2))
        runs.append(torch.cat([p.flatten() for p in made.network.parameters()]))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_best_epoch_s_weights_are_left_in_the_network() -> None:
    kept: dict[int, torch.Tensor] = {}

    def remember(line: Epoch, at_work: Trainer) -> None:
        kept[line.epoch] = at_work.network.head.weight.detach().clone()  # type: ignore[union-attr, operator]

    made = trainer(lr=0.3, epochs=8)
    made.on_epoch = remember
    stop = made.train(windows(1), windows(2))
    best = min(made.history, key=lambda line: line.valid_loss)
    assert stop.best_epoch == best.epoch
    assert torch.equal(made.network.head.weight, kept[best.epoch])  # type: ignore[union-attr, arg-type]


def test_early_stopping_waits_for_its_patience_and_a_tie_is_no_gain() -> None:
    stop = EarlyStop(patience=2)
    seen = [(stop.improves(epoch, value), stop.is_over) for epoch, value in enumerate([1, 2, 2, float("nan")], start=1)]
    assert seen == [(True, False), (True, False), (False, False), (False, True)]
    assert stop.best_epoch == 2


@pytest.mark.parametrize("metric", ["loss", "ic", "rank_ic"])
def test_early_stopping_judges_by_the_metric_that_was_asked_for(metric: str) -> None:
    made = trainer(metric=metric, lr=0.1, epochs=6)
    stop = made.train(windows(1), windows(2))
    sign = -1 if metric == "loss" else 1
    best = max(made.history, key=lambda line: sign * getattr(line, f"valid_{metric}"))
    assert stop.best_epoch == best.epoch


def test_validation_judges_every_row_however_batches_fall() -> None:
    made, data = trainer(), windows(2)
    scores = np.concatenate(
        [predict_scores(made.network, data, batch_size=size)[:0] for size in (1,)]
        + [predict_scores(made.network, data)]
    )
    assert made.validate(data).loss == pytest.approx(
        float(np.mean((scores.astype(float) - data.dataset.targets()) ** 2))
    )


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_scores_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    made, data = trainer(), windows(2)
    np.testing.assert_allclose(
        predict_scores(made.network, data, batch_size), predict_scores(made.network, data), rtol=0, atol=1e-6
    )


def test_an_epoch_takes_each_sample_once() -> None:
    batches = [piece.chosen.tolist() for piece in shuffled_batches(23, 5, seed=3, epoch=2).pieces(CPU)]
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert sorted(chosen for batch in batches for chosen in batch) == list(range(23))
    assert not np.array_equal(shuffled_batches(23, 5, 3, 2).order, shuffled_batches(23, 5, 3, 1).order)
    assert [piece.chosen.tolist() for piece in ordered_batches(7, 3).pieces(CPU)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_first_loss_that_is_not_finite_stops_the_run_and_names_batch_and_feature() -> None:
    with pytest.raises(
        QtsError, match=r"the loss became nan: feature 1 of the window ending at row \d+ is not finite"
    ) as caught:
        trainer().train(windows(1, gap_at=40), windows(2))
    assert caught.value.where is not None
    assert caught.value.where.startswith("epoch 1, batch ")
    assert caught.value.hint is not None


def test_a_diverged_training_says_so() -> None:
    with pytest.raises(QtsError, match="training diverged") as caught:
        trainer(optimizer="sgd", lr=1e30, clip_value=0.0).train(windows(1), windows(2))
    assert caught.value.hint == "try a smaller [train] lr"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_was_asked_for_and_is_absent_is_an_error(name: str) -> None:
    with pytest.raises(DeviceError, match="no CUDA device"):
        resolve_device(name)


def test_auto_takes_what_there_is() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_cpu_s_scores() -> None:
    made, gpu = trainer(), torch.device("cuda")
    on_cpu = predict_scores(made.network, windows(2))
    on_gpu = predict_scores(made.network.to(gpu), DeviceWindows(windows(2).dataset, gpu))
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=0, atol=1e-4)
