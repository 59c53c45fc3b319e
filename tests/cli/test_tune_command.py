"""`qts tune` on the command line: results on stdout, narration on stderr, errors with their line, docs that are sound."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from qts.cli.main import run
from qts.config import load_config
from qts.errors import ExitCode
from qts.pipeline.samplers import SAMPLERS
from qts.pipeline.search_space import PRESETS, REFUSED, TABLES
from qts.pipeline.study import TRIALS
from qts.pipeline.tune import plan
from tests.market import CONFIG, write_market

SPACE = """
[tune]
trials = 2
[tune.space]
"train.lr" = { low = 1e-3, high = 1e-1, log = true }
"model.hidden_size" = [3, 5]
"""
DOCS = (Path(__file__).parents[2] / "docs/tuning.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = write_market(tmp_path_factory.mktemp("market"), CONFIG + SPACE)
    assert run(["ingest", "-q", "--config", str(file)]) == 0
    return file.parent


@pytest.fixture(autouse=True)
def _here(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(market)


def test_stdout_is_the_table_and_stderr_names_the_best_config(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "--format", "csv"]) == 0
    told = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert [row["state"] for row in rows] == ["done", "done"]
    assert float(rows[0]["valid_rank_ic"]) >= float(rows[1]["valid_rank_ic"])
    (best,) = market.glob("runs/tune-*/best.toml")
    assert str(best) in told.err
    assert f"train.lr {rows[0]['train.lr']}" in told.err
    values = {
        "train.lr": load_config(best).config.train.lr,
        "hidden": load_config(best).config.model.options()["hidden_size"],
    }
    assert values == {"train.lr": float(rows[0]["train.lr"]), "hidden": int(rows[0]["model.hidden_size"])}


def test_a_second_call_says_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "--json"]) == 0
    capsys.readouterr()
    assert run(["tune", "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["schema"], found["up_to_date"], found["complete"]) == ("qts.tune/1", True, True)
    assert found["best"]["number"] == found["rows"][0]["trial"]
    assert "up to date" in told.err


def test_a_terminal_is_shown_less_than_a_file_holds(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "-q", "--format", "table"]) == 0
    assert "reason" not in capfd.readouterr().out


def test_a_dry_run_lists_the_points_and_writes_nothing(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(market.rglob("*"))
    assert run(["tune", "--dry-run", "--presets", "--model", "stacked_lstm", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["preset"], row["model.hidden_sizes"]) for row in rows] == [
        ("small", "32"), ("medium", "64, 64"), ("large", "128, 128"), ("deep", "64, 64, 64"),
    ]  # fmt: skip
    assert sorted(market.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sampler", "grid"], 'error: "train.lr" has no end of values, and a grid tries them all (qts.toml:33)'),
        (["--sampler", "tpe", "--dry-run"], "hint: list those of --sampler random or grid"),
        (["--sampler", "halton"], "must be one of 'grid', 'random' or 'tpe' (--sampler)"),
        (["--model", "tcn"], 'error: model "tcn" has no key "hidden_size" (qts.toml:34)'),
        (["--set", "tune.space.label.expr=['$close']"], 'error: "label.expr" cannot be searched'),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_its_place(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tune", *arguments]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err


def test_a_search_without_a_result_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "--set", "tune.space={'train.lr'=[1e37]}", "--set", "tune.trials=1"]) == ExitCode.FAILED
    assert "none of 1 trials came to a valid RankIC" in capsys.readouterr().err


def test_the_docs_example_can_be_searched(tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)[0]
    (tmp_path / "qts.toml").write_text(CONFIG.replace("num_layers  = 1", "num_layers  = 2") + example)
    loaded = load_config(tmp_path / "qts.toml")
    assert len(plan(loaded)) == loaded.config.tune.trials


def test_the_docs_name_every_sampler_preset_and_refused_table() -> None:
    names = [*SAMPLERS, *PRESETS, *(f"[{table}]" for table in TABLES), *(key for key in REFUSED if "." in key), TRIALS]
    assert [name for name in names if f"`{name}`" not in DOCS] == []
