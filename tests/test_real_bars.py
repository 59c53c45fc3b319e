"""Real market bars, if QTS_REAL_BARS names a folder that holds bars.parquet and members.csv: a naive twin agrees."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qts.config import load_config
from qts.pipeline.ingest import ingest
from qts.progress import SilentProgress
from qts.store import open_store

FOLDER = Path(os.environ.get("QTS_REAL_BARS", "no-such-folder"))
N_INSTRUMENTS = 12

pytestmark = [
    pytest.mark.real_bars,
    pytest.mark.skipif(not (FOLDER / "bars.parquet").is_file(), reason="QTS_REAL_BARS names no folder of bars"),
]

NAIVE = {
    "ROC60": lambda b: b.close.shift(60) / b.close,
    "MA5": lambda b: b.close.rolling(5, min_periods=1).mean() / b.close,
    "MAX20": lambda b: b.high.rolling(20, min_periods=1).max() / b.close,
    "RANK10": lambda b: b.close.rolling(10, min_periods=1).rank(pct=True),
    "QTLU30": lambda b: b.close.rolling(30, min_periods=1).quantile(0.8) / b.close,
    "CNTP5": lambda b: (b.close > b.close.shift(1)).astype(float).rolling(5, min_periods=1).mean(),
    "KLEN": lambda b: (b.high - b.low) / b.open,
}


def test_factors_of_real_bars_are_what_a_naive_twin_computes(tmp_path: Path) -> None:
    bars = pd.read_parquet(FOLDER / "bars.parquet")
    chosen = sorted(bars.instrument.unique())[:: bars.instrument.nunique() // N_INSTRUMENTS]
    bars = bars[bars.instrument.isin(chosen)].astype(dict.fromkeys(("open", "high", "low", "close"), "float64"))
    bars.to_parquet(tmp_path / "bars.parquet")
    (tmp_path / "qts.toml").write_text('[bars]\npath = "bars.parquet"\n', encoding="utf-8")
    store = open_store(ingest(load_config(tmp_path / "qts.toml"), SilentProgress()).store)
    panel = store.read(list(NAIVE))
    for code, instrument in enumerate(panel.instruments):
        own = bars[bars.instrument == instrument].sort_values("date").reset_index(drop=True)
        rows = panel.instrument == code
        own = own.set_index("date").reindex(pd.DatetimeIndex(store.calendar()[panel.day[rows]]).date).reset_index()
        for at, (name, naive) in enumerate(NAIVE.items()):
            np.testing.assert_allclose(
                panel.values[rows, at], naive(own), rtol=1e-5, atol=1e-7, err_msg=f"{name} {instrument}"
            )
