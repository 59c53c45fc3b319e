"""A report as one self-contained HTML page: opens from disk, no network, plots by plotly."""

from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from qts.evaluation import EvalReport
from qts.rendering.words import FIGURES, coverage_line, figure, timeline, title

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #ffffff; --line: #d8dce0; --soft: #60666c; --warn: #b45309 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --paper: #16181a; --line: #34383c; --soft: #9aa0a6; --warn: #f0a848 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } .soft { color: var(--soft) }
.warn { color: var(--warn); font-weight: 600 } .plot { width: 100% } .wide { overflow-x: auto; font-size: .8rem } .wide td, .wide th { padding: .2rem .35rem }
@media print { body { max-width: none } .plot { break-inside: avoid } }
"""

_RECOLOUR = """
const dark = matchMedia('(prefers-color-scheme: dark)');
function recolour() {
  const ink = getComputedStyle(document.documentElement).getPropertyValue('--ink').trim();
  const line = getComputedStyle(document.documentElement).getPropertyValue('--line').trim();
  document.querySelectorAll('.js-plotly-plot').forEach(p => Plotly.relayout(p, {
    'font.color': ink, 'xaxis.gridcolor': line, 'yaxis.gridcolor': line, 'xaxis.zerolinecolor': line, 'yaxis.zerolinecolor': line}));
}
dark.addEventListener('change', recolour); addEventListener('load', recolour);
"""


def render_html(report: EvalReport) -> str:
    """Return the whole page."""
    plots = {
        "Cumulative IC and RankIC": _cumulative_ic(report),
        "RankIC by month": _monthly(report),
        "Mean daily label by score group, highest scores first": _quantiles(report),
        "Sum of daily labels by score group": _cumulative_quantiles(report),
    }
    body = [f"<h1>{escape(title(report))}</h1>"]
    body += [f'<p class="warn">Warning: {escape(warning)}</p>' for warning in report.warnings]
    body += [f"<p>{escape(timeline(report))}</p>", _figures(report)]
    for number, (heading, plot) in enumerate(plots.items()):
        body.append(f"<h2>{escape(heading)}</h2>{embed(plot, f'plot{number}')}")
    body += ["<h2>By year</h2>", _years(report), f'<p class="soft">Rows: {escape(coverage_line(report))}.</p>']
    body += ["<h2>Origin</h2>", origin(report.context)]
    return page(title(report), body)


def page(heading: str, body: list[str]) -> str:
    """Return a page that holds all it needs to draw itself."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body>{''.join(body)}<script>{_RECOLOUR}</script></body></html>"
    )


def embed(plot: go.Figure, name: str, height_rem: float = 22) -> str:
    """Return a plot as a part of a page; `name` is its own there."""
    plot.update_layout(
        margin={"l": 60, "r": 20, "t": 10, "b": 40}, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h"}, template="none", modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#a0a4a8", "activecolor": "#1f77b4"},
    )  # fmt: skip
    data = plot.to_json()
    draw = f"const f{name} = {data}; Plotly.newPlot('{name}', f{name}.data, f{name}.layout, {{responsive: true, displaylogo: false}});"
    return f'<div id="{name}" class="plot" style="height: {height_rem:g}rem"></div><script>{draw.replace("</", "<" + chr(92) + "/")}</script>'


def _figures(report: EvalReport) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{escape(figure(key, report.summary[key]))}</td>'
        f'<td class="soft">{escape(about)}</td></tr>'
        for key, (name, about) in FIGURES.items()
    )
    return f"<table>{rows}</table>"


def _years(report: EvalReport) -> str:
    head = "<tr><th>year</th><th>days</th><th>IC</th><th>RankIC</th></tr>"
    rows = "".join(
        f'<tr><td>{year}</td><td class="n">{n}</td><td class="n">{ic:.4f}</td><td class="n">{rank:.4f}</td></tr>'
        for year, n, ic, rank in report.by_year()
    )
    return f"<table>{head}{rows}</table>"


def origin(context: dict[str, Any]) -> str:
    """Return where a report came from, as a table."""
    cells = "".join(f"<tr><td>{escape(key)}</td><td>{escape(str(value))}</td></tr>" for key, value in context.items())
    return f"<table>{cells}</table>"


def _days(report: EvalReport) -> list[str]:
    return [str(day) for day in report.days]


def _cumulative_ic(report: EvalReport) -> go.Figure:
    plot = go.Figure()
    for name, daily in (("IC", report.ic), ("RankIC", report.rank_ic)):
        plot.add_scatter(x=_days(report), y=np.nancumsum(daily).round(5).tolist(), name=name, mode="lines")
    return plot


def _monthly(report: EvalReport) -> go.Figure:
    years, table = report.by_month()
    plot = go.Figure()
    months = [f"{month:02d}" for month in range(1, 13)]
    values = [[None if np.isnan(v) else round(float(v), 4) for v in row] for row in table]
    plot.add_heatmap(
        x=months, y=[str(year) for year in years], z=values, colorscale="RdBu", zmid=0, xgap=2, ygap=2,
        texttemplate="%{z:.3f}", hovertemplate="%{y}-%{x}: %{z:.4f}<extra></extra>",
    )  # fmt: skip
    plot.update_yaxes(type="category", autorange="reversed")
    plot.update_xaxes(type="category")
    return plot


def _quantiles(report: EvalReport) -> go.Figure:
    means = report.mean_by_group()
    plot = go.Figure()
    plot.add_bar(x=[str(at + 1) for at in range(len(means))], y=[round(100 * float(mean), 5) for mean in means])
    plot.update_yaxes(ticksuffix=" %")
    plot.update_xaxes(type="category", title="score group")
    return plot


def _cumulative_quantiles(report: EvalReport) -> go.Figure:
    plot = go.Figure()
    for at in range(report.quantiles.shape[1]):
        summed = np.nancumsum(report.quantiles[:, at]).round(5).tolist()
        plot.add_scatter(x=_days(report), y=summed, name=f"group {at + 1}", mode="lines")
    return plot
