"""A training that a crash or a full disk stops at an awkward moment is taken up in its own folder, and nothing is torn."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from qts.config import LoadedConfig, load_config
from qts.errors import WriteError
from qts.pipeline.ingest import ingest
from qts.pipeline.train import train_run
from qts.progress import SilentProgress
from qts.training import checkpoint
from qts.training.checkpoint import LAST, LOG, MODEL, list_runs
from qts.training.history import Epoch
from tests.market import in_other_runs, write_market

QUIET = SilentProgress()


@pytest.fixture
def market(tmp_path: Path) -> LoadedConfig:
    loaded = load_config(write_market(tmp_path), environment={}).changed({"train.epochs": 3}, "test")
    ingest(loaded, QUIET)
    return loaded


def stop_after_one(line: Epoch) -> None:
    raise KeyboardInterrupt(line.epoch)


def stopped_run(market: LoadedConfig) -> Path:
    """Train for one epoch and return the folder of the run."""
    with pytest.raises(KeyboardInterrupt):
        train_run(market, QUIET, on_epoch=stop_after_one)
    (record,) = list_runs(market.folder / "runs")
    return market.folder / "runs" / record["name"]


def folders(market: LoadedConfig) -> list[str]:
    return [path.name for path in (market.folder / "runs").iterdir() if path.is_dir()]


def test_a_training_stopped_before_its_first_epoch_ends_begins_anew_in_its_folder(
    market: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_progress", stop)
        with pytest.raises(KeyboardInterrupt):
            train_run(market, QUIET)
    before = folders(market)
    run = train_run(market, QUIET).run
    assert (run.record["state"], run.record["n_epochs"], folders(market)) == ("done", 3, before)


def test_a_run_s_folder_appears_with_its_record(market: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, record: dict[str, Any]) -> None:
        raise WriteError.of(folder, record["state"])

    monkeypatch.setattr(checkpoint, "write_record", fail)
    with pytest.raises(WriteError):
        train_run(market, QUIET)
    assert folders(market) == []


def test_a_folder_that_was_being_made_when_its_process_was_killed_is_no_run_and_is_swept(market: LoadedConfig) -> None:
    folder = stopped_run(market)
    half = folder.rename(folder.with_name(f".{folder.name}.999999999.tmp"))
    assert list_runs(market.folder / "runs") == []
    train_run(market, QUIET)
    assert half.name not in folders(market)


def test_a_full_disk_stops_a_training_and_it_is_taken_up(market: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    write = checkpoint.write_weights

    def fail_late(file: Path, weights: dict[str, Any], metadata: dict[str, str] | None = None) -> None:
        if metadata and json.loads(metadata["progress"])["epoch"] == 2:
            raise WriteError.of(file, "No space left on device")
        write(file, weights, metadata)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_weights", fail_late)
        with pytest.raises(WriteError, match="No space left"):
            train_run(market, QUIET)
    (stopped,) = list_runs(market.folder / "runs")
    assert stopped["state"] == "stopped"
    assert train_run(market, QUIET).run.name == stopped["name"]


def test_best_weights_that_were_not_written_any_more_are_those_of_the_last_epoch(market: LoadedConfig) -> None:
    folder = stopped_run(market)
    best = load_file(folder / MODEL)
    (folder / MODEL).write_bytes(b"torn")
    trained = train_run(market, QUIET).run
    whole = train_run(in_other_runs(market), QUIET).run
    assert trained.folder == folder
    for name, tensor in load_file(whole.folder / MODEL).items():
        assert (load_file(folder / MODEL)[name] == tensor).all()
    last = load_file(folder / LAST)
    assert {f"model.{name}" for name in best} <= last.keys()


def test_a_torn_line_of_the_log_and_lines_of_epochs_that_did_not_count_are_replaced(market: LoadedConfig) -> None:
    folder = stopped_run(market)
    with (folder / LOG).open("a") as stream:
        stream.write('{"epoch": 2, "train_loss": 9}\n{"epoch": 3, "tra')
    train_run(market, QUIET)
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[1]["train_loss"] != 9
