"""Scores and a market in, a result out; for one config or for a grid of them."""

from collections.abc import Sequence

import numpy as np

from qts.backtest.cautions import cautions
from qts.backtest.market import Market
from qts.backtest.portfolio import PORTFOLIOS
from qts.backtest.prepared import Prepared, preparation_key, prepare
from qts.backtest.ranking import Ranking
from qts.backtest.results import BacktestResult
from qts.backtest.statistics import statistics
from qts.config import BacktestConfig
from qts.errors import InputError


def run_backtest(
    market: Market, scores: np.ndarray, config: BacktestConfig, *, days_per_year: float = 252
) -> BacktestResult:
    """Return what a portfolio that follows the scores would have earned.

    `scores` is (n_days, n_names), the score of the same day, NaN where there is none; that of day t is traded `config.lag` days
    later. The report begins on the first day on which a score can be traded. Raises InputError where there is no such day, where
    the shapes disagree, or where a score is infinite.
    """
    return _run(prepare(market, config), Ranking(_checked(market, scores)), config, days_per_year)


def run_grid(
    market: Market,
    scores: np.ndarray,
    configs: Sequence[BacktestConfig],
    *,
    days_per_year: float = 252,
) -> list[BacktestResult]:
    """Return a result for each config; what does not differ is prepared once."""
    ranking = Ranking(_checked(market, scores))
    prepared: dict[tuple[object, ...], Prepared] = {}
    results = []
    for config in configs:
        key = preparation_key(config)
        if key not in prepared:
            prepared[key] = prepare(market, config)
        results.append(_run(prepared[key], ranking, config, days_per_year))
    return results


def _checked(market: Market, scores: np.ndarray) -> np.ndarray:
    if scores.shape != market.close.shape:
        raise InputError(f"scores have the shape {scores.shape}, the market has {market.close.shape}")
    if np.isinf(scores).any():
        raise InputError(
            f"{np.count_nonzero(np.isinf(scores))} scores are infinite",
            hint="a model that diverged; look at its training",
        )
    return np.asarray(scores, dtype=np.float64)


def _first_row(ranking: Ranking, config: BacktestConfig) -> int:
    rows = np.flatnonzero(ranking.n_scored)
    first = int(rows[0]) + config.lag if rows.size else len(ranking.scores)
    if first >= len(ranking.scores):
        raise InputError(
            f"no score can be traded: {rows.size} days have scores, and none is {config.lag} or more days before the end",
            hint="the bars must go on after the first day with scores",
        )
    return first


def _run(prepared: Prepared, ranking: Ranking, config: BacktestConfig, days_per_year: float) -> BacktestResult:
    first = _first_row(ranking, config)
    portfolio = PORTFOLIOS[config.rules](prepared, ranking, config, first)
    portfolio.run()
    recorder, book = portfolio.recorder, portfolio.book
    records = recorder.records(book.trades)
    return BacktestResult(
        settings=config.model_dump(mode="json"),
        records=records,
        statistics=statistics(records.accounts, days_per_year, trades=records.trades, orders=records.orders),
        warnings=cautions(prepared, ranking, config, recorder, records),
        blocked=recorder.reasons(),
    )
