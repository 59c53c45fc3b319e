"""Whether scores still do what the test segment led one to expect."""

import numpy as np

from qts.config import EvalConfig
from qts.daily_series import block_length, bootstrap_means, interval
from qts.evaluation.results import Drift
from qts.evaluation.series import mean_of_known


def find_drift(
    test_rank_ic: np.ndarray, live_days: np.ndarray, live_rank_ic: np.ndarray, config: EvalConfig, *, lag: int = 0
) -> Drift:
    """Compare the mean RankIC of live days with the band that so many days of the test segment would fall in.

    test_rank_ic (n_test_days,), live_days (n_live,) datetime64[D], live_rank_ic (n_live,); NaN days count nowhere; `lag`
    is how many days apart figures are alike because labels overlap. The band holds 95 of 100 means of as many test
    days, drawn in blocks; with [eval] bootstrap 0, or with too few test days, it is NaN.
    """
    n_live = int(np.count_nonzero(~np.isnan(live_rank_ic)))
    block = block_length(len(test_rank_ic), lag)
    low, high = interval(bootstrap_means(test_rank_ic, n_live, config.bootstrap, config.seed, block))
    return Drift(live_days, live_rank_ic, mean_of_known(live_rank_ic), mean_of_known(test_rank_ic), low, high)
