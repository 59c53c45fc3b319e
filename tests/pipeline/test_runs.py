"""Runs listed, ranked and compared: figures are of what is there now, seeds of one model are one row."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qts.config import LoadedConfig, load_config
from qts.errors import InputError
from qts.pipeline.compare import compare_runs
from qts.pipeline.evaluate import evaluate
from qts.pipeline.ingest import ingest
from qts.pipeline.leaderboard import make_leaderboard
from qts.pipeline.predict import predict_run
from qts.pipeline.runs import list_runs, show_run
from qts.pipeline.side_by_side import report_side_by_side
from qts.pipeline.train import train_run
from qts.progress import SilentProgress
from qts.store.atomic import write_table
from qts.training.checkpoint import MODEL, Run
from tests.market import CONFIG, write_market

QUIET = SilentProgress()
BOTH_ENDS = CONFIG.replace("2024-03-26", "2024-03-28") + "\n[backtest]\ntop_k = 3\nn_drop = 1\n"


class Loud(SilentProgress):
    """Keeps what it is warned of."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        """Keep it."""
        self.warned.append(text)


def market(folder: Path) -> LoadedConfig:
    loaded = load_config(write_market(folder, BOTH_ENDS))
    ingest(loaded, QUIET)
    return loaded


def train(loaded: LoadedConfig, **keys: object) -> Run:
    changed = loaded.changed({f"train.{key}": value for key, value in keys.items()}, "test")
    return train_run(changed, QUIET, again=True).run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedConfig, list[Run]]:
    """Two seeds of one model, the second of them trained twice, and the first with another learning rate."""
    loaded = market(tmp_path_factory.mktemp("runs"))
    kinds = ({"seed": 0}, {"seed": 1}, {"seed": 1}, {"seed": 0, "lr": 0.5})
    return loaded, [train(loaded, **kind) for kind in kinds]


def figures(loaded: LoadedConfig, run: Run, name: str) -> float:
    return evaluate(loaded, QUIET, run=run.name, trades=True).document.summary[name]


def test_a_row_of_the_leaderboard_is_a_model_and_a_seed_counts_once(runs: tuple[LoadedConfig, list[Run]]) -> None:
    loaded, (first, _, again, fast) = runs
    rows, document = make_leaderboard(loaded, QUIET)
    assert {row["model"]: row["runs"] for row in rows} == {
        "gru (lr 0.01)": [first.name, again.name],
        "gru (lr 0.5)": [fast.name],
    }
    (row,) = (row for row in rows if row["n_seeds"] == 2)
    each = [figures(loaded, run, "rank_ic") for run in (first, again)]
    assert (row["rank_ic"], row["rank_ic_sd"]) == pytest.approx((np.mean(each), np.std(each, ddof=1)))
    assert row["max_drawdown"] == pytest.approx(
        np.mean([figures(loaded, run, "portfolio_max_drawdown") for run in (first, again)])
    )
    assert 0 <= row["deflated_sharpe"] <= 1
    assert [row["rank_ic"] for row in rows] == sorted((row["rank_ic"] for row in rows), reverse=True)
    assert {f"{row['model']} {row['features']}.rank_ic" for row in rows} <= set(document.summary)


def test_figures_of_other_things_are_not_shown(tmp_path: Path) -> None:
    loaded = market(tmp_path)
    run = train(loaded)
    assert list_runs(loaded)[0]["rank_ic"] is None
    rank_ic = figures(loaded, run, "rank_ic")
    assert list_runs(loaded)[0]["rank_ic"] == show_run(loaded, None)["summary"]["rank_ic"] == rank_ic
    assert list_runs(loaded.changed({"eval.min_names": 4}, "test"))[0]["rank_ic"] is None
    other = loaded.changed({"label.expr": "Ref($close, -4)/Ref($close, -1) - 1"}, "test")
    ingest(other, QUIET)
    assert list_runs(other)[0]["rank_ic"] is None
    told = evaluate(other, QUIET, run=run.name).document.warnings
    assert any("and is judged by" in warning for warning in told)


def test_a_report_of_another_schema_is_written_anew(tmp_path: Path) -> None:
    loaded = market(tmp_path)
    run = train(loaded)
    rank_ic = figures(loaded, run, "rank_ic")
    file = run.folder / "report.json"
    content = json.loads(file.read_text()) | {"schema": "qts.report/1"}
    content["summary"]["rank_ic"] = 0.999
    file.write_text(json.dumps(content))
    assert make_leaderboard(loaded, QUIET)[0][0]["rank_ic"] == rank_ic


def test_a_run_without_weights_and_one_with_too_few_scores_do_not_stop_the_leaderboard(tmp_path: Path) -> None:
    loaded = market(tmp_path)
    kept, broken = train(loaded), train(loaded, seed=5)
    (broken.folder / MODEL).unlink()
    scores = predict_run(loaded, QUIET, run=kept.name).file
    assert scores is not None
    whole = pq.read_table(scores)
    write_table(whole.slice(0, whole.num_rows // 2), scores)
    loud = Loud()
    for _ in range(2):  # the first time reports are written, the second time they are read
        rows, _ = make_leaderboard(loaded.changed({"eval.max_lost": 0.0, "eval.min_names": 2}, "test"), loud)
        assert [row["runs"] for row in rows] == [[kept.name]]
    assert any(text.startswith(f"{broken.name} is left out: the weights") for text in loud.warned)
    assert sum("have no score" in text for text in loud.warned) == 1


def test_a_run_is_compared_with_another_on_the_same_days(runs: tuple[LoadedConfig, list[Run]]) -> None:
    loaded, (first, second, _, fast) = runs
    document = compare_runs(loaded, QUIET, first.name, fast.name)
    means = [figures(loaded, run, "rank_ic") for run in (first, fast)]
    assert document.summary["rank_ic_difference"] == pytest.approx(means[1] - means[0])
    differing = [row["key"] for chapter in document.chapters for block in chapter.blocks
                 if getattr(block, "key", "") == "differences" for row in block.rows]  # fmt: skip
    assert differing == ["train.lr"]
    assert compare_runs(loaded, QUIET, first.name, second.name).summary["rank_ic_n"] > 20
    with pytest.raises(InputError, match="compared with itself"):
        compare_runs(loaded, QUIET, first.name, first.name)


def test_several_runs_stand_side_by_side(runs: tuple[LoadedConfig, list[Run]], tmp_path: Path) -> None:
    loaded, found = runs
    names = [run.name for run in found[:3]]
    document, files = report_side_by_side(loaded, QUIET, names, tmp_path)
    assert [file.name for file in files] == ["report.json", "report.md", "report.html"]
    text = files[1].read_text()
    assert all(name in text for name in names)
    for run in found[:3]:
        assert document.summary[f"{run.name}.rank_ic"] == figures(loaded, run, "rank_ic")
