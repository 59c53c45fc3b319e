"""Many backtests of the same scores: every combination of some keys' values."""

import itertools
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qts.backtest.engine import run_grid as trade_grid
from qts.config import BacktestConfig, LoadedConfig
from qts.errors import ConfigError
from qts.pipeline.subject import find_subject
from qts.progress import Progress
from qts.registry import unknown_name_hint

SHOWN = ("annual_return", "volatility", "sharpe", "max_drawdown", "universe_annual_excess", "index_annual_excess",
         "turnover", "annual_cost", "mean_names")  # fmt: skip
"""Figures of each backtest."""
OF_MARKET = ("lag", "up_limit", "down_limit", "special_treatment")
"""Keys that another market belongs to: its days, or what is read of the bars."""


def run_grid(
    loaded: LoadedConfig, progress: Progress, grid: Sequence[str], *, run: str | None = None, scores: Path | None = None
) -> list[dict[str, Any]]:
    """Return a row a combination: its values, then the figures of its portfolio; `grid` holds texts as `top_k=20,50`.

    Raises ConfigError for a key that [backtest] lacks or values that it refuses.
    """
    space = dict(_read(text) for text in grid)
    changes = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    configs = [loaded.changed({f"backtest.{key}": value for key, value in some.items()}, "--grid") for some in changes]
    subject = find_subject(loaded, progress, run, scores)
    progress.stage("backtest", len(configs))
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, one in enumerate(configs):
        alike[tuple(getattr(one.config.backtest, key) for key in OF_MARKET)].append(at)
    rows: dict[int, dict[str, Any]] = {}
    for places in alike.values():  # a point of the grid spans the days that it would alone
        config = configs[places[0]].config
        market, scores_grid = subject.scored.market(config.backtest)
        some = [changes[at] for at in places]
        results = trade_grid(market, scores_grid, config.backtest, some, days_per_year=config.eval.days_per_year)
        for at, result in zip(places, results, strict=True):
            rows[at] = {**changes[at], **{name: result.statistics[name] for name in SHOWN}}
            progress.advance()
    return [rows[at] for at in range(len(changes))]


def _read(text: str) -> tuple[str, list[Any]]:
    """Return key and values of `top_k=20,50`."""
    key, equals, values = text.partition("=")
    key = key.strip().removeprefix("backtest.")
    if not equals or not values.strip():
        raise ConfigError(f'"{text}" is no key with values', where="--grid", hint="write --grid top_k=20,50")
    if key not in BacktestConfig.model_fields:
        raise ConfigError(
            f'unknown key "{key}"', where="--grid", hint=unknown_name_hint(key, list(BacktestConfig.model_fields))
        )
    return key, [_value(one.strip()) for one in values.split(",")]


def _value(text: str) -> Any:  # noqa: ANN401 - whatever TOML knows
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
