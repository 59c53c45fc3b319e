"""The evaluation once more in plain Python, one day and one name at a time: what the fast one must agree with."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from qts.boards import board_of
from qts.config import EvalConfig
from qts.evaluation import Signal
from qts.evaluation.exposures import exposures_of

NAN = float("nan")


def mean(values: Iterable[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return sum(known) / len(known) if known else NAN


def ranks(values: list[float]) -> list[float]:
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


def pearson(a: list[float], b: list[float], least: int = 2) -> float:
    if len(a) < max(least, 2) or len(set(a)) == 1 or len(set(b)) == 1:
        return NAN
    return float(np.corrcoef(a, b)[0, 1])


def spearman(a: list[float], b: list[float], least: int = 2) -> float:
    return pearson(ranks(a), ranks(b), least)


class Naive:
    """Every figure of a report by day, from dicts of name → value."""

    def __init__(self, signal: Signal, config: EvalConfig) -> None:
        self.signal, self.config, self.prices = signal, config, signal.prices
        self.n_days = len(signal.days)
        self.line = [list(self.prices.days).index(day) for day in signal.days]
        rows = list(zip(signal.day, signal.instrument, signal.score, signal.label, strict=True))
        self.scores = [
            {name: score for at, name, score, _ in rows if at == day and np.isfinite(score)}
            for day in range(self.n_days)
        ]
        self.labels = [
            {name: label for at, name, _, label in rows if at == day and np.isfinite(label)}
            for day in range(self.n_days)
        ]

    def close(self, day: int, name: int, after: int) -> float:
        """Return the close so many days after the score."""
        line = self.line[day] + after
        return float(self.prices.close[line, name]) if line < len(self.prices.days) else NAN

    def returns(self, day: int, start: int, end: int) -> dict[int, float]:
        """Return those of the scored names, from close to close so many days after the score."""
        found = {name: self.close(day, name, end) / self.close(day, name, start) - 1 for name in self.scores[day]}
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def judge(self, day: int, earned: Mapping[int, float], how: Callable[..., float]) -> float:
        """Return the correlation of the day's scores with what names earned."""
        names = [name for name in self.scores[day] if name in earned]
        return how([self.scores[day][n] for n in names], [earned[n] for n in names], self.config.min_names)

    def best_first(self, day: int, among: Mapping[int, float] | None = None) -> list[int]:
        """Return the scored names, equals by their order."""
        names = [name for name in self.scores[day] if among is None or name in among]
        return sorted(names, key=lambda name: (-self.scores[day][name], name))

    def groups(self, day: int) -> dict[int, int]:
        """Return the bin of each name."""
        order, n_groups = self.best_first(day), self.config.quantiles
        if len(order) < max(self.config.min_names, n_groups) or len(set(self.scores[day].values())) == 1:
            return {}
        return {name: place * n_groups // len(order) for place, name in enumerate(order)}

    def group_means(self, day: int, earned: Mapping[int, float]) -> list[float]:
        """Return the mean of what each bin earned."""
        groups = self.groups(day)
        return [
            mean(earned[name] for name in groups if groups[name] == at and name in earned)
            for at in range(self.config.quantiles)
        ]

    def ends(self, day: int) -> tuple[float, float]:
        """Return the mean label of the long and of the short end, unless the day has no RankIC."""
        label = self.labels[day]
        names = self.best_first(day, label)
        if np.isnan(self.judge(day, label, spearman)):
            return NAN, NAN
        size = int(len(names) * self.config.long_short_share)
        upward = sorted(names, key=lambda name: (self.scores[day][name], name))
        return mean(label[name] for name in names[:size]), mean(label[name] for name in upward[:size])

    def weighted(self, day: int) -> float:
        """Return the label of the scores as weights."""
        label = self.labels[day]
        names = self.best_first(day, label)
        if np.isnan(self.judge(day, label, spearman)):
            return NAN
        centre = mean(self.scores[day][name] for name in names)
        gross = sum(abs(self.scores[day][name] - centre) for name in names)
        return sum((self.scores[day][name] - centre) / gross * label[name] for name in names)

    def earlier(self, day: int, gap: int) -> int | None:
        """Return the day with rows that lies so many days of the calendar before."""
        line = self.line[day] - gap
        return self.line.index(line) if line in self.line else None

    def autocorrelation(self, day: int, gap: int) -> float:
        """Return the rank correlation with the scores of that day."""
        before = self.earlier(day, gap)
        return NAN if before is None else self.judge(day, self.scores[before], spearman)

    def turnover(self, day: int, gap: int) -> list[float]:
        """Return the share of each bin that was not in it on that day."""
        before, now = self.earlier(day, gap), self.groups(day)
        if before is None or not now or not self.groups(before):
            return [NAN] * self.config.quantiles
        was = self.groups(before)
        return [
            mean(float(was.get(name) != at) for name in now if now[name] == at) for at in range(self.config.quantiles)
        ]

    def curve(self, horizon: int) -> list[list[float]]:
        """Return growth by close, each day the mean of what the cohorts of the last `horizon` scores earned that day."""
        lag, growth = self.config.lag, [[1.0] * self.config.quantiles]
        for line in range(self.line[0] + lag, min(self.line[-1] + lag + horizon, len(self.prices.days) - 1)):
            cohorts = [
                self.group_means(day, self.returns(day, lag + step, lag + step + 1))
                for day in range(self.n_days)
                for step in range(horizon)
                if self.line[day] + lag + step == line
            ]
            earned = [mean(cohort[at] for cohort in cohorts) for at in range(self.config.quantiles)]
            growth.append([old * (1 + np.nan_to_num(new)) for old, new in zip(growth[-1], earned, strict=True)])
        return growth

    def members(self, kind: str, day: int) -> dict[int, str]:
        """Return the group of the day's scored names."""
        if kind == "board":
            return {name: board_of(str(self.signal.instruments[name])) for name in self.scores[day]}
        if kind == "size":
            size = {name: self.exposure("size", day, name) for name in self.best_first(day)}
            order = sorted((name for name in size if not np.isnan(size[name])), key=lambda name: size[name])
            return {name: ("small", "middle", "large")[at * 3 // len(order)] for at, name in enumerate(order)}
        rows = np.flatnonzero(self.signal.day == day)
        return {int(self.signal.instrument[row]): str(self.signal.groups[kind][row]) for row in rows}

    def exposure(self, kind: str, day: int, name: int) -> float:
        """Return size or beta; they have oracles of their own."""
        return float(exposures_of(self.prices, np.array(self.line))[kind][day, name])

    def inside(self, kind: str, group: str, day: int) -> dict[str, float]:
        """Return the figures of one group on one day."""
        label, member = self.labels[day], self.members(kind, day)
        names = [name for name in self.best_first(day, label) if member.get(name) == group]
        score, earned = [self.scores[day][name] for name in names], [label[name] for name in names]
        least, half = max(self.config.min_names, 3), (len(names) + 1) // 2
        spearmans = spearman(score, earned, least)
        spread = mean(earned[:half]) - mean(earned[half:])
        return {
            "n": len(names), "rank_ic": spearmans, "ic": NAN if np.isnan(spearmans) else pearson(score, earned, least),
            "mean": mean(earned), "spread": spread,
        }  # fmt: skip

    def residual(self, day: int, taken_out: tuple[str, ...]) -> tuple[float, float, float]:
        """Return IC, RankIC and share explained of the residual of the day's least squares."""
        columns: dict[int, list[float]] = {name: [1.0] for name in self.best_first(day, self.labels[day])}
        for kind in taken_out:
            if kind in self.signal.groups:
                member = self.members(kind, day)
                groups = sorted(set(self.signal.groups[kind]) - {""})
                columns = {n: [*c, *(float(member[n] == g) for g in groups)] for n, c in columns.items() if member[n]}
            else:
                columns = {n: [*c, self.exposure(kind, day, n)] for n, c in columns.items()}
                columns = {n: c for n, c in columns.items() if not np.isnan(c[-1])}
        names = list(columns)
        if len(names) < self.config.min_names:
            return NAN, NAN, NAN
        x, y = np.array([columns[n] for n in names]), np.array([self.scores[day][n] for n in names])
        left = y - x @ np.linalg.lstsq(x, y, rcond=1e-10)[0]
        total = float(((y - y.mean()) ** 2).sum())
        explained = 1 - float((left**2).sum()) / total if total > 0 else NAN
        if not explained < 1 - 1e-9:
            return NAN, NAN, explained
        rest, label = [round(float(v), 11) for v in left], [self.labels[day][n] for n in names]
        return pearson(rest, label), spearman(rest, label), explained
