"""A training that was stopped and taken up again ends as one that ran through: to the bit."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from qts.config import LoadedConfig, load_config
from qts.errors import ConfigError, LockHeldError, StoreError
from qts.pipeline.ingest import ingest
from qts.pipeline.train import LOCK, TrainResult, train_run
from qts.progress import SilentProgress
from qts.training.checkpoint import list_runs
from qts.training.history import Epoch
from tests.market import write_market

QUIET = SilentProgress()
KEYS = {
    "train.epochs": 6, "train.patience": 6, "train.lr": 0.02, "model.num_layers": 2, "model.dropout": 0.4,
    "train.weight_decay": 0.01, "train.warmup_epochs": 2.0,
}  # fmt: skip


def stop_at(epoch: int) -> object:
    def look(line: Epoch) -> None:
        if line.epoch == epoch:
            raise KeyboardInterrupt

    return look


@pytest.fixture
def market(tmp_path: Path) -> LoadedConfig:
    loaded = load_config(write_market(tmp_path), environment={}).changed(KEYS, "test")
    ingest(loaded, QUIET)
    return loaded


def in_other_runs(loaded: LoadedConfig, **values: object) -> LoadedConfig:
    """The same training, in a folder of runs of its own."""
    return loaded.changed({"store.runs": "others", **values}, "test")


def same(one: TrainResult, two: TrainResult) -> bool:
    weights = [load_file(result.run.folder / "model.safetensors") for result in (one, two)]
    history = [pq.read_table(result.run.folder / "history.parquet") for result in (one, two)]
    timed = ("train_seconds", "valid_seconds", "samples_per_second", "valid_samples_per_second", "feed_share")
    lines = [table.drop_columns(list(timed)).to_pylist() for table in history]
    return lines[0] == lines[1] and all((weights[0][name] == weights[1][name]).all() for name in weights[0])


@pytest.mark.parametrize("stopped_at", [1, 4])
@pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine"])
def test_a_stopped_training_ends_as_one_that_ran_through(market: LoadedConfig, stopped_at: int, schedule: str) -> None:
    market = market.changed({"train.schedule": schedule}, "test")
    whole = train_run(in_other_runs(market), QUIET)
    with pytest.raises(KeyboardInterrupt):
        train_run(market, QUIET, on_epoch=stop_at(stopped_at))
    (stopped,) = list_runs(market.folder / "runs")
    assert (stopped["state"], stopped["name"]) == ("stopped", stopped["name"])
    taken_up = train_run(market, QUIET, resume=stopped["name"])
    assert taken_up.run.name == stopped["name"]
    assert same(whole, taken_up)


def test_the_same_command_takes_up_what_was_stopped(market: LoadedConfig) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_run(market, QUIET, on_epoch=stop_at(3))
    assert same(train_run(in_other_runs(market), QUIET), train_run(market, QUIET))
    assert len(list_runs(market.folder / "runs")) == 1


def test_more_epochs_go_on_where_fewer_ended(market: LoadedConfig) -> None:
    short = train_run(market.changed({"train.epochs": 2}, "test"), QUIET)
    longer = train_run(market, QUIET, resume=short.run.name)
    assert longer.run.record["n_epochs"] == 6
    assert same(train_run(in_other_runs(market), QUIET), longer)


def test_another_config_is_no_continuation(market: LoadedConfig) -> None:
    short = train_run(market.changed({"train.epochs": 1}, "test"), QUIET)
    with pytest.raises(ConfigError, match=r"lr 0\.02 there, 0\.5 here") as caught:
        train_run(market.changed({"train.lr": 0.5}, "test"), QUIET, resume=short.run.name)
    assert "config.toml" in str(caught.value.hint)


def test_a_cosine_cannot_be_made_longer(market: LoadedConfig) -> None:
    cosine = market.changed({"train.schedule": "cosine", "train.epochs": 2}, "test")
    short = train_run(cosine, QUIET)
    with pytest.raises(ConfigError, match="epochs 2 there, 3 here"):
        train_run(cosine.changed({"train.epochs": 3}, "test"), QUIET, resume=short.run.name)


def test_a_run_that_another_process_trains_is_left_alone(market: LoadedConfig) -> None:
    from filelock import FileLock

    with pytest.raises(KeyboardInterrupt):
        train_run(market, QUIET, on_epoch=stop_at(2))
    (stopped,) = list_runs(market.folder / "runs")
    with FileLock(market.folder / "runs" / stopped["name"] / LOCK), pytest.raises(LockHeldError):
        train_run(market, QUIET, resume=stopped["name"])


def test_a_run_without_a_whole_epoch_says_so(market: LoadedConfig) -> None:
    short = train_run(market.changed({"train.epochs": 1}, "test"), QUIET)
    (short.run.folder / "last.safetensors").unlink()
    with pytest.raises(StoreError, match="no whole epoch"):
        train_run(market, QUIET, resume=short.run.name)


def test_a_damaged_state_is_told(market: LoadedConfig) -> None:
    short = train_run(market.changed({"train.epochs": 1}, "test"), QUIET)
    file = short.run.folder / "last.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(StoreError, match="cannot be taken up"):
        train_run(market, QUIET, resume=short.run.name)
