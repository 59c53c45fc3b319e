"""Days and batches that are hardly there, through the whole path: one instrument, no label, one sample, a NaN feature."""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from qts.config import LoadedConfig, load_config
from qts.errors import QtsError
from qts.models import model_names
from qts.pipeline.evaluate import evaluate
from qts.pipeline.ingest import ingest
from qts.pipeline.predict import predict_run
from qts.pipeline.train import TrainResult, train_run
from qts.pipeline.window import build_windows
from qts.progress import SilentProgress
from tests.market import N_INSTRUMENTS, bars_table, write_market
from tests.pipeline.test_training_options import with_model

QUIET = SilentProgress()
LONE = (date(2024, 1, 25), date(2024, 2, 27), date(2024, 3, 12))
"""Days of train, valid and test on which only I1 trades."""
UNLABELLED = (date(2024, 1, 18), date(2024, 2, 22), date(2024, 3, 18))
"""Days of train, valid and test on which nobody has a label."""
LABEL = {"label.expr": "(Ref($close, -2)/Ref($close, -1) - 1)*$volume/$volume"}
PLAIN = {"processors.features": [{"name": "fillna"}]}
"""Nothing is fitted, so features do not depend on who is a member."""


def odd_market(folder: Path, *, listed_when_unlabelled: bool = True) -> LoadedConfig:
    file = write_market(folder)
    if not listed_when_unlabelled:
        universe = (folder / "universe.csv").read_text().replace(",2024-01-01,", ",2024-01-19,")
        earlier = [f"I{number},2024-01-01,2024-01-17" for number in range(N_INSTRUMENTS)]
        (folder / "universe.csv").write_text(universe + "\n".join(earlier) + "\n")
    rows = [row for row in bars_table().to_pylist() if row["instrument"] == "I1" or row["datetime"] not in LONE]
    for row in rows:
        if row["datetime"] in UNLABELLED:
            row["volume"] = 0
    pq.write_table(pa.Table.from_pylist(rows), folder / "bars.parquet")
    loaded = load_config(file, environment={}).changed(LABEL, "test")
    ingest(loaded, QUIET)
    return loaded


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    return odd_market(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def unlisted(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    """The same bars, but on the first day without a label nobody is a member."""
    return odd_market(tmp_path_factory.mktemp("unlisted"), listed_when_unlabelled=False)


@pytest.fixture
def market(store: LoadedConfig, tmp_path: Path) -> LoadedConfig:
    """The same store, with a folder of runs of its own."""
    return store.changed({"store.runs": str(tmp_path / "runs")}, "test")


def weights(result: TrainResult) -> torch.Tensor:
    state = load_file(result.run.folder / "model.safetensors")
    return torch.cat([state[name].flatten().double() for name in sorted(state)])


@pytest.mark.parametrize("name", model_names())
def test_every_model_takes_odd_days(market: LoadedConfig, name: str) -> None:
    loaded = with_model(market, name)
    run = train_run(loaded, QUIET).run
    assert np.isfinite([run.record["best"]["train_loss"], run.record["best"]["valid_loss"]]).all()
    scores = predict_run(loaded, QUIET).scores
    assert np.isfinite(scores["score"].to_numpy()).all()
    days = scores["datetime"].to_pylist()
    assert [days.count(day) for day in (LONE[-1], UNLABELLED[-1])] == [1, 8]  # I8 has left by then
    assert evaluate(loaded, QUIET).report.summary["n_days"] > 10


@pytest.mark.parametrize("loss", ["mse", "ic", "rank_ic", "listwise"])
def test_every_loss_takes_odd_days_of_a_whole_cross_section(market: LoadedConfig, loss: str) -> None:
    run = train_run(with_model(market, "gats").changed({"train.loss": loss}, "test"), QUIET).run
    assert np.isfinite([run.record["best"]["train_loss"], run.record["best"]["valid_loss"]]).all()


@pytest.mark.parametrize("name", ["gru", "gats"])
def test_a_batch_of_one_is_a_batch(market: LoadedConfig, name: str) -> None:
    loaded = with_model(market, name)
    n_samples = build_windows(loaded, QUIET, whole_days=name == "gats").counts["train"].samples
    keys = {"train.batch_size": n_samples - 1, "train.epochs": 1}
    assert torch.isfinite(weights(train_run(loaded.changed(keys, "test"), QUIET))).all()


@pytest.mark.parametrize("keys", [{}, {"train.days_per_step": 2}, {"train.optimizer": "adamw", "train.weight_decay": 0.1}],
                         ids=["adam", "two-days-a-step", "decay"])  # fmt: skip
def test_a_day_without_a_label_moves_no_weight(
    store: LoadedConfig, unlisted: LoadedConfig, tmp_path: Path, keys: dict[str, object]
) -> None:
    keys = {**PLAIN, "store.runs": str(tmp_path), "train.epochs": 2, **keys}
    runs = [train_run(with_model(loaded, "gats").changed(keys, "test"), QUIET) for loaded in (store, unlisted)]
    n_samples = [result.run.record["samples"]["train"]["samples"] for result in runs]
    assert n_samples[0] - n_samples[1] == 8  # that day's: I7 is not listed yet
    assert torch.equal(*map(weights, runs))


@pytest.mark.parametrize("name", ["gru", "gats", "transformer"])
def test_a_feature_that_is_missing_is_named_with_instrument_and_day(market: LoadedConfig, name: str) -> None:
    loaded = with_model(market, name).changed({"processors.features": []}, "test")
    with pytest.raises(QtsError, match="the loss became nan") as caught:
        train_run(loaded, QUIET)
    said = re.search(r"feature (\w+) of (I\d)'s window ending (\d{4}-\d\d-\d\d) is not finite", str(caught.value))
    assert said is not None
    windows = build_windows(loaded, QUIET).windows
    rows = np.flatnonzero(windows.instruments[windows.instrument] == said[2])
    last = np.flatnonzero(windows.calendar[windows.day[rows]] == np.datetime64(said[3]))[0]
    seen = windows.matrix[rows[last - 3 : last + 1], windows.features.index(said[1])]
    assert np.isnan(seen).any()


def test_a_tree_takes_a_feature_that_is_missing(market: LoadedConfig) -> None:
    pytest.importorskip("lightgbm")
    loaded = with_model(market, "lightgbm").changed({"processors.features": []}, "test")
    train_run(loaded, QUIET)
    assert np.isfinite(predict_run(loaded, QUIET).scores["score"].to_numpy()).all()


def test_a_linear_model_says_that_a_feature_is_missing(market: LoadedConfig) -> None:
    with pytest.raises(QtsError, match=r"feature \d of a train window is nan"):
        train_run(with_model(market, "linear").changed({"processors.features": []}, "test"), QUIET)


@pytest.mark.parametrize("name", ["gru", "gats"])
def test_a_valid_segment_without_a_label_is_no_best_epoch(market: LoadedConfig, name: str) -> None:
    day = str(UNLABELLED[1])
    loaded = with_model(market, name).changed({"segments.valid": [day, day]}, "test")
    with pytest.raises(QtsError, match=r"the valid segment has no sample|no epoch had a finite validation loss"):
        train_run(loaded, QUIET)
