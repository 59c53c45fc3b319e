"""`qts doctor`: each row says whether it is well, and if not, what to do; it never fails and never needs a study."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qts import clock
from qts.cli.main import run
from qts.pipeline import doctor
from qts.pipeline.health import disk, machine
from qts.pipeline.health.finding import Finding, Place


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    def rows(*more: str) -> dict[str, dict[str, str]]:
        capsys.readouterr()
        assert run(["doctor", "--json", *more]) == 0
        return {row["what"]: row for row in json.loads(capsys.readouterr().out)["rows"]}

    return rows


def test_without_a_study_the_machine_is_examined(ask: Any) -> None:
    found = ask()
    assert {"qts", "python", "cores", "memory", "cuda", "disk free", "disk write", "clock"} <= set(found)
    assert "writer" not in found
    for row in found.values():
        assert row["verdict"] in ("ok", "slow", "missing", "careful")
        assert bool(row["hint"]) == (row["verdict"] != "ok")


@pytest.mark.usefixtures("study")
def test_a_config_that_is_wrong_is_a_row_not_a_failure(ask: Any) -> None:
    assert ask("--set", "train.lrr=1")["config"]["verdict"] == "careful"


def test_the_probe_of_the_disk_is_gone_afterwards(study: Path, ask: Any) -> None:
    before = sorted(study.rglob("*"))
    assert "MB/s" in ask()["disk write"]["found"]
    assert sorted(study.rglob("*")) == before


@pytest.mark.parametrize(
    ("more", "what", "verdict"),
    [
        (["train.device=cuda"], "cuda", "missing"),
        (["limits.memory=9000GiB"], "memory", "careful"),
        (["limits.threads=4096"], "engine threads", "slow"),
        (["limits.temp_folder=nowhere"], "temp folder", "missing"),
    ],
)
@pytest.mark.usefixtures("study")
def test_what_the_config_asks_for_and_the_machine_lacks_is_named(
    more: list[str], what: str, verdict: str, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: False)
    row = ask(*(part for entry in more for part in ("--set", entry)))[what]
    assert (row["verdict"], bool(row["hint"])) == (verdict, True)


@pytest.mark.usefixtures("study")
def test_an_extra_is_missing_only_if_the_config_asks_for_it(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        raise machine.PackageNotFoundError(package)

    monkeypatch.setattr(machine, "requires", lambda _: ["mlflow-skinny>=2.18; extra == 'mlflow'", "numpy>=2.0"])
    monkeypatch.setattr(machine, "version", version)
    assert ask()["mlflow-skinny"]["verdict"] == "ok"
    assert ask("--set", 'train.log=["mlflow"]')["mlflow-skinny"]["verdict"] == "missing"
    assert ask()["numpy"]["verdict"] == "missing"


@pytest.mark.parametrize(
    ("installed", "bounds", "is_within"),
    [("2.13.0+cpu", ">=2.8,<2.14", True), ("2.14.0", ">=2.8,<2.14", False), ("2.7.9", ">=2.8,<2.14", False),
     ("18", ">=18", True), ("10.1", ">=9.2", True), ("1.0", "", True)],
)  # fmt: skip
def test_bounds_are_compared_number_by_number(installed: str, bounds: str, is_within: bool) -> None:
    assert machine.fits(installed, bounds) == is_within


def test_the_tightest_cgroup_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/cpu.max").write_text("150000 100000\n")
    (tmp_path / "a/b/cpu.max").write_text("max 100000\n")
    (tmp_path / "a/b/memory.max").write_text("1048576\n")
    group = tmp_path / "group"
    group.write_text("0::/a/b\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine, "OWN_CGROUP", group)
    assert machine.cpu_limit() == 1.5
    assert machine.memory_limit() == 1048576


def test_a_network_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for kind, verdict in (("nfs4", "careful"), ("overlay", "careful"), ("ext4", "ok")):
        monkeypatch.setattr(disk, "filesystem_of", lambda _, kind=kind: kind)
        (row,) = disk.check_kind(Place(tmp_path, None, None))
        assert (row.verdict, kind in row.found) == (verdict, True)


def test_a_slow_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk, "_write_probe", lambda _: 8.0)
    (row,) = disk.check_write_speed(Place(tmp_path, None, None))
    assert (row.verdict, row.found.split(" at ")[0]) == ("slow", "4 MB/s")


def test_what_lies_in_the_store_for_nothing_is_named(study: Path, ask: Any) -> None:
    assert not {"unused windows", "leftovers"} & set(ask())
    assert run(["window", "-q", "--set", 'processors.features=[{name="fillna"}]']) == 0
    (study / ".qts/.manifest.json.1.tmp").write_text("half")
    found = ask()
    assert found["unused windows"]["found"].startswith("1 folders")
    assert found["leftovers"]["verdict"] == "careful"


def test_a_living_writer_is_named_and_its_files_are_no_leftovers(study: Path, ask: Any) -> None:
    (study / ".qts/.staging").mkdir(exist_ok=True)
    holder = {"pid": os.getpid(), "command": "qts ingest", "since": "2026-01-01T00:00:00+00:00"}
    (study / ".qts/.lock.json").write_text(json.dumps(holder))
    found = ask()
    assert "qts ingest" in found["writer"]["found"]
    assert "leftovers" not in found


def test_a_part_that_is_gone_is_missing(study: Path, ask: Any) -> None:
    next((study / ".qts/bars").glob("*.parquet")).unlink()
    assert ask()["store"]["verdict"] == "missing"


@pytest.mark.usefixtures("study")
def test_a_clock_before_the_last_commit_is_named(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2024, 4, 1, tzinfo=UTC))
    assert ask()["clock"]["verdict"] == "careful"


def test_a_pinned_run_that_is_gone_and_a_failed_night_are_named(study: Path, ask: Any) -> None:
    pin = {
        "schema": "qts.pin/1",
        "run": "gone",
        "weights": "x",
        "pinned": "2026-01-01",
        "days": [],
        "rank_ic": [],
        "lag": 1,
    }
    (study / "runs").mkdir(exist_ok=True)
    (study / "runs/pinned.json").write_text(json.dumps(pin))
    assert run(["nightly", "-q"]) != 0
    found = ask()
    assert found["pinned run"]["verdict"] == "missing"
    assert found["last night"]["verdict"] == "careful"


def test_a_check_that_cannot_be_made_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_place: Place) -> Iterator[Finding]:
        raise PermissionError(13, "no")
        yield

    monkeypatch.setattr(doctor, "CHECKS", {"disk free": broken})
    (row,) = doctor.examine(None, tmp_path)
    assert (row["what"], row["verdict"]) == ("disk free", "careful")
