"""Returns of groups by score: the long and the short end, and quantiles."""

import numpy as np


def _positions(day: np.ndarray, score: np.ndarray, *, descending: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return row numbers sorted by day, then score (row order among equals), and each one's place in its day from 0."""
    known = np.flatnonzero(~np.isnan(score))
    key = -score[known] if descending else score[known]
    order = known[np.lexsort((known, key, day[known]))]
    days = day[order]
    start = np.searchsorted(days, days)
    return order, np.arange(len(order)) - start


def _means(day: np.ndarray, label: np.ndarray, n_days: int) -> np.ndarray:
    known = ~np.isnan(label)
    n = np.bincount(day[known], minlength=n_days)
    with np.errstate(invalid="ignore"):
        return np.bincount(day[known], weights=label[known].astype(np.float64), minlength=n_days) / n


def long_short(
    day: np.ndarray,
    score: np.ndarray,
    label: np.ndarray,
    n_days: int,
    share: float = 0.2,
    *,
    complete_only: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean label of the long end, of the short end and of all names, (n_days,) each.

    An end holds int(names x share) names. `complete_only` counts names with both score and label; else every row of
    the day counts, missing ones too, as in Qlib's default. Qlib's "long-short" is half of long minus short.
    """
    if complete_only:
        both = ~np.isnan(score) & ~np.isnan(label)
        day, score, label = day[both], score[both], label[both]
    size = (np.bincount(day, minlength=n_days) * share).astype(int)
    ends = []
    for descending in (True, False):
        order, place = _positions(day, score, descending=descending)
        rows = order[place < size[day[order]]]
        ends.append(_means(day[rows], label[rows], n_days))
    return ends[0], ends[1], _means(day, label, n_days)


def quantile_returns(day: np.ndarray, score: np.ndarray, label: np.ndarray, n_days: int, n_groups: int) -> np.ndarray:
    """Return (n_days, n_groups) mean labels, group 0 the highest scores.

    A group holds floor(names / n_groups) names, and the last one also what is left over: Qlib leaves those out.
    """
    scored = ~np.isnan(score)
    size = np.bincount(day[scored], minlength=n_days) // n_groups
    order, place = _positions(day, score, descending=True)
    day_size = size[day[order]]
    group = np.minimum(place // np.maximum(day_size, 1), n_groups - 1)
    rows = day_size > 0
    cell = day[order][rows] * n_groups + group[rows]
    return _means(cell, label[order][rows], n_days * n_groups).reshape(n_days, n_groups)
