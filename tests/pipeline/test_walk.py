"""A walk along the calendar: what each fold learns from, what its scores are worth, and that stopping changes nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from qts.config import LoadedConfig, load_config
from qts.errors import ConfigError, LockHeldError, QtsError
from qts.pipeline.ingest import ingest
from qts.pipeline.predict import predict_run
from qts.pipeline.train import train_run
from qts.pipeline.walk import WalkResult, plan, walk
from qts.pipeline.walk_folder import WALK, Outcome
from qts.progress import SilentProgress
from qts.store import open_store
from qts.store.lock import LOCK
from qts.training.checkpoint import list_runs, open_run
from tests.market import bars_table, in_other_runs, write_market
from tests.watchers import StopsAt

QUIET = SilentProgress()
N_FOLDS = 3  # of 8, 8 and 5 days


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = write_market(tmp_path_factory.mktemp("market"))
    ingest(load_config(file, environment={}), QUIET)
    return file


@pytest.fixture
def market(stored: Path, tmp_path: Path) -> LoadedConfig:
    """The market, walked in steps of 8 days, with a folder of runs that no other test sees."""
    return changed(load_config(stored, environment={}), {"store.runs": str(tmp_path / "runs"), "walk.step_days": 8})


def changed(loaded: LoadedConfig, values: dict[str, Any]) -> LoadedConfig:
    return loaded.changed(values, "test")


def outcome(result: WalkResult) -> list[Outcome]:
    """What came of the folds, without what depends on the hour."""
    return [replace(line, run=None, seconds=0.0) for line in result.outcomes]


def scores(result: WalkResult) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(result.scores).drop_columns(["run"]).to_pylist()
    return rows


def record_of(result: WalkResult, number: int) -> dict[str, Any]:
    return open_run(result.folder.parent, str(result.outcomes[number - 1].run)).record


# Folds


def test_a_fold_is_the_run_that_its_segments_give_and_its_scores_are_that_run_s(market: LoadedConfig) -> None:
    result = walk(market, QUIET)
    found = pq.read_table(result.scores)
    for fold, line in zip(result.folds, result.outcomes, strict=True):
        by_hand = train_run(changed(in_other_runs(market), fold.segments()), QUIET).run
        best = by_hand.record["best"]
        assert (line.valid_loss, line.valid_ic, line.valid_rank_ic) == (
            best["valid_loss"], best["valid_ic"], best["valid_rank_ic"],
        )  # fmt: skip
        expected = predict_run(in_other_runs(market), QUIET, run=str(by_hand.folder)).scores
        its = found.filter(pa.compute.equal(found["fold"], fold.number))
        assert its.select(expected.column_names).to_pylist() == expected.to_pylist()
        assert its["run"].unique().to_pylist() == [line.run]


def test_the_stitched_scores_are_sorted_have_no_key_twice_and_cover_every_day_that_is_tested(
    market: LoadedConfig,
) -> None:
    result = walk(market, QUIET)
    table = pq.read_table(result.scores)
    assert table.column_names == ["instrument", "datetime", "score", "fold", "run"]
    keys = [(row["datetime"], row["instrument"]) for row in table.to_pylist()]
    assert keys == sorted(set(keys))
    assert sorted({day for day, _ in keys}) == [date(2024, 3, day) for day in range(6, 27)]
    assert len(result.folds) == N_FOLDS


def test_processors_are_fitted_on_each_fold_s_own_train_part(market: LoadedConfig) -> None:
    """The truth is the median of the raw factor over the member rows of those days alone."""
    result = walk(changed(market, {"walk.train": "rolling"}), QUIET)
    store = open_store(market.path(market.config.store.path))
    medians = []
    for fold in result.folds:
        panel = store.read(["GAP", "has_bar"], *fold.train)
        counts = store.membership(panel.instruments, panel.instrument, panel.day, store.calendar())
        values = panel.values[counts & (panel.values[:, 1] > 0), 0]
        medians.append(float(np.nanmedian(values)))
        step = record_of(result, fold.number)["processors"]["features"][0]
        assert step["parameters"]["GAP"]["center"] == pytest.approx(medians[-1], rel=1e-6)
    assert len(set(medians)) == N_FOLDS


@pytest.mark.parametrize("ahead", [2, 5])
def test_train_and_valid_lose_just_the_days_that_the_label_looks_ahead_and_none_is_purged_again(
    tmp_path: Path, ahead: int
) -> None:
    file = write_market(tmp_path)
    label = {"label.expr": f"Ref($close, -{ahead})/Ref($close, -1) - 1", "walk.step_days": 8, "train.epochs": 1}
    loaded = changed(load_config(file, environment={}), label)
    ingest(loaded, QUIET)
    result = walk(loaded, QUIET)
    for fold in result.folds:
        assert fold.left_out == (ahead, ahead)
        samples = record_of(result, fold.number)["samples"]
        assert (samples["train"]["purged"], samples["valid"]["purged"]) == (0, 0)


def other_market(folder: Path, first: str) -> LoadedConfig:
    """The market, whose bars from a day on are another's."""
    file = write_market(folder)
    bars, others = bars_table(), bars_table(seed=4)
    late = bars["datetime"].to_numpy() >= np.datetime64(first)
    for at, name in enumerate(bars.column_names[2:], start=2):
        mixed = np.where(late, others[name].to_numpy(), bars[name].to_numpy())
        bars = bars.set_column(at, name, pa.array(mixed))
    pq.write_table(bars, file.parent / "bars.parquet")
    loaded = changed(load_config(file, environment={}), {"walk.step_days": 8})
    ingest(loaded, QUIET)
    return loaded


def test_bars_from_the_first_tested_day_on_change_nothing_of_what_was_learned(
    market: LoadedConfig, tmp_path: Path
) -> None:
    """The second fold is tested from 14 March on; its weights, processors and valid figures come from before."""
    other = other_market(tmp_path / "other", "2024-03-14")
    one, two = walk(market, QUIET), walk(other, QUIET)
    assert one.folder.name != two.folder.name
    for number in (1, 2):
        mine, theirs = record_of(one, number), record_of(two, number)
        assert (mine["best"], mine["processors"]) == (theirs["best"], theirs["processors"])
    day = date(2024, 3, 14)
    assert [row for row in scores(one) if row["datetime"] < day] == [
        row for row in scores(two) if row["datetime"] < day
    ]
    assert scores(one) != scores(two)


def test_bars_from_the_first_valid_day_on_change_nothing_of_the_train_part(
    market: LoadedConfig, tmp_path: Path
) -> None:
    """With one epoch no choice is left to the valid part: the weights are those of train alone."""
    once = {"train.epochs": 1, "walk.last": "2024-03-13"}
    one = walk(changed(market, once), QUIET)
    two = walk(changed(other_market(tmp_path / "other", str(one.folds[0].valid[0])), once), QUIET)
    mine, theirs = record_of(one, 1), record_of(two, 1)
    assert mine["best"]["train_loss"] == theirs["best"]["train_loss"]
    assert mine["processors"] == theirs["processors"]
    assert mine["best"]["valid_loss"] != theirs["best"]["valid_loss"]


# Figures


def test_figures_are_the_means_of_the_days_correlations_with_the_raw_label(market: LoadedConfig) -> None:
    """A plain loop over days; the label is close over close, two days and one day later."""
    result = walk(market, QUIET)
    bars = {(row["instrument"], row["datetime"]): row["close"] for row in bars_table().to_pylist()}
    days = [date.fromordinal(date(2024, 1, 1).toordinal() + at) for at in range(90)]
    by_day: dict[date, list[tuple[float, float]]] = {}
    for row in scores(result):
        at = days.index(row["datetime"])
        one, two = (bars.get((row["instrument"], days[at + ahead])) for ahead in (1, 2))
        if one and two:
            by_day.setdefault(row["datetime"], []).append((row["score"], two / one - 1))
    ic = {day: np.corrcoef(np.array(pairs).T)[0, 1] for day, pairs in by_day.items()}
    lines = [*zip(result.folds, [line.test for line in result.outcomes], strict=True), (None, result.overall)]
    for fold, figures in lines:
        its = [value for day, value in ic.items() if fold is None or fold.test[0] <= day <= fold.test[1]]
        assert figures.n_days == len(its)
        assert figures.ic == pytest.approx(np.mean(its), abs=1e-6)
        assert figures.icir == pytest.approx(np.mean(its) / np.std(its, ddof=1), abs=1e-5)


# Again, otherwise, and after a stop


def files(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def test_doing_it_again_trains_nothing_and_writes_nothing(market: LoadedConfig) -> None:
    first = walk(market, QUIET)
    before = files(market.config.store.runs)
    second = walk(market, QUIET)
    assert (first.n_new, second.n_new, second.is_up_to_date) == (N_FOLDS, 0, True)
    assert (second.outcomes, second.overall) == (first.outcomes, first.overall)
    assert files(market.config.store.runs) == before


def test_a_config_that_scores_otherwise_is_another_walk(market: LoadedConfig) -> None:
    folders = {
        walk(changed(market, values), QUIET).folder
        for values in (
            {},
            {"train.seed": 1},
            {"walk.step_days": 10},
            {"walk.train": "rolling"},
            {"model.hidden_size": 3},
        )
    }
    assert len(folders) == 5


def test_what_changes_no_score_is_the_same_walk(market: LoadedConfig) -> None:
    first = walk(market, QUIET)
    for values in (
        {"walk.processes": 2},
        {"walk.first": "2024-03-06"},
        {"walk.embargo_days": 2},
        {"train.device": "cpu"},
    ):
        assert walk(changed(market, values), QUIET).is_up_to_date
    assert len(list_runs(first.folder.parent)) == N_FOLDS


def test_scores_do_not_depend_on_the_folds_before(market: LoadedConfig) -> None:
    """A walk that begins with the second fold scores its days as the whole walk does."""
    whole = walk(market, QUIET)
    late = walk(changed(in_other_runs(market), {"walk.first": "2024-03-14"}), QUIET)
    assert [row["score"] for row in scores(late)] == [row["score"] for row in scores(whole) if row["fold"] > 1]


def test_a_fold_that_was_trained_before_is_found_again(market: LoadedConfig) -> None:
    walk(changed(market, {"walk.last": "2024-03-21"}), QUIET)
    longer = walk(market, QUIET)
    assert len(list_runs(market.config.store.runs)) == N_FOLDS
    assert scores(longer) == scores(walk(in_other_runs(market), QUIET))


@pytest.mark.parametrize("loss", ["run", "scores of a run", "stitched scores"])
def test_what_was_deleted_is_made_again(market: LoadedConfig, loss: str) -> None:
    first = walk(market, QUIET)
    before, run = scores(first), first.folder.parent / str(first.outcomes[1].run)
    if loss == "run":
        shutil.rmtree(run)
    else:
        ((run / "predictions.parquet") if loss == "scores of a run" else first.scores).unlink()
    second = walk(market, QUIET)
    assert not second.is_up_to_date
    assert scores(second) == before
    assert walk(market, QUIET).is_up_to_date


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_walk_that_was_stopped_ends_as_one_that_ran_through(market: LoadedConfig, epoch: int) -> None:
    """Each fold has two epochs: the fourth is the second fold's last."""
    with pytest.raises(KeyboardInterrupt):
        walk(market, StopsAt(epoch))
    (file,) = market.config.store.runs.glob(f"walk-*/{WALK}")
    told = json.loads(file.read_text())
    done = (epoch - 1) // 2
    assert told["state"] == "stopped"
    assert [line["state"] for line in told["folds"]] == ["done"] * done + ["stopped"] + ["waiting"] * (2 - done)
    taken_up = walk(market, QUIET)
    assert taken_up.n_new == N_FOLDS - done
    whole = walk(in_other_runs(market), QUIET)
    assert (outcome(taken_up), scores(taken_up)) == (outcome(whole), scores(whole))
    assert len(list_runs(market.config.store.runs)) == N_FOLDS  # one without a whole epoch begins anew in its folder
    assert json.loads(file.read_text())["state"] == "done"


def test_a_fold_that_fails_is_named_and_those_before_it_are_kept(
    market: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_late(loaded: LoadedConfig, *_: Any) -> Any:
        if loaded.config.segments and loaded.config.segments.test[0] > date(2024, 3, 6):
            raise QtsError("the loss became inf", hint="try a smaller lr")
        return train_run(loaded, QUIET)

    with monkeypatch.context() as patched:
        patched.setattr("qts.pipeline.walk.train_run", fail_late)
        with pytest.raises(QtsError, match=r"^fold 2: the loss became inf$") as caught:
            walk(market, QUIET)
    assert caught.value.hint == "try a smaller lr"
    (file,) = market.config.store.runs.glob(f"walk-*/{WALK}")
    assert [line["state"] for line in json.loads(file.read_text())["folds"]] == ["done", "failed", "waiting"]
    assert walk(market, QUIET).n_new == N_FOLDS - 1


def test_windows_that_a_fold_made_are_gone_when_its_scores_are_kept(market: LoadedConfig) -> None:
    folder = market.path(market.config.store.path) / "windows"
    shutil.rmtree(folder, ignore_errors=True)
    fold = walk(market, QUIET).folds[0]
    assert not list(folder.iterdir())
    train_run(changed(market, fold.segments()), QUIET)
    kept = list(folder.iterdir())
    walk(changed(market, {"train.seed": 5}), QUIET)
    assert list(folder.iterdir()) == kept


# Processes of their own


@pytest.fixture
def _found_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes stand in another folder; they find the program and use as few threads."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


@pytest.mark.usefixtures("_found_by_others")
def test_folds_in_processes_of_their_own_give_what_folds_in_order_do(market: LoadedConfig) -> None:
    one_thread = changed(market, {"limits.threads": 1, "walk.last": "2024-03-20"})
    apart = walk(changed(one_thread, {"walk.processes": 2}), StopsAt(1))  # no epoch begins in this process
    together = walk(in_other_runs(one_thread), QUIET)
    assert (outcome(apart), scores(apart)) == (outcome(together), scores(together))


@pytest.fixture
def slow(market: LoadedConfig, stored: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A walk of two processes at once that would last for minutes, once both have a whole epoch."""
    settings = [
        f"store.runs={market.config.store.runs}",
        "walk.step_days=8",
        "train.epochs=5000",
        "train.patience=5000",
    ]
    sets = [word for text in settings for word in ("--set", text)]
    command = [sys.executable, "-m", "qts", "walk", "--config", str(stored), "--processes", "2", *sets]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(list(market.config.store.runs.glob("*/last.safetensors"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


@pytest.mark.usefixtures("_found_by_others")
def test_a_signal_ends_all_processes_and_each_keeps_what_is_whole(
    market: LoadedConfig, slow: "subprocess.Popen[bytes]"
) -> None:
    slow.send_signal(signal.SIGTERM)
    assert slow.wait(30) == 143
    states = [record["state"] for record in list_runs(market.config.store.runs)]
    assert states == ["stopped", "stopped"]
    (file,) = market.config.store.runs.glob(f"walk-*/{WALK}")
    assert [line["state"] for line in json.loads(file.read_text())["folds"]] == ["stopped", "stopped", "waiting"]


@pytest.mark.usefixtures("_found_by_others")
def test_a_walk_that_is_killed_takes_its_processes_with_it_and_each_keeps_what_is_whole(
    market: LoadedConfig, slow: "subprocess.Popen[bytes]"
) -> None:
    slow.kill()
    slow.wait()
    until = time.monotonic() + 30
    states = ["running"]
    while "running" in states and time.monotonic() < until:
        time.sleep(0.05)
        states = [record["state"] for record in list_runs(market.config.store.runs)]
    assert states == ["stopped", "stopped"]


# Refusals and plans


def test_a_plan_lists_the_folds_and_writes_nothing(market: LoadedConfig) -> None:
    rows = plan(market)
    assert [(row["fold"], row["test_first"], row["n_test"]) for row in rows] == [
        (1, date(2024, 3, 6), 8), (2, date(2024, 3, 14), 8), (3, date(2024, 3, 22), 5),
    ]  # fmt: skip
    assert not market.config.store.runs.exists()
    assert [row["fold"] for row in rows] == [row["fold"] for row in walk(market, QUIET).rows()]


def test_a_processor_fitted_on_days_of_its_own_is_refused(market: LoadedConfig) -> None:
    steps = [{"name": "zscore", "fit": ["2024-01-08", "2024-01-20"]}]
    with pytest.raises(ConfigError, match="zscore has a fit range of its own") as caught:
        walk(changed(market, {"processors.features": steps}), QUIET)
    assert "leave out fit" in str(caught.value.hint)


class Notes(SilentProgress):
    """Keeps notes."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.heard.append(text)


class Listens(SilentProgress):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def warn(self, text: str) -> None:
        """Keep it."""
        self.heard.append(text)


def test_weights_that_every_fold_begins_with_are_warned_of(market: LoadedConfig) -> None:
    before, listens = train_run(in_other_runs(market), QUIET).run, Listens()
    walk(changed(market, {"train.init_from": str(before.folder / "model.safetensors")}), listens)
    assert [text for text in listens.heard if "init_from: were they made before 2024-03-06?" in text]


def test_a_walk_that_another_process_is_at_is_left_alone(market: LoadedConfig) -> None:
    folder = walk(market, QUIET).folder
    with FileLock(folder / LOCK), pytest.raises(LockHeldError) as caught:
        walk(market, QUIET)
    assert caught.value.hint == "wait until it ends"


def test_a_fold_that_another_process_still_trains_is_told_with_what_to_do(market: LoadedConfig) -> None:
    """As after a walk that was killed while its folds trained in processes of their own."""
    with pytest.raises(KeyboardInterrupt):
        walk(market, StopsAt(2))
    (run,) = [record["name"] for record in list_runs(market.config.store.runs)]
    with FileLock(market.config.store.runs / run / LOCK), pytest.raises(LockHeldError, match=r"^fold 1: ") as caught:
        walk(market, QUIET)
    assert "a walk that was killed leaves its trainings at work" in str(caught.value.hint)


def test_data_that_changed_since_a_walk_are_told_and_an_unchanged_walk_is_not(tmp_path: Path) -> None:
    loaded, notes = other_market(tmp_path, "2024-03-20"), Notes()
    before = walk(loaded, notes)
    walk(loaded, notes)
    walk(changed(loaded, {"train.seed": 1}), notes)
    assert not [text for text in notes.heard if "the data changed" in text]
    other_market(tmp_path, "2024-03-25")
    after = walk(loaded, notes)
    assert [text for text in notes.heard if "the data changed" in text] == [
        f"the data changed since {before.folder.name}: all folds are trained again"
    ]
    assert (after.folder != before.folder, after.n_new) == (True, N_FOLDS)


@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda text: text.replace('"test"', '"tset"')])
def test_a_damaged_record_is_told(market: LoadedConfig, damage: Any) -> None:
    file = walk(market, QUIET).folder / WALK
    file.write_text(damage(file.read_text()))
    with pytest.raises(QtsError, match=r"walk\.json is damaged"):
        walk(market, QUIET)
