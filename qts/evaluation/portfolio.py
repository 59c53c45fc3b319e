"""Scores as weights of a long-short portfolio, and what of its return is only the market."""

import numpy as np

from qts.daily_series import ols_hac
from qts.evaluation.ic import deviations
from qts.evaluation.results import FactorPortfolio
from qts.evaluation.scored import ScoredDays
from qts.evaluation.series import Describe


def weighted_returns(days: ScoredDays, label: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return (n_lines,) sums of weight x label; weights are distances from the day's mean score, absolute sum 1."""
    weight = deviations(days.score, taken, np.maximum(np.count_nonzero(taken, axis=1), 1))
    gross = np.abs(weight).sum(axis=1)
    earned = np.einsum("dn,dn->d", weight, np.where(taken, label, 0.0))
    return np.divide(earned, gross, where=gross > 0, out=np.full(len(gross), np.nan))


def factor_portfolio(
    returns: np.ndarray, market: np.ndarray, lag: int, periods_per_year: float, describe: Describe
) -> FactorPortfolio:
    """Summarise daily returns (n_days,) beside those of all names (n_days,); `lag` is that of the errors."""
    line = ols_hac(returns, market, lag)
    mean = describe(returns, lag)
    return FactorPortfolio(
        returns=returns,
        market=market,
        mean=mean,
        alpha=line.alpha * periods_per_year,
        alpha_t=line.alpha_t,
        beta=line.beta,
        beta_t=line.beta_t,
        annual_return=mean.mean * periods_per_year,
        sharpe=mean.ratio * float(np.sqrt(periods_per_year)),
    )
