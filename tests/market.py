"""A market small enough to read: 9 instruments, 90 days, two factors of one's own."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qts.config import LoadedConfig

N_INSTRUMENTS, N_DAYS = 9, 90
DAYS = np.arange("2024-01-01", N_DAYS, dtype="datetime64[D]")

FACTOR_SET = """
[factors]
RET = { windows = [1, 5], expr = "$close/Ref($close, N) - 1" }
GAP = "$open/$close"
VOL = "Std($close, 5)/$close"
"""

LEARNING = """
[window]
step_len = 4

[model]
name        = "gru"
hidden_size = 4
num_layers  = 1

[train]
epochs     = 2
lr         = 0.01
batch_size = 32

[eval]
min_names = 3
"""
"""Tables of a config for a network that learns in a moment."""

CONFIG = f"""
[bars]
path     = "bars.parquet"
universe = "universe.csv"

[factors]
set = "mine.toml"

[segments]
train = ["2024-01-08", "2024-02-18"]
valid = ["2024-02-19", "2024-03-05"]
test  = ["2024-03-06", "2024-03-26"]
{LEARNING}"""


def bars_table(seed: int = 3) -> pa.Table:
    """Return bars with a late listing (I7), a delisting (I8) and a suspension (I2, absent rows)."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[object]] = {
        name: [] for name in ("instrument", "datetime", "open", "high", "low", "close", "volume")
    }
    for number in range(N_INSTRUMENTS):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, N_DAYS)))
        open_ = close * np.exp(rng.normal(0, 0.01, N_DAYS))
        for at in range(N_DAYS):
            if (number == 7 and at < 30) or (number == 8 and at > 60) or (number == 2 and 20 <= at < 26):
                continue
            high, low = max(open_[at], close[at]) * 1.01, min(open_[at], close[at]) * 0.99
            values = (f"I{number}", DAYS[at].item(), open_[at], high, low, close[at], 1000 + rng.integers(0, 900))
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    return pa.table({name: pa.array(values) for name, values in rows.items()})


def write_market(folder: Path, config: str = CONFIG) -> Path:
    """Write bars, universe, factor set and config; return the config's path."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(bars_table(), folder / "bars.parquet")
    members = [f"I{number},2024-01-01,2024-12-31" for number in range(1, N_INSTRUMENTS)]
    leaver = ["I0,2024-01-01,2024-01-31", "I0,2024-02-15,2024-12-31"]
    (folder / "universe.csv").write_text("\n".join(["instrument,start,end", *leaver, *members]) + "\n")
    (folder / "mine.toml").write_text(FACTOR_SET)
    (folder / "qts.toml").write_text(config)
    return folder / "qts.toml"


def in_other_runs(loaded: LoadedConfig) -> LoadedConfig:
    """Return a config whose runs lie elsewhere, so that nothing trained before is found."""
    return loaded.changed({"store.runs": str(loaded.config.store.runs) + "-others"}, "test")
