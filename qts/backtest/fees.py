"""What trading costs on each day: commission, stamp duty, or a schedule of one's own."""

from dataclasses import dataclass

import numpy as np

from qts.config import BacktestConfig
from qts.errors import ConfigError

QLIB_DUTY = 0.001
"""What a sale costs beyond the commission under the rules of `qlib`, on every day."""


@dataclass(frozen=True)
class StampDuty:
    """The tax on trades of A shares from a day on, as shares of the value traded."""

    since: str
    buy: float
    sell: float


STAMP_DUTY = (
    StampDuty("1992-06-12", 0.003, 0.003),
    StampDuty("1997-05-12", 0.005, 0.005),
    StampDuty("1998-06-12", 0.004, 0.004),
    StampDuty("2001-11-16", 0.002, 0.002),
    StampDuty("2005-01-24", 0.001, 0.001),
    StampDuty("2007-05-30", 0.003, 0.003),
    StampDuty("2008-04-24", 0.001, 0.001),
    StampDuty("2008-09-19", 0.0, 0.001),
    StampDuty("2023-08-28", 0.0, 0.0005),
)
"""Notices of the Ministry of Finance and the State Taxation Administration; before the first there is none here."""


def fee_rates(days: np.ndarray, config: BacktestConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return ((n_days,), (n_days,)) the cost of a purchase and of a sale, as shares of the value traded.

    `fees` of the config, where given, are all there is; they must begin by the first day, or it is a ConfigError. Otherwise it
    is the commission on both sides and the stamp duty of the day; under the rules of `qlib` the duty is a constant
    0.001 on sales, which with the default commission gives that program's 0.0005 and 0.0015.
    """
    if config.fees:
        since = np.array([fee.since for fee in config.fees], dtype="datetime64[D]")
        if len(days) and days[0] < since[0]:
            raise ConfigError(
                f"fees begin on {since[0]}, the first trade could be on {days[0]}",
                where="[[backtest.fees]]",
                hint="let the first row begin earlier",
            )
        return _on_days(days, since, np.array([(fee.buy, fee.sell) for fee in config.fees]))
    if config.rules == "qlib":
        return np.full(len(days), config.commission), np.full(len(days), config.commission + QLIB_DUTY)
    since = np.array([duty.since for duty in STAMP_DUTY], dtype="datetime64[D]")
    buy, sell = _on_days(days, since, np.array([(duty.buy, duty.sell) for duty in STAMP_DUTY]))
    return buy + config.commission, sell + config.commission


def _on_days(days: np.ndarray, since: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two columns of `rates` (n_rows, 2) that hold on each day, 0 before the first."""
    row = np.searchsorted(since, days, side="right")
    buy, sell = np.vstack([np.zeros((1, 2)), rates])[row].T
    return buy, sell
