"""A FactorReport as one self-contained HTML page, drawn as the report of scores is."""

from html import escape

import numpy as np
import plotly.graph_objects as go  # noqa: TID253 - plots; loaded by the command that draws them

from qts.evaluation import FactorReport
from qts.evaluation.factors import CUT
from qts.rendering.html import embed, origin, page
from qts.rendering.words import FACTOR_FIGURES, cluster_line, coverage_line, factor_figure, factor_title, timeline


def render_factor_page(report: FactorReport) -> str:
    """Return the whole page."""
    n = len(report.factors)
    plots = {
        "RankIC, factors by |RankICIR|; bars of two standard errors": (_rank_ic(report), 24),
        "IC and turnover; leaders of clusters in the strong colour": (_turnover(report), 28),
        "Rank correlation of factors, cluster after cluster": (_correlation(report), 50),
        "RankIC by year, factors by |RankICIR|": (_years(report), 4 + 0.9 * n),
    }
    body = [f"<h1>{escape(factor_title(report))}</h1>"]
    body += [f'<p class="warn">Warning: {escape(warning)}</p>' for warning in report.warnings]
    body += [f"<p>{escape(timeline(report))}</p>", f"<p>{escape(cluster_line(report, CUT))}</p>"]
    for number, (heading, (plot, height)) in enumerate(plots.items()):
        body.append(f"<h2>{escape(heading)}</h2>{embed(plot, f'plot{number}', height)}")
    body += ["<h2>All factors</h2>", _table(report), _legend()]
    body += [f'<p class="soft">Rows: {escape(coverage_line(report))}.</p>', "<h2>Origin</h2>", origin(report.context)]
    return page(factor_title(report), body)


def _table(report: FactorReport) -> str:
    heads = ["factor", "cluster", "leader", *(name for name, _ in FACTOR_FIGURES.values())]
    leader = report.leader()
    rows = []
    for at in report.by_strength():
        name, number, leads = report.factors[at], str(report.cluster[at]), report.factors[leader[at]]
        figures = [factor_figure(key, report.figures[key][at]) for key in FACTOR_FIGURES]
        cells = "".join(f'<td class="n">{escape(text)}</td>' for text in figures)
        rows.append(f'<tr><td>{escape(name)}</td><td class="n">{number}</td><td>{escape(leads)}</td>{cells}</tr>')
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _legend() -> str:
    lines = "".join(f"<li>{escape(name)}: {escape(about)}</li>" for name, about in FACTOR_FIGURES.values())
    return f'<ul class="soft">{lines}</ul>'


def _rounded(values: np.ndarray, digits: int) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), digits) for value in values]


def _shade() -> dict[str, object]:
    return {"lenmode": "pixels", "len": 260, "y": 1, "yanchor": "top", "thickness": 14}


def _rank_ic(report: FactorReport) -> go.Figure:
    order = report.by_strength()
    errors = _rounded(2 * report.rank_ic_error()[order], 5)
    plot = go.Figure()
    plot.add_bar(
        x=[report.factors[at] for at in order], y=_rounded(report.figures["rank_ic"][order], 5),
        error_y={"type": "data", "array": errors, "width": 0, "thickness": 1, "color": "#808488"},
    )  # fmt: skip
    plot.update_xaxes(type="category", tickangle=-90, tickfont={"size": 9}, automargin=True)
    return plot


def _turnover(report: FactorReport) -> go.Figure:
    plot = go.Figure()
    for name, chosen, opacity in (("leader", report.is_leader, 1.0), ("other", ~report.is_leader, 0.35)):
        at = np.flatnonzero(chosen)
        plot.add_scatter(
            x=_rounded(report.figures["turnover"][at], 5), y=_rounded(report.figures["ic"][at], 5), name=name,
            mode="markers", marker={"opacity": opacity, "size": 8},
            text=[f"{report.factors[one]}, cluster {report.cluster[one]}" for one in at],
            hovertemplate="%{text}<br>turnover %{x:.4f}<br>IC %{y:.4f}<extra></extra>",
        )  # fmt: skip
    plot.update_xaxes(title="turnover")
    plot.update_yaxes(title="IC")
    return plot


def _correlation(report: FactorReport) -> go.Figure:
    order = report.by_cluster()
    names = [report.factors[at] for at in order]
    plot = go.Figure()
    plot.add_heatmap(
        x=names, y=names, z=[_rounded(row[order], 2) for row in report.correlation[order]], colorscale="RdBu",
        zmin=-1, zmax=1, colorbar=_shade(), hovertemplate="%{y}, %{x}: %{z:.2f}<extra></extra>",
    )  # fmt: skip
    plot.update_yaxes(type="category", autorange="reversed", tickfont={"size": 9}, automargin=True)
    plot.update_xaxes(type="category", tickangle=-90, tickfont={"size": 9}, automargin=True)
    return plot


def _years(report: FactorReport) -> go.Figure:
    years, table = report.by_year()
    order = report.by_strength()
    plot = go.Figure()
    plot.add_heatmap(
        x=[str(year) for year in years], y=[report.factors[at] for at in order],
        z=[_rounded(column, 4) for column in table.T[order]], colorscale="RdBu", zmid=0, xgap=1, ygap=1, colorbar=_shade(),
        texttemplate="%{z:.3f}", textfont={"size": 9}, hovertemplate="%{y}, %{x}: %{z:.4f}<extra></extra>",
    )  # fmt: skip
    plot.update_yaxes(type="category", autorange="reversed", tickfont={"size": 9}, dtick=1, automargin=True)
    plot.update_xaxes(type="category", side="top", automargin=True)
    return plot
