"""An EvalReport, and the portfolio that followed its scores, as one document."""

from collections.abc import Iterable
from pathlib import PurePath

from qts.backtest.results import BacktestResult
from qts.evaluation import EvalReport
from qts.rendering.backtest_chapters import backtest_chapters, portfolio_cards, portfolio_figures, portfolio_sheet
from qts.rendering.document import Chapter, Document
from qts.rendering.group_chapters import (
    breakdown_chapter,
    coverage_chapter,
    group_chapter,
    persistence_chapter,
    portfolio_chapter,
)
from qts.rendering.headline import cards, headline, headline_sheet
from qts.rendering.ic_chapters import drift_chapter, horizon_chapter, ic_chapter, neutral_chapter, year_chapter
from qts.rendering.portfolio_verdicts import portfolio_verdicts
from qts.rendering.timeline import score_timeline
from qts.rendering.verdicts import verdicts

SCHEMA = "qts.report/2"
"""Name and version of a report's JSON."""

N_CARDS = 6
"""Figures of the scores that are shown large beside those of a portfolio."""


def evaluation_document(report: EvalReport, backtest: BacktestResult | None = None) -> Document:
    """Return everything a report shows; with a backtest, also how the portfolio did."""
    figures = headline(report)
    summary: tuple[Chapter, ...] = (Chapter("Summary", (headline_sheet(figures),)),)
    warnings, told, first = report.warnings, verdicts(report), cards(figures)
    if backtest is not None:
        figures |= portfolio_figures(backtest)
        summary = (Chapter("Summary", (*summary[0].blocks, portfolio_sheet(backtest))),)
        first = (*first[:N_CARDS], *portfolio_cards(backtest))
        warnings, told = (*warnings, *backtest.warnings), (*told, *portfolio_verdicts(backtest))
    days_per_year = float(report.context.get("days_per_year", 252))
    traded = backtest_chapters(backtest, days_per_year) if backtest is not None else ()
    return Document(
        schema=SCHEMA,
        title=_title(report),
        chapters=(*summary, *_signal_chapters(report), *traded),
        warnings=warnings,
        verdicts=told,
        timeline=score_timeline(report.context, backtest.settings if backtest is not None else None),
        context=report.context,
        summary=figures,
        headline=first,
    )


def _signal_chapters(report: EvalReport) -> Iterable[Chapter]:
    parts = (
        ic_chapter(report),
        horizon_chapter(report),
        group_chapter(report),
        portfolio_chapter(report),
        persistence_chapter(report),
        year_chapter(report),
        breakdown_chapter(report),
        neutral_chapter(report),
        coverage_chapter(report),
        drift_chapter(report.drift),
    )
    return (chapter for chapter in parts if chapter is not None)


def _title(report: EvalReport) -> str:
    """Return one line that names what was judged."""
    context = report.context
    what = (
        f"{context['model']}, seed {context['seed']}"
        if "model" in context
        else PurePath(context.get("scores", "scores")).name
    )
    return f"{what}: {report.days[0]} to {report.days[-1]}"
