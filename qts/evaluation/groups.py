"""Returns of groups by score: the long and the short end, and quantiles."""

import numpy as np

from qts.cross_section import DayGrid, DayOrder


def _means(label: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return (n_days,) mean labels of the cells in `rows` that have one."""
    taken = rows & ~np.isnan(label)
    with np.errstate(invalid="ignore"):
        return np.where(taken, label, 0.0).sum(axis=1, dtype=np.float64) / np.count_nonzero(taken, axis=1)


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
    size = (np.bincount(day, minlength=n_days) * share).astype(int)[:, None]
    grid = DayGrid.of(day, n_days)
    order, labels = DayOrder.of(grid.lay(score)), grid.lay(label)
    top, bottom = (_means(labels, order.known & (order.places(descending=down) < size)) for down in (True, False))
    return top, bottom, _means(labels, ~np.isnan(labels))


def quantile_returns(day: np.ndarray, score: np.ndarray, label: np.ndarray, n_days: int, n_groups: int) -> np.ndarray:
    """Return (n_days, n_groups) mean labels, group 0 the highest scores.

    A group holds floor(names / n_groups) names, and the last one also what is left over: Qlib leaves those out.
    """
    grid = DayGrid.of(day, n_days)
    return group_means(DayOrder.of(grid.lay(score)), grid.lay(label), n_groups)


def group_means(score: DayOrder, label: np.ndarray, n_groups: int) -> np.ndarray:
    """Return what `quantile_returns` does of scores and labels that are laid out already."""
    size = np.count_nonzero(score.known, axis=1)[:, None] // n_groups
    group = np.minimum(score.places(descending=True) // np.maximum(size, 1), n_groups - 1)
    grouped = score.known & (size > 0)
    return np.stack([_means(label, grouped & (group == at)) for at in range(n_groups)], axis=1)
