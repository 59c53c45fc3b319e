"""A search: which points are tried, what becomes of each, and that stopping it changes nothing but the time."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
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
from qts.pipeline.run import run_all
from qts.pipeline.samplers import SAMPLERS, make_sampler
from qts.pipeline.search_space import REFUSED, Point
from qts.pipeline.study import Trial
from qts.pipeline.train import train_run
from qts.pipeline.trial import TrialWork
from qts.pipeline.tune import TuneResult, plan, tune
from qts.progress import SilentProgress
from qts.store.lock import LOCK
from qts.training.checkpoint import build_network, list_runs, open_run
from tests.market import bars_table, in_other_runs, write_market
from tests.watchers import StopsAt

QUIET = SilentProgress()
SPACE = {"train.lr": {"low": 1e-3, "high": 1e-1, "log": True}, "model.hidden_size": [3, 5]}
ENDLESS = {
    "train.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "train.weight_decay": {"low": 0.0, "high": 0.5},
    "train.clip_value": {"low": 0.1, "high": 0.55, "step": 0.1},
    "train.batch_size": {"low": 1, "high": 900, "log": True},
    "model.num_layers": {"low": 1, "high": 3},
    "window.step_len": [2, 4, 8],
    "train.optimizer": ["adam", "sgd"],
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = write_market(tmp_path_factory.mktemp("market"))
    ingest(load_config(file, environment={}), QUIET)
    return file


@pytest.fixture
def market(stored: Path, tmp_path: Path) -> LoadedConfig:
    """The market, with a folder of runs that no other test sees."""
    return load_config(stored, environment={}).changed({"store.runs": str(tmp_path / "runs")}, "test")


def search(loaded: LoadedConfig, space: dict[str, Any] = SPACE, **settings: Any) -> LoadedConfig:
    return loaded.changed(
        {"tune.space": space, **{f"tune.{key}": value for key, value in settings.items()}},
        "test",
    )


def outcome(result: TuneResult) -> list[Trial]:
    """What came of a search, without what depends on the hour."""
    return [replace(trial, run=None, seconds=0.0) for trial in result.trials]


# Points


def points(loaded: LoadedConfig, count: int) -> list[dict[str, Any]]:
    ask = make_sampler(loaded)
    found: list[Trial] = []
    for number in range(1, count + 1):
        point = ask(number, found)
        assert point is not None
        found.append(Trial(number, "done", point.values, valid_rank_ic=-abs(np.log(point.values["train.lr"] / 0.002))))
    return [trial.values for trial in found]


def test_a_grid_is_every_combination_in_the_order_of_the_file(market: LoadedConfig) -> None:
    space = {"train.lr": [0.2, 0.1], "model.num_layers": {"low": 1, "high": 3}}
    rows = plan(search(market, space, sampler="grid"))
    assert [(row["train.lr"], row["model.num_layers"]) for row in rows] == [
        (0.2, 1), (0.2, 2), (0.2, 3), (0.1, 1), (0.1, 2), (0.1, 3),
    ]  # fmt: skip
    assert plan(search(market, space, sampler="grid", trials=2)) == rows[:2]


def test_a_grid_of_a_range_without_steps_is_refused(market: LoadedConfig) -> None:
    with pytest.raises(ConfigError, match=r'"train\.lr" has no end of values'):
        plan(search(market, sampler="grid"))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_every_point_drawn_lies_in_the_space_and_is_of_its_kind(market: LoadedConfig, sampler: str) -> None:
    for point in points(search(market, ENDLESS, sampler=sampler), 25):
        assert list(point) == list(ENDLESS)
        assert 1e-4 <= point["train.lr"] <= 1e-2
        assert 0 <= point["train.weight_decay"] <= 0.5
        assert point["train.clip_value"] in (0.1, 0.2, 0.3, 0.4, 0.5)
        assert point["train.batch_size"] in range(1, 901)
        assert point["model.num_layers"] in (1, 2, 3)
        assert (point["window.step_len"], point["train.optimizer"]) in [
            (n, o) for n in (2, 4, 8) for o in ("adam", "sgd")
        ]
        kinds = [float, float, float, int, int, int, str]
        assert [type(value) for value in point.values()] == kinds


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_trial_s_point_does_not_depend_on_how_many_are_asked_for(market: LoadedConfig, sampler: str) -> None:
    loaded = search(market, ENDLESS, sampler=sampler)
    assert points(loaded, 14)[:6] == points(loaded, 6)


def test_another_seed_draws_other_points(market: LoadedConfig) -> None:
    assert points(search(market, ENDLESS), 3) != points(search(market, ENDLESS, seed=1), 3)


def test_a_range_with_log_gives_each_order_of_magnitude_its_share(market: LoadedConfig) -> None:
    space = {
        "train.lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "train.batch_size": {"low": 1, "high": 1000, "log": True},
    }
    drawn = points(search(market, space), 400)
    lr = np.array([point["train.lr"] for point in drawn])
    sizes = np.array([point["train.batch_size"] for point in drawn])
    assert abs((lr < 1e-3).mean() - 1 / 3) < 0.08
    assert abs((sizes >= 100).mean() - np.log(1000.5 / 99.5) / np.log(1000.5 / 0.5)) < 0.08


def test_a_small_space_ends_and_holds_no_point_twice(market: LoadedConfig) -> None:
    rows = plan(search(market, {"train.lr": [0.1, 0.2], "model.num_layers": {"low": 1, "high": 3}}))
    assert len({(row["train.lr"], row["model.num_layers"]) for row in rows}) == len(rows) == 6


def test_values_that_do_not_go_together_are_not_drawn(market: LoadedConfig) -> None:
    space = {"train.lr": [0.1, 0.2], "model.num_layers": [1, 2], "model.dropout": [0.0, 0.5]}
    rows = plan(search(market, space))
    assert len(rows) == 6
    assert not any(row["model.dropout"] and row["model.num_layers"] == 1 for row in rows)


def test_tpe_draws_where_trials_did_well(market: LoadedConfig) -> None:
    """points() rewards learning rates near 0.002; of draws by chance 43 % are within a factor of e."""
    space = {"train.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    drawn = points(search(market, space, sampler="tpe"), 40)
    near = [abs(np.log(point["train.lr"] / 0.002)) < 1 for point in drawn[20:]]
    assert sum(near) >= 15


def test_tpe_without_its_library_says_what_to_install(market: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match="needs its library") as caught:
        tune(search(market, sampler="tpe"), QUIET)
    assert 'pip install "qts[optuna]"' in str(caught.value.hint)


def test_the_config_names_the_samplers_there_are(market: LoadedConfig) -> None:
    for name in SAMPLERS:
        assert search(market, sampler=name).config.tune.sampler == name
    with pytest.raises(ConfigError, match="one of 'grid', 'random' or 'tpe'"):
        search(market, sampler="halton")


# What may be searched


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        *((key if "." in key else f"{key}.x", [1], "cannot be searched") for key in REFUSED),
        ("train.lrr", [1], 'has no key "lrr"'),
        ("model.channels", [1], 'model "gru" has no key "channels"'),
        ("nosuch.key", [1], "no key that can be searched"),
        ("lr", [1], "no key that can be searched"),
        ("train.lr", [0.1, -1, -2], '"lr" in .train. is -1'),
        ("train.epochs", {"low": 1, "high": 2.5}, '"epochs" in .train. must be a whole number'),
        ("model.name", ["gru", "grru"], 'unknown model "grru"'),
    ],
)  # fmt: skip
def test_a_key_that_may_not_be_searched_is_refused_before_anything_is_trained(
    market: LoadedConfig, key: str, values: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tune(search(market, {key: values}), QUIET)
    assert not market.config.store.runs.exists()


def test_losses_of_different_kinds_are_not_compared_by_loss(market: LoadedConfig) -> None:
    space = {"train.loss": ["mse", "mae"]}
    assert len(plan(search(market, space))) == 2
    with pytest.raises(ConfigError, match="losses of different kinds"):
        plan(search(market, space, metric="loss"))


def test_a_key_that_one_of_the_architectures_lacks_is_refused(market: LoadedConfig) -> None:
    with pytest.raises(ConfigError, match='model "tcn" has no key "hidden_size"'):
        plan(search(market, {"model.name": ["gru", "tcn"], "model.hidden_size": [3]}))


def test_an_empty_space_says_what_to_write(market: LoadedConfig) -> None:
    with pytest.raises(ConfigError, match="names no key") as caught:
        tune(market, QUIET)
    assert "--presets" in str(caught.value.hint)


# Presets


def test_presets_are_the_sizes_they_are_known_by(market: LoadedConfig) -> None:
    """Numbers of parameters over 10 and 20 features, as the table of these presets has them."""
    known = {
        "small": (5_665, 6_945),
        "medium": (52_801, 55_361),
        "large": (203_905, 209_025),
        "deep": (86_081, 88_641),
    }
    rows = plan(market.changed({"model.name": "stacked_lstm", "tune.presets": True}, "test"))
    for row in rows:
        options = {"hidden_sizes": row["model.hidden_sizes"], "dropout": row["model.dropout"]}
        networks = [build_network("stacked_lstm", options, n_features) for n_features in (10, 20)]
        assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == known.pop(row["preset"])
        assert not row["problem"]
    assert not known


def test_presets_of_a_model_without_layers_of_a_width_are_refused(market: LoadedConfig) -> None:
    with pytest.raises(ConfigError, match='model "tcn" has no such keys'):
        plan(market.changed({"model.name": "tcn", "tune.presets": True}, "test"))


# What becomes of trials


def test_a_trial_is_the_run_that_its_values_give(market: LoadedConfig) -> None:
    result = tune(search(market, trials=3), QUIET)
    assert sorted(trial.number for trial in result.trials) == [1, 2, 3]
    for trial in result.trials:
        by_hand = train_run(in_other_runs(market).changed(trial.values, "test"), QUIET).run.record
        found = (trial.valid_loss, trial.valid_ic, trial.valid_rank_ic, trial.best_epoch, trial.n_parameters)
        best = by_hand["best"]
        assert found == (
            best["valid_loss"], best["valid_ic"], best["valid_rank_ic"], by_hand["best_epoch"], by_hand["n_parameters"],
        )  # fmt: skip


@pytest.mark.parametrize(("metric", "sign"), [("loss", -1), ("ic", 1), ("rank_ic", 1)])
def test_the_best_by_the_metric_stands_first_and_is_the_latest_run(
    market: LoadedConfig, metric: str, sign: int
) -> None:
    result = tune(search(market, trials=4, metric=metric), QUIET)
    figures = [sign * row[f"valid_{metric}"] for row in result.rows()]
    assert figures == sorted(figures, reverse=True)
    assert open_run(market.config.store.runs).name == result.best.run == result.trials[0].run


def test_the_best_config_makes_the_best_run_again(market: LoadedConfig) -> None:
    result = tune(search(market, trials=3), QUIET)
    best = load_config(result.best_config, environment={})
    assert run_all(best, QUIET).training.run.name == result.best.run
    elsewhere = run_all(in_other_runs(best), QUIET).training.run.record
    assert elsewhere["best"]["valid_rank_ic"] == result.best.valid_rank_ic


def test_doing_it_again_trains_nothing_and_writes_nothing(market: LoadedConfig) -> None:
    loaded = search(market, trials=2)
    first = tune(loaded, QUIET)
    before = {file: file.stat().st_mtime_ns for file in first.folder.iterdir()}
    second = tune(loaded, QUIET)
    assert second.is_up_to_date
    assert second.trials == first.trials
    assert {file: file.stat().st_mtime_ns for file in first.folder.iterdir()} == before


def test_more_trials_go_on_where_fewer_ended(market: LoadedConfig) -> None:
    tune(search(market, trials=2), QUIET)
    longer = tune(search(market, trials=4), QUIET)
    assert (longer.n_new, len(list_runs(market.config.store.runs))) == (2, 4)
    assert outcome(longer) == outcome(tune(search(in_other_runs(market), trials=4), QUIET))


def test_a_training_that_diverges_is_a_row_and_the_search_goes_on(market: LoadedConfig) -> None:
    result = tune(search(market, {"train.lr": [1e37, 0.01]}, sampler="grid"), QUIET)
    assert [(trial.number, trial.state) for trial in result.trials] == [(2, "done"), (1, "failed")]
    assert "diverged" in result.trials[1].reason


def test_a_point_whose_values_do_not_go_together_is_a_row(market: LoadedConfig) -> None:
    space = {"model.num_layers": [1, 2], "model.dropout": [0.2], "window.step_len": [4, 80]}
    result = tune(search(market, space, sampler="grid"), QUIET)
    reasons = {trial.number: trial.reason for trial in result.trials if trial.state == "invalid"}
    assert {number: text.partition(":")[0] for number, text in reasons.items()} == {
        1: "[model]", 2: "[model]", 4: "the train segment has no sample",
    }  # fmt: skip
    assert result.best.number == 3


def test_a_search_without_any_result_fails_and_says_why(market: LoadedConfig) -> None:
    with pytest.raises(QtsError, match=r"none of 1 trials .* dropout acts between layers"):
        tune(search(market, {"model.dropout": [0.5]}), QUIET)


def test_a_run_that_was_deleted_is_trained_again(market: LoadedConfig) -> None:
    loaded = search(market, trials=2)
    first = tune(loaded, QUIET)
    shutil.rmtree(market.config.store.runs / str(first.best.run))
    second = tune(loaded, QUIET)
    assert second.n_new == 1
    assert outcome(second) == outcome(first)


def test_after_the_minutes_no_other_trial_begins(market: LoadedConfig) -> None:
    hurried = search(market, trials=2, minutes=1e-9)
    first = tune(hurried, QUIET)
    assert (first.n_new, first.is_whole) == (1, False)
    assert json.loads((first.folder / "study.json").read_text())["state"] == "stopped"
    second = tune(hurried, QUIET)
    assert (second.n_new, second.is_whole, len(second.trials)) == (1, True, 2)


def test_a_search_that_another_process_is_at_is_left_alone(market: LoadedConfig) -> None:
    folder = tune(search(market, trials=1), QUIET).folder
    with FileLock(folder / LOCK), pytest.raises(LockHeldError):
        tune(search(market, trials=2), QUIET)


def test_other_data_is_another_study_and_bars_of_the_test_segment_change_no_trial(
    market: LoadedConfig, tmp_path: Path
) -> None:
    """The label of the last valid day reads two days into the test segment; bars after that are another market's."""
    file = write_market(tmp_path / "other")
    bars, others = bars_table(), bars_table(seed=4)
    late = bars["datetime"].to_numpy() >= np.datetime64("2024-03-08")
    for at, name in enumerate(bars.column_names[2:], start=2):
        mixed = np.where(late, others[name].to_numpy(), bars[name].to_numpy())
        bars = bars.set_column(at, name, pa.array(mixed))
    pq.write_table(bars, file.parent / "bars.parquet")
    other = load_config(file, environment={})
    ingest(other, QUIET)
    one, two = (tune(search(loaded, trials=3), QUIET) for loaded in (market, other))
    assert one.folder.name != two.folder.name
    assert outcome(one) == outcome(two)


# Stopping


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("epoch", [1, 4])
def test_a_search_that_was_stopped_ends_as_one_that_ran_through(market: LoadedConfig, sampler: str, epoch: int) -> None:
    loaded = search(market, trials=3, sampler=sampler)
    with pytest.raises(KeyboardInterrupt):
        tune(loaded, StopsAt(epoch))
    (study,) = market.config.store.runs.glob("tune-*/study.json")
    assert json.loads(study.read_text())["state"] == "stopped"
    taken_up = tune(loaded, QUIET)
    assert outcome(taken_up) == outcome(tune(in_other_runs(loaded), QUIET))
    n_runs = len(list_runs(market.config.store.runs))
    assert n_runs == 3  # a training without a whole epoch begins anew in its own folder
    assert json.loads(study.read_text())["state"] == "done"


HOPELESS = {"train.lr": [0.02, 0.021, 0.022, 0.023, 0.024, 1e-9], "train.epochs": [4]}


def by_loss(market: LoadedConfig, **settings: Any) -> LoadedConfig:
    return search(market, HOPELESS, sampler="grid", metric="loss", prune=True, **settings)


def losses(runs: Path, run: str | None) -> list[float]:
    column: list[float] = pq.read_table(runs / str(run) / "history.parquet")["valid_loss"].to_pylist()
    return column


def test_a_trial_behind_the_median_is_stopped(market: LoadedConfig) -> None:
    result = tune(by_loss(market), QUIET)
    runs = market.config.store.runs
    behind = result.trials[-1]
    assert (behind.number, behind.state) == (6, "pruned")
    assert [trial.state for trial in result.trials[:-1]] == ["done"] * 5
    own, others = losses(runs, behind.run), np.array([losses(runs, trial.run) for trial in result.trials[:-1]])
    is_behind = [min(own[:at]) > np.median(others[:, at - 1]) for at in range(1, len(own) + 1)]
    assert len(own) < 4
    assert is_behind == [False] * (len(own) - 1) + [True]


@pytest.mark.parametrize(("share", "state"), [(0.5, "done"), (1.5, "pruned")])
def test_a_trial_that_was_taken_up_is_judged_by_its_earlier_epochs_too(
    market: LoadedConfig, share: float, state: str
) -> None:
    """Its first epoch is better than its second; others stand between the two at the second, or above both."""
    point = Point({"train.lr": 0.05, "model.hidden_size": 16, "train.epochs": 3, "train.seed": 2})
    whole = train_run(in_other_runs(market).changed(point.values, "test"), QUIET).run
    first, second, _ = pq.read_table(whole.folder / "history.parquet")["valid_rank_ic"].to_pylist()
    assert first > second
    curves = {number: {2: second + share * (first - second)} for number in range(5)}
    loaded = search(market, prune=True)
    stopped, work = TrialWork(loaded, StopsAt(2), []), TrialWork(loaded, QUIET, [])
    stopped.curves = work.curves = curves
    with pytest.raises(KeyboardInterrupt):
        stopped.run(1, point)
    assert work.run(1, point).state == state


@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda text: text.replace("number", "nummer")])
def test_a_damaged_list_of_trials_is_told(market: LoadedConfig, damage: Callable[[str], str]) -> None:
    file = tune(search(market, trials=1), QUIET).folder / "trials.jsonl"
    file.write_text(damage(file.read_text()))
    with pytest.raises(QtsError, match=r"trials\.jsonl is damaged"):
        tune(search(market, trials=1), QUIET)
