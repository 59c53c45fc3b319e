"""A report as Markdown."""

from typing import Any

from qts.evaluation import EvalReport
from qts.rendering.words import FIGURES, coverage_line, figure, timeline, title


def render_markdown(report: EvalReport) -> str:
    """Return the report's summary as Markdown: warnings first, then figures, years, groups, origin."""
    parts = [f"# {title(report)}", *(f"> **Warning:** {warning}" for warning in report.warnings), timeline(report)]
    rows = [f"| {name} | {figure(key, report.summary[key])} | {about} |" for key, (name, about) in FIGURES.items()]
    parts.append("\n".join(["| figure | value | what it is |", "|---|---:|---|", *rows]))
    parts.append("## By year\n\n" + _years(report))
    parts.append("## Mean daily label by score group, highest scores first\n\n" + _groups(report))
    parts.append(f"Rows: {coverage_line(report)}.")
    return finish(parts, report.context)


def finish(parts: list[str], context: dict[str, Any]) -> str:
    """Return a page of these parts, with where it came from at its end."""
    origin = "\n".join(f"- {key}: {value}" for key, value in context.items())
    return "\n\n".join([*parts, f"## Origin\n\n{origin}"]) + "\n"


def _years(report: EvalReport) -> str:
    lines = ["| year | days | IC | RankIC |", "|---|---:|---:|---:|"]
    lines += [f"| {year} | {n} | {ic:.4f} | {rank:.4f} |" for year, n, ic, rank in report.by_year()]
    return "\n".join(lines)


def _groups(report: EvalReport) -> str:
    means = report.mean_by_group()
    head = " | ".join(f"{at + 1}" for at in range(len(means)))
    return f"| {head} |\n|{'---:|' * len(means)}\n| " + " | ".join(f"{100 * mean:.4f} %" for mean in means) + " |"
