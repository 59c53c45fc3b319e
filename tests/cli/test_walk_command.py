"""`qts walk` on the command line: rows on stdout, narration on stderr, refusals with their line, docs that are sound."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from qts.cli.main import run
from qts.config import WalkConfig, load_config
from qts.errors import ExitCode
from tests.market import CONFIG, write_market

WALK = """
[walk]
step_days = 11
"""
DOCS = (Path(__file__).parents[2] / "docs/walk.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = write_market(tmp_path_factory.mktemp("market"), CONFIG + WALK)
    assert run(["ingest", "-q", "--config", str(file)]) == 0
    return file.parent


@pytest.fixture(autouse=True)
def _here(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(market)


def test_stdout_is_a_row_a_fold_and_stderr_names_the_command_that_reports(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["walk", "--format", "csv"]) == 0
    told = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert [(row["fold"], row["test_first"], row["test_last"]) for row in rows] == [
        ("1", "2024-03-06", "2024-03-16"), ("2", "2024-03-17", "2024-03-26"),
    ]  # fmt: skip
    assert {float(row["n_days"]) for row in rows} == {11, 10}
    (file,) = market.glob("runs/walk-*/predictions.parquet")
    assert f"qts eval --scores {file} reports on them" in told.err
    assert "out of sample, 2024-03-06 to 2024-03-26: IC" in told.err


def test_a_second_call_says_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["walk", "-q"]) == 0
    capsys.readouterr()
    assert run(["walk", "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["schema"], found["up_to_date"]) == ("qts.walk/1", True)
    assert found["overall"]["n_days"] == sum(row["n_days"] for row in found["rows"])
    assert "up to date" in told.err


def test_a_dry_run_lists_the_folds_and_writes_nothing(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(market.rglob("*"))
    assert run(["walk", "--dry-run", "--step-days", "7", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["train_last"], row["left_out_before_valid"]) for row in rows] == [
        ("2024-02-16", 2), ("2024-02-23", 2), ("2024-03-01", 2),
    ]  # fmt: skip
    assert sorted(market.rglob("*")) == before


@pytest.mark.parametrize("arguments", [["--dry-run"], []])
def test_a_terminal_is_shown_what_fits_it(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(["walk", "-q", "--format", "table", *arguments]) == 0
    told = capfd.readouterr().out
    assert "2024-03-26" in told
    assert "valid_loss" not in told


def test_a_step_that_does_not_fit_is_refused_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["walk", "--step-days", "22"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "step_days = 22 is more than the 21 trading days from 2024-03-06 to 2024-03-26" in told
    assert "hint: set step_days to 21 or less" in told


def test_the_config_of_a_fold_trains_that_fold(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["walk", "-q"]) == 0
    (file,) = market.glob("runs/walk-*/fold-2.toml")
    capsys.readouterr()
    assert run(["train", "--config", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["up_to_date"] is True


def test_the_docs_name_every_key_and_their_toml_is_a_config(tmp_path: Path) -> None:
    (tmp_path / "qts.toml").write_text("\n".join(re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)))
    assert load_config(tmp_path / "qts.toml").config.walk != WalkConfig()
    assert all(f"`{key}" in DOCS or f"\n{key} " in DOCS for key in WalkConfig.model_fields)
