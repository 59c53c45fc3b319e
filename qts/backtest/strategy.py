"""Which names are to be sold and bought on a day: the choice alone, no money."""

from typing import NamedTuple

import numpy as np

from qts.backtest.prepared import Prepared
from qts.backtest.ranking import Ranking
from qts.config import BacktestConfig


class Day(NamedTuple):
    """What a strategy may know when it chooses."""

    row: int
    """Of the day traded."""
    scored: int
    """Of the day whose scores are used."""
    held: np.ndarray
    """Columns of the names held, ascending."""
    n_days: np.ndarray
    """(n_names,) ends of days that each holding has seen."""


class Choice(NamedTuple):
    """Columns of names; what can be traded is in the order of dealing."""

    sells: np.ndarray
    buys: np.ndarray
    """Candidates, the best first; how many are bought may depend on the sales that come about."""
    blocked_sells: np.ndarray
    """Wanted, and impossible today."""
    blocked_buys: np.ndarray
    n_candidates: int
    """Candidates for a purchase, whether they can be bought or not."""


def choose(day: Day, ranking: Ranking, prepared: Prepared, config: BacktestConfig) -> Choice:
    """Swap at most n_drop holdings for better ones, fill free places, and give up what is too much.

    The choice is made twice: among all names, which tells what is wanted, and among those that can be traded. Only the second is
    dealt, so a name that cannot be sold holds up no other, and a name that cannot be bought leaves its place to the next.
    """
    scores = ranking.scores[day.scored]
    order = ranking.best_first(day.scored)
    is_held = np.zeros(len(scores), dtype=bool)
    is_held[day.held] = True
    is_held_here = is_held[order]
    candidates, worst = order[~is_held_here], order[is_held_here][::-1]
    if config.unscored_days:
        is_forgotten = ranking.n_unscored[day.scored, day.held] >= config.unscored_days
        worst = np.concatenate([day.held[is_forgotten][::-1], worst])
    can_buy = prepared.can_buy[day.row, candidates]
    can_sell = prepared.can_sell[day.row, worst] & (day.n_days[worst] >= config.hold_days)
    wanted_sells, wanted_buys = _swap(worst, candidates, len(day.held), scores, config)
    sells, _ = _swap(worst[can_sell], candidates[can_buy], len(day.held), scores, config)
    return Choice(
        sells,
        candidates[can_buy],
        worst[: wanted_sells.size][~can_sell[: wanted_sells.size]],
        candidates[:wanted_buys][~can_buy[:wanted_buys]],
        len(candidates),
    )


def _swap(
    worst: np.ndarray, best: np.ndarray, n_held: int, scores: np.ndarray, config: BacktestConfig
) -> tuple[np.ndarray, int]:
    """Return the names to sell, and how many to buy of the `best`.

    `worst` are holdings from the worst up, `best` candidates from the best down. Pair by pair the candidate must score better;
    a holding without a score is worse than any, and needs nobody to take its place.
    """
    n_free, n_extra = max(config.top_k - n_held, 0), max(n_held - config.top_k, 0)
    leaving, coming = worst[n_extra : n_extra + config.n_drop], best[n_free : n_free + config.n_drop]
    n_pairs = min(len(leaving), len(coming))
    left = scores[leaving]
    is_unscored = np.isnan(left)
    n_swaps = int(np.count_nonzero((scores[coming[:n_pairs]] > left[:n_pairs]) | is_unscored[:n_pairs]))
    n_sells = max(n_swaps, int(np.count_nonzero(is_unscored)))
    return worst[: n_extra + n_sells], n_free + n_sells


def choose_as_qlib(day: Day, ranking: Ranking, prepared: Prepared, config: BacktestConfig) -> Choice:
    """Choose as Qlib's TopkDropoutStrategy does, negative slices and all.

    A sale that is impossible makes room for a purchase all the same. Names without a score are none of its candidates here:
    a grid of scores does not tell a missing score from one that is NaN.
    """
    place = ranking.place[day.scored]
    order = ranking.best_first(day.scored)
    either = ~(prepared.suspended | prepared.at_up | prepared.at_down)[day.row] if config.only_tradable else None
    held = day.held[np.argsort(place[day.held])]
    n_free = config.top_k - len(held)
    candidates = _first(order[~np.isin(order, held)], config.n_drop + n_free, either)
    pool = np.concatenate([held, candidates])
    bottom = _last(pool[np.argsort(place[pool])], config.n_drop, either)
    sells = held[np.isin(held, bottom)]
    buys = candidates[: len(sells) + n_free]
    can_sell = prepared.can_sell[day.row, sells] & (day.n_days[sells] >= config.hold_days)
    can_buy = prepared.can_buy[day.row, buys]
    return Choice(sells[can_sell], buys[can_buy], sells[~can_sell], buys[~can_buy], len(buys))


def _first(names: np.ndarray, count: int, is_tradable: np.ndarray | None) -> np.ndarray:
    """Return the first `count`; among tradable ones at least one, as the loop it follows stops only after taking one."""
    if is_tradable is None:
        return names[:count]
    return names[is_tradable[names]][: max(count, 1)]


def _last(names: np.ndarray, count: int, is_tradable: np.ndarray | None) -> np.ndarray:
    """Return the last `count`, and all of them for 0."""
    return names[-count:] if is_tradable is None else _first(names[::-1], count, is_tradable)
