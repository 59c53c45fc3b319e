"""A FactorReport as rows, JSON, Markdown and a page; the same content each time."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from qts.errors import ConfigError
from qts.evaluation import FactorReport
from qts.evaluation.factors import CUT
from qts.json_text import to_json
from qts.registry import unknown_name_hint
from qts.rendering.factor_page import render_factor_page
from qts.rendering.markdown import finish
from qts.rendering.report import write_texts
from qts.rendering.words import FACTOR_FIGURES, cluster_line, coverage_line, factor_figure, factor_title, timeline

SCHEMA = "qts.factor_report/1"

SORTS = ("factor", "cluster", *FACTOR_FIGURES)
"""What rows can be sorted by: names and clusters upward, figures by size whatever their sign, the largest first."""

_DIGITS = {"rank_ic_t": 3, "spread": 7}
"""Decimals of a figure in a row, where they are not 5: none says more than its error allows."""


def check_sort(name: str) -> str:
    """Return the name of a sort; raises ConfigError for an unknown one."""
    if name not in SORTS:
        raise ConfigError(f'factors cannot be sorted by "{name}"', where="--sort", hint=unknown_name_hint(name, SORTS))
    return name


def factor_rows(report: FactorReport, sort: str = "rank_icir") -> list[dict[str, object]]:
    """Return a row a factor: name, cluster, the cluster's leader, figures; None where there is no figure."""
    leader = report.leader()
    return [
        {
            "factor": report.factors[at],
            "cluster": int(report.cluster[at]),
            "leader": report.factors[leader[at]],
            **{name: _number(report.figures[name][at].item(), _DIGITS.get(name, 5)) for name in FACTOR_FIGURES},
        }
        for at in _order(report, check_sort(sort))
    ]


def _order(report: FactorReport, sort: str) -> np.ndarray:
    if sort == "factor":
        return np.argsort(np.array(report.factors), kind="stable")
    if sort == "cluster":
        return report.by_cluster()
    size = np.abs(report.figures[sort])
    by_strength = report.by_strength()
    return by_strength[np.argsort(-np.where(np.isnan(size), -1.0, size)[by_strength], kind="stable")]


def _number(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def factor_summary(report: FactorReport) -> tuple[list[str], dict[str, Any]]:
    """Return what a table of factors needs beside it: lines for people, and the same for programs."""
    about = cluster_line(report, CUT)
    payload = {
        "warnings": list(report.warnings),
        "coverage": report.coverage,
        "context": report.context,
        "clusters": about,
    }
    return [factor_title(report), timeline(report), f"rows: {coverage_line(report)}", about], payload


def factors_to_json(report: FactorReport) -> dict[str, object]:
    """Return a report as JSON can say it; NaN becomes null."""
    years, by_year = report.by_year()
    return {
        "schema": SCHEMA,
        **factor_summary(report)[1],
        "rows": factor_rows(report),
        "correlation": {
            "factors": list(report.factors),
            "days": report.correlation_days,
            "matrix": report.correlation.tolist(),
        },
        "rank_ic_by_year": {"factors": list(report.factors), "years": years, "table": by_year.tolist()},
    }


def render_factors_markdown(report: FactorReport) -> str:
    """Return the report as Markdown: warnings first, then what is shown, the table, the clusters, origin."""
    parts = [
        f"# {factor_title(report)}",
        *(f"> **Warning:** {warning}" for warning in report.warnings),
        timeline(report),
    ]
    parts.append("\n".join(f"- {name}: {about}" for name, about in FACTOR_FIGURES.values()))
    heads = ["factor", "cluster", *(name for name, _ in FACTOR_FIGURES.values())]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for at in report.by_strength():
        cells = [factor_figure(name, report.figures[name][at]) for name in FACTOR_FIGURES]
        lines.append(f"| {' | '.join([report.factors[at], str(report.cluster[at]), *cells])} |")
    parts.append("\n".join(lines))
    parts.append("## Clusters\n\n" + cluster_line(report, CUT))
    parts.append("\n".join(f"{number}. **{names[0]}**{_others(names[1:])}" for number, names in _clusters(report)))
    parts.append(f"Rows: {coverage_line(report)}.")
    return finish(parts, report.context)


def _clusters(report: FactorReport) -> list[tuple[int, list[str]]]:
    order = report.by_cluster()
    return [
        (int(number), [report.factors[at] for at in order[report.cluster[order] == number]])
        for number in np.unique(report.cluster)
    ]


def _others(names: list[str]) -> str:
    return f": {', '.join(names)}" if names else ""


def write_factor_report(report: FactorReport, folder: Path) -> tuple[Path, ...]:
    """Write factors.json, factors.md and factors.html into a folder; return their paths."""
    texts = {
        "factors.json": to_json(factors_to_json(report), indent=1),
        "factors.md": render_factors_markdown(report),
        "factors.html": render_factor_page(report),
    }
    return write_texts(texts, folder)
