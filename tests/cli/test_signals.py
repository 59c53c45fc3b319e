"""Signals, time limits and closed pipes, in every command: its own exit code, one message, and nothing half done."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from qts.cli.commands import app
from qts.cli.main import run
from qts.errors import ExitCode
from qts.pipeline import train as training
from tests.cli.signalling import CONFIG as READ
from tests.cli.signalling import SHOW, Striker

COMMANDS = [
    f"{prefix}{command.name}"
    for prefix, group in (("", app), *((f"{sub.name} ", sub.typer_instance) for sub in app.registered_groups))
    for command in group.registered_commands
]
SMALL_STEPS = ["--set", "backtest.top_k=2", "--set", "backtest.n_drop=1"]
ENDLESS = ["train", "--epochs", "100000", "--set", "train.patience=100000"]


@dataclass(frozen=True)
class At:
    """Arguments, and the moment at which the signal comes."""

    arguments: list[str]
    moment: str
    nth: int = 1
    again: int | None = 0
    """Exit code of the next call; None: it is not made, as the work is that of another row."""


WHEN = {
    "init": At(["init", "new"], SHOW, again=2),
    "ingest": At(["ingest", "--set", "store.path=fresh"], "compute factors"),
    "check": At(["check"], "judge bars"),
    "window": At(["window", "--set", 'processors.features=[{name="fillna"}]'], "write windows"),
    "train": At(["train", "--epochs", "3", "--seed", "5"], "epoch 2"),
    "tune": At(["tune"], "epoch 1", nth=2),
    "walk": At(["walk"], "epoch 1", nth=2),
    "import-checkpoint": At(["import-checkpoint", "weights.pt", "--model", "lstm"], READ, again=None),
    "predict": At(["predict", "--segment", "valid"], "score"),
    "eval": At(["eval"], "evaluate"),
    "backtest": At(["backtest", *SMALL_STEPS], "backtest"),
    "report": At(["report", *SMALL_STEPS], "backtest"),
    "run": At(["run", "--seed", "6", *SMALL_STEPS], "epoch 1", again=None),
    "nightly": At(["nightly"], READ, again=None),
    "verify": At(["verify"], READ, again=None),
    "runs list": At(["runs", "list"], SHOW),
    "runs show": At(["runs", "show"], SHOW),
    "runs compare": At(["runs", "compare", "a", "b"], READ, again=None),
    "runs pin": At(["runs", "pin", "a"], READ, again=None),
    "leaderboard": At(["leaderboard"], SHOW),
    "factors": At(["factors"], SHOW),
    "models": At(["models"], SHOW),
    "explain": At(["explain"], "permute features"),
    "operators": At(["operators"], SHOW),
    "processors": At(["processors"], SHOW),
    "query": At(["query", "from label"], SHOW),
    "schema": At(["schema"], SHOW),
    "doctor": At(["doctor"], SHOW),
    "status": At(["status"], SHOW),
}
"""Command → how it is caught at work. A new command needs a row."""


def test_every_command_has_a_row() -> None:
    assert set(COMMANDS) - set(WHEN) == set()


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name == ".staging"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_ends_any_command_with_its_code_and_the_next_call_goes_on(
    name: str, number: int, code: int, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = WHEN[name]
    with monkeypatch.context() as patched:
        Striker(at.moment, at.nth, number).lie_in_wait(patched)
        assert run([*at.arguments, "--json"]) == code
    told = capsys.readouterr()
    error = json.loads(told.out)["error"]
    assert (error["code"], error["message"]) == (code, "terminated" if code == ExitCode.TERMINATED else "interrupted")
    assert "Traceback" not in told.err
    assert leftovers(study) == []
    if at.again is not None and number == signal.SIGTERM:
        assert run([*at.arguments, "-q"]) == at.again


def test_a_training_a_search_and_a_walk_keep_what_was_whole(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "tune", "walk"):
        with monkeypatch.context() as patched:
            Striker(WHEN[name].moment, WHEN[name].nth, signal.SIGTERM).lie_in_wait(patched)
            assert run(WHEN[name].arguments) == ExitCode.TERMINATED
        capsys.readouterr()
        assert run(WHEN[name].arguments) == 0
        told = capsys.readouterr().err
        kept = {"train": "after epoch 1", "tune": "1 trials in", "walk": "1 folds in"}[name]
        assert kept in told, (name, told)


def test_a_second_signal_while_work_unwinds_is_passed_over(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record = training.checkpoint.write_record

    def struck_again(folder: Path, record: dict[str, object]) -> None:
        if record["state"] == "stopped":
            os.kill(os.getpid(), signal.SIGINT)
        write_record(folder, record)

    monkeypatch.setattr(training.checkpoint, "write_record", struck_again)
    Striker("epoch 2", 1, signal.SIGINT).lie_in_wait(monkeypatch)
    assert run([*ENDLESS, "--json"]) == ExitCode.INTERRUPTED
    assert json.loads(capsys.readouterr().out)["error"]["message"] == "interrupted"
    newest = max((study / "runs").glob("2*/run.json"), key=lambda file: file.stat().st_mtime)
    assert json.loads(newest.read_text())["state"] == "stopped"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.usefixtures("study")
def test_a_long_query_is_interrupted_in_the_engine(number: int, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), number))
    began = time.monotonic()
    timer.start()
    sql = "select sum(a.range * b.range) from range(10000000) as a, range(10000000) as b"
    assert run(["query", sql, "--json"]) == code
    timer.join()
    assert time.monotonic() - began < 10
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def processes_below(parent: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.add(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows whose child a process is")
def test_a_walk_s_processes_end_with_it(study: Path) -> None:
    arguments = ["walk", "--processes", "2", *ENDLESS[1:], "--set", "window.step_len=3"]
    walk = subprocess.Popen(
        [sys.executable, "-m", "qts", *arguments], cwd=study, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
    )  # fmt: skip
    children: set[int] = set()
    while len(children) < 2:
        assert walk.poll() is None
        children = processes_below(walk.pid)
        time.sleep(0.05)
    walk.send_signal(signal.SIGTERM)
    _, told = walk.communicate(timeout=60)
    assert walk.returncode == ExitCode.TERMINATED
    assert "Traceback" not in told
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


# Time limits


def test_a_time_limit_ends_the_work_keeps_what_is_whole_and_is_recorded(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ENDLESS, "--timeout", "1.5", "--json"]) == ExitCode.FAILED
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["message"]) == (1, "timed out after 1.5 s")
    newest = max((study / "runs").glob("2*/run.json"), key=lambda file: file.stat().st_mtime)
    assert json.loads(newest.read_text())["state"] == "stopped"
    record = json.loads((study / ".qts/log/train/run.json").read_text())
    assert (record["code"], record["error"]["message"]) == (1, "timed out after 1.5 s")


def test_a_time_limit_also_ends_the_wait_for_a_lock(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (study / ".qts/.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        began = time.monotonic()
        assert run(["ingest", "--rescan", "--wait", "60", "--timeout", "0.4"]) == ExitCode.FAILED
    assert time.monotonic() - began < 10
    assert "error: timed out after 0.4 s" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e300", "soon"])
def test_what_is_no_time_limit_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["operators", "--timeout", seconds]) == ExitCode.USAGE
    assert "--timeout" in capsys.readouterr().err


def test_a_time_limit_that_is_not_reached_leaves_no_alarm() -> None:
    assert run(["operators", "--timeout", "30", "-q"]) == 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


STUCK = """
import time
from qts.cli import signals
from qts.cli.main import main
from qts.pipeline import listing
signals.GRACE_SECONDS = 0.3
def stuck():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
listing.list_operators = stuck
main(["operators", "--timeout", "0.3"])
"""


def test_work_that_does_not_unwind_is_ended_by_force() -> None:
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == ExitCode.FAILED
    assert "ended by force" in done.stderr


def test_a_third_signal_ends_the_process_at_once() -> None:
    code = STUCK.replace("0.3\ndef", "60\ndef").replace('"--timeout", "0.3"', '"-q"')
    code = f"import os, signal, threading, time\n{code}".replace(
        "def stuck",
        "for at in (1, 2, 3): threading.Timer(0.3 * at, os.kill, (os.getpid(), signal.SIGTERM)).start()\ndef stuck",
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == ExitCode.TERMINATED
    assert time.monotonic() - began < 30


# Pipes

PRINTS = [
    ["operators"], ["processors"], ["models"], ["factors"], ["query", "select range from range(300000)"], ["status"],
    ["doctor"], ["schema"], ["runs", "list"], ["runs", "show"], ["leaderboard"], ["predict"], ["explain"],
    ["eval", "--factors"], ["backtest", "--grid", "top_k=2,3", *SMALL_STEPS], ["walk", "--dry-run"], ["tune", "--dry-run"],
    ["check"], ["ingest"], ["--help"], ["train", "--help"], ["--version"],
]  # fmt: skip


def run_unread(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command line whose stdout is a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as unread, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", unread)
        return run(arguments)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("arguments", PRINTS, ids=" ".join)
def test_a_reader_who_leaves_is_no_error_in_any_command_that_prints(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    is_help = arguments[-1] in ("--help", "--version")
    for more in ([],) if is_help else (["-q"], ["-q", "--json"]):
        assert run_unread([*arguments, *more], monkeypatch) == 0
    assert "error:" not in capfd.readouterr().err


def shell(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    script = command.replace("qts ", f"{sys.executable} -m qts ")
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_real_pipes_and_closed_streams(study: Path) -> None:
    headed = shell("qts operators --json | head -c 9; exit ${PIPESTATUS[0]}", study)
    assert (headed.returncode, headed.stdout, headed.stderr) == (0, '{"schema"', "")
    closed = shell("qts ingest --rescan 2>&-", study)
    assert closed.returncode == 0
    assert "read bars" not in closed.stdout
    assert shell("qts operators -q >&-", study).returncode == 0


def test_a_failure_whose_reader_has_left_keeps_its_code(study: Path) -> None:
    failed = shell("qts operators nosuch --json | true; exit ${PIPESTATUS[0]}", study)
    assert failed.returncode == ExitCode.USAGE
    assert "Traceback" not in failed.stderr
