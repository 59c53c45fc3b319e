"""One pass over the days of a signal: every daily figure, a span of days at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from qts.config import EvalConfig
from qts.evaluation.breakdown import Within, within_groups
from qts.evaluation.exposures import SIZE, exposures_of
from qts.evaluation.groupings import SIZES, Grouping, groupings_of, terciles
from qts.evaluation.groups import ScoreGroups, ends, mean_of
from qts.evaluation.horizons import Closes, Followed, follow
from qts.evaluation.ic import line_ic
from qts.evaluation.neutral import Known, judge_residuals, lines_of
from qts.evaluation.persistence import Lasting, Standing, compare
from qts.evaluation.portfolio import weighted_returns
from qts.evaluation.ranking import CenteredRanks, centered_ranks, correlation_of_ranks
from qts.evaluation.scored import ScoredDays, spans_of
from qts.evaluation.signal import Signal


@dataclass(frozen=True)
class LabelDays:
    """Scores against the label, (n_days,) each."""

    n: np.ndarray
    """Names with score and label."""
    ic: np.ndarray
    rank_ic: np.ndarray
    top: np.ndarray
    """Mean label of the long end."""
    bottom: np.ndarray
    """Mean label of the short end."""
    mean: np.ndarray
    """Mean label of all names."""
    weighted: np.ndarray
    """Return of the scores as weights."""
    is_flat: np.ndarray
    """The scores are all equal."""
    tied: np.ndarray
    """Share of the scores that another name has too."""


@dataclass(frozen=True)
class Judged:
    """Every daily figure of a signal."""

    label: LabelDays
    quantiles: np.ndarray
    followed: Followed
    lasting: Lasting
    within: Mapping[str, Within]
    residuals: np.ndarray
    """As `judge_residuals` gives them."""


@dataclass(frozen=True)
class Judge:
    """A signal with what is derived from it before any day is judged."""

    signal: Signal
    config: EvalConfig
    at: np.ndarray
    """(n_days,) int, the line of each day in the prices, -1 where they lack it."""
    exposures: Mapping[str, np.ndarray]
    """(n_days, n_names) each."""
    groupings: Mapping[str, Grouping]
    standing: Standing

    @classmethod
    def of(cls, signal: Signal, config: EvalConfig) -> "Judge":
        """Prepare to judge."""
        at = lines_in(signal.prices.days, signal.days)
        exposures = {
            name: values for name, values in exposures_of(signal.prices, at).items() if not np.isnan(values).all()
        }
        standing = Standing.empty(len(signal.days), len(signal.instruments))
        return cls(signal, config, at, exposures, groupings_of(signal), standing)

    @property
    def taken_out(self) -> list[tuple[str, ...]]:
        """What scores are cleared of, line by line of that table."""
        groups = [name for name in self.groupings if name in self.signal.groups]
        return lines_of(groups, [name for name in self.exposures if name not in groups])

    @property
    def group_names(self) -> dict[str, tuple[str, ...]]:
        """What is grouped by → its groups."""
        found = {name: grouping.names for name, grouping in self.groupings.items()}
        return {**found, SIZE: SIZES} if SIZE in self.exposures and SIZE not in found else found

    def judge(self) -> Judged:
        """Judge all days."""
        parts = [self._judge(days) for days in spans_of(self.signal)]
        labels = [part.label for part in parts]
        return Judged(
            LabelDays(*(np.concatenate([getattr(part, field.name) for part in labels]) for field in fields(LabelDays))),
            np.concatenate([part.quantiles for part in parts]),
            Followed.join([part.followed for part in parts]), Lasting.join([part.lasting for part in parts]),
            {name: Within.join([part.within[name] for part in parts]) for name in self.group_names},
            np.concatenate([part.residuals for part in parts]),
        )  # fmt: skip

    def _judge(self, days: ScoredDays) -> Judged:
        config, instrument, label = self.config, days.lay(self.signal.instrument), days.lay(self.signal.label)
        both = days.is_name & np.isfinite(label)
        ranks, labels = days.ranks(both), centered_ranks(label, both)
        groups = ScoreGroups.of(days, config.quantiles, config.min_names)
        self.standing.enter(days, instrument, groups)
        closes = Closes(self.signal.prices, self.at[days.span][:, None], instrument)
        return Judged(
            label_days(days, label, both, ranks, labels, config),
            groups.means(label, both),
            follow(days, closes, groups, both, config),
            compare(days, instrument, groups, self.standing, self.at, config),
            *self._broken_down(days, instrument, label, both, ranks, labels),
        )

    def _broken_down(
        self, days: ScoredDays, instrument: np.ndarray, label: np.ndarray, both: np.ndarray,
        ranks: CenteredRanks, labels: CenteredRanks,
    ) -> tuple[dict[str, Within], np.ndarray]:  # fmt: skip
        line = np.arange(days.span.start, days.span.stop)[:, None] * len(self.signal.instruments)
        exposures = {name: values.take(line + instrument) for name, values in self.exposures.items()}
        codes = {name: grouping.lay(days, instrument) for name, grouping in self.groupings.items()}
        sizes = {name: len(names) for name, names in self.group_names.items()}
        known = Known(codes, sizes, exposures)
        if SIZE in sizes and SIZE not in codes:
            codes = {**codes, SIZE: terciles(days, exposures)}
        within = {
            name: within_groups(
                days, ranks, label, labels, code, both & (code >= 0), sizes[name], self.config.min_names
            )
            for name, code in codes.items()
        }
        return within, judge_residuals(days.score, label, both, labels, known, self.taken_out, self.config.min_names)


def label_days(
    days: ScoredDays,
    label: np.ndarray,
    both: np.ndarray,
    ranks: CenteredRanks,
    labels: CenteredRanks,
    config: EvalConfig,
) -> LabelDays:
    """Judge scores against the label; a day without a RankIC has no spread either: ends of equal scores mean nothing."""
    n = np.count_nonzero(both, axis=1)
    rank_ic = correlation_of_ranks(ranks, labels, n, config.min_names)
    is_judged = ~np.isnan(rank_ic)
    top, bottom = ends(days, label, both, (n * config.long_short_share).astype(int))
    tied = np.bincount(days.ties.start // max(days.shape[1], 1), weights=days.ties.length, minlength=len(n))
    return LabelDays(
        n=n,
        ic=np.where(is_judged, line_ic(days.score, label, both), np.nan),
        rank_ic=rank_ic,
        top=np.where(is_judged, top, np.nan),
        bottom=np.where(is_judged, bottom, np.nan),
        mean=mean_of(label, both),
        weighted=np.where(is_judged, weighted_returns(days, label, both), np.nan),
        is_flat=ranks.squares == 0,
        tied=tied / np.maximum(days.n, 1),
    )


def lines_in(calendar: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return (n_days,) int, the place of each day in an ascending calendar, -1 where it is not in it."""
    if not len(calendar):
        return np.full(len(days), -1)
    found = np.minimum(np.searchsorted(calendar, days), len(calendar) - 1)
    return np.where(calendar[found] == days, found, -1)
