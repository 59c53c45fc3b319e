"""What the label's processors learn ends where the valid segment begins: no later price moves it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qts.config import load_config
from qts.pipeline.ingest import ingest
from qts.pipeline.window import build_windows
from qts.progress import SilentProgress
from tests.market import CONFIG, bars_table, write_market

VALID = np.datetime64("2024-02-19")
ZSCORE = '\n[[processors.label]]\nname = "zscore"\n'


def label_mean(folder: Path, bars: pa.Table, label: str) -> float:
    """Return the mean that `zscore` learned of the label."""
    loaded = load_config(write_market(folder, CONFIG + ZSCORE)).changed({"label.expr": label}, "test")
    pq.write_table(bars, folder / "bars.parquet")
    ingest(loaded, SilentProgress())
    (learned,) = build_windows(loaded, SilentProgress()).windows.meta["processors"]["label"]
    return float(learned["parameters"]["label"]["center"])


def doubled(first: np.datetime64) -> pa.Table:
    """Return bars whose prices are twice as high from a day on."""
    bars = bars_table()
    late = bars["datetime"].to_numpy().astype("datetime64[D]") >= first
    for name in ("open", "high", "low", "close"):
        values = bars[name].to_numpy() * np.where(late, 2.0, 1.0)
        bars = bars.set_column(bars.column_names.index(name), name, pa.array(values))
    return bars


@pytest.mark.parametrize("ahead", [2, 6])
def test_prices_of_the_valid_segment_do_not_move_what_the_label_was_fitted_on(tmp_path: Path, ahead: int) -> None:
    label = f"Ref($close, -{ahead})/Ref($close, -1) - 1"
    as_it_is = label_mean(tmp_path / "a", bars_table(), label)
    assert label_mean(tmp_path / "b", doubled(VALID), label) == as_it_is
    assert label_mean(tmp_path / "c", doubled(VALID - 1), label) != as_it_is
