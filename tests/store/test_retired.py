"""Parts that no longer count are still found by readers of the store before; how long, and at what cost in room."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from qts import clock
from qts.config import LoadedConfig, load_config
from qts.errors import StoreError
from qts.pipeline.ingest import ingest
from qts.pipeline.query import query
from qts.predictions import Book, read_book
from qts.progress import SilentProgress
from qts.store import open_store
from qts.store.retired import GRACE_SECONDS, Retired, generations
from tests.market import write_market

LABELS = ("label.expr='$close'", "label.expr='$open'", "label.expr='$high'")


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    return load_config(write_market(tmp_path))


def relabel(loaded: LoadedConfig, *assignments: str) -> Path:
    return ingest(load_config(loaded.file, assignments=assignments), SilentProgress()).store


def test_a_reader_finds_its_parts_after_two_more_commits(loaded: LoadedConfig) -> None:
    store = open_store(relabel(loaded))
    before = store.read(["label"]).values
    for label in LABELS:
        relabel(loaded, label)
    np.testing.assert_array_equal(open_store(store.folder).manifest.label.expressions["label"], "$high")
    np.testing.assert_array_equal(store.read(["label"]).values, before)


def test_a_part_that_is_retired_while_a_reader_looks_for_it_is_found(
    loaded: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(relabel(loaded))
    part = store.manifest.label.parts[0]

    def retire_then_look(file: Path) -> int | None:
        if (store.folder / part.path).exists():
            Retired(store.folder).put(part.path)
        return file.stat().st_size if file.exists() else None

    monkeypatch.setattr("qts.store.read._size", retire_then_look)
    (label, *_) = store.files(store.manifest.label)
    assert label == str(store.folder / ".previous/000001" / part.path)


def test_a_query_is_asked_again_when_a_commit_moves_the_parts_it_names(
    loaded: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    relabel(loaded)

    def commit_meanwhile(folder: Path) -> Book | None:
        monkeypatch.undo()
        relabel(loaded, LABELS[0])
        return read_book(folder)

    monkeypatch.setattr("qts.pipeline.query.read_book", commit_meanwhile)
    found = query(loaded, "select count(*) filter (label > 10) as n from label").to_pylist()
    assert found[0]["n"] > 500  # closes, no returns: the store after the commit


def test_a_reader_never_takes_other_rows_of_the_same_name_for_its_own(loaded: LoadedConfig) -> None:
    store = open_store(relabel(loaded))
    part = store.folder / store.manifest.label.parts[0].path
    part.write_bytes(part.read_bytes() + b"more")
    with pytest.raises(StoreError, match=r"is damaged: it has [\d,]+ bytes, not [\d,]+"):
        store.read(["label"])


def test_what_a_killed_writer_did_not_sweep_is_swept_by_one_that_has_nothing_to_do(loaded: LoadedConfig) -> None:
    folder = relabel(loaded)
    part = next((folder / "labels").glob("part-*"))
    (folder / "labels/part-00007-deadbeef.parquet").write_bytes(part.read_bytes())
    (folder / ".staging").mkdir()
    assert ingest(loaded, SilentProgress()).is_up_to_date
    assert not (folder / "labels/part-00007-deadbeef.parquet").exists()
    assert not (folder / ".staging").exists()


def retire(folder: Path, n_bytes: int) -> Path:
    (folder / "part").write_bytes(bytes(n_bytes))
    Retired(folder).put("part")
    return generations(folder)[0]


def names(folder: Path) -> list[str]:
    return [path.name for path in generations(folder)]


def test_the_newest_generation_stays_and_others_go_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        retire(tmp_path, 10)
    Retired(tmp_path).clear(1_000)
    assert names(tmp_path) == ["000003", "000002", "000001"]
    later = datetime.now(UTC) + timedelta(seconds=GRACE_SECONDS + 5)
    monkeypatch.setattr(clock, "now", lambda: later)
    Retired(tmp_path).clear(1_000)
    assert names(tmp_path) == ["000003"]


def test_a_clock_set_back_makes_no_generation_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = retire(tmp_path, 10)
    retire(tmp_path, 10)
    ahead = (datetime.now(UTC) + timedelta(days=3)).timestamp()
    os.utime(first, (ahead, ahead))
    monkeypatch.setattr(clock, "now", lambda: datetime(1990, 1, 1, tzinfo=UTC))
    Retired(tmp_path).clear(1_000)
    assert names(tmp_path) == ["000002", "000001"]


def test_generations_take_no_more_room_than_twice_the_store_besides_the_newest(tmp_path: Path) -> None:
    for _ in range(5):
        retire(tmp_path, 100)
    Retired(tmp_path).clear(100)
    assert names(tmp_path) == ["000005", "000004", "000003"]


def test_parts_that_an_older_version_retired_go(tmp_path: Path) -> None:
    (tmp_path / ".previous/labels").mkdir(parents=True)
    Retired(tmp_path).clear(100)
    assert list((tmp_path / ".previous").iterdir()) == []
