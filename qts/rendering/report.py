"""An EvalReport as report.json, report.md and report.html; the same content three times."""

import math
from pathlib import Path

import numpy as np

from qts.errors import QtsError
from qts.evaluation import EvalReport
from qts.json_text import to_json
from qts.rendering.html import render_html
from qts.rendering.markdown import render_markdown

SCHEMA = "qts.report/1"


def report_to_json(report: EvalReport) -> dict[str, object]:
    """Return a report as JSON can say it; NaN becomes null."""
    daily = {
        "datetime": [str(day) for day in report.days],
        "n_names": report.n_names.tolist(),
        "ic": _numbers(report.ic),
        "rank_ic": _numbers(report.rank_ic),
        "spread": _numbers(report.spread),
        "mean_label": _numbers(report.mean_label),
    }
    daily |= {f"quantile_{at + 1}": _numbers(report.quantiles[:, at]) for at in range(report.quantiles.shape[1])}
    return {
        "schema": SCHEMA,
        "warnings": list(report.warnings),
        "summary": {name: _number(value) for name, value in report.summary.items()},
        "coverage": report.coverage,
        "context": report.context,
        "daily": daily,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def write_report(report: EvalReport, folder: Path) -> tuple[Path, ...]:
    """Write the three files into a folder; return their paths."""
    texts = {
        "report.json": to_json(report_to_json(report), indent=1),
        "report.md": render_markdown(report),
        "report.html": render_html(report),
    }
    return write_texts(texts, folder)


def write_texts(texts: dict[str, str], folder: Path) -> tuple[Path, ...]:
    """Write files by name, each in one atomic step; raises QtsError if the folder cannot be written."""
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            temporary = folder / f".{name}.tmp"
            temporary.write_text(text, encoding="utf-8")
            files.append(temporary.replace(folder / name))
    except OSError as error:
        raise QtsError(f"cannot write the report to {folder}: {error.strerror}", hint="choose another --out") from error
    return tuple(files)
