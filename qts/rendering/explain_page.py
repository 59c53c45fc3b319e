"""An ExplainReport as one self-contained HTML page, drawn as the report of scores is."""

from html import escape

import numpy as np
import plotly.graph_objects as go  # noqa: TID253 - plots; loaded by the command that draws them

from qts.evaluation.importance import AttendedWindow, Attention, ExplainReport
from qts.rendering.explain_words import (
    ATTENTION,
    BAND_WORDS,
    DROP_FIGURES,
    HOW,
    base_line,
    drop_figure,
    explain_title,
    steps_back,
)
from qts.rendering.html import embed, origin, page


def render_explain_page(report: ExplainReport) -> str:
    """Return the whole page."""
    heading = explain_title(report)
    body = [f"<h1>{escape(heading)}</h1>"]
    body += [f'<p class="warn">Warning: {escape(warning)}</p>' for warning in report.warnings]
    body += [f"<p>{escape(base_line(report))}</p>", f"<p>{escape(HOW)}</p>"]
    body.append("<h2>RankIC lost without each feature; bars of two standard errors over days</h2>")
    body.append(embed(_drops(report), "drops", 4 + 1.3 * len(report.names)))
    if report.attention is not None:
        body.append(
            f"<h2>Attention by step</h2><p>{escape(ATTENTION)}</p>{embed(_profile(report.attention), 'attention')}"
        )
    if report.window is not None:
        where = f"Attention within the window of {report.window.instrument} on {report.window.day}"
        body.append(f"<h2>{escape(where)}</h2>{embed(_one(report.window), 'window')}")
    body += ["<h2>All figures</h2>", _table(report), _legend(), "<h2>Origin</h2>", origin(report.context)]
    return page(heading, body)


def _table(report: ExplainReport) -> str:
    rows = []
    for at in report.by_importance():
        cells = "".join(f'<td class="n">{escape(drop_figure(report.figures[key][at]))}</td>' for key in DROP_FIGURES)
        members = report.members[at]
        own = members == (report.names[at],)
        of = "" if own else f' <span class="soft">{escape(", ".join(members))}</span>'
        rows.append(f"<tr><td>{escape(report.names[at])}{of}</td>{cells}</tr>")
    head = "".join(f"<th>{escape(text)}</th>" for text in ("feature", *(name for name, _ in DROP_FIGURES.values())))
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _legend() -> str:
    lines = "".join(f"<li>{escape(name)}: {escape(about)}</li>" for name, about in DROP_FIGURES.values())
    return f'<ul class="soft">{lines}</ul>'


def _rounded(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]


def _drops(report: ExplainReport) -> go.Figure:
    order = report.by_importance()[::-1]  # the first bar is drawn at the bottom
    errors = _rounded(2 * report.figures["rank_ic_error"][order])
    plot = go.Figure()
    plot.add_bar(
        x=_rounded(report.figures["rank_ic_drop"][order]), y=[report.names[at] for at in order], orientation="h",
        error_x={"type": "data", "array": errors, "width": 0, "thickness": 1, "color": "#808488"},
        hovertemplate="%{y}: %{x:.5f}<extra></extra>",
    )  # fmt: skip
    plot.update_xaxes(title="RankIC drop")
    plot.update_yaxes(type="category", tickfont={"size": 10}, dtick=1, automargin=True)
    return plot


def _profile(seen: Attention) -> go.Figure:
    steps = steps_back(len(seen.mean))
    plot = go.Figure()
    plot.add_scatter(
        x=steps, y=_rounded(seen.high), mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip"
    )
    plot.add_scatter(
        x=steps, y=_rounded(seen.low), mode="lines", line={"width": 0}, fill="tonexty", fillcolor="rgba(31,119,180,0.2)",
        name=BAND_WORDS, hoverinfo="skip",
    )  # fmt: skip
    plot.add_scatter(x=steps, y=_rounded(seen.mean), mode="lines+markers", name="mean", line={"color": "#1f77b4"})
    plot.add_scatter(x=steps, y=[round(1 / len(steps), 6)] * len(steps), mode="lines", name="all steps alike",
                     line={"dash": "dot", "color": "#808488", "width": 1})  # fmt: skip
    plot.update_xaxes(dtick=max(1, len(steps) // 20))
    plot.update_yaxes(rangemode="tozero")
    return plot


def _one(window: AttendedWindow) -> go.Figure:
    steps = steps_back(len(window.weights))
    labels = [f"{step}: {day or 'no row'}" for step, day in zip(steps, window.dates, strict=True)]
    plot = go.Figure()
    plot.add_bar(x=labels, y=_rounded(window.weights))
    plot.update_xaxes(type="category", tickangle=-90, automargin=True)
    return plot
