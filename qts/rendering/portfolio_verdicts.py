"""What a portfolio's figures say, in sentences: a rule a sentence, and no more than the statistics bear."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from qts.backtest.account import beside
from qts.backtest.periods import worst_drawdowns
from qts.backtest.results import BacktestResult
from qts.daily_series import customary_lag, describe
from qts.rendering.verdicts import FEWEST_DAYS, T_BEYOND_CHANCE

SHORT_DAYS = 250
"""Days below which a portfolio is called too short to judge."""

MUCH_COST = 0.5
"""Share of the gross profit from which on cost is told."""

MUCH_BLOCKED = 0.05
"""Share of orders cut or blocked from which on it is told."""


@dataclass(frozen=True)
class PortfolioRule:
    """One sentence that a report with a portfolio may hold."""

    name: str
    """What it is about."""
    says: Callable[[BacktestResult], str]
    """The sentence; empty where there is nothing to say."""


def _figure(backtest: BacktestResult, name: str) -> float:
    return backtest.statistics.get(name, math.nan)


def _excess(column: str, name: str) -> Callable[[BacktestResult], str]:
    """Return a rule on the mean excess over a benchmark; its t is that of daily differences, as the Newey-West error has it."""

    def says(backtest: BacktestResult) -> str:
        daily = beside(backtest.records.accounts, column).excess
        stats = describe(daily, customary_lag(len(daily)), draws=0)
        if math.isnan(stats.t) or stats.n < FEWEST_DAYS:
            return ""
        side = {"benchmark": "index", "universe": "universe"}[column]
        excess = _figure(backtest, f"{side}_annual_excess")
        sure = abs(stats.t) >= T_BEYOND_CHANCE and (stats.t > 0) == (excess > 0)
        told = "more than chance would have it" if sure else "this cannot be told from chance"
        than = "more" if excess >= 0 else "less"
        return f"After cost the portfolio earned {100 * abs(excess):.1f} % a year {than} than {name} (t {stats.t:.1f}): {told}."

    return says


def _alpha(backtest: BacktestResult) -> str:
    alpha, t, beta = (_figure(backtest, f"index_{name}") for name in ("alpha", "alpha_t", "beta"))
    if math.isnan(t) or len(backtest.days) < FEWEST_DAYS:
        return ""
    told = "is told from 0" if abs(t) >= T_BEYOND_CHANCE else "cannot be told from 0"
    left = f"what that leaves, {100 * alpha:.1f} % a year (t {t:.1f}), {told}"
    return f"The portfolio moves {beta:.2f} times as far as the index; {left}."


def _short(backtest: BacktestResult) -> str:
    n = len(backtest.days)
    return f"The portfolio has only {n} days: its figures say little." if n < SHORT_DAYS else ""


def _cost(backtest: BacktestResult) -> str:
    gross, net, share = (_figure(backtest, name) for name in ("gross_total_return", "total_return", "cost_share"))
    if gross > 0 > net:
        return "Before cost the portfolio gained, after cost it lost."
    return f"Cost took {100 * share:.0f} % of what the portfolio earned." if share >= MUCH_COST else ""


def _fall(backtest: BacktestResult) -> str:
    falls = worst_drawdowns(backtest.records.accounts, 1)
    if not falls:
        return ""
    fall = falls[0]
    since = "its start" if fall["peak"] is None else str(fall["peak"])
    end = "it is still below" if fall["recovery"] is None else f"it was back on {fall['recovery']}"
    return f"The portfolio's deepest fall, {-100 * fall['depth']:.1f} %, went from {since} to {fall['trough']}; {end}."


def _blocked(backtest: BacktestResult) -> str:
    share = _figure(backtest, "blocked_share")
    if not share >= MUCH_BLOCKED or not backtest.blocked:
        return ""
    reason, count = min(backtest.blocked.items(), key=lambda item: (-item[1], item[0]))
    return f"{100 * share:.0f} % of the orders were cut or blocked, most by {reason.replace('_', ' ')} ({count:,})."


def _capacity(backtest: BacktestResult) -> str:
    account, capacity = float(backtest.settings.get("account", math.nan)), _figure(backtest, "capacity")
    if not account > capacity:
        return ""
    return (
        f"The account of {account:,.0f} is above the {capacity:,.0f} at which an order is 1 % of what its name trades a day: "
        "prices as good as these would be hard to get."
    )


PORTFOLIO_RULES = (
    PortfolioRule("short", _short),
    PortfolioRule("index", _excess("benchmark", "the index")),
    PortfolioRule("universe", _excess("universe", "the mean of the universe's names")),
    PortfolioRule("alpha", _alpha),
    PortfolioRule("cost", _cost),
    PortfolioRule("fall", _fall),
    PortfolioRule("blocked", _blocked),
    PortfolioRule("capacity", _capacity),
)
"""Sentences on a portfolio, in the order they are told."""


def portfolio_verdicts(backtest: BacktestResult) -> tuple[str, ...]:
    """Return what a backtest says, a sentence a rule that has something to say."""
    if not len(backtest.days):
        return ()
    return tuple(text for rule in PORTFOLIO_RULES if (text := rule.says(backtest)))
