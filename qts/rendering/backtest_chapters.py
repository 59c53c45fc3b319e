"""Chapters on how a portfolio did: value, falls, figures, months and years."""

import math

import numpy as np

from qts.backtest.account import beside
from qts.backtest.periods import monthly, published_risk, rolling, worst_drawdowns, yearly
from qts.backtest.results import BacktestResult, Columns
from qts.backtest.risk import compounded
from qts.backtest.statistics import STATISTICS
from qts.columns import DATETIME
from qts.rendering.document import Chapter, Column, Figure, Plot, Sheet, Trace
from qts.rendering.series import Data, day_names, fallen, grown, month_plot, rounded
from qts.rendering.trading_chapters import trading_chapters

WINDOW = 250
"""Days of the moving figures, about a year."""

BENCHMARKS = {"benchmark": "index", "universe": "universe"}
"""Column of the accounts → its name for people."""

_COLOURS = {"net_return": 0, "gross_return": 1, "benchmark": 2, "universe": 3}
"""Column of the accounts → its colour, the same in every plot."""

PREFIX = "portfolio_"
"""What a backtest's figures are called by in a report's summary, before their own names."""

_HEADLINE = (
    "annual_return", "index_annual_excess", "index_information_ratio", "index_alpha", "index_alpha_t", "universe_annual_excess",
    "universe_information_ratio", "volatility", "sharpe", "max_drawdown", "turnover", "annual_cost", "blocked_share",
)  # fmt: skip
"""Statistics asked for most."""


def has_any(values: np.ndarray) -> bool:
    """Return whether a benchmark has a return on any day."""
    return bool(np.isfinite(values).any())


def portfolio_figures(backtest: BacktestResult) -> dict[str, float]:
    """Return a backtest's figures as a report's summary calls them."""
    return {f"{PREFIX}{key}": value for key, value in backtest.statistics.items()}


def portfolio_sheet(backtest: BacktestResult) -> Sheet:
    """Return the figures of the portfolio that are asked for most."""
    return statistics_sheet("portfolio_headline", backtest, _HEADLINE, "The portfolio, after cost")


def statistics_sheet(key: str, backtest: BacktestResult, names: tuple[str, ...], title: str) -> Sheet:
    """Return some of a backtest's figures, a line each; those that say nothing are left out."""
    rows = [
        {
            "figure": STATISTICS[name].head,
            "value": value,
            "kind": STATISTICS[name].kind,
            "about": STATISTICS[name].about,
        }
        for name in names
        if name in STATISTICS and math.isfinite(value := backtest.statistics.get(name, math.nan))
    ]
    return Sheet(key, (Column("figure", "figure", "text"), Column("value", "value")), rows, title)


def portfolio_cards(backtest: BacktestResult) -> tuple[Figure, ...]:
    """Return the figures of the portfolio that are shown large; those that say nothing are left out."""
    notes = {"annual_return": "after cost", "index_annual_excess": "after cost", "universe_annual_excess": "after cost"}
    names = ("annual_return", "index_annual_excess", "universe_annual_excess", "max_drawdown")
    return tuple(
        Figure(STATISTICS[name].head, backtest.statistics[name], STATISTICS[name].kind, notes.get(name, ""))
        for name in names
        if math.isfinite(backtest.statistics.get(name, math.nan))
    )


def backtest_chapters(backtest: BacktestResult, days_per_year: float = 252) -> tuple[Chapter, ...]:
    """Return the chapters of a portfolio; `days_per_year` is what its statistics were made with."""
    if not len(backtest.days):
        return (Chapter("Portfolio", ("The portfolio has no day.",)),)
    return (
        _value_chapter(backtest),
        _figures_chapter(backtest, days_per_year),
        _period_chapter(backtest, days_per_year),
        *trading_chapters(backtest),
    )


def _value_chapter(backtest: BacktestResult) -> Chapter:
    accounts = backtest.records.accounts
    blocks: tuple[Sheet | Plot, ...] = (
        _value_plot(accounts),
        *_excess_plots(accounts),
        _drawdown_plot(accounts),
        _falls(accounts),
    )
    about = "Returns are compounded from 1, the account before the first day; days of a benchmark without a return count as 0."
    return Chapter("Portfolio", blocks, about)


def _value_plot(accounts: Columns) -> Plot:
    lines = {"net_return": "after cost", "gross_return": "before cost", **BENCHMARKS}
    shown = {column: name for column, name in lines.items() if has_any(accounts[column])}
    data: Data = {
        "datetime": day_names(accounts[DATETIME]),
        **{column: rounded(grown(accounts[column])) for column in shown},
    }
    traces = tuple(Trace(name, column, colour=_COLOURS[column]) for column, name in shown.items())
    return Plot("net_value", "What 1 became", data, "datetime", traces, kind="ratio", is_log=True)


def _excess_plots(accounts: Columns) -> tuple[Plot, ...]:
    """Return the account over each benchmark, before and after cost; nothing without a benchmark."""
    shown = {column: name for column, name in BENCHMARKS.items() if has_any(accounts[column])}
    if not shown:
        return ()
    data: Data = {"datetime": day_names(accounts[DATETIME])}
    traces = []
    for column, name in shown.items():
        versus = beside(accounts, column)
        for cost in ("after", "before"):
            grown_more = versus.grown(len(accounts[DATETIME]), is_gross=cost == "before")
            data[f"{cost}_{column}"] = rounded(grown_more)
            traces.append(Trace(f"over the {name}, {cost} cost", f"{cost}_{column}"))
    about = (
        "How much more 1 became in the portfolio than in the benchmark, as a share of the latter, over the days that both have; "
        "on a day that the benchmark lacks it stands still."
    )
    return (Plot("excess", "Excess", data, "datetime", tuple(traces), kind="percent", about=about),)


def _drawdown_plot(accounts: Columns) -> Plot:
    data: Data = {"datetime": day_names(accounts[DATETIME]), "portfolio": rounded(fallen(accounts["net_return"]))}
    traces = [Trace("portfolio", "portfolio", "area", colour=_COLOURS["net_return"])]
    for column, name in BENCHMARKS.items():
        if has_any(accounts[column]):
            data[column] = rounded(fallen(accounts[column]))
            traces.append(Trace(name, column, colour=_COLOURS[column]))
    return Plot("drawdown", "Fall from the peak", data, "datetime", tuple(traces), kind="percent")


def _falls(accounts: Columns) -> Sheet:
    columns = (
        Column("peak", "peak", "day"),
        Column("trough", "trough", "day"),
        Column("recovery", "back at the peak", "day"),
        Column("depth", "depth", "percent"),
        Column("n_down", "days down", "integer"),
        Column("n_up", "days up", "integer"),
        Column("n_days", "days", "integer"),
    )
    rows = [
        {**row, **{day: _day(row[day]) for day in ("peak", "trough", "recovery")}} for row in worst_drawdowns(accounts)
    ]
    about = "Without a peak the account began to fall on its first day; without a day of return it is still below."
    return Sheet("drawdowns", columns, rows, "Deepest falls", about)


def _day(day: object) -> str | None:
    return None if day is None else str(day)


def _figures_chapter(backtest: BacktestResult, days_per_year: float) -> Chapter:
    sections = {
        "return": "Return",
        "risk": "Risk",
        "index": "Beside the index",
        "universe": "Beside the universe",
        "trading": "Trading",
    }
    blocks: list[Sheet | Plot | str] = []
    for section, title in sections.items():
        names = tuple(key for key, row in STATISTICS.items() if row.section == section)
        sheet = statistics_sheet(f"statistics_{section}", backtest, names, title)
        blocks += [sheet] if sheet.rows else []
    if has_any(backtest.records.accounts["benchmark"]):
        blocks.append(_published(backtest))
    moving = _moving_plots(backtest, days_per_year)
    return Chapter("Portfolio statistics", (*blocks, *moving), f"Annual figures take {days_per_year:g} days a year.")


def _published(backtest: BacktestResult) -> Sheet:
    columns = (
        Column("series", "series", "text"),
        Column("mode", "mode", "text"),
        Column("mean", "mean"),
        Column("std", "sd"),
        Column("annualized_return", "a year", "percent"),
        Column("information_ratio", "information ratio", "ratio"),
        Column("max_drawdown", "max drawdown", "percent"),
    )
    about = "To compare with published tables: 238 days a year, no start of the drawdown, summed or compounded."
    return Sheet(
        "published_risk",
        columns,
        published_risk(backtest.records.accounts),
        "Excess over the index as Qlib tells it",
        about,
    )


def _moving_plots(backtest: BacktestResult, days_per_year: float) -> tuple[Plot, ...]:
    """Return Sharpe ratio and beta over a moving year; nothing if no year has passed."""
    figures = rolling(backtest.records.accounts, days_per_year, WINDOW)
    titles = {
        "moving_sharpe": ("Sharpe ratio", {"sharpe": "Sharpe ratio"}),
        "moving_beta": ("Beta", {"beta": "to the index", "universe_beta": "to the universe"}),
        "moving_volatility": ("Volatility a year", {"volatility": "volatility"}),
    }
    plots = []
    for key, (title, lines) in titles.items():
        if shown := {column: name for column, name in lines.items() if has_any(figures[column])}:
            start = WINDOW - 1
            days = day_names(figures[DATETIME][start:])
            data: Data = {"datetime": days, **{column: rounded(figures[column][start:], 4) for column in shown}}
            traces = tuple(Trace(name, column) for column, name in shown.items())
            heading = f"{title} of the last {WINDOW} days"
            plots.append(
                Plot(key, heading, data, "datetime", traces, kind="percent" if "volatility" in key else "ratio")
            )
    return tuple(plots)


_PERIOD_COLUMNS = (
    Column("net", "after cost", "percent"),
    Column("gross", "before cost", "percent"),
    Column("benchmark", "index", "percent"),
    Column("excess", "over index", "percent"),
    Column("universe", "universe", "percent"),
    Column("universe_excess", "over universe", "percent"),
    Column("volatility", "volatility", "percent"),
    Column("sharpe", "Sharpe", "ratio"),
    Column("max_drawdown", "max drawdown", "percent"),
    Column("turnover", "turnover", "percent"),
    Column("cost", "cost", "percent"),
    Column("n_days", "days", "integer"),
)


def _period_chapter(backtest: BacktestResult, days_per_year: float) -> Chapter:
    accounts = backtest.records.accounts
    about = (
        "Turnover is half of what was bought and sold, as a share of the account, summed over the period; so is cost."
    )
    years = Sheet(
        "years", (Column("period", "year", "text"), *_PERIOD_COLUMNS), yearly(accounts, days_per_year), "By year", about
    )
    months = monthly(accounts, days_per_year)
    data: Data = {
        "month": [row["period"] for row in months],
        "turnover": rounded([row["turnover"] for row in months], 4),
        "cost": rounded([row["cost"] for row in months], 4),
    }
    heat = month_plot(
        "net_return_by_month",
        "Net return by month",
        accounts[DATETIME],
        accounts["net_return"],
        kind="percent",
        reduce=compounded,
    )
    plots = tuple(
        Plot(
            f"{name}_by_month",
            f"{name.capitalize()} by month",
            data,
            "month",
            (Trace(name, name, "bar"),),
            kind="percent",
        )
        for name in ("turnover", "cost")
    )
    return Chapter("Portfolio by month and year", (years, heat, *plots))
