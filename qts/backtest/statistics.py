"""What an account's days come to: a row a figure, with what it means and how it is written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from operator import attrgetter
from typing import Literal

import numpy as np

from qts.backtest.account import Account, Versus
from qts.backtest.results import Columns
from qts.backtest.risk import (
    NAN,
    annual_ratio,
    annual_return,
    compounded,
    deepest,
    mean,
    sortino,
    spread,
    summed_drawdown,
)
from qts.daily_series import describe, drawdowns, probabilistic_sharpe, safe_ratio


@dataclass(frozen=True)
class Statistic:
    """A figure of a backtest."""

    key: str
    """Its name for programs."""
    head: str
    """Its name for people."""
    kind: Literal["integer", "number", "percent", "ratio"]
    """How it is written, in the words of a report's cells."""
    section: Literal["return", "risk", "index", "universe", "trading"]
    """What it tells of."""
    about: str
    """How to read it."""
    of: Callable[[Account], float]
    """How it is found; NaN where it says nothing."""


def statistics(
    accounts: Columns, days_per_year: float, *, trades: Columns | None = None, orders: Columns | None = None
) -> dict[str, float]:
    """Return every figure of STATISTICS by name, of the tables of a backtest as `Records` has them.

    What cannot be told is NaN, and nothing is infinite: figures of a benchmark without returns, ratios to a spread of 0,
    figures of trades or orders that are not given. Orders may have the column `volume_share`, what was dealt over the
    name's volume of the day; without it there is no capacity.
    """
    account = Account(accounts, days_per_year, trades, orders)
    found = {key: float(row.of(account)) for key, row in STATISTICS.items()}
    return {key: value if np.isfinite(value) else NAN for key, value in found.items()}


def _sharpe_probability(account: Account) -> float:
    stats = describe(account.net, 0, draws=0)
    return probabilistic_sharpe(stats.ratio, stats.n, stats.skew, stats.kurtosis)


def _longest_drawdown(account: Account) -> float:
    days = np.arange(len(account.net))
    return max((fall.n_days for fall in drawdowns(days, account.net, len(days))), default=0)


def _profit_factor(account: Account) -> float:
    profit = account.closed["profit"]
    return safe_ratio(float(profit[profit > 0].sum()), -float(profit[profit < 0].sum()))


def _cost_share(account: Account) -> float:
    earned = float(account.gross.sum())
    return safe_ratio(float(account.cost.sum()), earned) if earned > 0 else NAN


def _capacity(account: Account) -> float:
    return safe_ratio(0.01, mean(account.share_per_money))


def _tail_capacity(account: Account) -> float:
    shares = account.share_per_money
    return safe_ratio(0.1, float(np.quantile(shares, 0.99))) if len(shares) else NAN


def _blocked_share(account: Account) -> float:
    return NAN if account.orders is None else mean(account.orders["reason"] != "")


_ROWS = (
    Statistic("n_days", "Days", "integer", "return", "Days of the account.", lambda a: len(a.net)),
    Statistic("total_return", "Total return", "percent", "return", "Compounded, after cost.", lambda a: compounded(a.net)),
    Statistic("gross_total_return", "Before cost", "percent", "return", "Compounded, before cost.",
              lambda a: compounded(a.gross)),
    Statistic("annual_return", "Annual return", "percent", "return", "Compounded a year, after cost.",
              lambda a: annual_return(a.net, a.days_per_year)),
    Statistic("annual_return_sum", "Annual return, summed", "percent", "return",
              "Mean a day times the days of a year, as published tables have it; nothing is compounded.",
              lambda a: mean(a.net) * a.days_per_year),
    Statistic("volatility", "Volatility", "percent", "risk", "Standard deviation of net returns, a year.",
              lambda a: spread(a.net) * sqrt(a.days_per_year)),
    Statistic("sharpe", "Sharpe ratio", "ratio", "risk",
              "Mean net return over its standard deviation, a year; cash is taken to earn nothing.",
              lambda a: annual_ratio(a.net, a.days_per_year)),
    Statistic("sharpe_probability", "Sharpe above 0", "percent", "risk",
              "Probability that the true Sharpe ratio is above 0, given length, skew and kurtosis (probabilistic Sharpe).",
              _sharpe_probability),
    Statistic("sortino", "Sortino ratio", "ratio", "risk",
              "Mean net return over the root mean square of losses, a year.", lambda a: sortino(a.net, a.days_per_year)),
    Statistic("calmar", "Calmar ratio", "ratio", "risk", "Annual return over the maximum drawdown.",
              lambda a: safe_ratio(annual_return(a.net, a.days_per_year), -deepest(a.net))),
    Statistic("max_drawdown", "Max drawdown", "percent", "risk",
              "Largest fall of the account from its peak; the account starts at 1.", lambda a: deepest(a.net)),
    Statistic("longest_drawdown", "Longest drawdown", "integer", "risk",
              "Days from a peak until the account was back at it, or to the end.", _longest_drawdown),
    Statistic("max_drawdown_sum", "Max drawdown, summed excess", "percent", "risk",
              "Largest fall of the summed excess over the index, in points, without a start: as published tables have it.",
              lambda a: summed_drawdown(a.index.excess)),
    Statistic("best_day", "Best day", "percent", "risk", "Largest net return of a day.",
              lambda a: a.net.max(initial=-np.inf)),
    Statistic("worst_day", "Worst day", "percent", "risk", "Smallest net return of a day.",
              lambda a: a.net.min(initial=np.inf)),
    Statistic("var_95", "Value at risk, 95 %", "percent", "risk",
              "The net return that 5 days of 100 fell below.", lambda a: np.quantile(a.net, 0.05) if len(a.net) else NAN),
    Statistic("skew", "Skew", "ratio", "risk", "Of net returns; below 0: large losses are likelier than large gains.",
              lambda a: describe(a.net, 0, draws=0).skew),
    Statistic("kurtosis", "Excess kurtosis", "ratio", "risk", "Of net returns; above 0: more extreme days than a normal law has.",
              lambda a: describe(a.net, 0, draws=0).kurtosis),
    Statistic("hit_days", "Days won", "percent", "risk", "Share of days with a net return above 0.",
              lambda a: mean(a.net > 0)),
    Statistic("turnover", "Turnover", "percent", "trading",
              "Half of what was bought and sold a day, as a share of the account.", lambda a: mean(a.turnover)),
    Statistic("annual_turnover", "Annual turnover", "ratio", "trading",
              "Times a year that the account was renewed: turnover times the days of a year.",
              lambda a: mean(a.turnover) * a.days_per_year),
    Statistic("annual_cost", "Annual cost", "percent", "trading", "Cost a day times the days of a year.",
              lambda a: mean(a.cost) * a.days_per_year),
    Statistic("cost_share", "Cost of gross profit", "percent", "trading",
              "Summed cost over summed gross return; nothing where nothing was earned.", _cost_share),
    Statistic("mean_names", "Names held", "ratio", "trading", "Names held at the end of a day, mean.",
              lambda a: mean(a.accounts["n_positions"])),
    Statistic("max_names", "Most names held", "integer", "trading", "Most names held at the end of a day.",
              lambda a: a.accounts["n_positions"].max(initial=0)),
    Statistic("exposure", "Exposure", "percent", "trading", "Value held over the account, mean over days.",
              lambda a: mean(a.accounts["value"] / a.accounts["account"])),
    Statistic("n_trades", "Holdings closed", "integer", "trading", "Holdings that were sold or written off.",
              lambda a: NAN if a.trades is None else len(a.closed["profit"])),
    Statistic("hit_trades", "Holdings won", "percent", "trading", "Share of closed holdings with a profit after cost.",
              lambda a: mean(a.closed["profit"] > 0)),
    Statistic("profit_factor", "Profit factor", "ratio", "trading",
              "Profit of the closed holdings that won over the loss of those that lost.", _profit_factor),
    Statistic("mean_holding_days", "Days held", "ratio", "trading", "Days of the calendar a closed holding was held, mean.",
              lambda a: mean(a.closed["n_days"])),
    Statistic("n_orders", "Orders", "integer", "trading", "Orders planned.",
              lambda a: NAN if a.orders is None else len(a.orders["reason"])),
    Statistic("blocked_share", "Orders cut or blocked", "percent", "trading", "Share of orders that were not dealt in full.",
              _blocked_share),
    Statistic("capacity", "Capacity", "number", "trading",
              "Account at which an order is on average 1 % of what the name trades that day; an estimate.", _capacity),
    Statistic("tail_capacity", "Capacity, large orders", "number", "trading",
              "Account at which 99 orders of 100 are below 10 % of what the name trades that day; an estimate.",
              _tail_capacity),
)  # fmt: skip


def _versus_rows(section: Literal["index", "universe"], name: str) -> Iterator[Statistic]:
    """Yield the figures of the account beside one benchmark."""
    figures: tuple[tuple[str, str, Literal["percent", "ratio"], str, Callable[[Versus, float], float]], ...] = (
        ("annual_return", "Annual return of {}", "percent", "Compounded a year, without cost.",
         lambda v, n: annual_return(v.benchmark, n)),
        ("max_drawdown", "Max drawdown of {}", "percent", "Largest fall from its peak.", lambda v, _: deepest(v.benchmark)),
        ("annual_excess", "Excess over {}", "percent", "Annual return of the account minus that of {}, both compounded.",
         lambda v, n: annual_return(v.net, n) - annual_return(v.benchmark, n)),
        ("annual_excess_sum", "Excess over {}, summed", "percent",
         "Mean excess a day times the days of a year, as published tables have it.", lambda v, n: mean(v.excess) * n),
        ("tracking_error", "Tracking error to {}", "percent", "Standard deviation of the excess, a year.",
         lambda v, n: spread(v.excess) * sqrt(n)),
        ("information_ratio", "Information ratio to {}", "ratio", "Mean excess over its standard deviation, a year.",
         lambda v, n: annual_ratio(v.excess, n)),
        ("hit_days", "Days above {}", "percent", "Share of days with an excess above 0.", lambda v, _: mean(v.excess > 0)),
        ("alpha", "Alpha to {}", "percent",
         "What the account would have earned a year on days on which {} stands still: intercept of a line.",
         lambda v, n: v.line.alpha * n),
        ("alpha_t", "t of alpha to {}", "ratio", "Alpha over its Newey-West error; beyond 2 it is hardly chance.",
         lambda v, _: v.line.alpha_t),
        ("beta", "Beta to {}", "ratio", "How far the account moves with {}: slope of the line.", lambda v, _: v.line.beta),
        ("beta_t", "t of beta to {}", "ratio", "Beta over its Newey-West error.", lambda v, _: v.line.beta_t),
        ("r2", "R² to {}", "percent", "Share of the account's variance that {} explains.", lambda v, _: v.line.r2),
    )  # fmt: skip
    for key, head, kind, about, figure in figures:
        of = _beside(attrgetter(section), figure)
        yield Statistic(f"{section}_{key}", head.format(name), kind, section, about.format(name), of)


def _beside(side: Callable[[Account], Versus], figure: Callable[[Versus, float], float]) -> Callable[[Account], float]:
    """Return a figure of the account beside a benchmark; figures take how many intervals, mostly days, a year has."""

    def of(account: Account) -> float:
        versus = side(account)
        return figure(versus, versus.intervals_per_year(account.days_per_year))

    return of


STATISTICS = {
    row.key: row for row in (*_ROWS, *_versus_rows("index", "the index"), *_versus_rows("universe", "the universe"))
}
"""Figures of a backtest by name, in the order they are told."""
