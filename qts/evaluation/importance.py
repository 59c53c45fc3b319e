"""What the features of a model were worth to its scores, and which steps of a window it looked at."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from qts.evaluation.ic import summarise

BAND = (0.05, 0.95)
"""Quantiles over samples between which attention to a step is shown."""


@dataclass(frozen=True)
class Attention:
    """Attention over the steps of a window, the newest last."""

    mean: np.ndarray
    """(step_len,) mean over samples; they sum to 1."""
    low: np.ndarray
    """(step_len,) the lower quantile over samples."""
    high: np.ndarray
    """(step_len,) the higher one."""

    @classmethod
    def of(cls, weights: np.ndarray) -> "Attention":
        """Sum up (n_samples, step_len) weights; a window with a gap has none."""
        known = weights[np.isfinite(weights).all(axis=1)].astype(np.float64)
        if not len(known):
            nothing = np.full(weights.shape[1], np.nan)
            return cls(nothing, nothing, nothing)
        return cls(known.mean(axis=0), *np.quantile(known, BAND, axis=0))


@dataclass(frozen=True)
class AttendedWindow:
    """Attention within the window of one instrument and day."""

    instrument: str
    day: str
    dates: tuple[str | None, ...]
    """Of the row that each step holds, the newest last; None where there is none."""
    weights: np.ndarray
    """(step_len,)"""


@dataclass(frozen=True)
class ExplainReport:
    """What daily IC and RankIC lost when a feature was taken from its instrument and given to another of the same day."""

    names: tuple[str, ...]
    """Features, or families of features; the last axis of the drops."""
    members: tuple[tuple[str, ...], ...]
    """The features that were permuted together under each name."""
    days: np.ndarray
    """(n_days,) datetime64[D]"""
    ic: np.ndarray
    """(n_days,) of the scores as they are; NaN on days that cannot be judged."""
    rank_ic: np.ndarray
    """(n_days,)"""
    ic_drop: np.ndarray
    """(n_days, n_repeats, n_names) IC minus that of the permuted."""
    rank_ic_drop: np.ndarray
    """(n_days, n_repeats, n_names)"""
    attention: Attention | None = None
    """None for a model without attention."""
    window: AttendedWindow | None = None
    """The one that was asked for."""
    coverage: dict[str, int] = field(default_factory=dict)
    """Rows the figures stand on."""
    warnings: tuple[str, ...] = ()
    """What a reader must know first."""
    context: dict[str, Any] = field(default_factory=dict)
    """Where scores and labels came from: run, segment, seed, versions."""

    @cached_property
    def figures(self) -> dict[str, np.ndarray]:
        """Name → (n_names,) figure."""
        rank, plain = _Drops(self.rank_ic_drop), _Drops(self.ic_drop)
        return {
            "rank_ic_drop": rank.mean, "rank_ic_error": rank.error, "repeat_error": rank.repeat_error,
            "ic_drop": plain.mean, "ic_error": plain.error,
        }  # fmt: skip

    @property
    def n_judged(self) -> int:
        """Days with a RankIC."""
        return int(np.count_nonzero(~np.isnan(self.rank_ic)))

    def by_importance(self) -> np.ndarray:
        """Return (n_names,) positions, the largest drop of RankIC first, those without one last."""
        return np.argsort(-np.nan_to_num(self.figures["rank_ic_drop"], nan=-np.inf), kind="stable")

    def base(self) -> dict[str, float]:
        """Return the mean IC and RankIC of the scores as they are."""
        return {"ic": summarise(self.ic)[0], "rank_ic": summarise(self.rank_ic)[0]}


class _Drops:
    """Figures of (n_days, n_repeats, n_names) drops, days without one left out."""

    def __init__(self, drops: np.ndarray) -> None:
        daily = drops.mean(axis=1)  # (n_days, n_names)
        known = ~np.isnan(daily)
        n_days, n_repeats = known.sum(axis=0), drops.shape[1]
        self.mean = _mean(daily, known)
        spread = np.where(known, daily - self.mean, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.error = np.sqrt((spread**2).sum(axis=0) / (n_days - 1.0) / n_days)
        by_repeat = np.stack([_mean(drops[:, at], known) for at in range(n_repeats)])
        self.repeat_error = (
            by_repeat.std(axis=0, ddof=1) / np.sqrt(n_repeats) if n_repeats > 1 else np.full_like(self.mean, np.nan)
        )


def _mean(daily: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return (n_names,) means over the days that are known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, daily, 0.0).sum(axis=0) / known.sum(axis=0)
