"""qts at work: one training as `qts train` does it, then scores of the test segment, then the data feed alone.

    python train_qts.py CONFIG EVERY

Run by train.py, in a process of its own. Seconds of epochs are those of the run's own history. Prints one JSON object.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the program has it, before torch is loaded

import numpy as np
import pyarrow.parquet as pq  # noqa: TID253 - a script that is no part of the package
import torch  # noqa: TID253 - as above

from qts.config import load_config
from qts.pipeline.train import train_run
from qts.pipeline.window import build_windows
from qts.progress import SilentProgress
from qts.training.batches import DeviceWindows
from qts.training.device import resolve_device
from qts.training.predictor import predict_scores
from qts.windows import WindowDataset


def seconds(since: float) -> float:
    """Return the seconds since a moment, what a GPU was asked to do included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - since


def fingerprint(dataset: WindowDataset, every: int) -> list[float]:
    """Return the samples and the sum of every so manyth window: what the other side must have too."""
    rows = dataset.rows(np.arange(0, len(dataset), every))  # (n, step_len)
    return [len(dataset), float(dataset.matrix[rows].astype(np.float64).sum())]


def feed_seconds(windows: DeviceWindows, batch_size: int) -> float:
    """Return how long the windows and targets of an epoch take when nothing is done with them."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(windows.dataset))).to(windows.device)
    started = time.perf_counter()
    for chosen in order.split(batch_size):
        windows.windows(chosen)
        windows.targets(chosen)
    return seconds(started)


def told(history: dict[str, list[float]], segment: str, rate: str) -> dict[str, float]:
    """Return seconds and samples of all epochs on a segment, and how long the network waited there, as the run tells them."""
    took = np.array(history[f"{segment}_seconds"])
    found = {"seconds": took.sum(), "n_samples": round((took * np.array(history[rate])).sum())}
    if segment == "train":
        found["waited"] = (took * np.array(history["feed_share"])).sum()
    return {f"{segment}_{key}": value for key, value in found.items()}


def run(config: Path, every: int) -> dict[str, object]:
    """Do the job and return what it took."""
    loaded, silent = load_config(config), SilentProgress()
    train = loaded.config.train
    device = resolve_device(train.device)
    started = time.perf_counter()
    datasets = build_windows(loaded, silent).datasets
    opened = seconds(started)
    started = time.perf_counter()
    trained = train_run(loaded, silent, again=True).run
    fitted = seconds(started)
    history = pq.read_table(trained.folder / "history.parquet").to_pydict()
    network = trained.network().to(device)
    started = time.perf_counter()
    test = DeviceWindows(datasets["test"], device)
    held = seconds(started)
    started = time.perf_counter()
    scores = predict_scores(network, test, precision=train.precision)
    predicted = seconds(started)
    feed = feed_seconds(DeviceWindows(datasets["train"], device), train.batch_size)
    return {
        **told(history, "train", "samples_per_second"), **told(history, "valid", "valid_samples_per_second"),
        "fingerprint": {name: fingerprint(dataset, every) for name, dataset in datasets.items()},
        "before_seconds": opened, "fit_seconds": fitted,
        "predict_seconds": opened + held + predicted, "predict_prepare_seconds": opened + held,
        "n_scores": len(scores), "n_finite": int(np.isfinite(scores).sum()),
        "feed_seconds": feed, "feed_n_samples": len(datasets["train"]),
        "gpu_peak_gib": torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None,
        "versions": {"torch": torch.__version__},
    }  # fmt: skip


def main() -> None:
    """Do the job of a config and print what it took."""
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))


if __name__ == "__main__":
    main()
