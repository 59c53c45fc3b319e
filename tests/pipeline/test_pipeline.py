"""Bars to report on a market of nine: what is written, what is reused, and that a score is a fact of its day."""

import tomllib
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qts.config import LoadedConfig, load_config
from qts.errors import ConfigError, DataCheckError, InputError, StoreError
from qts.pipeline.evaluate import evaluate
from qts.pipeline.ingest import ingest
from qts.pipeline.predict import predict_run
from qts.pipeline.run import run_all
from qts.pipeline.window import build_windows
from qts.progress import SilentProgress
from qts.windows import open_windows
from tests.market import CONFIG, DAYS, bars_table, write_market

QUIET = SilentProgress()
FILL = '\n[[processors.features]]\nname = "fillna"\n'
UNIVERSE_HISTORY = CONFIG.replace("step_len = 4", 'step_len = 4\nhistory = "universe"\nfill = "ffill+bfill"')
CS_FEATURES = CONFIG + '\n[[processors.features]]\nname = "cs_zscore"\n[[processors.features]]\nname = "fillna"\n'


def trained(folder: Path, config: str = CONFIG) -> LoadedConfig:
    loaded = load_config(write_market(folder, config))
    run_all(loaded, QUIET)
    return loaded


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    return trained(tmp_path_factory.mktemp("market"))


def scores(loaded: LoadedConfig, first: date, last: date) -> dict[tuple[str, date], float]:
    table = predict_run(loaded, QUIET, first=first, last=last).scores.to_pydict()
    return {(i, d): s for i, d, s in zip(table["instrument"], table["datetime"], table["score"], strict=True)}


def test_a_run_s_folder_holds_what_the_design_promises(market: LoadedConfig) -> None:
    runs = market.folder / "runs"
    folder = runs / (runs / "latest").read_text().strip()
    assert {p.name for p in folder.iterdir()} == {
        "config.toml", "run.json", "model.safetensors", "last.safetensors", "history.parquet", "predictions.parquet",
        "report.json", "report.md", "report.html", "backtest", "log.jsonl", ".lock",
    }  # fmt: skip
    assert len(pq.read_table(folder / "history.parquet")) == 2
    assert load_config(folder / "config.toml").config == market.resolved()
    assert tomllib.loads((folder / "config.toml").read_text())["train"]["seed"] == 0


def test_doing_it_again_does_nothing_but_the_report(market: LoadedConfig) -> None:
    again = run_all(market, QUIET)
    assert {stage.name: stage.was_up_to_date for stage in again.stages} == {
        "ingest": True,
        "train": True,
        "predict": True,
        "report": False,
    }
    assert len(list((market.folder / "runs").glob("*/run.json"))) == 1


def test_step_len_and_fill_need_no_new_matrix(market: LoadedConfig) -> None:
    assert market.file is not None
    other = load_config(market.file, assignments=["window.step_len=7", "window.fill='ffill+bfill'"])
    assert build_windows(other, QUIET).is_up_to_date


def test_processors_are_fitted_on_train_members_and_saved_readable(market: LoadedConfig) -> None:
    built = build_windows(market, QUIET)
    meta = open_windows(built.folder).meta
    fitted = meta["processors"]["features"][0]
    assert fitted["name"] == "robust_zscore"
    store = pq.ParquetDataset(market.folder / ".qts/factors/mine").read().to_pandas()
    inside = store[(store.datetime >= date(2024, 1, 8)) & (store.datetime <= date(2024, 2, 18))]
    is_out = (
        (inside.instrument == "I0") & (inside.datetime >= date(2024, 2, 1)) & (inside.datetime <= date(2024, 2, 14))
    )
    assert fitted["parameters"]["GAP"]["center"] == pytest.approx(float(np.nanmedian(inside[~is_out].GAP)), rel=1e-6)


@pytest.mark.parametrize(
    "config", [CONFIG, UNIVERSE_HISTORY, CS_FEATURES], ids=["instrument", "universe", "cross-section"]
)
def test_a_score_does_not_depend_on_the_range_asked_for(tmp_path: Path, config: str) -> None:
    loaded = trained(tmp_path, config)
    whole = scores(loaded, date(2024, 3, 6), date(2024, 3, 26))
    for day in (date(2024, 3, 6), date(2024, 3, 15), date(2024, 3, 26)):
        alone = scores(loaded, day, day)
        assert alone
        assert alone == pytest.approx({key: value for key, value in whole.items() if key[1] == day}, abs=1e-6)


def test_bars_after_a_day_do_not_move_its_score(tmp_path: Path) -> None:
    loaded = trained(tmp_path)
    before = scores(loaded, date(2024, 3, 6), date(2024, 3, 10))
    table = bars_table().to_pandas()
    later = table.datetime > date(2024, 3, 10)
    table.loc[later, ["open", "high", "low", "close"]] *= 1.5
    table.loc[later, "volume"] *= 3
    table.to_parquet(tmp_path / "bars.parquet")
    ingest(loaded, QUIET)
    assert scores(loaded, date(2024, 3, 6), date(2024, 3, 10)) == pytest.approx(before, abs=1e-6)
    assert scores(loaded, date(2024, 3, 11), date(2024, 3, 11))


def test_the_last_day_is_scored_though_its_label_is_unknown(market: LoadedConfig) -> None:
    result = predict_run(market, QUIET, asof="last")
    assert set(result.scores["datetime"].to_pylist()) == {DAYS[-1].item()}
    assert result.scores.num_rows == 8  # I8 was delisted
    assert np.isfinite(result.scores["score"].to_numpy()).all()


def test_scores_of_the_test_segment_are_kept_in_order_of_day_then_instrument(market: LoadedConfig) -> None:
    result = predict_run(market, QUIET)
    assert result.file is not None
    table = pq.read_table(result.file)
    keys = list(zip(table["datetime"].to_pylist(), table["instrument"].to_pylist(), strict=True))
    assert keys == sorted(keys)


def test_a_day_the_store_does_not_hold_is_refused(market: LoadedConfig) -> None:
    with pytest.raises(InputError, match="the store has no day between 2025-01-01 and 2025-02-01"):
        predict_run(market, QUIET, first=date(2025, 1, 1), last=date(2025, 2, 1))
    with pytest.raises(ConfigError, match="exclude each other"):
        predict_run(market, QUIET, segment="test", asof="last")


def test_a_factor_that_came_to_mean_something_else_is_not_scored_with(tmp_path: Path) -> None:
    loaded = trained(tmp_path)
    (tmp_path / "mine.toml").write_text((tmp_path / "mine.toml").read_text().replace("$open/$close", "$close/$open"))
    ingest(loaded, QUIET)
    with pytest.raises(StoreError, match=r"the run was trained on GAP = \$open/\$close"):
        predict_run(loaded, QUIET)


def test_scores_of_another_tool_are_judged_as_the_run_s_own(market: LoadedConfig, tmp_path: Path) -> None:
    own = evaluate(market, QUIET)
    table = predict_run(market, QUIET).scores.to_pandas().sample(frac=1, random_state=1)
    table.rename(columns={"instrument": "symbol", "datetime": "date", "score": "pred"}).to_csv(
        tmp_path / "other.csv", index=False
    )
    other = evaluate(market, QUIET, scores=tmp_path / "other.csv", out=tmp_path / "report")
    assert other.report.summary == pytest.approx(own.report.summary, rel=1e-4)
    assert {path.name for path in other.files} == {"report.json", "report.md", "report.html"}


def test_labels_are_the_raw_ones_and_reach_past_the_test_segment(market: LoadedConfig) -> None:
    report = evaluate(market, QUIET).report
    closes = bars_table().to_pandas().pivot_table(index="datetime", columns="instrument", values="close")
    raw = closes.shift(-2) / closes.shift(-1) - 1
    day = date(2024, 3, 26)
    assert report.mean_label[-1] == pytest.approx(raw.loc[day].dropna().mean(), rel=1e-4)
    assert report.coverage.counts["no label"] == 0


def test_a_suspended_day_has_no_score_so_that_history_and_tonight_agree(tmp_path: Path) -> None:
    """I3 does not trade on the last three days: in hindsight of a later bar it must still have no score there."""
    loaded = trained(tmp_path)
    table = bars_table().to_pandas()
    quiet = (table.instrument == "I3") & (table.datetime >= date(2024, 3, 24)) & (table.datetime <= date(2024, 3, 26))
    in_hindsight = table[~quiet]
    in_hindsight.to_parquet(tmp_path / "bars.parquet")
    ingest(loaded, QUIET)
    later = scores(loaded, date(2024, 3, 26), date(2024, 3, 26))
    in_hindsight[in_hindsight.datetime <= date(2024, 3, 26)].to_parquet(tmp_path / "bars.parquet")
    ingest(loaded, QUIET)
    tonight = scores(loaded, date(2024, 3, 26), date(2024, 3, 26))
    assert tonight == pytest.approx(later, abs=1e-6)
    assert ("I3", date(2024, 3, 26)) not in tonight


def test_scores_of_other_bars_are_made_anew_before_they_are_judged(tmp_path: Path) -> None:
    loaded = trained(tmp_path)
    before = evaluate(loaded, QUIET).report.summary
    table = bars_table(seed=8)
    pq.write_table(table, tmp_path / "bars.parquet")
    ingest(loaded, QUIET)
    after = evaluate(loaded, QUIET).report.summary
    predict_run(loaded, QUIET)
    assert after == pytest.approx(evaluate(loaded, QUIET).report.summary)
    assert after != before


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            '{name = "zscore", fit = ["2024-03-06", "2024-03-26"]}',
            "would be fitted on days up to 2024-03-26, after the train",
        ),
        ('{name = "select_columns", columns = ["GAPP"]}', 'unknown factor "GAPP" in select_columns'),
    ],
)
def test_a_step_that_cannot_be_right_is_refused(market: LoadedConfig, step: str, message: str) -> None:
    assert market.file is not None
    with pytest.raises(ConfigError, match=message):
        build_windows(load_config(market.file, assignments=[f"processors.features=[{step}]"]), QUIET)


def test_a_fit_range_without_rows_is_refused(market: LoadedConfig) -> None:
    assert market.file is not None
    step = '[{name = "zscore", fit = ["1990-01-01", "1990-12-31"]}]'
    with pytest.raises(DataCheckError, match="no row to be fitted on from 1990-01-01"):
        build_windows(load_config(market.file, assignments=[f"processors.features={step}"]), QUIET)


@pytest.mark.parametrize("step", ['"dropna"', '"time_range", first = "2024-01-01", last = "2024-03-26"'])
def test_steps_that_drop_rows_score_a_day_alone_as_in_any_range(tmp_path: Path, step: str) -> None:
    loaded = trained(tmp_path, CONFIG + f"\n[[processors.features]]\nname = {step}\n".replace(", ", "\n") + FILL)
    whole = scores(loaded, date(2024, 3, 6), date(2024, 3, 26))
    alone = scores(loaded, date(2024, 3, 20), date(2024, 3, 20))
    assert alone == pytest.approx({key: value for key, value in whole.items() if key[1] == date(2024, 3, 20)}, abs=1e-6)
    assert alone


def test_a_run_s_config_means_the_same_from_its_own_folder(market: LoadedConfig) -> None:
    folder = market.folder / "runs" / (market.folder / "runs/latest").read_text().strip()
    assert ingest(load_config(folder / "config.toml"), QUIET).is_up_to_date


def test_the_benchmark_is_kept_from_the_bars_or_from_a_file(tmp_path: Path) -> None:
    loaded = load_config(write_market(tmp_path), assignments=["bars.benchmark=I3"])
    store = ingest(loaded, QUIET).store
    assert set(pq.ParquetDataset(store / "benchmark").read()["instrument"].to_pylist()) == {"I3"}
    with pytest.raises(InputError, match='the benchmark "I33" is no instrument of the bars and no file'):
        ingest(load_config(loaded.file, assignments=["bars.benchmark=I33"]), QUIET)
