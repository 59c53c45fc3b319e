"""Falls of an account from its peak."""

from dataclasses import dataclass
from typing import Any

import numpy as np

_ROUNDING = 1e-12
"""A fall this small is what is left of a recovery in full."""


@dataclass(frozen=True)
class Drawdown:
    """One fall from a peak, and the way back."""

    peak: Any
    """The last day at the peak; None: the account before its first day."""
    trough: Any
    """The day of the deepest point."""
    recovery: Any
    """The first day at the peak again; None: not yet."""
    depth: float
    """What was lost at the trough, as a negative share of the peak."""
    n_down: int
    """Days from the peak to the trough."""
    n_up: int | None
    """Days from the trough to the recovery; None: not yet."""
    n_days: int
    """Days from the peak to the recovery, or to the last day."""


def drawdown(net_returns: np.ndarray) -> np.ndarray:
    """Return (n_days,) how far the compounded account lies below its peak, 0 or less; it starts at 1, before the first day.

    From a NaN return on, all is NaN.
    """
    growth = np.cumprod(1 + net_returns)
    return growth / np.maximum.accumulate(np.maximum(growth, 1.0)) - 1


def drawdowns(days: np.ndarray, returns: np.ndarray, n: int) -> list[Drawdown]:
    """Return the n deepest falls of the compounded account, the deepest first; equal ones by day.

    days (n_days,) datetime64[D], returns (n_days,).
    """
    depth = drawdown(returns)
    edge = np.diff(np.concatenate([[False], depth < -_ROUNDING, [False]]).astype(np.int8))
    spells = zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1), strict=True)
    found = [_drawdown(days, depth, int(first), int(end)) for first, end in spells]
    return sorted(found, key=lambda fall: fall.depth)[:n]


def _drawdown(days: np.ndarray, depth: np.ndarray, first: int, end: int) -> Drawdown:
    """Return the fall that lies below the peak from day `first` to the day before `end`."""
    trough = first + int(depth[first:end].argmin())
    is_over = end < len(days) and not np.isnan(depth[end])
    return Drawdown(
        peak=days[first - 1] if first else None,
        trough=days[trough],
        recovery=days[end] if is_over else None,
        depth=float(depth[trough]),
        n_down=trough - first + 1,
        n_up=end - trough if is_over else None,
        n_days=end - first + is_over,
    )
