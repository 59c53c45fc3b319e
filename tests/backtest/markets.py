"""Markets for tests: from a few written closes, from the golden files, or drawn at random."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qts.backtest.market import Market
from qts.config import BacktestConfig

NAN = float("nan")
FREE = {"commission": 0.0, "min_cost": 0.0, "fees": [{"since": "1990-01-01", "buy": 0.0, "sell": 0.0}]}
"""Keys of a config under which trading costs nothing."""


def days_from(first: str, count: int) -> np.ndarray:
    """Return consecutive days; weekends are of no interest here."""
    return np.arange(np.datetime64(first), np.datetime64(first) + count)


def market_of(close: Any, *, first: str = "2024-01-02", instruments: list[str] | None = None, **fields: Any) -> Market:
    """Return a market of closes, a line a day and a column a name; all that is not given follows from them."""
    close = np.array(close, dtype=float)
    n_days, n_names = close.shape
    before = pd.DataFrame(close).ffill().shift(1).to_numpy()
    given: dict[str, Any] = {
        **dict.fromkeys(("open", "high", "low", "vwap"), close),
        "volume": np.where(np.isnan(close), NAN, 1e9),
        "adj_factor": np.where(np.isnan(close), NAN, 1.0),
        "previous_close": before,
        "n_before": np.cumsum(~np.isnan(close), axis=0) - ~np.isnan(close) + 100,
        **{name: np.array(grid) for name, grid in fields.items() if name != "starts_listed"},
    }
    names = np.array(instruments or [f"SH60000{name}" for name in range(n_names)])
    return Market(
        days_from(first, n_days), names, close=close, starts_listed=fields.get("starts_listed", True), **given
    )


def config_of(**keys: Any) -> BacktestConfig:
    """Return a config of two names, an account of 100 000 and free trading, unless keys say otherwise."""
    return BacktestConfig.model_validate({"top_k": 2, "n_drop": 1, "account": 100_000.0, **FREE, **keys})


def golden_market(golden: Path, first: str, last: str) -> Market:
    """Return the golden bars of these days."""
    bars = pd.read_parquet(golden / "bars/bars.parquet")
    bars["date"] = pd.to_datetime(bars["date"])
    calendar = pd.to_datetime((golden / "bars/calendar.txt").read_text().split())
    grid = {
        name: bars.pivot(index="date", columns="instrument", values=name).reindex(calendar).astype(float)
        for name in ("open", "high", "low", "close", "vwap", "volume", "factor")
    }
    grid["previous_close"] = grid["close"].ffill().shift(1)
    counted = grid["close"].notna()
    grid["n_before"] = counted.cumsum() - counted
    cut = {name: frame.loc[first:last].to_numpy() for name, frame in grid.items()}
    days = calendar[(calendar >= first) & (calendar <= last)].to_numpy().astype("datetime64[D]")
    return Market(days, np.array(grid["close"].columns, dtype=str), adj_factor=cut.pop("factor"), **cut)


def golden_scores(golden: Path, market: Market, last: str = "") -> np.ndarray:
    """Return the golden scores without ties, the score of a day in its row.

    The reference buys names whose score is NaN where there are too few others, by name; on 2022-04-26 all but four are NaN.
    Here NaN is no score at all, so that day gets numbers below all others. `last` is the name that the reference ranked last
    there in a set without candidates, where it goes by the order of a Python set.
    """
    scores = pd.read_parquet(golden / "evaluation/pred.parquet")
    scores["datetime"] = pd.to_datetime(scores["datetime"])
    is_scarce = scores["score_unique"].isna() & (scores["datetime"] == "2022-04-26")
    scores.loc[is_scarce, "score_unique"] = -1e6 - scores["instrument"].rank(method="dense")
    scores.loc[is_scarce & (scores["instrument"] == last), "score_unique"] = -1e7
    wide = scores.pivot(index="datetime", columns="instrument", values="score_unique")
    return wide.reindex(index=pd.to_datetime(market.days), columns=market.instruments).to_numpy()


def worked_example(golden: Path) -> tuple[Market, np.ndarray, dict[str, Any]]:
    """Return the market and scores of four names and eight days, and everything pyqlib said of them."""
    truth = json.loads((golden / "backtest/worked_example.json").read_text())
    given = truth["inputs"]
    names, n_days = sorted(given["close"]), 7
    close, factor = (
        np.array([given[key][name] for name in names], dtype=float).T[:n_days] for key in ("close", "factor")
    )
    days = np.array(given["calendar"][:n_days], dtype="datetime64[D]")
    scores = [[given["scores"].get(str(day), {}).get(name) for name in names] for day in days]
    market = market_of(close, instruments=names, adj_factor=factor, volume=np.where(np.isnan(close), NAN, 1e6))
    return Market(**{**vars(market), "days": days}), np.array(scores, dtype=float), truth


CODES = ["BJ830001", "SH600000", "SH600001", "SH688001", "SZ000001", "SZ300001", "X1"]
"""A name of each board, and one of none."""


def random_market(rng: np.random.Generator, first: str, n_days: int = 14) -> Market:
    """Return seven names with limit days, suspensions of every kind, a death, splits, and unknown factors."""
    n_names = len(CODES)
    real = np.round(rng.uniform(3, 40, n_names), 2)
    factor = rng.choice([1.0, 0.5, 3.7], n_names)
    closes, opens, vwaps, factors = (np.full((n_days, n_names), NAN) for _ in range(4))
    for day in range(n_days):
        split = rng.random(n_names) < 0.03
        factor, real = np.where(split, factor * 2, factor), np.where(split, np.round(real / 2, 2), real)
        limit = rng.choice([0.05, 0.1, 0.2, 0.3], n_names) * rng.choice([-1, 1], n_names)
        move = np.where(rng.random(n_names) < 0.25, limit, rng.normal(0, 0.03, n_names).clip(-0.1, 0.1))
        opening = np.floor(real * (1 + np.where(rng.random(n_names) < 0.5, move, move / 3)) * 100 + 0.5000001) / 100
        real = np.floor(real * (1 + move) * 100 + 0.5000001) / 100
        closes[day], opens[day], factors[day] = real * factor, opening * factor, factor
        vwaps[day] = (closes[day] + opens[day]) / 2
    gone = rng.random((n_days, n_names)) < 0.08
    gone[int(rng.integers(4, n_days)) :, int(rng.integers(n_names))] = True
    for grid in (closes, opens, vwaps, factors):
        grid[gone] = NAN
    factors[:, int(rng.integers(n_names))] = NAN
    opens[rng.random(opens.shape) < 0.03] = NAN
    volume = np.where(gone, NAN, rng.uniform(1e3, 1e5, closes.shape).round())
    volume[rng.random(volume.shape) < 0.04] = 0.0
    volume[rng.random(volume.shape) < 0.02] = NAN
    listed = np.cumsum(~gone, axis=0) - ~gone + np.where(rng.random(n_names) < 0.3, 0, 50)
    bars = {"open": opens, "vwap": vwaps, "volume": volume, "adj_factor": factors, "n_before": listed}
    high, low = np.fmax(opens, closes), np.fmin(opens, closes)
    special = rng.random(closes.shape) < 0.1
    return market_of(closes, first=first, instruments=CODES, high=high, low=low, special=special, **bars)


def random_scores(rng: np.random.Generator, market: Market) -> np.ndarray:
    """Return scores with ties, gaps, and a day without any."""
    scores = rng.normal(size=market.close.shape).round(1)
    scores[rng.random(scores.shape) < 0.15] = NAN
    scores[int(rng.integers(1, len(scores)))] = NAN
    return scores


def random_config(rng: np.random.Generator) -> BacktestConfig:
    """Return any config of the exchange's rules."""
    top_k = int(rng.integers(1, 6))
    keys = _random_keys(rng, top_k)
    is_refused = (keys["deal_price"], keys["sell_price"]) in [("open", "close"), ("vwap", "close")]
    return BacktestConfig.model_validate({**keys, **({"sell_price": None} if is_refused else {})})


def _random_keys(rng: np.random.Generator, top_k: int) -> dict[str, Any]:
    return {
        "top_k": top_k,
        "n_drop": int(rng.integers(0, min(top_k, 2) + 1)),
        "hold_days": int(rng.integers(0, 4)),
        "lag": int(rng.integers(1, 3)),
        "account": float(rng.choice([8e3, 1e5, 1e6])),
        "exposure": float(rng.choice([0.5, 0.95, 1.0])),
        "deal_price": str(rng.choice(["close", "open", "vwap"])),
        "sell_price": rng.choice([None, "close", "open"]),
        "slippage_bps": float(rng.choice([0.0, 20.0])),
        "impact": float(rng.choice([0.0, 0.1])),
        "lot": int(rng.choice([1, 100])),
        "price_limits": rng.choice(np.array(["by_board", "none", 0.1], dtype=object), p=[0.7, 0.1, 0.2]),
        "max_volume": rng.choice([None, 0.05]),
        "unscored_days": int(rng.integers(0, 3)),
        "write_off_days": int(rng.integers(2, 5)),
        "write_off_share": float(rng.choice([0.0, 0.5, 1.0])),
    }
