"""How sure a Sharpe ratio is, and what is left of it once one knows how many were tried.

Sharpe ratios here are daily, mean over standard deviation; to annualise first would change the answers.
"""

from math import e, sqrt
from statistics import NormalDist

EULER_GAMMA = 0.5772156649015329
_NORMAL = NormalDist()


def probabilistic_sharpe(sharpe: float, n_days: int, skew: float, kurtosis: float, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio is above `benchmark`: Bailey & Lopez de Prado (2012), equation 11.

    `kurtosis` is that of `SeriesStats`, 0 for a normal series; theirs is larger by 3. NaN for fewer than two days.
    """
    variance = 1 - skew * sharpe + (kurtosis + 2) / 4 * sharpe**2
    if n_days < 2 or not variance > 0:
        return float("nan")
    return _NORMAL.cdf((sharpe - benchmark) * sqrt((n_days - 1) / variance))


def expected_best_sharpe(n_trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of so many worthless trials is expected to show.

    `variance` is that of the trials' Sharpe ratios. Bailey & Lopez de Prado (2014), equation 1; 0 for a single trial.
    """
    if n_trials < 2:
        return 0.0
    ends = _NORMAL.inv_cdf(1 - 1 / n_trials), _NORMAL.inv_cdf(1 - 1 / (n_trials * e))
    return sqrt(variance) * ((1 - EULER_GAMMA) * ends[0] + EULER_GAMMA * ends[1])


def deflated_sharpe(
    sharpe: float, n_days: int, skew: float, kurtosis: float, *, n_trials: int, variance: float
) -> float:
    """Return the probability that the Sharpe ratio is above what the best of `n_trials` worthless trials would show.

    Bailey & Lopez de Prado (2014), equation 2. `n_trials` and `variance` are the number of ratios tried and their variance
    (ddof 1), this one among them; strictly, of trials that have nothing to do with each other.
    """
    return probabilistic_sharpe(sharpe, n_days, skew, kurtosis, expected_best_sharpe(n_trials, variance))
