"""IC and RankIC: how well scores and labels agree within each cross-section."""

import numpy as np

from qts.cross_section import DayGrid, DayOrder


def daily_ic(
    day: np.ndarray, score: np.ndarray, label: np.ndarray, n_days: int, min_names: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Return IC and RankIC, (n_days,) each: Pearson's and Spearman's correlation of score and label on each day.

    day, score, label (n,). Only rows with both values count, and ranks are taken among them; ties share the average
    rank. NaN where a day has fewer than `min_names` such rows, or where scores or labels are all equal, which is
    asked of their extremes: a variance of equal numbers need not be 0.
    """
    both = np.isfinite(score) & np.isfinite(label)
    grid = DayGrid.of(day[both], n_days)
    scores, labels = (DayOrder.of(grid.lay(column[both].astype(np.float64))) for column in (score, label))
    return ic_and_rank_ic(scores, labels, min_names)


def ic_and_rank_ic(score: DayOrder, label: DayOrder, min_names: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return what `daily_ic` does of finite scores and labels that are laid out and sorted already."""
    both = score.known & label.known
    ic = daily_correlation(score.values, label.values, both, min_names)
    return ic, daily_correlation(score.ranks(both), label.ranks(both), both, min_names)


def daily_correlation(a: np.ndarray, b: np.ndarray, counts: np.ndarray, min_names: int = 2) -> np.ndarray:
    """Return (n_days,) Pearson's correlations of two grids over the cells that count; NaN as in `daily_ic`."""
    n = np.count_nonzero(counts, axis=1)
    senseless = _is_flat(a, counts) | _is_flat(b, counts) | (n < max(min_names, 2))
    return np.where(senseless, np.nan, line_ic(a, b, counts))


def line_ic(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (n_lines,) Pearson's correlations over the cells that count; nonsense where either's are all equal."""
    n = np.maximum(np.count_nonzero(counts, axis=1), 1)
    da, db = deviations(a, counts, n), deviations(b, counts, n)
    product, square_a, square_b = (np.einsum("dn,dn->d", x, y) for x, y in ((da, db), (da, da), (db, db)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return product / np.sqrt(square_a * square_b)


def deviations(grid: np.ndarray, counts: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return (n_lines, width) differences from the line's mean over the n (n_lines,) cells that count, 0 elsewhere."""
    values = np.where(counts, grid, 0.0)
    values -= (values.sum(axis=1) / n)[:, None]
    values *= counts
    return values


def _is_flat(grid: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (n_lines,) whether the cells that count are all equal."""
    low = np.where(counts, grid, np.inf).min(axis=1, initial=np.inf)
    return low == np.where(counts, grid, -np.inf).max(axis=1, initial=-np.inf)


def summarise(daily: np.ndarray) -> tuple[float, float]:
    """Return the mean of a daily series and the mean over its standard deviation (ddof 1), NaN days left out.

    Nothing is annualised, and every day weighs the same.
    """
    known = daily[~np.isnan(daily)]
    mean = float(known.mean()) if len(known) else float("nan")
    std = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return mean, mean / std if std > 0 else float("nan")
