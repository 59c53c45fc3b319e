"""pyqlib at work: one of its networks fitted and asked for scores, by its own sampler, loader, loop and scoring.

    python qlib_train.py JOB

Runs in the peers' environment. JOB is a JSON file: where the frame of features and label lies, the segments, the model's
class and its options, device, threads, seed. The frame goes through pyqlib's handler and dataset; fit() and predict() are
the class's own, and only timed. The passes of an epoch are told apart: training, its scores on the train segment, its
scores on the valid segment. A flat model (KRNN) is given each window as one row, laid out before any clock runs. Prints
one JSON object.
"""

import json
import logging
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import qlib
import torch  # noqa: TID253 - a peer's script is no part of the package
from qlib.data.dataset import DataHandlerLP, DatasetH, TSDataSampler, TSDatasetH
from qlib.data.dataset.loader import StaticDataLoader

FILL = "ffill+bfill"
"""What its models set on their samplers."""
CHUNK = 4096
PASSES = ("train", "rescore", "valid")
"""What an epoch consists of, in order."""


def seconds(since: float) -> float:
    """Return the seconds since a moment, what a GPU was asked to do included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - since


@dataclass
class WatchedLoader:
    """A loader whose batches are counted and waited for by the clock."""

    loader: Any
    waited: float = 0.0
    n_samples: int = 0

    def __iter__(self) -> Iterator[Any]:
        """Pass the batches on."""
        batches = iter(self.loader)
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            windows = batch[0] if isinstance(batch, list | tuple) else batch  # beside its weights, or alone
            self.n_samples += int(np.prod(windows.shape[:-2]))  # a day's batch has an axis more
            yield batch


@dataclass
class Watch:
    """Stands in for a model's passes over data, and writes down what each took."""

    model: Any
    passes: list[dict[str, float | int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("train_epoch", "test_epoch"):
            setattr(self.model, name, self._timed(getattr(self.model, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*data: Any) -> Any:  # noqa: ANN401 - whatever the class passes itself
            watched = WatchedLoader(data[0]) if len(data) == 1 else None
            started = time.perf_counter()
            found = method(watched) if watched else method(*data)
            took = seconds(started)
            n_samples = watched.n_samples if watched else len(data[0]) // self.model.batch_size * self.model.batch_size
            self.passes.append({
                "seconds": took, "n_samples": n_samples, "waited": watched.waited if watched else None,
            })  # fmt: skip
            return found

        return call

    def sums(self) -> dict[str, float | int | None]:
        """Return seconds, samples and waiting of each kind of pass, over all epochs."""
        found: dict[str, float | int | None] = {}
        for at, kind in enumerate(PASSES):
            those = self.passes[at :: len(PASSES)]
            for key in ("seconds", "n_samples", "waited"):
                values = [one[key] for one in those]
                found[f"{kind}_{key}"] = None if None in values else sum(values)  # type: ignore[arg-type]
        return found


class Preparing:
    """Stands in for a dataset's `prepare`, and sums the seconds it takes."""

    def __init__(self, dataset: DatasetH) -> None:
        self._prepare = dataset.prepare
        self.seconds = 0.0
        dataset.prepare = self

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the class asks for
        """Prepare a segment."""
        started = time.perf_counter()
        found = self._prepare(*given, **named)
        self.seconds += time.perf_counter() - started
        return found


def dataset_of(frame: pd.DataFrame, job: dict[str, Any], kind: type[DatasetH], **options: int) -> DatasetH:
    """Return a frame as a dataset; rows without a label are no part of what is learnt from, as in its benchmarks."""
    handler = DataHandlerLP(
        data_loader=StaticDataLoader(frame), learn_processors=[{"class": "DropnaLabel"}], drop_raw=True
    )
    segments = {name: tuple(pd.Timestamp(day) for day in span) for name, span in job["segments"].items()}
    return kind(handler=handler, segments=segments, **options)


def read_frame(file: str, n_features: int) -> pd.DataFrame:
    """Return the exported rows as a handler keeps them: (datetime, instrument) rows, columns in two groups."""
    frame = pd.read_parquet(file).set_index(["datetime", "instrument"]).sort_index()
    groups = ["feature"] * n_features + ["label"]
    frame.columns = pd.MultiIndex.from_arrays([groups, frame.columns])
    return frame


def samplers(dataset: DatasetH) -> Iterator[tuple[str, TSDataSampler]]:
    """Yield each segment's sampler, as a model gets it."""
    for name in dataset.segments:
        key = DataHandlerLP.DK_I if name == "test" else DataHandlerLP.DK_L
        sampler = dataset.prepare(name, col_set=["feature", "label"], data_key=key)
        sampler.config(fillna_type=FILL)
        yield name, sampler


def flat_frame(dataset: DatasetH) -> pd.DataFrame:
    """Return every sample's window as a row, step by step from the oldest, as KRNN takes it apart again."""
    parts = []
    for _, sampler in samplers(dataset):
        chunks = [
            sampler[np.arange(at, min(at + CHUNK, len(sampler)))] for at in range(0, len(sampler), CHUNK)
        ]  # each (n, step_len, n_features + 1), the label last
        rows = np.concatenate([chunk[:, :, :-1].reshape(len(chunk), -1) for chunk in chunks])
        label = np.concatenate([chunk[:, -1, -1:] for chunk in chunks])
        columns = pd.MultiIndex.from_tuples([("feature", f"f{at}") for at in range(rows.shape[1])] + [("label", "y")])
        parts.append(pd.DataFrame(np.hstack([rows, label]), index=sampler.get_index(), columns=columns))
    return pd.concat(parts).sort_index()


def fingerprint(dataset: DatasetH, every: int) -> dict[str, list[float]]:
    """Return, for each segment, its samples and the sum of every so manyth window: what the other side must have too."""
    found = {}
    for name, sampler in samplers(dataset):
        windows = sampler[np.arange(0, len(sampler), every)][:, :, :-1]
        found[name] = [len(sampler), float(windows.astype(np.float64).sum())]
    return found


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do the job and return what it took."""
    torch.set_num_threads(job["threads"])
    started = time.perf_counter()
    dataset = dataset_of(read_frame(job["frame"], job["n_features"]), job, TSDatasetH, step_len=job["step_len"])
    same = fingerprint(dataset, job["every"])
    if job["is_flat"]:
        dataset = dataset_of(flat_frame(dataset), job, DatasetH)
    before = seconds(started)
    options = job["options"] | {"n_epochs": job["epochs"], "early_stop": job["epochs"] + 1, "seed": job["seed"]}
    options |= {"n_jobs": job["jobs"], "GPU": 0 if job["device"] == "cuda" else -1}
    model = getattr(import_module(f"qlib.contrib.model.{job['module']}"), job["class"])(**options)
    watch, preparing = Watch(model), Preparing(dataset)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        model.fit(dataset, save_path=str(Path(folder) / "weights"))
        fitted, fit_prepared = seconds(started), preparing.seconds
    started = time.perf_counter()
    scores = model.predict(dataset)
    predicted = seconds(started)
    on_gpu = job["device"] == "cuda"
    return {
        **watch.sums(), "fingerprint": same, "before_seconds": before,
        "fit_seconds": fitted, "fit_prepare_seconds": fit_prepared,
        "predict_seconds": predicted, "predict_prepare_seconds": preparing.seconds - fit_prepared,
        "n_scores": len(scores), "n_finite": int(np.isfinite(scores).sum()),
        "gpu_peak_gib": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None,
        "worker_peak_gib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20 if job["jobs"] else None,
        "versions": {"qlib": qlib.__version__, "torch": torch.__version__, "pandas": pd.__version__},
    }  # fmt: skip


def main() -> None:
    """Do the job of a file and print what it took."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # pyqlib's own, of every release of torch and pandas since it was written
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
