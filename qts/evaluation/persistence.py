"""How long scores stay as they are: rank autocorrelation, and the share of each group that is new."""

from dataclasses import dataclass

import numpy as np

from qts.config import EvalConfig
from qts.evaluation.groups import ScoreGroups
from qts.evaluation.ranking import centered_ranks, correlation_of_ranks
from qts.evaluation.results import Persistence
from qts.evaluation.scored import ScoredDays

NOWHERE = -1


@dataclass(frozen=True)
class Standing:
    """Where each name stood on each day; days are entered in their order, and looked up once they are in."""

    place: np.ndarray
    """(n_days, n_names) int32, that of the best of those with the same score; NOWHERE without one."""
    group: np.ndarray
    """(n_days, n_names) int16, NOWHERE where a name is in none."""
    is_grouped: np.ndarray
    """(n_days,) bool."""

    @classmethod
    def empty(cls, n_days: int, n_names: int) -> "Standing":
        """Return one in which no day has been entered."""
        shape = (n_days, n_names)
        return cls(
            np.full(shape, NOWHERE, dtype=np.int32), np.full(shape, NOWHERE, dtype=np.int16), np.zeros(n_days, bool)
        )

    def enter(self, days: ScoredDays, instrument: np.ndarray, groups: ScoreGroups) -> None:
        """Enter the names of some days, and the group that each is in."""
        line = np.broadcast_to(np.arange(days.span.start, days.span.stop)[:, None], days.shape)[days.is_name]
        names = instrument[days.is_name]
        self.place[line, names] = days.first_equal[days.is_name]
        self.group[line, names] = groups.index()[days.is_name]
        self.is_grouped[days.span] = groups.is_grouped


@dataclass(frozen=True)
class Lasting:
    """How scores of some days compare with earlier ones."""

    autocorrelation: np.ndarray
    """(n_lines, n_lags)."""
    turnover: np.ndarray
    """(n_lines, n_gaps, n_groups)."""

    @classmethod
    def join(cls, parts: "list[Lasting]") -> "Lasting":
        """Put parts one after the other."""
        return cls(
            np.concatenate([part.autocorrelation for part in parts]), np.concatenate([part.turnover for part in parts])
        )


def gaps_of(config: EvalConfig) -> list[int]:
    """Return the lags that turnover is taken at: those asked for and every holding period."""
    return sorted({*config.turnover_lags, *config.horizons})


def compare(
    days: ScoredDays,
    instrument: np.ndarray,
    groups: ScoreGroups,
    standing: Standing,
    at: np.ndarray,
    config: EvalConfig,
) -> Lasting:
    """Compare the scores of some days with those of `lag` days of the calendar before; at (n_days,) int lines of it."""
    lags, gaps, n_lines = sorted(set(config.turnover_lags)), gaps_of(config), len(days.n)
    index = groups.index()
    autocorrelation = np.full((n_lines, len(lags)), np.nan)
    turnover = np.full((n_lines, len(gaps), groups.n_groups), np.nan)
    n_names = standing.place.shape[1]
    for number, gap in enumerate(gaps):
        earlier = _earlier(at, days.span, gap)
        cell = np.maximum(earlier, 0)[:, None] * n_names + instrument
        had_groups = (earlier >= 0) & standing.is_grouped[earlier]
        is_new = (standing.group.take(cell) != index) & (index >= 0)
        share = groups.means(is_new.astype(np.float64), index >= 0)
        turnover[:, number] = np.where(had_groups[:, None], share, np.nan)
        if gap in lags:
            before = standing.place.take(cell)
            both = days.is_name & (before >= 0) & (earlier >= 0)[:, None]
            was = centered_ranks(-before.astype(np.float64), both)
            found = correlation_of_ranks(days.ranks(both), was, np.count_nonzero(both, axis=1), config.min_names)
            autocorrelation[:, lags.index(gap)] = found
    return Lasting(autocorrelation, turnover)


def _earlier(at: np.ndarray, span: slice, gap: int) -> np.ndarray:
    """Return (n_lines,) the day, among those with a row, that lies `gap` days of the calendar before; -1 if none does."""
    known = np.flatnonzero(at >= 0)
    if not len(known):
        return np.full(span.stop - span.start, -1)
    wanted = at[span] - gap
    found = known[np.minimum(np.searchsorted(at[known], wanted), len(known) - 1)]
    return np.where((at[span] >= 0) & (wanted >= 0) & (at[found] == wanted), found, -1)


def persistence(lasting: Lasting, config: EvalConfig) -> tuple[Persistence, ...]:
    """Return the lags that were asked for."""
    gaps = gaps_of(config)
    return tuple(
        Persistence(lag, lasting.autocorrelation[:, number], lasting.turnover[:, gaps.index(lag)])
        for number, lag in enumerate(sorted(set(config.turnover_lags)))
    )


def turnover_of_horizons(lasting: Lasting, config: EvalConfig) -> np.ndarray:
    """Return (n_days, n_horizons, n_groups): the turnover at each holding period."""
    gaps = gaps_of(config)
    return lasting.turnover[:, [gaps.index(horizon) for horizon in sorted(set(config.horizons))]]
