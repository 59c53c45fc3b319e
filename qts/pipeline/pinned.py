"""The pinned run: whose scores are published every night, and what its test segment lets one expect of them."""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from qts.config import LoadedConfig
from qts.errors import StoreError
from qts.plain_file import read_plain
from qts.store.confined import is_name

PINNED = "pinned.json"
SCHEMA = "qts.pin/1"


@dataclass(frozen=True)
class Pin:
    """What is pinned."""

    run: str
    """The run's name."""
    weights: str
    """sha256 of its weights, or of its members', when it was pinned."""
    pinned: str
    """When, UTC."""
    days: tuple[str, ...]
    """Days of its test segment that had labels then."""
    rank_ic: tuple[float | None, ...]
    """RankIC of each of them; None where too few names had both score and label."""
    lag: int
    """Days apart up to which such figures are alike, because their labels overlap."""

    @property
    def series(self) -> np.ndarray:
        """(n_days,) RankIC, NaN where a day has none."""
        return np.array([np.nan if value is None else value for value in self.rank_ic], dtype=np.float64)


def pin_file(loaded: LoadedConfig) -> Path:
    """Return the file that says what is pinned."""
    return loaded.path(loaded.config.store.runs) / PINNED


def read_pin(loaded: LoadedConfig) -> Pin:
    """Return what is pinned; raises StoreError if nothing is, or if that cannot be read."""
    file = pin_file(loaded)
    try:
        found = json.loads(read_plain(file))
        return _pin_of(found)
    except FileNotFoundError:
        message = f"no run is pinned in {file.parent}"
        raise StoreError(message, hint="qts runs list names them; then: qts runs pin RUN") from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise StoreError(f"{file} is damaged: {error}", hint="pin the run again: qts runs pin RUN") from error


def _pin_of(found: dict[str, Any]) -> Pin:
    if found["schema"] != SCHEMA:
        raise ValueError(f"its schema is {found['schema']}, not {SCHEMA}")
    texts = [found[name] for name in ("run", "weights", "pinned")]
    rank_ic = [None if value is None else float(value) for value in found["rank_ic"]]
    days, lag = [str(date.fromisoformat(day)) for day in found["days"]], int(found["lag"])
    fits = is_name(texts[0]) and len(days) == len(rank_ic) and lag >= 0
    if not all(isinstance(text, str) for text in texts) or not fits:
        raise ValueError("its entries do not fit together")
    run, weights, pinned = texts
    return Pin(run, weights, pinned, tuple(days), tuple(rank_ic), lag)
