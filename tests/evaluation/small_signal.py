"""Signals small enough to check by hand: gaps, thin days, suspended names, late listings, ties, values that are no numbers."""

import numpy as np

from qts.config import EvalConfig
from qts.evaluation import Prices, Signal

NAN = float("nan")
N_PRICE_DAYS, N_NAMES, FIRST, LAST, GAP, THIN = 47, 13, 29, 43, 35, 38
CONFIG = EvalConfig(
    min_names=4, quantiles=3, long_short_share=0.3, horizons=(1, 2, 4), lag=1, turnover_lags=(1, 3), bootstrap=20
)
CODES = ("BJ430001", "SH600000", "SH600001", "SH600002", "SH688001", "SZ000001", "SZ000002", "SZ000003", "SZ300001",
         "SZ300002", "SZ300003", "SZ300004", "XX1")  # fmt: skip


def random_prices(rng: np.random.Generator) -> Prices:
    """Return closes in steps that often repeat; names 3 and 7 are listed late, 5 is delisted, some days are missing."""
    moves = rng.integers(-3, 4, (N_PRICE_DAYS, N_NAMES)) / 100.0
    close = 10 * np.cumprod(1 + moves, axis=0).round(2)
    close[rng.random(close.shape) < 0.06] = NAN
    close[:36, 3] = close[:9, 7] = close[40:, 5] = NAN
    value = np.exp(rng.normal(15, 1, close.shape))
    value[np.isnan(close)] = NAN
    return Prices(np.arange("2023-12-01", N_PRICE_DAYS, dtype="datetime64[D]"), close, value)


def default_label(prices: Prices, line: np.ndarray, name: np.ndarray) -> np.ndarray:
    """Return close two days after over close one day after, minus 1; line, name (n_rows,) int."""
    return prices.close[line + 2, name] / prices.close[line + 1, name] - 1


def random_signal(seed: int) -> Signal:
    """Return scores of calendar days 29 to 43, without a row on day 35, of 3 names alone on day 38."""
    rng = np.random.default_rng(seed)
    prices = random_prices(rng)
    lines = [line for line in range(FIRST, LAST + 1) if line != GAP]
    keys = [
        (day, name)
        for day, line in enumerate(lines)
        for name in range(N_NAMES)
        if (name in {2, 6, 9} if line == THIN else rng.random() < 0.9)
    ]
    day, name = (np.array(part) for part in zip(*keys, strict=True))
    label = default_label(prices, np.array(lines)[day], name)
    score = rng.integers(-5, 6, len(day)) / 4 + 20 * np.nan_to_num(label)
    score[rng.random(len(day)) < 0.08] = NAN
    score[11], label[17] = np.inf, np.inf
    industry = np.array(["steel", "", "banks", "trade"])[(name + (day > 6)) % 4]
    style = np.array(["growth", "worth"])[rng.integers(0, 2, len(day))]
    return Signal(
        prices.days[lines], np.array(CODES), day, name, score, label, prices,
        {"industry": industry, "style": style}, None, np.arange(len(lines)) % 2,
    )  # fmt: skip


def plain_signal(score: np.ndarray, label: np.ndarray, close: np.ndarray | None = None) -> Signal:
    """Return a signal of every name on every day: score, label (n_days, n_names); closes default to none at all."""
    n_days, n_names = score.shape
    close = np.full((n_days + 3, n_names), NAN) if close is None else close
    days = np.arange("2024-01-01", len(close), dtype="datetime64[D]")
    day, name = (part.ravel() for part in np.indices(score.shape))
    codes = np.array([f"I{at:03d}" for at in range(n_names)])
    prices = Prices(days, close, np.full(close.shape, NAN))
    return Signal(days[:n_days], codes, day, name, score.ravel(), label.ravel(), prices)
