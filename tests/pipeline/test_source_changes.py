"""A source that is written while an ingest reads it is refused, and the store stays as it was."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from qts.config import load_config
from qts.errors import InputError
from qts.pipeline import ingest_work
from qts.pipeline.ingest import ingest
from qts.progress import SilentProgress
from tests.market import bars_table, write_market


def test_a_source_that_changes_while_it_is_read_is_refused_and_nothing_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_config(write_market(tmp_path))
    select = ingest_work.bars_select

    def change_meanwhile(*arguments: Any) -> Any:
        found = select(*arguments)
        pq.write_table(bars_table(seed=4), tmp_path / "bars.parquet")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(ingest_work, "bars_select", change_meanwhile)
        with pytest.raises(InputError, match=r"bars\.parquet changed while it was read$") as caught:
            ingest(loaded, SilentProgress())
    assert caught.value.hint is not None
    assert "run it again" in caught.value.hint
    assert not (tmp_path / ".qts/manifest.json").exists()
    assert ingest(loaded, SilentProgress()).n_instruments == 9
