"""Files and folders appear whole or not at all, leave nothing behind, and say plainly why they cannot be written."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from qts.errors import WriteError
from qts.store.atomic import TakenError, replace_file, whole_file, whole_folder, write_table
from qts.training.checkpoint import write_weights

TABLE = pa.table({"a": np.arange(50_000)})
WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda file: replace_file(file, bytes(50_000)),
    "table": lambda file: write_table(TABLE, file),
    "weights": lambda file: write_weights(file, {"w": torch.zeros(20_000)}),
}


@contextmanager
def no_file_above(n_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.mark.parametrize("kind", WRITERS)
def test_a_disk_that_is_full_leaves_the_old_file_and_no_other_and_is_said(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with (
        no_file_above(10_000),
        pytest.raises(WriteError, match=rf"^cannot write {file}: .*[Ff]ile too large") as caught,
    ):
        WRITERS[kind](file)
    assert caught.value.hint is not None
    assert "is the disk full" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_bytes() == b"old"


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_that_is_not_there_is_said(tmp_path: Path, kind: str) -> None:
    with pytest.raises(WriteError, match="No such file or directory"):
        WRITERS[kind](tmp_path / "absent" / "file")


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    dead, living = (tmp_path / f".file.{pid}.tmp" for pid in (dead_process(), os.getppid()))
    other = tmp_path / f".other.{dead_process()}.tmp"
    for path in (dead, living, other):
        path.write_bytes(b"half")
    replace_file(tmp_path / "file", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"file", living.name, other.name}


def test_an_error_in_between_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with whole_file(tmp_path / "file") as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep")
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to(precious)
    replace_file(tmp_path / "file", b"new")
    assert (precious.read_bytes(), (tmp_path / "file").read_bytes()) == (b"keep", b"new")


def test_a_folder_appears_whole_and_sweeps_what_dead_processes_left(tmp_path: Path) -> None:
    left = tmp_path / f".another.{dead_process()}.tmp"
    left.mkdir()
    (left / "half").touch()
    with whole_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("1")
        assert not (tmp_path / "folder").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (tmp_path / "folder/a").read_text() == "1"


def test_a_folder_with_files_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/theirs").touch()
    with pytest.raises(TakenError), whole_folder(tmp_path / "folder") as temporary:
        (temporary / "ours").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "theirs"]
