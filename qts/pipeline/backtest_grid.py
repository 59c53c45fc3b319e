"""Many backtests of the same scores: every combination of some keys' values."""

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qts.backtest.engine import run_grid as trade_grid
from qts.config import BacktestConfig, LoadedConfig
from qts.errors import ConfigError
from qts.json_text import to_json
from qts.pipeline.subject import find_subject
from qts.progress import Progress
from qts.registry import unknown_name_hint
from qts.toml_text import read_toml

SHOWN = ("annual_return", "volatility", "sharpe", "max_drawdown", "universe_annual_excess", "index_annual_excess",
         "turnover", "annual_cost", "mean_names")  # fmt: skip
"""Figures of each backtest, after the days it spans: they are fewer with a longer lag."""
OF_MARKET = ("lag", "up_limit", "down_limit", "special_treatment")
"""Keys that another market belongs to: its days, or what is read of the bars."""


def run_grid(
    loaded: LoadedConfig, progress: Progress, grid: Sequence[str], *, run: str | None = None, scores: Path | None = None
) -> list[dict[str, Any]]:
    """Return a row a combination: its values, then days and figures of its portfolio; `grid` holds texts as `top_k=20,50`.

    Raises ConfigError for a key that [backtest] lacks or that is given twice, or for values that it refuses.
    """
    space = _space(grid)
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
        some = [configs[at].config.backtest for at in places]
        results = trade_grid(market, scores_grid, some, days_per_year=config.eval.days_per_year)
        for at, result in zip(places, results, strict=True):
            span = {"first": str(result.days[0]), "last": str(result.days[-1]), "n_days": len(result.days)}
            values = {key: to_json(value) if isinstance(value, list) else value for key, value in changes[at].items()}
            rows[at] = {**values, **span, **{name: result.statistics[name] for name in SHOWN}}
            progress.advance()
            progress.count(rows=len(result.days))
    return [rows[at] for at in range(len(changes))]


def _space(grid: Sequence[str]) -> dict[str, list[Any]]:
    """Return key → values."""
    space: dict[str, list[Any]] = {}
    for text in grid:
        key, values = _read(text)
        if key in space:
            raise ConfigError(
                f'"{key}" is given twice', where="--grid", hint=f"write its values as one: --grid {key}=V,V,V"
            )
        space[key] = values
    return space


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
    return key, _values(text, values)


def _values(text: str, values: str) -> list[Any]:
    """Return values as TOML reads them; a bare word is a string, so a list of such is cut at its commas."""
    found = _toml(f"[{values}]")
    if found is not None:
        return list(found)
    if re.search(r"[\[\]{}]", values):
        hint = "lists and tables are written as in TOML, text in them with quotes"
        raise ConfigError(f'cannot read the values of "{text}"', where="--grid", hint=hint)
    words = [one.strip() for one in values.split(",")]
    return [word if (value := _toml(word)) is None else value for word in words]


def _toml(text: str) -> Any:  # noqa: ANN401 - whatever TOML knows
    """Return a value, or None if the text is none; TOML itself has no None."""
    try:
        return read_toml(f"value = {text}")["value"]
    except ValueError:
        return None
