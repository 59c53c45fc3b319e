"""An ExplainReport as rows, JSON, Markdown and a page; the same content each time."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from qts.evaluation.importance import ExplainReport
from qts.json_text import to_json
from qts.rendering.explain_page import render_explain_page
from qts.rendering.explain_words import (
    ATTENTION,
    DROP_FIGURES,
    HOW,
    base_line,
    drop_figure,
    explain_title,
    steps_back,
)
from qts.rendering.markdown import finish
from qts.rendering.report import write_texts

SCHEMA = "qts.explain_report/1"


def explain_rows(report: ExplainReport) -> list[dict[str, object]]:
    """Return a row a feature or family, the most important first; None where there is no figure."""
    are_families = any(len(members) > 1 for members in report.members)
    return [
        {
            "feature": report.names[at],
            **({"members": len(report.members[at])} if are_families else {}),
            **{name: _number(report.figures[name][at].item()) for name in DROP_FIGURES},
        }
        for at in report.by_importance()
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def explain_summary(report: ExplainReport) -> dict[str, Any]:
    """Return what programs want beside the rows."""
    return {
        "warnings": list(report.warnings), "base": report.base(), "coverage": report.coverage,
        "members": {name: list(members) for name, members in zip(report.names, report.members, strict=True)},
        "attention": _attention(report), "window": _window(report), "context": report.context,
    }  # fmt: skip


def _attention(report: ExplainReport) -> dict[str, object] | None:
    seen = report.attention
    if seen is None:
        return None
    return {"step": steps_back(len(seen.mean)), "mean": seen.mean.tolist(), "low": seen.low.tolist(),
            "high": seen.high.tolist()}  # fmt: skip


def _window(report: ExplainReport) -> dict[str, object] | None:
    one = report.window
    if one is None:
        return None
    return {"instrument": one.instrument, "datetime": one.day, "step": steps_back(len(one.weights)),
            "step_datetime": list(one.dates), "weight": one.weights.tolist()}  # fmt: skip


def explain_to_json(report: ExplainReport) -> dict[str, object]:
    """Return a report as JSON can say it, with the daily series; NaN becomes null when written."""
    daily_drop = report.rank_ic_drop.mean(axis=1)  # (n_days, n_names)
    daily = {
        "datetime": [str(day) for day in report.days],
        "ic": report.ic.tolist(),
        "rank_ic": report.rank_ic.tolist(),
        "rank_ic_drop": {name: np.round(daily_drop[:, at], 6).tolist() for at, name in enumerate(report.names)},
    }
    return {"schema": SCHEMA, **explain_summary(report), "rows": explain_rows(report), "daily": daily}


def render_explain_markdown(report: ExplainReport) -> str:
    """Return the report as Markdown: warnings first, then features, attention, origin."""
    parts = [f"# {explain_title(report)}", *(f"> **Warning:** {warning}" for warning in report.warnings)]
    parts += [base_line(report), HOW]
    parts.append("\n".join(f"- {name}: {about}" for name, about in DROP_FIGURES.values()))
    figures = ([drop_figure(report.figures[key][at]) for key in DROP_FIGURES] for at in report.by_importance())
    names = (report.names[at] for at in report.by_importance())
    heads = ["feature", *(name for name, _ in DROP_FIGURES.values())]
    parts.append(_table(heads, [[name, *cells] for name, cells in zip(names, figures, strict=True)]))
    if (seen := report.attention) is not None:
        lines = zip(steps_back(len(seen.mean)), seen.mean, seen.low, seen.high, strict=True)
        rows = [[str(step), *(f"{value:.4f}" for value in values)] for step, *values in lines]
        parts.append(f"## Attention\n\n{ATTENTION}\n\n" + _table(["step", "mean", "low", "high"], rows))
    if (one := report.window) is not None:
        held = zip(steps_back(len(one.weights)), one.dates, one.weights, strict=True)
        cells = [[str(step), day or "none", f"{weight:.4f}"] for step, day, weight in held]
        parts.append(f"## {one.instrument} on {one.day}\n\n" + _table(["step", "datetime", "weight"], cells))
    return finish(parts, report.context)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def write_explain_report(report: ExplainReport, folder: Path) -> tuple[Path, ...]:
    """Write explain.json, explain.md and explain.html into a folder; return their paths."""
    texts = {
        "explain.json": to_json(explain_to_json(report), indent=1),
        "explain.md": render_explain_markdown(report),
        "explain.html": render_explain_page(report),
    }
    return write_texts(texts, folder)
