"""What a series of daily figures says: mean, error, interval, drawdown; robust to days that overlap."""

from qts.daily_series.block_bootstrap import block_length, bootstrap_means, interval, paired_bootstrap
from qts.daily_series.deflated_sharpe import deflated_sharpe, expected_best_sharpe, probabilistic_sharpe
from qts.daily_series.drawdown import Drawdown, drawdown, drawdowns
from qts.daily_series.newey_west import Line, customary_lag, newey_west_error, ols_hac, safe_ratio
from qts.daily_series.series_stats import SeriesStats, describe

__all__ = [
    "Drawdown",
    "Line",
    "SeriesStats",
    "block_length",
    "bootstrap_means",
    "customary_lag",
    "deflated_sharpe",
    "describe",
    "drawdown",
    "drawdowns",
    "expected_best_sharpe",
    "interval",
    "newey_west_error",
    "ols_hac",
    "paired_bootstrap",
    "probabilistic_sharpe",
    "safe_ratio",
]
