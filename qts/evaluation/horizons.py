"""Holding periods: how scores sort the returns of 1, 2, … days, and how that fades."""

from dataclasses import dataclass

import numpy as np

from qts.config import EvalConfig
from qts.daily_series import newey_west_error
from qts.evaluation.groups import ScoreGroups
from qts.evaluation.ic import line_ic
from qts.evaluation.ranking import CenteredRanks, centered_ranks, correlation_of_ranks
from qts.evaluation.results import HorizonFigures
from qts.evaluation.scored import ScoredDays
from qts.evaluation.series import Describe, mean_of_known
from qts.evaluation.signal import Prices


@dataclass(frozen=True)
class Closes:
    """Closes of the names of some days, counted in days of the calendar from the day of the score."""

    prices: Prices
    at: np.ndarray
    """(n_lines, 1) int, the line of each day in the prices, -1 where they lack it."""
    instrument: np.ndarray
    """(n_lines, width) int, the column of each cell."""

    def after(self, n_days: int) -> np.ndarray:
        """Return (n_lines, width) closes `n_days` after the score, NaN where there is none."""
        n_price_days, n_names = self.prices.close.shape
        line = self.at + n_days
        is_known = (self.at[:, 0] >= 0) & (line[:, 0] < n_price_days)
        if not is_known.any():
            return np.full(self.instrument.shape, np.nan)
        found = self.prices.close.take(np.where(is_known[:, None], line, 0) * n_names + self.instrument).astype(
            np.float64, copy=False
        )
        found[~is_known] = np.nan
        return found


@dataclass(frozen=True)
class Followed:
    """What became of the scores of some days; arrays over (n_lines, n_ahead) or (n_lines, n_horizons)."""

    step_rank_ic: np.ndarray
    """(n_lines, n_ahead) RankIC with the one-day return that begins lag, lag + 1, … days after the score."""
    step_means: np.ndarray
    """(n_lines, n_ahead, n_groups) mean of those returns by group."""
    ic: np.ndarray
    """(n_lines, n_horizons) IC."""
    rank_ic: np.ndarray
    """(n_lines, n_horizons) RankIC."""
    means: np.ndarray
    """(n_lines, n_horizons, n_groups) mean return by group."""
    unpriced: np.ndarray
    """(n_lines,) names with a label and no return of a day to judge by."""

    @classmethod
    def join(cls, parts: "list[Followed]") -> "Followed":
        """Put parts one after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def follow(days: ScoredDays, closes: Closes, groups: ScoreGroups, labelled: np.ndarray, config: EvalConfig) -> Followed:
    """Follow names from the close `lag` days after their score, day by day; labelled (n_lines, width) bool.

    Only names with both closes count in a return: one that is suspended or delisted in between is left out of it.
    """
    horizons, n_lines = sorted(set(config.horizons)), len(days.n)
    shape = (n_lines, len(horizons))
    found = Followed(
        np.full((n_lines, horizons[-1]), np.nan), np.full((n_lines, horizons[-1], groups.n_groups), np.nan),
        np.full(shape, np.nan), np.full(shape, np.nan), np.full((*shape, groups.n_groups), np.nan),
        np.zeros(n_lines, dtype=np.int64),
    )  # fmt: skip
    entry = before = closes.after(config.lag)
    for step in range(horizons[-1]):
        close = closes.after(config.lag + step + 1)
        sorting = _Sorting.of(days, close, before, config.min_names)
        found.step_rank_ic[:, step] = sorting.rank_ic
        found.step_means[:, step] = groups.means(sorting.returns, sorting.taken)
        if step + 1 in horizons:
            held = sorting if step == 0 else _Sorting.of(days, close, entry, config.min_names)
            at = horizons.index(step + 1)
            found.ic[:, at], found.rank_ic[:, at] = held.ic(), held.rank_ic
            found.means[:, at] = found.step_means[:, 0] if step == 0 else groups.means(held.returns, held.taken)
        if step == 0:
            found.unpriced[:] = np.count_nonzero(labelled & ~sorting.taken, axis=1)
        before = close
    return found


@dataclass(frozen=True)
class _Sorting:
    """How scores sort one return."""

    days: ScoredDays
    returns: np.ndarray
    taken: np.ndarray
    ranks: CenteredRanks
    rank_ic: np.ndarray

    @classmethod
    def of(cls, days: ScoredDays, close: np.ndarray, before: np.ndarray, min_names: int) -> "_Sorting":
        with np.errstate(invalid="ignore", divide="ignore"):
            returns = close / before - 1.0
        taken = np.isfinite(returns) & days.is_name
        n = np.count_nonzero(taken, axis=1)
        ranks = days.ranks(taken)
        rank_ic = correlation_of_ranks(ranks, centered_ranks(returns, taken), n, min_names)
        return cls(days, returns, taken, ranks, rank_ic)

    def ic(self) -> np.ndarray:
        return np.where(np.isnan(self.rank_ic), np.nan, line_ic(self.days.score, self.returns, self.taken))


def horizon_figures(
    followed: Followed, turnover: np.ndarray, at: np.ndarray, prices: Prices, config: EvalConfig, describe: Describe
) -> tuple[HorizonFigures, ...]:
    """Summarise holding periods; those that no price reaches are left out.

    turnover (n_days, n_horizons, n_groups): share of a group's names that were not in it `horizon` days before.
    at (n_days,) int, the line of each day in the prices.

    Turnover a day is the mean over days and both end groups of that share, over the horizon: a part 1 / horizon of
    the holdings is renewed each day. Held long and short, the ends trade 2 x (top + bottom) a day, bought and sold,
    so the break-even cost is the spread a day over that: 1e4 x (mean spread / horizon) / (4 x turnover).
    """
    found = []
    for place, horizon in enumerate(sorted(set(config.horizons))):
        means = followed.means[:, place]
        if np.isnan(means).all() and np.isnan(followed.rank_ic[:, place]).all():
            continue
        traded = mean_of_known(turnover[:, place, [0, -1]].mean(axis=1)) / horizon
        spread = describe(means[:, 0] - means[:, -1], horizon - 1)
        group_mean = np.array([mean_of_known(column) for column in means.T])
        days, curves = _curves(followed.step_means, horizon, at, config.lag, prices)
        found.append(HorizonFigures(
            horizon=horizon, ic=describe(followed.ic[:, place], horizon - 1),
            rank_ic=describe(followed.rank_ic[:, place], horizon - 1), group_mean=group_mean,
            group_error=np.array([newey_west_error(column, horizon - 1) for column in means.T]), spread=spread,
            monotonicity=monotonicity(group_mean), days=days, curves=curves, turnover=traded,
            break_even_bps=1e4 * spread.mean / horizon / (4 * traded) if traded > 0 else float("nan"),
        ))  # fmt: skip
    return tuple(found)


def monotonicity(group_mean: np.ndarray) -> float:
    """Return Spearman's correlation of the groups' order and their means, 1 where higher scores always earned more."""
    known = ~np.isnan(group_mean)[None, :]
    order = centered_ranks(-np.arange(len(group_mean), dtype=np.float64)[None, :], known)
    return float(correlation_of_ranks(order, centered_ranks(group_mean[None, :], known), known.sum(axis=1), 2)[0])


def _curves(
    step_means: np.ndarray, horizon: int, at: np.ndarray, lag: int, prices: Prices
) -> tuple[np.ndarray, np.ndarray]:
    """Return the days of closes and (n_closes, n_groups) growth of 1, from the close at which the first cohort is bought.

    On each day cohorts of the last `horizon` scores are held in equal parts; its return is the mean of theirs, over as
    many as there are, and 0 if there are none. Jegadeesh and Titman (1993), Returns to Buying Winners.
    """
    lines = np.flatnonzero(at >= 0)
    if not len(lines):
        return prices.days[:0], np.ones((0, step_means.shape[2]))
    first = int(at[lines[0]])
    day, n_days = at[lines] - first, int(at[lines[-1]]) - first + horizon
    n_days = max(min(n_days, len(prices.days) - 1 - first - lag), 0)
    total, count = np.zeros((2, n_days, step_means.shape[2]))
    for step in range(horizon):
        inside = day + step < n_days
        means = step_means[lines[inside], step]
        total[day[inside] + step] += np.nan_to_num(means)
        count[day[inside] + step] += ~np.isnan(means)
    growth = np.cumprod(1.0 + total / np.maximum(count, 1.0), axis=0)
    start = first + lag
    return prices.days[start : start + n_days + 1], np.concatenate([np.ones((1, growth.shape[1])), growth])
