"""What judging leads to, as data; how it is shown is decided elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qts.daily_series import SeriesStats
from qts.evaluation.signal import held_days


@dataclass(frozen=True)
class HorizonFigures:
    """How scores sort the returns of one holding period: bought `lag` days after the score, held `horizon` days."""

    horizon: int
    """Days held."""
    ic: SeriesStats
    """Of the daily IC; overlapping holding periods are allowed for."""
    rank_ic: SeriesStats
    """Of the daily RankIC."""
    group_mean: np.ndarray
    """(n_groups,) mean return over the holding period, group 0 the highest scores."""
    group_error: np.ndarray
    """(n_groups,) Newey-West standard errors of those means."""
    spread: SeriesStats
    """Of the return of group 0 minus that of the last."""
    monotonicity: float
    """Spearman's correlation of the groups' order with their means: 1 where higher scores always earned more."""
    days: np.ndarray
    """(n_closes,) datetime64[D], the closes of `curves`: from `lag` days after the first score, through days without one."""
    curves: np.ndarray
    """(n_closes, n_groups) growth of 1 held in each group, a part 1 / horizon renewed each day; compounded; begins at 1."""
    turnover: float
    """Share of the top and bottom group that is traded a day, one way, mean of both."""
    break_even_bps: float
    """Cost of trading one way that eats the spread, in basis points of what is traded."""


@dataclass(frozen=True)
class Persistence:
    """How long scores stay as they are, `lag` days later."""

    lag: int
    """Days of the calendar between the two scores."""
    autocorrelation: np.ndarray
    """(n_days,) Spearman's correlation over the names with both scores."""
    turnover: np.ndarray
    """(n_days, n_groups) share of a group's names that were not in it `lag` days before."""


@dataclass(frozen=True)
class FactorPortfolio:
    """Every name held in proportion to its score's distance from the day's mean, long and short, gross exposure 1."""

    returns: np.ndarray
    """(n_days,) return of the label's holding period."""
    market: np.ndarray
    """(n_days,) mean label of all names, equally weighted."""
    mean: SeriesStats
    """Of the returns."""
    alpha: float
    """Intercept of the returns on the market, a year."""
    alpha_t: float
    """Newey-West t of the intercept."""
    beta: float
    """Slope: what of it is only the market."""
    beta_t: float
    """Newey-West t of the slope."""
    annual_return: float
    """Mean a year."""
    sharpe: float
    """Annualised mean over standard deviation."""


@dataclass(frozen=True)
class GroupFigures:
    """The scores inside one group of names, as an industry."""

    name: str
    """The group."""
    n_rows: int
    """Rows with score and label."""
    mean_names: float
    """Names a day."""
    ic: SeriesStats
    """IC among the group's names."""
    rank_ic: SeriesStats
    """RankIC among them."""
    mean_label: float
    """Mean over days of the group's mean label."""
    spread: float
    """Mean over days of the mean label of the group's upper half of scores minus its lower half."""


@dataclass(frozen=True)
class NeutralFigures:
    """What is left of the scores once something known has been taken out of them, day by day."""

    taken_out: tuple[str, ...]
    """Group or exposure; none: the scores as they are."""
    ic: SeriesStats
    """IC of the residual."""
    rank_ic: SeriesStats
    """RankIC of the residual."""
    explained: float
    """Mean over days of the share of the scores' variance that is taken out."""


@dataclass(frozen=True)
class Drift:
    """Scores after the test segment against what the test segment lets one expect."""

    days: np.ndarray
    """(n_live,) datetime64[D]."""
    rank_ic: np.ndarray
    """(n_live,) RankIC, NaN where a day has none."""
    mean: float
    """Mean of those."""
    expected: float
    """Mean RankIC of the test segment."""
    low: float
    """Lower end of the band that the mean of so many days falls in 95 times of 100, by block bootstrap of the test days."""
    high: float
    """Upper end."""

    @property
    def is_inside(self) -> bool:
        """Whether the mean lies in the band."""
        return self.low <= self.mean <= self.high


@dataclass(frozen=True)
class Coverage:
    """Where rows went."""

    counts: Mapping[str, int]
    """What → rows (or days), in the order they are told."""
    lost: float
    """Share of the rows that could have been judged (they have a label) and were not, for want of a finite score."""
    n_scored: np.ndarray
    """(n_days,) names with a finite score."""
    n_expected: np.ndarray
    """(n_days,) names that should have one: members that traded, or without a universe all rows."""


@dataclass(frozen=True)
class EvalReport:
    """How scores fared against the raw label and against the returns of several holding periods."""

    days: np.ndarray
    """(n_days,) datetime64[D], days with a row."""
    n_names: np.ndarray
    """(n_days,) names with score and label."""
    ic: np.ndarray
    """(n_days,) IC of the label."""
    rank_ic: np.ndarray
    """(n_days,) RankIC of the label."""
    spread: np.ndarray
    """(n_days,) mean label of the long end minus that of the short end."""
    mean_label: np.ndarray
    """(n_days,) mean label of all names."""
    quantiles: np.ndarray
    """(n_days, n_groups) mean label by score group, group 0 the highest."""
    summary: Mapping[str, float]
    """Name → figure."""
    statistics: Mapping[str, SeriesStats]
    """ic, rank_ic, spread → what the daily series of the label say."""
    horizons: tuple[HorizonFigures, ...]
    """Holding periods, the shortest first; those that no price reaches are left out."""
    decay: np.ndarray
    """(n_ahead,) mean RankIC of the scores and the one-day return that begins `lag`, `lag` + 1, … days later."""
    portfolio: FactorPortfolio
    """The scores as weights."""
    persistence: tuple[Persistence, ...]
    """Lags, the shortest first."""
    groups: Mapping[str, tuple[GroupFigures, ...]]
    """What is grouped by → its groups, the largest first."""
    neutral: tuple[NeutralFigures, ...]
    """The scores as they are, then after each group and exposure, then after all of them."""
    coverage: Coverage
    """Where rows went."""
    drift: Drift | None = None
    """Scores after the test segment; None: there are none, or nobody asked."""
    warnings: tuple[str, ...] = ()
    """What a reader must know first."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Where scores and labels came from: run, model, universe, label, label_ahead, label_begin, span, versions, lag,
    days_per_year."""

    @property
    def held_days(self) -> int:
        """Days that the label's return is over; those of the default label where the context does not tell."""
        return held_days(int(self.context.get("label_ahead", 2)), int(self.context.get("label_begin", 1)))

    @property
    def label_horizon(self) -> HorizonFigures | None:
        """The holding period that the label is the return of, or else the shortest; None if there is none."""
        same = [one for one in self.horizons if one.horizon == self.held_days]
        return next(iter(same or self.horizons), None)
