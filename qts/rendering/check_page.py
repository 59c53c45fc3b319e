"""What the data gate found: a table for a terminal, and one self-contained HTML page with the coverage of the bars."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go  # noqa: TID253 - plots; loaded by the command that draws them

from qts.rendering.html import embed, origin, page
from qts.rendering.rows import FORMATS, to_table

Findings = Sequence[Mapping[str, Any]]
"""The rows of a gate report."""

_NO_LIFE = "rgba(128,128,128,0.08)"
_EDGE = 0.5 / 101
"""Where on the scale from -1, no life, to 100 percent the percents begin."""
_SCALE = [[0, _NO_LIFE], [_EDGE, _NO_LIFE], [_EDGE, "#b2182b"], [0.7, "#fddbc7"], [1, "#2166ac"]]


def findings_text(findings: Findings) -> str:
    """Return the findings as a table for a terminal, with the first example of each."""
    rows: list[dict[str, object]] = [
        {"rule": f["rule"], "action": f["action"], "found": f["found"], "for example": f["shown"][0]} for f in findings
    ]
    stream = io.BytesIO()
    FORMATS["table"](to_table(rows), stream)
    return "\n".join(line.rstrip() for line in stream.getvalue().decode().splitlines())


def render_check_page(
    heading: str, context: dict[str, Any], findings: Findings, names: list[str], periods: list[str], percent: np.ndarray
) -> str:
    """Return the whole page; `percent` is int8 (names, periods), the share of days with a bar, -1 outside a life."""
    body = [f"<h1>{escape(heading)}</h1>"]
    refused = [f["rule"] for f in findings if f["action"] == "fail"]
    if refused:
        body.append(f'<p class="warn">The bars do not pass the data gate: {escape(", ".join(refused))}.</p>')
    body += ["<h2>Findings</h2>", _table(findings) if findings else "<p>None.</p>"]
    body += ["<h2>Share of days with a bar, percent</h2>"]
    body += [embed(_heat_map(names, periods, percent), "coverage", min(60, 10 + 0.35 * len(names)))]
    body += ["<h2>Origin</h2>", origin(context)]
    return page(heading, body)


def _table(findings: Findings) -> str:
    head = "".join(f"<th>{text}</th>" for text in ("rule", "action", "found", "examples"))
    rows = "".join(
        f"<tr><td>{escape(f['rule'])}</td><td>{escape(f['action'])}: {escape(f['done'])}</td><td>{escape(f['found'])}</td>"
        f'<td class="soft">{"<br>".join(map(escape, f["shown"]))}</td></tr>'
        for f in findings
    )
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _heat_map(names: list[str], periods: list[str], percent: np.ndarray) -> go.Figure:
    plot = go.Figure()
    plot.add_heatmap(
        x=periods, y=names, z=percent, zmin=-1, zmax=100, colorscale=_SCALE,
        hovertemplate="%{y}, from %{x}: %{z} %<extra></extra>",
    )  # fmt: skip
    plot.update_yaxes(type="category", autorange="reversed", tickfont={"size": 9}, automargin=True)
    plot.update_xaxes(type="date")
    return plot
