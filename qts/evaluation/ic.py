"""IC and RankIC: how well scores and labels agree within each cross-section."""

import numpy as np

from qts.cross_section import CrossSections


def daily_ic(
    day: np.ndarray, score: np.ndarray, label: np.ndarray, n_days: int, min_names: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Return IC and RankIC, (n_days,) each: Pearson's and Spearman's correlation of score and label on each day.

    day, score, label (n,). Only rows with both values count, and ranks are taken among them; ties share the average
    rank. NaN where a day has fewer than `min_names` such rows, or where scores or labels are all equal, which is
    asked of their extremes: a variance of equal numbers need not be 0.
    """
    both = np.isfinite(score) & np.isfinite(label)
    day, score, label = day[both], score[both].astype(np.float64), label[both].astype(np.float64)
    sections = CrossSections(day)
    n_names = np.bincount(day, minlength=n_days)
    enough = n_names >= max(min_names, 2)
    ic = np.where(enough, _correlation(sections, score, label, n_days), np.nan)
    rank_ic = np.where(enough, _correlation(sections, sections.rank(score), sections.rank(label), n_days), np.nan)
    return ic, rank_ic


def _correlation(sections: CrossSections, a: np.ndarray, b: np.ndarray, n_days: int) -> np.ndarray:
    spread_a, spread_b = sections.std(a), sections.std(b)
    da, db = a - sections.mean(a), b - sections.mean(b)
    day = sections.day
    sums = (np.bincount(day, weights=w, minlength=n_days) for w in (da * db, da * da, db * db))
    flat = np.bincount(day, weights=(spread_a == 0) | (spread_b == 0), minlength=n_days) > 0
    product, square_a, square_b = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(flat, np.nan, product / np.sqrt(square_a * square_b))


def summarise(daily: np.ndarray) -> tuple[float, float]:
    """Return the mean of a daily series and the mean over its standard deviation (ddof 1), NaN days left out.

    Nothing is annualised, and every day weighs the same.
    """
    known = daily[~np.isnan(daily)]
    mean = float(known.mean()) if len(known) else float("nan")
    std = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return mean, mean / std if std > 0 else float("nan")
