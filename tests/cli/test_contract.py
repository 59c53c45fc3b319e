"""The contract of the command line: streams, JSON, formats, exit codes, closed pipes, signals."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from qts.cli.commands import app
from qts.cli.main import run
from qts.errors import ExitCode
from tests.market import write_market

COMMANDS = [
    f"{prefix}{command.name}"
    for prefix, group in (("", app), *((f"{sub.name} ", sub.typer_instance) for sub in app.registered_groups))
    for command in group.registered_commands
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market with a finished run."""
    path = write_market(tmp_path_factory.mktemp("cli")).parent
    assert run(["run", "--config", str(path / "qts.toml"), "-q"]) == 0
    return path


@pytest.fixture
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_sentence_three_examples_exit_codes_and_a_neighbour(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert text.count(f"\n    qts {name}") == 3
    assert "Exit codes: 0 done" in text
    assert "See also: qts" in text


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    "arguments",
    [["ingest"], ["check"], ["window"], ["train"], ["predict"], ["predict", "--asof", "last"], ["eval"], ["run"],
     ["eval", "--factors"], ["backtest"], ["backtest", "--grid", "top_k=2,3", "--set", "backtest.n_drop=1"], ["report"],
     ["runs", "list"], ["runs", "show"], ["leaderboard"], ["status"], ["factors"], ["factors", "GAP"], ["models"],
     ["models", "lstm"], ["models", "lstm", "--summary"], ["explain"], ["operators"], ["operators", "Mean"], ["processors"],
     ["processors", "fillna"], ["query", "from label limit 3"], ["doctor"], ["schema"]],
    ids=" ".join,
)  # fmt: skip
def test_json_is_one_object_with_a_schema_and_nothing_else_on_stdout(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    if arguments != ["schema"]:
        name = "_".join(arguments[: 2 if arguments[0] == "runs" else 1])
        assert found["schema"] == f"qts.{name}/1"


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("format_", ["csv", "json", "jsonl", "table", "parquet"])
def test_predict_speaks_every_format(format_: str, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["predict", "--asof", "last", "--format", format_]) == 0
    out = capfdbinary.readouterr().out
    n_scores = 8
    if format_ == "csv":
        assert out.decode().splitlines()[0] == "instrument,datetime,score"
        assert len(out.decode().splitlines()) == n_scores + 1
    elif format_ == "json":
        assert len(json.loads(out)) == n_scores
    elif format_ == "jsonl":
        assert [set(json.loads(line)) for line in out.splitlines()] == [{"instrument", "datetime", "score"}] * n_scores
    elif format_ == "parquet":
        assert pq.read_table(io.BytesIO(out)).num_rows == n_scores
    else:
        assert b"score" in out


@pytest.mark.usefixtures("_here")
def test_out_writes_a_file_in_the_format_of_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "--asof", "last", "--out", str(tmp_path / "scores.parquet"), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert pq.read_table(tmp_path / "scores.parquet").num_rows == 8


@pytest.mark.usefixtures("_here")
def test_narration_goes_to_stderr_and_quiet_silences_it(capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = ["--set", "store.path=elsewhere"]
    assert run(["ingest", *elsewhere]) == 0
    loud = capsys.readouterr()
    assert run(["ingest", "-q", *elsewhere]) == 0
    quiet = capsys.readouterr()
    assert "read bars" in loud.err
    assert "read bars" not in loud.out
    assert quiet.err == ""
    assert quiet.out.splitlines()[0].startswith("up to date")


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nosuch"], ExitCode.USAGE),
        (["train", "--epochs", "many"], ExitCode.USAGE),
        (["train", "--set", "train.lrr=1"], ExitCode.USAGE),
        (["predict", "--run", "nosuch"], ExitCode.INPUT),
        (["predict", "--asof", "someday"], ExitCode.USAGE),
        (["predict", "--start", "2030-01-01"], ExitCode.INPUT),
        (["predict", "--format", "xls"], ExitCode.USAGE),
        (["query", "drop table label"], ExitCode.USAGE),
        (["query", "select * from nowhere"], ExitCode.USAGE),
        (["ingest", "--config", "nosuch.toml"], ExitCode.INPUT),
    ],
)
def test_a_failure_has_its_code_and_is_told_twice_under_json(
    arguments: list[str], code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    plain = capsys.readouterr()
    assert plain.out == ""
    assert plain.err.splitlines()[-2].startswith("error: ")
    assert "Traceback" not in plain.err
    assert run([*arguments, "--json"]) == code
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["code"] == code
    assert told["message"]
    assert set(told) >= {"code", "message", "hint", "where"}


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    "sql",
    ["copy (select 1) to 'stolen.csv'", "select * from read_text('qts.toml')", "from 'bars.parquet'", "attach 'x.db'",
     "select 1; select 2", "set enable_external_access = true", "install httpfs"],
)  # fmt: skip
def test_a_query_can_neither_write_nor_leave_the_store(
    sql: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert run(["query", sql]) == ExitCode.USAGE
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("_here")
def test_a_query_sees_every_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    joins = " ".join(f"join {table} using (instrument, datetime)" for table in ("mine", "label"))
    sql = f"select count(*) as n from bars {joins} join calendar using (datetime)"
    assert run(["query", sql, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "n"


def qts(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "qts", *arguments]


@pytest.mark.usefixtures("_here")
def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    query = "query 'select range from range(300000)' --format csv -q"
    command = f"{sys.executable} -m qts {query} | head -n 2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "range\n0\n", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_training_with_its_code_and_leaves_no_run_called_done(
    number: int, code: int, tmp_path: Path
) -> None:
    write_market(tmp_path)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = qts("train", "--epochs", "100000", "--set", "train.patience=100000")
    assert run(["ingest", "-q", "--config", str(tmp_path / "qts.toml")]) == 0
    process = subprocess.Popen(
        arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    while "epoch 2" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in told
    record = json.loads(next((tmp_path / "runs").glob("*/run.json")).read_text())
    assert record["state"] == "stopped"
    assert not (tmp_path / "runs/latest").exists()


def test_a_closed_stderr_silences_the_narration_and_the_work_goes_on(tmp_path: Path) -> None:
    write_market(tmp_path)
    command = f"{sys.executable} -m qts ingest 2> >(head -n 1 >/dev/null); exit $?"
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert (tmp_path / ".qts/manifest.json").is_file()


@pytest.mark.usefixtures("_here")
def test_json_has_null_where_a_number_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "select 'nan'::float as x, 'inf'::double as y", "--json"]) == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["rows"] == [{"x": None, "y": None}]


@pytest.mark.usefixtures("_here")
def test_out_is_written_under_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "--asof", "last", "--json", "--out", str(tmp_path / "s.csv")]) == 0
    assert json.loads(capsys.readouterr().out)["n_rows"] == 8
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 9


@pytest.mark.usefixtures("_here")
def test_a_run_that_is_not_there_is_a_missing_input_however_it_is_named() -> None:
    assert run(["predict", "--run", "/nowhere/at/all"]) == ExitCode.INPUT


def test_a_demo_is_one_command_and_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "demo"), "--demo"]) == 0
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {
        "bars.parquet",
        "index.parquet",
        "universe.csv",
        "qts.toml",
    }
    assert run(["init", str(tmp_path / "demo"), "--demo"]) == ExitCode.USAGE
    assert run(["check", "--config", str(tmp_path / "demo/qts.toml"), "--config-only"]) == 0


def test_a_written_template_is_a_sound_config(tmp_path: Path) -> None:
    assert run(["init", str(tmp_path)]) == 0
    assert run(["check", "--config-only"]) == 0


def test_status_of_an_empty_place_is_empty_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("arguments", [[], ["runs"]])
def test_a_group_without_a_command_answers_with_its_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.USAGE
    told = capsys.readouterr()
    assert told.err.startswith("Usage: qts")
    assert "error:" not in told.err
    assert told.out == ""


def test_a_refused_config_leaves_nothing_on_stderr_but_the_refusal(tmp_path: Path) -> None:
    write_market(tmp_path)
    line = ["train", "--model", "gats", "--set", "model.num_layers=1"]
    done = subprocess.run(
        [sys.executable, "-m", "qts", *line], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert [text.partition(":")[0] for text in done.stderr.splitlines()] == ["error", "hint"]
