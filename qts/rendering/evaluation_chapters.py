"""An EvalReport, and the portfolio that followed its scores, as one document."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath

from qts.backtest import cautions
from qts.backtest.results import BacktestResult
from qts.evaluation import EvalReport, coverage
from qts.rendering.backtest_chapters import backtest_chapters, portfolio_cards, portfolio_figures, portfolio_sheet
from qts.rendering.document import Chapter, Document, Plot
from qts.rendering.group_chapters import (
    breakdown_chapter,
    coverage_chapter,
    group_chapter,
    persistence_chapter,
    portfolio_chapter,
)
from qts.rendering.headline import cards, headline, headline_sheet
from qts.rendering.ic_chapters import drift_chapter, horizon_chapter, ic_chapter, neutral_chapter, year_chapter
from qts.rendering.plots import has_values
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
        warnings = (*_without_told(warnings, backtest.warnings), *backtest.warnings)
        told = (*told, *portfolio_verdicts(backtest))
    days_per_year = float(report.context.get("days_per_year", 252))
    traded = backtest_chapters(backtest, days_per_year) if backtest is not None else ()
    return Document(
        schema=SCHEMA,
        title=_title(report),
        chapters=tuple(map(_drawn, (*summary, *_signal_chapters(report), *traded))),
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


def _without_told(warnings: tuple[str, ...], later: tuple[str, ...]) -> tuple[str, ...]:
    """Return warnings without that of equal scores where the backtest has it too, with what it does about them."""
    is_told = any(text.startswith(cautions.TIED) for text in later)
    return tuple(text for text in warnings if not (is_told and text.startswith(coverage.TIED)))


def _drawn(chapter: Chapter) -> Chapter:
    """Return a chapter without plots that have nothing to draw."""
    blocks = (block for block in chapter.blocks if not isinstance(block, Plot) or has_values(block))
    return replace(chapter, blocks=tuple(blocks))


def _title(report: EvalReport) -> str:
    """Return one line that names what was judged."""
    context = report.context
    what = (
        f"{context['model']}, seed {context['seed']}"
        if "model" in context
        else PurePath(context.get("scores", "scores")).name
    )
    return f"{what}: {report.days[0]} to {report.days[-1]}"
