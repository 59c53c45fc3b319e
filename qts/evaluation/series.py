"""What figures of daily series need everywhere in the evaluation."""

from collections.abc import Callable

import numpy as np

from qts.daily_series import SeriesStats

Describe = Callable[[np.ndarray, int], SeriesStats]
"""A daily series and the lag of its error → what it says."""


def mean_of_known(values: np.ndarray) -> float:
    """Return the mean of what is not NaN, NaN if all is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
