import json
from pathlib import Path
from typing import Any

import pytest

from qts.errors import StoreError
from qts.pipeline.ensemble import members_of
from qts.pipeline.study import Study
from qts.pipeline.walk_folder import WalkFolder
from qts.predictions import BookWriter, read_book
from qts.training.checkpoint import list_runs, open_run
from qts.windows.build import read_meta

SPAN = ["2024-01-01", "2024-01-31"]
RECORD: dict[str, Any] = {
    "state": "done", "key": "k", "model": {"name": "gru", "config": {}}, "train": {"seed": 1}, "window": {},
    "windows_fingerprint": "w", "features": ["F"], "factors": ["F"], "expressions": {}, "history": "instrument",
    "processors": {"features": [], "label": []}, "label": {"expr": "$close", "ahead": 0}, "view_first_day": None,
    "segments": {"train": SPAN, "valid": SPAN, "test": SPAN}, "best_epoch": 1, "n_epochs": 1, "n_parameters": 0,
    "best": {"train_loss": None, "valid_loss": None, "valid_ic": None, "valid_rank_ic": None}, "seconds": 1.0,
}  # fmt: skip


def write_run(folder: Path, **more: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(RECORD | more))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_run(tmp_path / "runs" / "good")
    write_run(tmp_path / "evil")
    return tmp_path / "runs"


@pytest.mark.parametrize("name", ["../evil", "{evil}", "good/../../evil", ".", "..", "", "a\0b", "good\nevil"])
def test_latest_names_a_run_of_its_folder_or_nothing(runs: Path, name: str) -> None:
    (runs / "latest").write_text(name.replace("{evil}", str(runs.parent / "evil")))
    with pytest.raises(StoreError, match="does not hold the name of a run"):
        open_run(runs)


def test_latest_that_is_no_text_is_said(runs: Path) -> None:
    (runs / "latest").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match="does not hold the name of a run"):
        open_run(runs)


def test_latest_is_never_a_folder_where_one_happens_to_be(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    (runs / "latest").write_text("evil")
    with pytest.raises(StoreError, match='no run "evil"'):
        open_run(runs)


def test_a_name_that_is_asked_for_is_first_a_run_s_and_then_a_path(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    write_run(runs.parent / "good")
    assert open_run(runs, "good").folder == runs / "good"
    assert open_run(runs, "go").folder == runs / "good"
    assert open_run(runs, "evil").folder == Path("evil")
    assert open_run(runs, str(runs.parent / "evil")).folder == runs.parent / "evil"


def test_a_name_with_parts_is_looked_for_from_the_working_folder_alone(runs: Path) -> None:
    with pytest.raises(StoreError, match="no run"):
        open_run(runs, "../evil")


@pytest.mark.parametrize("members", [["../evil"], ["/etc"], [7], "good", [""]])
def test_members_are_names_of_runs(runs: Path, members: object) -> None:
    write_run(runs / "both", members=members)
    with pytest.raises(StoreError, match=r"run\.json is damaged"):
        open_run(runs, "both")
    assert [record["name"] for record in list_runs(runs)] == ["good"]


def test_an_ensemble_is_no_member_not_even_of_itself(runs: Path) -> None:
    write_run(runs / "both", members=["both"])
    with pytest.raises(StoreError, match="is an ensemble"):
        members_of(open_run(runs, "both"), runs)


@pytest.mark.parametrize("name", ["log.jsonl", "model.safetensors", "backtest", ".report.html.tmp"])
def test_a_run_with_a_link_that_leads_out_is_refused(runs: Path, name: str) -> None:
    (runs / "good" / name).symlink_to(runs.parent / "victim")
    with pytest.raises(StoreError, match="leads out of"):
        open_run(runs, "good")
    assert list_runs(runs) == []


@pytest.mark.parametrize("name", ["../evil", "/evil", 7])
def test_a_search_and_a_walk_name_runs_and_no_paths(tmp_path: Path, name: object) -> None:
    (tmp_path / "trials.jsonl").write_text(json.dumps({"number": 1, "state": "done", "values": {}, "run": name}) + "\n")
    with pytest.raises(StoreError, match="is no name of a run"):
        Study(tmp_path, {}).trials()
    (tmp_path / "walk.json").write_text(json.dumps({"folds": [{"fold": 1, "state": "done", "run": name, "test": {}}]}))
    with pytest.raises(StoreError, match="is no name of a run"):
        WalkFolder(tmp_path, (), (), {}).outcomes()


def test_a_book_names_no_part_outside_itself(tmp_path: Path) -> None:
    part = {"path": "../../x.parquet", "n_rows": 1, "n_bytes": 1}
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 1, "qts_version": "1", "months": {"2026-05": part}}))
    with pytest.raises(StoreError, match="no path inside"):
        read_book(tmp_path)
    (tmp_path / "manifest.json").write_text(
        json.dumps({"format": 1, "qts_version": "1", "before": ["../../x.parquet"]})
    )
    with pytest.raises(StoreError, match="no path inside"):
        read_book(tmp_path)


def test_a_book_with_a_link_that_leads_out_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "scores").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="leads out of"):
        BookWriter(tmp_path / "book", None)


def test_json_that_nests_too_deep_is_damage(runs: Path) -> None:
    deep = "[" * 200_000
    for name in ("good/run.json", "trials.jsonl", "walk.json", "manifest.json", "meta.json"):
        (runs / name).write_text(deep)
    for read in (
        Study(runs, {}).trials,
        WalkFolder(runs, (), (), {}).outcomes,
        lambda: read_book(runs),
        lambda: open_run(runs, "good"),
    ):
        with pytest.raises(StoreError, match="is damaged"):
            read()
    assert read_meta(runs) is None
    assert list_runs(runs) == []
