"""Every architecture and every choice of `[train]` through the whole path, on a market small enough to read."""

from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from qts.config import LoadedConfig, load_config
from qts.cross_section import CrossSections
from qts.errors import ConfigError, DataCheckError, QtsError, StoreError
from qts.models import load_architecture, model_names
from qts.pipeline.ensemble import train_seeds
from qts.pipeline.evaluate import evaluate
from qts.pipeline.ingest import ingest
from qts.pipeline.predict import predict_run
from qts.pipeline.train import TrainResult, train_run
from qts.pipeline.weights import train_weights
from qts.pipeline.window import build_windows
from qts.progress import SilentProgress
from tests.market import write_market
from tests.models.configs import minimal

QUIET = SilentProgress()
SMALL = {
    "stacked_lstm": {"hidden_sizes": [4, 3]},
    "lightgbm": {"n_rounds": 5, "num_leaves": 3, "lambda_l1": 0.0, "lambda_l2": 0.0},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    loaded = load_config(write_market(tmp_path_factory.mktemp("market")), environment={})
    ingest(loaded, QUIET)
    return loaded


@pytest.fixture
def market(store: LoadedConfig, tmp_path: Path) -> LoadedConfig:
    """The same store, with a folder of runs of its own."""
    return store.changed({"store.runs": str(tmp_path / "runs")}, "test")


def with_model(loaded: LoadedConfig, name: str) -> LoadedConfig:
    keys = {**minimal(name), **SMALL.get(name, {})}
    known = load_architecture(name).Config.model_fields
    keys |= {key: value for key, value in {"hidden_size": 4, "d_model": 4, "feedforward": 8}.items() if key in known}
    if "dropout" in known and name != "lightgbm":
        keys["dropout"] = 0.0
    return loaded.changed({"model.name": name}, "test").changed({f"model.{k}": v for k, v in keys.items()}, "test")


def weights(result: TrainResult) -> torch.Tensor:
    state = load_file(result.run.folder / "model.safetensors")
    return torch.cat([state[name].flatten().float() for name in sorted(state)])


@pytest.mark.parametrize("name", model_names())
def test_every_model_goes_from_windows_to_report_and_a_score_does_not_depend_on_the_range_asked_for(
    market: LoadedConfig, name: str
) -> None:
    loaded = with_model(market, name)
    run = train_run(loaded, QUIET).run
    scores = predict_run(loaded, QUIET).scores
    assert np.isfinite(scores["score"].to_numpy()).all()
    day = date(2024, 3, 20)
    alone = predict_run(loaded, QUIET, first=day, last=day).scores
    both = scores.filter(np.array([d == day for d in scores["datetime"].to_pylist()]))
    assert alone["instrument"].to_pylist() == both["instrument"].to_pylist()
    np.testing.assert_allclose(alone["score"].to_numpy(), both["score"].to_numpy(), rtol=0, atol=1e-6)
    assert evaluate(loaded, QUIET).report.summary["n_days"] > 10
    assert train_run(loaded, QUIET).is_up_to_date
    assert run.record["model"]["name"] == name


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "ic", "rank_ic", "listwise"])
def test_every_loss_trains_and_falls(market: LoadedConfig, loss: str) -> None:
    result = train_run(market.changed({"train.loss": loss, "train.epochs": 8, "train.patience": 8}, "test"), QUIET)
    import pyarrow.parquet as pq

    history = pq.read_table(result.run.folder / "history.parquet")["train_loss"].to_pylist()
    assert min(history[1:]) < history[0]


@pytest.mark.parametrize("keys", [{"optimizer": "adamw", "weight_decay": 0.1}, {"optimizer": "sgd", "momentum": 0.9},
                                  {"clip_norm": 0.01}, {"schedule": "cosine"}, {"warmup_epochs": 1.0},
                                  {"precision": "bf16"}, {"half_life_days": 5.0}, {"sample_weight": "GAP"}], ids=str)  # fmt: skip
def test_a_choice_changes_the_weights(market: LoadedConfig, keys: dict[str, object]) -> None:
    plain, chosen = (
        train_run(m, QUIET) for m in (market, market.changed({f"train.{k}": v for k, v in keys.items()}, "t"))
    )
    assert torch.isfinite(weights(chosen)).all()
    assert not torch.equal(weights(plain), weights(chosen))


def test_16_bit_products_give_nearly_the_scores_of_32_bit_ones(market: LoadedConfig) -> None:
    exact, short = (train_run(market.changed({"train.precision": p}, "t"), QUIET).run.name for p in ("fp32", "bf16"))
    scores = [predict_run(market, QUIET, run=name).scores["score"].to_numpy() for name in (exact, short)]
    assert np.corrcoef(*scores)[0, 1] > 0.99


def test_weights_are_a_factor_or_an_expression_times_age_with_a_mean_of_one(tmp_path: Path) -> None:
    loaded = load_config(write_market(tmp_path), environment={})
    named = loaded.changed({"train.sample_weight": "GAP", "train.half_life_days": 7.0}, "test")
    spelled = loaded.changed({"train.sample_weight": "$open/$close", "train.half_life_days": 7.0}, "test")
    ingest(spelled, QUIET)
    windows = build_windows(spelled, QUIET)
    assert "sample_weight" not in windows.windows.features
    samples = windows.datasets["train"].samples
    column = windows.windows.features.index("GAP")
    assert column >= 0
    found = train_weights(spelled, windows)
    assert found is not None
    assert found.mean() == pytest.approx(1)
    np.testing.assert_array_equal(found, train_weights(named, build_windows(named, QUIET)))
    same_instrument = np.flatnonzero(samples.instrument == samples.instrument[0])
    age = samples.day.max() - samples.day[same_instrument]
    import duckdb

    name = windows.windows.instruments[samples.instrument[0]]
    sql = f"SELECT GAP FROM '{tmp_path}/.qts/factors/mine/*.parquet' WHERE instrument = '{name}' ORDER BY datetime"
    raw = np.array([row[0] for row in duckdb.sql(sql).fetchall()])[samples.day[same_instrument]]
    ratio = found[same_instrument] / (raw * 0.5 ** (age / 7))
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_a_weight_that_is_missing_somewhere_is_refused(tmp_path: Path) -> None:
    loaded = load_config(write_market(tmp_path), environment={}).changed(
        {"train.sample_weight": "Log($close - 50)"}, "t"
    )
    ingest(loaded, QUIET)
    with pytest.raises(DataCheckError, match=r"\d+ of \d+ sample weights are missing"):
        train_run(loaded, QUIET)


def test_seeds_leave_a_run_each_and_an_ensemble_of_day_ranks(market: LoadedConfig) -> None:
    result = train_seeds(market, QUIET, 3)
    assert [member.run.record["train"]["seed"] for member in result.members] == [0, 1, 2]
    figures = [member.run.record["best"]["valid_rank_ic"] for member in result.members]
    assert result.ensemble.record["best"]["valid_rank_ic"] == pytest.approx(np.mean(figures))
    assert result.ensemble.record["best_sd"]["valid_rank_ic"] == pytest.approx(np.std(figures, ddof=1))
    tables = [predict_run(market, QUIET, run=member.run.name).scores for member in result.members]
    day = np.unique(tables[0]["datetime"].to_numpy(), return_inverse=True)[1]
    days = CrossSections(day)
    shares = [days.rank(t["score"].to_numpy().astype(float)) / days.size(t["score"].to_numpy()) for t in tables]
    together = predict_run(market, QUIET).scores  # the ensemble is the latest
    np.testing.assert_allclose(together["score"].to_numpy(), np.mean(shares, axis=0), rtol=0, atol=1e-6)
    assert evaluate(market, QUIET).report.context["seed"] == "0, 1, 2"
    assert train_seeds(market, QUIET, 3).is_up_to_date
    assert train_seeds(market, QUIET, 3).ensemble.name == result.ensemble.name
    with pytest.raises(StoreError, match="is an ensemble and has no weights of its own"):
        result.ensemble.network()


def test_an_ensemble_names_the_member_that_is_gone(market: LoadedConfig) -> None:
    result = train_seeds(market, QUIET, 2)
    gone = result.members[1].run
    gone.folder.rename(gone.folder.with_name(f"{gone.name}-2"))  # whose name begins as the lost one's
    with pytest.raises(StoreError, match=f"{gone.name}, a member of the ensemble {result.ensemble.name}, is not in"):
        predict_run(market, QUIET)


def test_a_plateau_that_patience_never_lets_come_is_told(market: LoadedConfig) -> None:
    class Heard(SilentProgress):
        def warn(self, text: str) -> None:
            told.append(text)

    told: list[str] = []
    for patience in (6, 7):
        train_run(market.changed({"train.schedule": "plateau", "train.patience": patience}, "test"), Heard())
    assert [text for text in told if "plateau" in text] == [
        "patience ends before plateau lowers the learning rate: set [train] patience to 7 or more"
    ]


def test_fine_tuning_starts_from_a_run_s_weights(market: LoadedConfig) -> None:
    first = train_run(market, QUIET)
    tiny = {"train.init_from": first.run.name, "train.lr": 1e-12, "train.epochs": 1}
    tuned = train_run(market.changed(tiny, "test"), QUIET)
    torch.testing.assert_close(weights(tuned), weights(first), rtol=0, atol=1e-6)
    with pytest.raises(ConfigError, match="do not fit gru") as caught:
        train_run(market.changed({**tiny, "model.hidden_size": 6}, "test"), QUIET)
    assert "model.hidden_size" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="neither a file nor a finished run"):
        train_run(market.changed({"train.init_from": "nobody"}, "test"), QUIET)


def test_the_base_of_a_graph_comes_from_a_run_of_its_encoder(market: LoadedConfig) -> None:
    base = train_run(with_model(market, "lstm").changed({"model.num_layers": 2}, "t"), QUIET)
    keys = {"train.init_from": base.run.name, "train.init_only": ["rnn"], "train.lr": 1e-12, "train.epochs": 1}
    graph = train_run(with_model(market, "gats").changed(keys, "test"), QUIET)
    ours, theirs = (load_file(result.run.folder / "model.safetensors") for result in (graph, base))
    for name in theirs:
        if name.startswith("rnn."):
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-6)
    assert not torch.allclose(ours["head.weight"], theirs["head.weight"])


def test_the_seven_daily_flags_and_any_key_decide_which_run_it_is(market: LoadedConfig) -> None:
    first = train_run(market, QUIET)
    assert train_run(market.changed({"train.log": ["tensorboard"]}, "t"), QUIET).is_up_to_date
    assert not train_run(market.changed({"train.clip_norm": 1.0}, "t"), QUIET).is_up_to_date
    assert train_run(market, QUIET).run.name == first.run.name


def test_an_unknown_logger_is_answered_with_the_list(market: LoadedConfig) -> None:
    with pytest.raises(QtsError, match='unknown logger "tensorbord"'):
        train_run(market.changed({"train.log": ["tensorbord"]}, "t"), QUIET)


@pytest.mark.skipif(find_spec("mlflow") is not None, reason="it is there")
def test_a_logger_whose_package_is_absent_is_refused_before_anything_is_written(market: LoadedConfig) -> None:
    with pytest.raises(ConfigError, match='names "mlflow", which is not installed') as caught:
        train_run(market.changed({"train.log": ["mlflow"]}, "t"), QUIET)
    assert caught.value.hint == 'pip install "qts[mlflow]"'
    assert not (market.path(market.config.store.runs)).exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_a_line_an_epoch(market: LoadedConfig) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = train_run(market.changed({"train.log": ["tensorboard"], "train.lr": 0.003}, "t"), QUIET).run
    read = events.EventAccumulator(str(run.folder / "tensorboard"))
    read.Reload()
    assert [event.step for event in read.Scalars("valid_rank_ic")] == [1, 2]
    assert read.Scalars("valid_loss")[-1].value == pytest.approx(run.record["best"]["valid_loss"], rel=1e-3)
