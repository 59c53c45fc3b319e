"""What both sides of train.py learn from: a study of qts's with its windows, and the same rows as a frame for pyqlib."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa  # noqa: TID253 - a script that is no part of the package
import pyarrow.parquet as pq  # noqa: TID253 - as above
from measure import measure, qts_command
from path import ALPHA158, COLUMNS

from qts.config import load_config
from qts.pipeline.window import WindowResult, build_windows
from qts.progress import SilentProgress

STEP_LEN = 20
SPANS = {
    "full": {
        "train": ("2010-01-01", "2017-12-31"),
        "valid": ("2018-01-01", "2019-12-31"),
        "test": ("2020-01-01", "2026-05-06"),
    },
    "small": {
        "train": ("2017-01-01", "2017-12-31"),
        "valid": ("2018-01-01", "2018-03-31"),
        "test": ("2020-01-01", "2020-08-31"),
    },
}
"""Size → segments; of real members the small ones have about 65, 15 and 43 thousand samples."""

CONFIG = (
    """
[bars]
path     = "{folder}/bars.parquet"
universe = "{folder}/members.csv"

[store]
path = "{study}/store"
runs = "{study}/runs"
"""
    + ALPHA158
    + COLUMNS
    + """
[segments]
{segments}

[window]
step_len = {step_len}
fill     = "ffill+bfill"
history  = "universe"

[limits]
threads = {threads}
"""
)
"""Windows as pyqlib makes them, so that both sides have the same: member rows alone, gaps filled from either side."""


@dataclass(frozen=True)
class Study:
    """A folder with a store, and the config that all trainings in it share."""

    folder: Path
    text: str
    """The config, up to the model."""

    @classmethod
    def make(cls, folder: Path, bars: Path, size: str, threads: int) -> "Study":
        """Ingest the bars and lay out the windows, unless that was done before."""
        segments = "\n".join(f"{name} = {json.dumps(span)}" for name, span in SPANS[size].items())
        text = CONFIG.format(folder=bars, study=folder, segments=segments, step_len=STEP_LEN, threads=threads)
        study = cls(folder, text)
        study.config_file("shared", "")
        for step in ("ingest", "window"):
            cost = measure(qts_command(step, "--quiet", "--config", str(folder / "shared.toml")), folder)
            print(f"{step:<8} {cost}", flush=True)
        return study

    def config_file(self, name: str, tables: str) -> Path:
        """Write the shared config with some tables more; returns the file."""
        file = self.folder / f"{name}.toml"
        file.write_text(self.text + tables, encoding="utf-8")
        return file

    def windows(self) -> WindowResult:
        """Open the windows."""
        return build_windows(load_config(self.folder / "shared.toml"), SilentProgress())


def export_frame(found: WindowResult, file: Path) -> dict[str, object]:
    """Write the member rows with features and processed label; returns what else pyqlib must be told of them.

    Segments end with their last samples: those whose label looks into the next segment are left out by qts alone.
    """
    windows = found.windows
    rows = np.flatnonzero(windows.members)
    features = {name: pa.array(windows.matrix[rows, at]) for at, name in enumerate(windows.features)}
    names = pa.DictionaryArray.from_arrays(
        pa.array(windows.instrument[rows]), pa.array(windows.instruments.tolist(), pa.string())
    )
    keys = {
        "datetime": pa.array(windows.calendar[windows.day[rows]].astype("datetime64[ns]")),
        "instrument": names.dictionary_decode(),
    }
    label = {"LABEL0": pa.array(windows.target[rows])}
    pq.write_table(pa.table(keys | features | label), file)
    segments = {}
    for name, dataset in found.datasets.items():
        days = windows.calendar[dataset.samples.day]
        segments[name] = [str(days.min()), str(days.max())]
    return {"frame": str(file), "segments": segments, "n_features": len(features), "step_len": STEP_LEN}


def make_market(folder: Path, n_rows: int) -> None:
    """Write seeded random walks over the days of the segments, the first 300 instruments being the universe."""
    first, last = np.datetime64("2010-01-04"), np.datetime64("2026-05-08")
    days = np.arange(first, last + 1)[np.is_busday(np.arange(first, last + 1))]
    n_instruments = max(n_rows // len(days), 1)
    rng = np.random.default_rng(0)
    shape = (n_instruments, len(days))
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=1))
    opening = close * np.exp(rng.normal(0, 0.01, shape))
    spread = np.exp(np.abs(rng.normal(0, 0.01, shape)))
    bars = {
        "open": opening, "high": np.maximum(opening, close) * spread, "low": np.minimum(opening, close) / spread,
        "close": close, "volume": rng.lognormal(15, 1, shape),
    }  # fmt: skip
    names = [f"X{at:05d}" for at in range(n_instruments)]
    columns = {"instrument": pa.array(np.repeat(names, len(days))), "date": pa.array(np.tile(days, n_instruments))}
    columns |= {name: pa.array(values.reshape(-1).astype(np.float32)) for name, values in bars.items()}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "bars.parquet")
    members = [f"{name},{days[0]},{days[-1]}" for name in names[:300]]
    (folder / "members.csv").write_text("\n".join(["instrument,start,end", *members]) + "\n", encoding="utf-8")
