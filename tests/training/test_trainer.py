"""The loop: seeds, early stopping, best weights, every validation row, non-finite losses."""

from dataclasses import replace

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


def windows(
    seed: int = 1, *, gap_at: int | None = None, label_at: int = 0, label: float | None = None
) -> DeviceWindows:
    """A market whose target is the first feature of the sample's own day."""
    rng = np.random.default_rng(seed)
    instrument, day = np.repeat(np.arange(N_INSTRUMENTS), N_DAYS), np.tile(np.arange(N_DAYS), N_INSTRUMENTS)
    matrix = rng.normal(size=(len(day), F)).astype(np.float32)
    target = matrix[:, 0].copy()
    if gap_at is not None:
        matrix[gap_at, 1] = np.nan
    if label is not None:
        target[label_at] = label
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


def test_a_label_that_is_infinite_is_told() -> None:
    with pytest.raises(QtsError, match="the label of the window ending at row 45 is infinite"):
        trainer(batch_size=1000).train(windows(1, label_at=45, label=np.inf), windows(2))


@pytest.mark.parametrize("loss", ["mse", "ic"])
def test_a_network_that_has_no_score_left_has_no_loss_either(loss: str) -> None:
    made = trainer(loss=loss)
    torch.nn.init.constant_(made.network.get_parameter("head.bias"), torch.nan)
    assert np.isnan(made.validate(windows(2)).loss)


def test_a_day_with_one_label_teaches_the_correlation_of_scores_nothing() -> None:
    data = windows(1)
    day, rows = data.dataset.samples.day, data.dataset.samples.row
    data.dataset.target[rows[day == 7][1:]] = np.nan
    data.dataset.target[rows[day == 8][2:]] = np.nan
    chosen = [piece.chosen.numpy() for piece in trainer(loss="ic").batches(data, epoch=1).pieces(CPU)]
    assert sorted(day[batch[0]] for batch in chosen) == [3, 4, 5, 6, 8, 9, 10, 11, 12]
    assert all(len(batch) == N_INSTRUMENTS for batch in chosen)


def test_a_segment_in_which_no_day_teaches_anything_is_refused() -> None:
    data = windows(1)
    data.dataset.target[:] = np.nan
    with pytest.raises(QtsError, match="no day of the train segment has 2 labelled samples"):
        trainer(loss="rank_ic").train(data, windows(2))


def test_segments_share_one_matrix_on_the_device() -> None:
    train, rng = windows(1), np.random.default_rng(5)
    chosen = rng.permutation(len(train))[:9]
    dataset = replace(train.dataset, samples=train.dataset.samples.take(chosen))
    valid = DeviceWindows(dataset, CPU, beside=train)
    assert valid.matrix is train.matrix
    assert torch.equal(valid.windows(torch.arange(9)), train.windows(torch.from_numpy(chosen)))
    moved = DeviceWindows(replace(dataset, matrix=dataset.matrix + 1), CPU, beside=train)
    assert torch.equal(moved.windows(torch.arange(9)), train.windows(torch.from_numpy(chosen)) + 1)


def test_windows_of_a_matrix_on_the_host_come_with_their_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)  # needs a GPU
    data = windows(1)
    batches = shuffled_batches(len(data), 7, seed=1, epoch=1)
    held = list(data.gathered(batches))
    data.is_held = False
    sent = list(data.gathered(batches))
    assert len(held) == len(sent)
    for (piece, x), (other, y) in zip(held, sent, strict=True):
        assert torch.equal(piece.chosen, other.chosen)
        assert torch.equal(x, y)


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
