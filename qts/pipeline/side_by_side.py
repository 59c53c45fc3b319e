"""Several runs in one report."""

from collections.abc import Sequence
from pathlib import Path

from qts.config import LoadedConfig
from qts.errors import ConfigError
from qts.pipeline.evaluate import judge
from qts.pipeline.run_subject import run_subject
from qts.progress import Progress
from qts.rendering.document import Document
from qts.rendering.report import write_report
from qts.rendering.side_chapters import side_by_side_document

FOLDER = "side-by-side"


def report_side_by_side(
    loaded: LoadedConfig, progress: Progress, runs: Sequence[str], out: Path | None
) -> tuple[Document, tuple[Path, ...]]:
    """Judge runs on the same store and write one report with a column each."""
    subjects = [run_subject(loaded, progress, name) for name in runs]
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise ConfigError("a run is named twice", hint="qts runs list")
    judged = [judge(subject, loaded, progress, trades=True) for subject in subjects]
    document = side_by_side_document(names, [report for report, _ in judged], [backtest for _, backtest in judged])
    return document, write_report(document, out or Path(FOLDER))
