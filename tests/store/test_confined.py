import json
import os
from pathlib import Path

import pytest

from qts.config import LimitsConfig, LoadedConfig, load_config
from qts.errors import StoreError
from qts.pipeline.features import make_recipe
from qts.pipeline.ingest import ingest
from qts.pipeline.query import query
from qts.pipeline.window import window_folder
from qts.progress import SilentProgress
from qts.store import StoreWriter, open_store
from qts.store.atomic import replace_file
from qts.store.confined import confined, is_name, link_out
from qts.store.engine import connect
from qts.store.lock import only_writer
from tests.market import write_market

OUTSIDE = [
    "../x",
    "/etc/passwd",
    "a/../../x",
    "a//b",
    "",
    ".",
    "..",
    "a/.",
    "a\\..\\b",
    "a\0b",
    "a\nb",
    "\udcff",
    7,
    None,
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(StoreError, match="no path inside"):
        confined(tmp_path, path)


def test_a_path_inside_is_the_place_in_the_folder(tmp_path: Path) -> None:
    assert confined(tmp_path, "bars/part-00000-0123abcd.parquet") == tmp_path / "bars" / "part-00000-0123abcd.parquet"


def test_a_link_may_lead_inside_and_the_folder_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "store" / "bars").mkdir(parents=True)
    (tmp_path / "store" / "same").symlink_to("bars")
    (tmp_path / "link").symlink_to("store")
    assert confined(tmp_path / "link", "same/x") == tmp_path / "link" / "same" / "x"
    assert link_out(tmp_path / "link") is None


@pytest.mark.parametrize("target", ["/etc", "..", "../elsewhere", "loop"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "loop").symlink_to(target)
    with pytest.raises(StoreError, match="leads out of"):
        confined(tmp_path / "store", "loop/x")
    assert link_out(tmp_path / "store") == tmp_path / "store" / "loop"


@pytest.mark.parametrize(
    ("name", "is_one"), [("20260101T000000Z-gru-0123abcd", True), ("因子", True), ("a/b", False), ("..", False)]
)
def test_a_name_is_one_part_of_a_path(name: str, is_one: bool) -> None:
    assert is_name(name) == is_one


@pytest.fixture
def market(tmp_path: Path) -> LoadedConfig:
    loaded = load_config(write_market(tmp_path / "study"), environment={})
    ingest(loaded, SilentProgress())
    return loaded


def rewritten(market: LoadedConfig, path: str) -> Path:
    """Have the manifest name another path for its first part of the bars; return the store's folder."""
    file = market.folder / ".qts" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["bars"]["parts"][0]["path"] = path
    file.write_text(json.dumps(manifest))
    return file.parent


@pytest.mark.parametrize(
    "path", ["../../x.parquet", "/etc/passwd", "bars/../../x.parquet", "calendar/x.parquet", "x.parquet"]
)
def test_a_manifest_names_no_place_outside_its_dataset(market: LoadedConfig, path: str) -> None:
    folder = rewritten(market, path)
    with pytest.raises(StoreError, match="is damaged: Value error"):
        open_store(folder)
    ingest(market, SilentProgress())  # it can only be rebuilt
    assert open_store(folder).manifest.bars.parts[0].path.startswith("bars/")


def test_a_part_that_is_a_link_out_of_the_store_is_not_read(market: LoadedConfig) -> None:
    part = next((market.folder / ".qts" / "bars").glob("*.parquet"))
    part.rename(market.folder / "elsewhere.parquet")
    part.symlink_to(market.folder / "elsewhere.parquet")
    with pytest.raises(StoreError, match="leads out of"):
        query(market, "FROM bars")


@pytest.mark.parametrize(
    "name", ["bars", "factors", "labels", ".previous", ".staging", "manifest.json", ".lock", ".lock.json"]
)
def test_nothing_is_written_moved_or_swept_through_a_link(market: LoadedConfig, name: str) -> None:
    folder, elsewhere = market.folder / ".qts", market.folder / "elsewhere"
    (folder / name).rename(elsewhere) if (folder / name).exists() else elsewhere.mkdir()
    for stray in ("old-0123abcd.parquet", "mine.txt") if elsewhere.is_dir() else ():
        (elsewhere / stray).write_text("mine")
    (folder / name).symlink_to(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in (elsewhere, *elsewhere.rglob("*"))}
    with pytest.raises(StoreError, match="leads out of"):
        ingest(market, SilentProgress(), rescan=True)
    assert {path: path.stat().st_mtime_ns for path in (elsewhere, *elsewhere.rglob("*"))} == before


def test_a_file_is_replaced_through_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (".out.json.tmp", f".out.json.{os.getpid()}.tmp", "out.json"):
        (tmp_path / name).symlink_to(victim)
    replace_file(tmp_path / "out.json", b"new")
    assert (victim.read_text(), (tmp_path / "out.json").read_text()) == ("mine", "new")
    assert not (tmp_path / "out.json").is_symlink()


def test_a_lock_that_is_a_link_empties_nothing(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError, match="leads out of"), only_writer(tmp_path / "runs", "busy", hint=""):
        pass
    assert (tmp_path / "victim").read_text() == "mine"


def test_what_a_writer_spills_lies_in_the_store_and_goes_with_it(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        connect(LimitsConfig(threads=1), writer.spill)
        assert writer.spill.is_relative_to(tmp_path / "store")
    assert not (tmp_path / "store" / ".staging").exists()


def test_windows_are_neither_written_nor_removed_through_a_link(market: LoadedConfig) -> None:
    (market.folder / "elsewhere").mkdir()
    (market.folder / ".qts" / "windows").symlink_to(market.folder / "elsewhere")
    with pytest.raises(StoreError, match="leads out of"):
        window_folder(market, make_recipe(market), open_store(market.folder / ".qts"))
