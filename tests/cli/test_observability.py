"""What a command leaves for whoever watches: events on stderr, run.json in the store, figures of each stage."""

import json
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from qts.cli.commands import app
from qts.cli.console import JsonProgress, LineProgress
from qts.cli.main import run
from qts.cli.stages import StageMeter
from qts.errors import ExitCode
from qts.pipeline.command_record import MOST_ROWS, RECORDED, read_command_record, shortened
from tests.market import bars_table


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def record(study: Path, command: str) -> dict[str, Any]:
    found = read_command_record(study / ".qts", command)
    assert found is not None
    return found


# Events


@pytest.mark.usefixtures("study")
def test_an_ingest_tells_its_rows_and_bytes_stage_by_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ingest", "--set", "store.path=fresh", "--log-format", "json"]) == 0
    told = events(capsys.readouterr().err)
    assert [told[0]["event"], told[-1]["event"]] == ["begin", "done"]
    assert told[0]["arguments"][0] == "ingest"
    stages = {event["stage"]: event for event in told if event["event"] == "stage"}
    files = list(Path("fresh").rglob("*.parquet"))
    n_written = sum(pq.read_metadata(file).num_rows for file in files)
    assert stages["read bars"]["rows"] >= bars_table().num_rows
    assert sum(stage["rows"] for stage in stages.values()) == bars_table().num_rows + n_written
    assert sum(stage["bytes"] for stage in stages.values()) == sum(file.stat().st_size for file in files)
    assert all(stage["peak_memory"] > 2**20 for stage in stages.values())
    assert told[-1]["code"] == 0
    assert told[-1]["rows"] == sum(stage["rows"] for stage in stages.values())
    for event in told:
        assert event["command"] == "ingest"
        assert datetime.fromisoformat(event["time"]).utcoffset() is not None


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("arguments", "stage", "rows"),
    [
        (["check"], "judge bars", bars_table().num_rows),
        (["window", "--set", 'processors.features=[{name="fillna"}]'], "write windows", None),
        (["train", "--again", "--epochs", "1"], "epoch 1 of 1", None),
        (["predict", "--asof", "last"], "score", 8),
        (["eval"], "evaluate", None),
        (["backtest", "--set", "backtest.top_k=2", "--set", "backtest.n_drop=1"], "backtest", 21),
        (["explain"], "permute features", None),
        (["eval", "--factors"], "judge factors", None),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_every_long_stage_tells_its_rows(
    arguments: list[str], stage: str, rows: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--log-format", "json"]) == 0
    (found,) = [event for event in events(capsys.readouterr().err) if event.get("stage") == stage]
    assert found["rows"] == rows if rows is not None else found["rows"] > 0
    assert found["seconds"] >= 0


@pytest.mark.usefixtures("study")
def test_a_failure_is_an_event_and_the_end_has_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "--run", "nosuch", "--log-format", "json"]) == ExitCode.INPUT
    told = capsys.readouterr()
    error, done = events(told.err)[-2:]
    assert (error["event"], error["error"]["code"], error["error"]["kind"]) == ("error", 4, "StoreError")
    assert (done["event"], done["code"]) == ("done", 4)
    assert told.out == ""


@pytest.mark.parametrize(
    "arguments", [["nosuch", "--log-format", "json"], ["train", "--epochs", "x", "--log-format=json"]]
)
def test_even_a_command_line_that_cannot_be_read_is_told_as_an_event(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.USAGE
    (told,) = events(capsys.readouterr().err)
    assert (told["event"], told["error"]["code"]) == ("error", 2)


@pytest.mark.usefixtures("study")
def test_quiet_leaves_warnings_and_errors_of_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ingest", "-q", "--log-format", "json"]) == 0
    assert capsys.readouterr().err == ""


def test_an_unknown_log_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["operators", "--log-format", "xml"]) == ExitCode.USAGE
    assert 'error: unknown format "xml" (--log-format)' in capsys.readouterr().err


@pytest.mark.usefixtures("study")
def test_verbose_says_what_each_stage_took(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "-v"]) == 0
    assert f", {bars_table().num_rows:,} rows" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [LineProgress, JsonProgress])
def test_no_figure_is_lost_when_the_reader_of_stderr_leaves(
    kind: type[LineProgress], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    meter = StageMeter()
    progress = JsonProgress("ingest", meter) if kind is JsonProgress else LineProgress(meter)
    with os.fdopen(writing, "w") as unread, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", unread)
        with progress:
            for name in ("read", "write"):
                progress.stage(name)
                progress.count(rows=3, n_bytes=5)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)  # what is left in its buffer
    assert [(stage["name"], stage["rows"], stage["bytes"]) for stage in meter.stages()] == [
        ("read", 3, 5),
        ("write", 3, 5),
    ]


def test_a_stage_named_twice_in_a_row_goes_on_and_epochs_are_one_stage() -> None:
    meter = StageMeter()
    meter.count(rows=9, n_bytes=9)  # before any stage
    meter.begin("compute")
    meter.count(rows=1, n_bytes=0)
    assert meter.begin("compute") is None
    meter.count(rows=1, n_bytes=0)
    ended = meter.begin("epoch 1 of 2")
    assert ended is not None
    assert (ended.name, ended.rows) == ("compute", 2)
    meter.count(rows=5, n_bytes=0)
    meter.begin("epoch 2 of 2 (loss 0.1, valid IC 0.2, at most 3 s left)")
    meter.count(rows=5, n_bytes=0)
    meter.end()
    assert [(stage["name"], stage["rows"]) for stage in meter.stages()] == [("compute", 2), ("epoch", 10)]


# Records


def test_what_is_recorded_are_commands() -> None:
    assert {command.name for command in app.registered_commands} >= RECORDED


def test_the_docs_name_every_command_that_leaves_a_record() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    told = text.partition("in the store's folder: ")[2].partition(".")[0]
    assert set(told.replace("\n", " ").split(", ")) == RECORDED


def test_a_record_says_what_was_done_with_what(study: Path) -> None:
    assert run(["ingest", "--rescan", "-q"]) == 0
    found = record(study, "ingest")
    assert found["schema"] == "qts.command/1"
    assert (found["command"], found["arguments"], found["code"]) == ("ingest", ["ingest", "--rescan", "-q"], 0)
    assert found["error"] is None
    assert found["pid"] == os.getpid()
    assert found["config"]["file"] == str(study / "qts.toml")
    assert {*found["versions"]} == {"qts", "python", "torch", "duckdb", "pyarrow"}
    assert found["result"]["n_bars"] == bars_table().num_rows
    assert found["rows"] >= bars_table().num_rows
    assert found["last_done"] == found["ended"] >= found["started"]
    assert found["peak_memory"] > 2**20


def test_a_failure_keeps_the_time_of_the_last_success(study: Path) -> None:
    assert run(["ingest", "-q"]) == 0
    done = record(study, "ingest")["last_done"]
    (study / "bars.parquet").write_bytes(b"PAR1")
    assert run(["ingest", "-q"]) == ExitCode.INPUT
    found = record(study, "ingest")
    assert (found["code"], found["error"]["code"], found["last_done"]) == (4, 4, done)
    assert found["result"] is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": "qts.command/1"}', '{"schema":"qts.command/1","code":0,"last_done":7}']
)
def test_a_damaged_record_is_overwritten(content: str, study: Path) -> None:
    file = study / ".qts/log/predict/run.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    assert run(["predict", "--run", "nosuch", "-q"]) == ExitCode.INPUT
    assert (record(study, "predict")["code"], record(study, "predict")["last_done"]) == (4, None)


def test_neither_a_plan_nor_a_config_that_cannot_be_read_leaves_a_record(study: Path) -> None:
    shutil.rmtree(study / ".qts/log")
    assert run(["ingest", "--dry-run", "-q"]) == 0
    assert run(["ingest", "--set", "train.lrr=1", "-q"]) == ExitCode.USAGE
    assert run(["status", "-f", "csv"]) == 0
    assert not (study / ".qts/log").exists()


def test_a_record_makes_no_store(study: Path) -> None:
    (study / "mine").mkdir()
    (study / "mine/notes.txt").write_text("not a store")
    for place in ("nowhere", "mine"):
        assert run(["train", "--set", f"store.path={place}", "-q"]) == ExitCode.INPUT
    assert not (study / "nowhere").exists()
    assert [file.name for file in (study / "mine").iterdir()] == ["notes.txt"]


def test_a_record_that_cannot_be_written_is_no_reason_to_fail(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(study / ".qts/log")
    (study / ".qts/log").write_text("in the way")
    assert run(["predict", "--asof", "last", "-f", "csv"]) == 0
    assert "no record" not in capsys.readouterr().err
    assert run(["predict", "--asof", "last", "-f", "csv", "-v"]) == 0
    assert "no record of this call is kept" in capsys.readouterr().err


def test_a_record_does_not_repeat_a_long_result() -> None:
    assert shortened({"rows": [1] * (MOST_ROWS + 1), "a": 1}) == {"n_rows": MOST_ROWS + 1, "a": 1}
    assert shortened({"rows": [1]}) == {"rows": [1]}


def test_a_store_with_records_is_still_the_store_it_was(study: Path) -> None:
    assert (study / ".qts/log/run/run.json").is_file()
    assert run(["ingest", "--rescan", "-q"]) == 0
    (study / ".qts/manifest.json").unlink()  # a folder without a manifest must not look like somebody else's
    assert run(["ingest", "-q"]) == 0
