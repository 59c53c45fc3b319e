"""Windows over the newest bar: Alpha360 without storing each bar sixty times."""

from pathlib import Path

import numpy as np
import pytest
import torch

from qts.config import LoadedConfig, load_config
from qts.errors import ConfigError
from qts.pipeline.ingest import ingest
from qts.pipeline.segments import divisors_of, make_dataset
from qts.pipeline.train import train_run
from qts.pipeline.window import build_windows
from qts.progress import SilentProgress
from qts.store import open_store
from qts.training.batches import DeviceWindows, relative
from tests.market import write_market

FIELDS = ("CLOSE", "OPEN", "HIGH", "LOW", "VOLUME")
OVER_CLOSE = dict.fromkeys(FIELDS[:4], "CLOSE") | {"VOLUME": "VOLUME"}


def load(tmp_path: Path, factors: str, *more: str) -> LoadedConfig:
    select = [f"{name}{lag}" for name in FIELDS for lag in range(59, -1, -1)] if factors == "alpha360" else list(FIELDS)
    window = "window.relative_to={" + ", ".join(f'{k} = "{v}"' for k, v in OVER_CLOSE.items()) + "}"
    given = [f"factors.set={factors}", f"factors.select={select}", f"store.path=.{factors}", "processors.features=[]"]
    return load_config(write_market(tmp_path), assignments=[*given, *([window] if factors == "raw" else []), *more])


def test_sixty_raw_bars_over_the_newest_are_alpha360(tmp_path: Path) -> None:
    raw = load(tmp_path, "raw", "window.step_len=60", "segments.train=['2024-01-08','2024-03-02']",
               "segments.valid=['2024-03-03','2024-03-05']")  # fmt: skip
    ingest(raw, SilentProgress())
    windows = build_windows(raw, SilentProgress()).windows
    dataset, counts = make_dataset(windows, raw.config.window, raw.config.segments.test, None, needs_label=False)
    assert counts.samples > 100
    got = DeviceWindows(dataset, torch.device("cpu")).windows(torch.arange(len(dataset))).numpy()

    stored = load(tmp_path, "alpha360")
    ingest(stored, SilentProgress())
    store = open_store(tmp_path / ".alpha360")
    panel = store.read([f"{name}{lag}" for name in FIELDS for lag in range(59, -1, -1)])
    row_of = {
        (panel.instruments[i], day): at for at, (i, day) in enumerate(zip(panel.instrument, panel.day, strict=True))
    }
    rows = [
        row_of[windows.instruments[i], d] for i, d in zip(dataset.samples.instrument, dataset.samples.day, strict=True)
    ]
    want = panel.values[rows].reshape(len(rows), len(FIELDS), 60).swapaxes(1, 2)
    np.testing.assert_array_equal(got, want)


def test_a_feature_that_nothing_is_said_of_stays_as_it_is() -> None:
    windows = torch.tensor([[[2.0, 8.0, 3.0], [4.0, 2.0, 5.0]]])
    got = relative(windows, torch.tensor([0, 0, -1]))
    torch.testing.assert_close(got, torch.tensor([[[0.5, 2.0, 3.0], [1.0, 0.5, 5.0]]]))


def test_an_unknown_feature_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match='"CLOSED" is no feature of the windows') as caught:
        divisors_of(("CLOSE", "OPEN"), {"OPEN": "CLOSED"})
    assert caught.value.hint is not None
    assert "CLOSE" in caught.value.hint


def test_a_model_trains_on_them(tmp_path: Path) -> None:
    raw = load(tmp_path, "raw", "train.epochs=1", "processors.features=[{name='fillna'}]")  # 0 stays 0 when divided
    ingest(raw, SilentProgress())
    record = train_run(raw, SilentProgress()).run.record
    assert record["window"]["relative_to"] == OVER_CLOSE
    assert np.isfinite(record["best"]["valid_loss"])
