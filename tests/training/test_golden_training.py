"""A whole training against the reference's, sample order and all."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from qts.config import TrainConfig
from qts.progress import SilentProgress
from qts.training.batches import Batches, DeviceWindows
from qts.training.checkpoint import build_network
from qts.training.predictor import predict_scores
from qts.training.trainer import Trainer
from qts.windows import Samples, View, WindowDataset

GOLDEN = Path(__file__).parents[1] / "golden"
RECORD = json.loads((GOLDEN / "training/training.json").read_text())
SEGMENTS = json.loads((GOLDEN / "pipeline/pipeline.json").read_text())["segments"]
STEP_LEN, BATCH = 7, RECORD["batch_size"]
CPU = torch.device("cpu")


def windows(view: str, segment: str) -> DeviceWindows:
    """Return the reference's samples of a segment: learn rows for train and valid, infer rows for test."""
    infer = pq.read_table(GOLDEN / "pipeline/infer.parquet")
    features = np.stack([infer[n].to_numpy() for n in infer.column_names if n.startswith("feature/")], axis=1)
    rows = pq.read_table(GOLDEN / f"pipeline/{view}.parquet")
    label = next(rows[n].to_numpy() for n in rows.column_names if n.startswith("label/"))
    if view == "learn":
        features = features[rows["infer_row"].to_numpy()]
    day = rows["datetime"].to_numpy().astype("datetime64[D]")
    instrument = np.unique(rows["instrument"].to_pylist(), return_inverse=True)[1]
    order = np.lexsort((day, instrument))
    features, label, instrument = features[order], label[order].astype(np.float32), instrument[order]
    calendar, position = np.unique(day[order], return_inverse=True)
    first, last = (np.datetime64(d) for d in SEGMENTS[segment])
    chosen = np.flatnonzero((calendar[position] >= first) & (calendar[position] <= last))
    samples = Samples(chosen, instrument[chosen], position[chosen])
    view_of_all = View.of_rows(np.arange(len(position)), instrument, position)
    dataset = WindowDataset(np.ascontiguousarray(features), label, label, samples, view_of_all, STEP_LEN, "ffill+bfill")
    return DeviceWindows(dataset, CPU)


def full_batches(order: np.ndarray) -> Batches:
    """Cut an order as the reference does: the incomplete last batch is dropped."""
    return Batches(order.astype(np.int64), np.arange(0, len(order) + 1, BATCH))


@pytest.fixture
def trainer() -> Trainer:
    network = build_network("gru", {"hidden_size": RECORD["hidden_size"]}, 20)
    weights = load_file(GOLDEN / "training/ts.init.safetensors")
    network.load_state_dict({name.replace("fc_out.", "head."): tensor for name, tensor in weights.items()})
    return Trainer(network, TrainConfig(lr=RECORD["lr"], batch_size=BATCH), CPU, SilentProgress())


def test_three_epochs_in_the_recorded_order_give_the_reference_s_metrics_and_scores(trainer: Trainer) -> None:
    train, valid, test = windows("learn", "train"), windows("learn", "valid"), windows("infer", "test")
    orders = np.load(GOLDEN / "training/orders.npz")
    case = RECORD["cases"]["ts"]
    assert (len(train.dataset), len(valid.dataset), len(test.dataset)) == (1960, 856, 1520)
    weights, metrics = [], []
    for epoch in range(RECORD["epochs"]):
        trainer.run_epoch(train, full_batches(orders[f"ts.train_order_epoch{epoch}"]), epoch + 1)
        errors = (predict_scores(trainer.network, valid) - valid.dataset.targets()) ** 2
        metrics.append(-np.mean([errors[p.chosen].mean() for p in full_batches(np.arange(len(errors))).pieces(CPU)]))
        weights.append({name: tensor.clone() for name, tensor in trainer.network.state_dict().items()})
    assert metrics == pytest.approx(case["evals_result"]["valid"], abs=1e-5)
    trainer.network.load_state_dict(weights[int(np.argmax(metrics))])
    want = pq.read_table(GOLDEN / "training/ts_pred.parquet")["score"].to_numpy()
    np.testing.assert_allclose(predict_scores(trainer.network, test), want, rtol=0, atol=1e-4)
