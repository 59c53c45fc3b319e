"""A training that was stopped and taken up again ends as one that ran through: to the bit."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from qts.config import LoadedConfig, load_config
from qts.errors import ConfigError, LockHeldError, StoreError
from qts.pipeline.ensemble import train_seeds
from qts.pipeline.evaluate import evaluate
from qts.pipeline.import_checkpoint import import_checkpoint
from qts.pipeline.ingest import ingest
from qts.pipeline.predict import predict_run
from qts.pipeline.train import TrainResult, train_run
from qts.progress import SilentProgress
from qts.store.lock import LOCK
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


def test_a_run_that_another_process_trains_is_not_written_to(market: LoadedConfig) -> None:
    from filelock import FileLock

    with pytest.raises(KeyboardInterrupt):
        train_run(market, QUIET, on_epoch=stop_at(2))
    (stopped,) = list_runs(market.folder / "runs")
    folder = market.folder / "runs" / stopped["name"]
    before = {name: (folder / name).read_bytes() for name in ("run.json", "config.toml")}
    with FileLock(folder / LOCK), pytest.raises(LockHeldError):
        train_run(market.changed({"train.epochs": 9}, "test"), QUIET, resume=stopped["name"])
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_a_stopped_training_holds_no_lock(market: LoadedConfig) -> None:
    from filelock import FileLock

    with pytest.raises(KeyboardInterrupt):
        train_run(market, QUIET, on_epoch=stop_at(1))
    (lock,) = (market.folder / "runs").glob(f"*/{LOCK}")
    with FileLock(lock, timeout=0) as held:
        assert held.is_locked


@pytest.mark.parametrize(("keys", "last"), [({"train.epochs": 4}, 4), ({"train.patience": 1}, None)], ids=str)
def test_a_run_that_went_further_is_not_cut_short(
    market: LoadedConfig, keys: dict[str, object], last: int | None
) -> None:
    jumpy = market.changed({"train.lr": 0.5, "train.metric": "ic"}, "test")
    whole = train_run(jumpy, QUIET)
    figures = pq.read_table(whole.run.folder / "history.parquet")["valid_ic"].to_pylist()
    first_worse = next(at for at in range(2, 7) if figures[at - 1] <= max(figures[: at - 1]))
    record = (whole.run.folder / "run.json").read_bytes()
    with pytest.raises(ConfigError, match=f"has 6 epochs; .* it ends after {last or first_worse}"):
        train_run(jumpy.changed(keys, "test"), QUIET, resume=whole.run.name)
    assert (whole.run.folder / "run.json").read_bytes() == record


def test_what_was_not_trained_cannot_be_taken_up(market: LoadedConfig) -> None:
    short = market.changed({"train.epochs": 1}, "test")
    seeds = train_seeds(short, QUIET, 2)
    with pytest.raises(ConfigError, match="is an ensemble") as caught:
        train_run(short, QUIET, resume=seeds.ensemble.name)
    assert seeds.members[0].run.name in str(caught.value.hint)
    taken = import_checkpoint(short, QUIET, seeds.members[0].run.folder / "model.safetensors")
    with pytest.raises(ConfigError, match="was imported, not trained"):
        train_run(short, QUIET, resume=taken.run.name)


@pytest.mark.parametrize("name", ["linear", "lightgbm"])
def test_a_model_fitted_at_once_has_nothing_to_go_on_with(market: LoadedConfig, name: str) -> None:
    if name == "lightgbm":
        pytest.importorskip("lightgbm")
    loaded = load_config(market.file, environment={}).changed({"model": {"name": name}}, "test")
    done = train_run(loaded, QUIET)
    before = load_file(done.run.folder / "model.safetensors")
    again = train_run(loaded, QUIET, resume=done.run.name)
    after = load_file(again.run.folder / "model.safetensors")
    assert again.run.record["n_epochs"] == 1
    assert before.keys() == after.keys()
    assert all((before[key] == after[key]).all() for key in before)


def test_a_file_to_start_from_is_found_again_from_the_folder_of_the_run(market: LoadedConfig) -> None:
    first = train_run(in_other_runs(market, **{"train.epochs": 1}), QUIET)
    torch.save(load_file(first.run.folder / "model.safetensors"), market.folder / "base.pt")
    tuned = market.changed({"train.init_from": "base.pt"}, "test")
    with pytest.raises(KeyboardInterrupt):
        train_run(tuned, QUIET, on_epoch=stop_at(2))
    (stopped,) = list_runs(market.folder / "runs")
    own = load_config(market.folder / "runs" / stopped["name"] / "config.toml", environment={})
    assert same(train_run(in_other_runs(tuned), QUIET), train_run(own, QUIET, resume=stopped["name"]))


def test_scores_that_a_run_kept_are_made_anew_when_it_went_on(market: LoadedConfig) -> None:
    short = train_run(market.changed({"train.epochs": 1, "train.metric": "ic"}, "test"), QUIET)
    predict_run(market, QUIET)
    longer = market.changed({"train.metric": "ic", "train.epochs": 12, "train.patience": 12}, "test")
    assert train_run(longer, QUIET, resume=short.run.name).run.record["best_epoch"] > 1
    judged = evaluate(longer, QUIET).report.summary["rank_ic"]
    predict_run(longer, QUIET)
    assert judged == evaluate(longer, QUIET).report.summary["rank_ic"]
