"""Memory or room for spilled rows that runs out is said as that, never as a damaged source."""

from pathlib import Path

import duckdb
import pytest

from qts.bars.door import said_plainly
from qts.errors import InputError, QtsError, WriteError
from qts.store.engine import engine_limits, spill_folder

MANY = "CREATE TABLE t AS SELECT range AS a, hash(range) AS b FROM range(3000000) ORDER BY b"


def test_memory_that_runs_out_while_a_source_is_read_is_not_the_source_s_fault() -> None:
    engine = duckdb.connect(config={"memory_limit": "12MB", "threads": 1, "temp_directory": ""})
    with pytest.raises(QtsError, match="out of memory") as caught, engine_limits(), said_plainly("bars.parquet"):
        engine.execute(MANY)
    assert caught.value.code == 1
    assert caught.value.hint is not None
    assert "[limits] memory" in caught.value.hint


def test_a_spill_folder_that_cannot_be_written_is_not_the_source_s_fault() -> None:
    failure = duckdb.IOException('IO Error: Could not write file "/spill/duckdb_temp_storage_DEFAULT-0.tmp": No space')
    with pytest.raises(WriteError, match="No space"), engine_limits(), said_plainly("bars.parquet"):
        raise failure
    with pytest.raises(InputError, match=r"cannot read bars\.parquet"), engine_limits(), said_plainly("bars.parquet"):
        raise duckdb.IOException("IO Error: Could not read from file: it is short")


def test_what_a_killed_process_spilled_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "qts-999999999-abc"
    left.mkdir()
    with spill_folder(tmp_path) as folder:
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
