"""`qts status`: rows for people, one object for monitoring, and a code where data is too old."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qts import clock
from qts.cli.main import run
from qts.errors import ExitCode
from tests.market import DAYS

LAST = str(DAYS[-1])
"""2024-03-30, a Saturday: this market trades on weekends."""


def on(day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime.fromisoformat(f"{day}T21:00").replace(tzinfo=UTC))


def status(capsys: pytest.CaptureFixture[str], *more: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["status", "--json", *more]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.usefixtures("study")
def test_monitoring_gets_last_days_and_ages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on("2024-04-02", monkeypatch)
    found = status(capsys)
    assert found["schema"] == "qts.status/1"
    assert found["last"] == {"bars": LAST, "factors": LAST, "predictions": None}
    assert found["age_days"] == {"bars": 3, "predictions": None}
    assert (found["pinned"], found["nightly"]) == (None, None)
    assert {"bars", "factors/mine", "labels", "log/run"} <= {row["what"] for row in found["rows"]}


@pytest.mark.usefixtures("study")
def test_too_old_a_last_day_is_an_input_error_told_beside_the_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on("2024-04-02", monkeypatch)
    assert status(capsys, "--max-age", "3d")["age_days"]["bars"] == 3
    found = status(capsys, "--max-age", "2d", code=ExitCode.INPUT)
    assert found["error"]["code"] == 4
    assert f"bars end on {LAST}" in found["error"]["message"]
    assert found["rows"]
    assert run(["status", "--max-age", "2", "-f", "csv"]) == ExitCode.INPUT
    told = capsys.readouterr()
    assert told.out.startswith("what,state,last")
    assert "error: bars end on" in told.err


def test_nothing_is_too_old_where_nothing_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(capsys)["last"] == {"bars": None, "factors": None, "predictions": None}
    assert "no bars" in status(capsys, "--max-age", "1d", code=ExitCode.INPUT)["error"]["message"]


@pytest.mark.parametrize("age", ["soon", "-1", "1w"])
def test_what_is_no_age_is_refused(age: str) -> None:
    assert run(["status", f"--max-age={age}"]) == ExitCode.USAGE


def test_the_last_call_of_each_command_is_a_row(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ingest", "-q"]) == 0
    (study / "bars.parquet").write_bytes(b"PAR1")
    assert run(["ingest", "-q"]) == ExitCode.INPUT
    rows = {row["what"]: row for row in status(capsys)["rows"]}
    assert (rows["log/ingest"]["state"], rows["log/run"]["state"]) == ("failed", "done")
    assert "with 4, last success 20" in rows["log/ingest"]["note"]


def test_the_last_night_is_told_with_its_code_and_last_success(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nightly", "-q"]) == ExitCode.INPUT  # no run is pinned
    found = status(capsys)["nightly"]
    assert (found["code"], found["last_done"], found["day"]) == (4, None, None)
    assert datetime.fromisoformat(found["when"]).tzinfo is not None


def test_windows_of_another_config_are_stale(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["window", "-q", "--set", 'processors.features=[{name="fillna"}]']) == 0
    rows = [row for row in status(capsys)["rows"] if row["what"].startswith("windows/")]
    assert sorted(row["state"] for row in rows) == ["stale", "written"]
    assert all(row["bytes"] > 0 for row in rows)


def test_damaged_predictions_are_a_row_not_a_failure(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "predictions").mkdir()
    (study / "predictions/manifest.json").write_text("{")
    rows = {row["what"]: row for row in status(capsys)["rows"]}
    assert rows["predictions"]["state"] == "damaged"
