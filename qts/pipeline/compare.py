"""Two runs judged on the same store: which is better, how surely, and what differs between them."""

from typing import Any

from qts.config import LoadedConfig
from qts.errors import InputError
from qts.evaluation.compare import compare_series, differences
from qts.pipeline.evaluate import judge
from qts.pipeline.run_subject import run_subject
from qts.progress import Progress
from qts.rendering.compare_chapters import COMPARED, comparison_document, daily_series_of
from qts.rendering.document import Document
from qts.training.checkpoint import Run

TOLD = ("model", "train", "window", "features", "processors", "history", "label", "segments", "seeds", "windows_fingerprint",
        "device", "qts_version", "torch_version")  # fmt: skip
"""What of a run's record tells two runs apart."""


def compare_runs(loaded: LoadedConfig, progress: Progress, first: str, second: str) -> Document:
    """Return whether the second run is better than the first, by daily IC and by what their portfolios earn."""
    subjects = [run_subject(loaded, progress, name) for name in (first, second)]
    a, b = subjects
    if a.run is None or b.run is None or a.run.folder == b.run.folder:
        raise InputError(f"{a.name} is compared with itself", hint="name two runs; qts runs list")
    judged = [judge(subject, loaded, progress, trades=True) for subject in subjects]
    series = [daily_series_of(*one) for one in judged]
    config = loaded.config.eval
    lag = judged[0][0].held_days - 1
    compared = {
        name: compare_series(*series[0][name], *series[1][name], lag=lag, draws=config.bootstrap, seed=config.seed)
        for name in COMPARED
        if all(name in one for one in series)
    }
    reports, backtests = zip(*judged, strict=True)
    return comparison_document(
        (a.name, b.name), reports, compared, differences(_told(a.run), _told(b.run)), backtests
    )  # fmt: skip


def _told(run: Run) -> dict[str, Any]:
    return {key: run.record[key] for key in TOLD if key in run.record}
