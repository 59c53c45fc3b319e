"""A window folder is written whole, sweeps what killed builders left, and never takes a whole one away."""

import resource
from pathlib import Path

import numpy as np
import pytest

from qts.errors import WriteError
from qts.windows.build import META, WindowStore, open_windows, read_meta, write_windows

SPAN = ["2024-01-01", "2024-01-05"]
META_OF = {
    "fingerprint": "abc", "features": ["GAP"], "factors": ["GAP"], "expressions": {"GAP": "$open/$close"},
    "processors": {"features": [], "label": []}, "history": "instrument", "view_first_day": None,
    "label": {"expr": "$close", "ahead": 0}, "segments": {"train": SPAN, "valid": SPAN, "test": SPAN},
}  # fmt: skip


def windows(value: float = 1.0, n_rows: int = 20) -> WindowStore:
    column = np.full(n_rows, value, dtype=np.float32)
    zeros = np.zeros(n_rows, dtype=np.int32)
    calendar = np.arange("2024-01-01", n_rows, dtype="datetime64[D]")
    days = np.arange(n_rows, dtype=np.int32)
    return WindowStore(
        column[:, None], column, column, np.array(["A"]), zeros, days, zeros == 0, calendar, dict(META_OF)
    )


def test_what_a_killed_builder_left_is_swept_by_the_next_whatever_it_builds(tmp_path: Path) -> None:
    left = tmp_path / "windows" / ".abc.999999999.tmp"
    left.mkdir(parents=True)
    (left / "X.npy").write_bytes(b"half")
    write_windows(tmp_path / "windows/def", windows())
    assert [path.name for path in (tmp_path / "windows").iterdir()] == ["def"]


def test_what_is_no_whole_folder_is_replaced_and_a_whole_one_stays(tmp_path: Path) -> None:
    folder = tmp_path / "abc"
    write_windows(folder, windows(1.0))
    write_windows(folder, windows(2.0))
    assert open_windows(folder).matrix[0, 0] == 1.0
    (folder / META).write_text("{")
    write_windows(folder, windows(2.0))
    assert open_windows(folder).matrix[0, 0] == 2.0


def test_a_full_disk_leaves_no_windows_and_is_said(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(WriteError, match=f"^cannot write {tmp_path}/windows/abc: "):
            write_windows(tmp_path / "windows/abc", windows(n_rows=9_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_meta(tmp_path / "windows/abc") is None
    assert list((tmp_path / "windows").iterdir()) == []
