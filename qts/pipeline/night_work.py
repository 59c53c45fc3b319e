"""A night's scores: made, held against what is usual, published, and judged once their labels are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from qts import __version__, clock
from qts.columns import DATETIME, LABEL, SCORE
from qts.config import LoadedConfig
from qts.errors import DataCheckError, InputError
from qts.evaluation import find_drift
from qts.evaluation.results import Drift
from qts.expr.lookback import begin_of
from qts.expr.parse import parse
from qts.pipeline.night_plan import BEFORE, features_print, plan_night
from qts.pipeline.pinned import Pin
from qts.pipeline.predict import score_span
from qts.pipeline.scored import ScoredStore, sort_scores
from qts.predictions import Book, BookWriter, DayFigures, Lineage, Upserted
from qts.predictions.book import SCORES_SCHEMA
from qts.predictions.upsert import Asked
from qts.progress import Progress
from qts.store import Store
from qts.training.checkpoint import Run
from qts.windows import Samples, WindowStore

LEAST_KNOWN = 5
"""Published days from which the book says what is usual; before that the members do."""

WHOLE_HINT = "have all its bars come? if they have: --set nightly.min_coverage=0"

LEAST_DRIFT = 20
"""Days with known labels under which nothing is said of drift."""


@dataclass(frozen=True)
class Night:
    """What a night's work came to."""

    days: tuple[date, ...]
    """New days that were published."""
    upserted: Upserted
    n_scores: int
    """Scores of the last published day."""
    matured: tuple[DayFigures, ...]
    """Days whose labels became known: datetime, ic, rank_ic."""
    drift: Drift | None
    """None: too few days are known yet."""
    held_back: DataCheckError | None
    """Why the newest day was not published; None if it was."""
    book: Book


class NightWork:
    """One night at work on the book of a pinned run."""

    def __init__(
        self, loaded: LoadedConfig, store: Store, run: Run, pin: Pin, book: Book | None, progress: Progress
    ) -> None:
        self.loaded = loaded
        self.store = store
        self.run = run
        self.pin = pin
        self.progress = progress
        self.writer = BookWriter(loaded.path(loaded.config.store.predictions), book)
        self.plan = plan_night(store, run.record, pin.weights, book, loaded.config.nightly.since)
        self.rows = {row[DATETIME]: row for row in (book.days().to_pylist() if book else [])}
        """Published day → its figures."""
        self.held_back: DataCheckError | None = None

    def publish(self) -> Night:
        """Score, check, upsert, judge and commit; a newest day with too few scores is held back."""
        self._refuse_cut_short()
        table, whole_days = self._scores()
        new_days = self.plan.new_days[np.isin(self.plan.new_days, whole_days)]
        upserted = self.writer.upsert(table, Asked(whole_days, self.plan.names, self.plan.own_days))
        self._refuse_losses(upserted)
        self._put_members(whole_days, new_days)
        matured = self._judge()
        self.progress.stage("publish")
        self.writer.put_days(list(self.rows.values()))
        has_news = len(new_days) > 0 or not upserted.is_nothing
        book = self.writer.commit(self._lineage() if has_news else None, self.plan.synced, self.plan.first)
        last = max(self.rows, default=None)
        return Night(
            tuple(new_days.tolist()), upserted, self.rows[last]["n_scores"] if last else 0, matured, self._drift(),
            self.held_back, book,
        )  # fmt: skip

    def _refuse_cut_short(self) -> None:
        """Raise InputError if the bars end before the last published day: such a delivery would withdraw all after it."""
        end: date = self.plan.calendar[-1].item()
        last = max((day for day, row in self.rows.items() if row["n_scores"]), default=end)
        if last > end:
            hint = "has the delivery come whole? a day that was none is withdrawn once bars of a later one are there"
            raise InputError(f"the bars end on {end}, but scores are published up to {last}", hint=hint)

    def _refuse_losses(self, upserted: Upserted) -> None:
        """Raise DataCheckError if published scores would be withdrawn while the newest day is not whole.

        Then a part of the delivery is missing, and so, it seems, are the bars of what would be withdrawn.
        """
        if not upserted.n_withdrawn:
            return
        newest = self.plan.calendar[-1].item()
        had = self.rows[newest]["n_scores"] if newest in self.rows else 0
        n_scores = self.writer.day_counts([newest]).get(newest, had)
        told = self.held_back.message if self.held_back else f"{newest} has {n_scores:,} scores, {had:,} are published"
        if self.held_back or n_scores < self.loaded.config.nightly.min_coverage * had:
            raise DataCheckError(
                f"{told}; {upserted.n_withdrawn:,} published scores would be withdrawn: nothing was changed",
                where="[nightly] min_coverage", hint=WHOLE_HINT,
            )  # fmt: skip

    # Scores

    def _scores(self) -> tuple[pa.Table, np.ndarray]:
        """Return the scores to be published, and the days that are published whole."""
        plan = self.plan
        if plan.span is None:
            return SCORES_SCHEMA.empty_table(), plan.whole_days
        table, _, _ = score_span(self.run, self.store, plan.span, self.loaded, self.progress, self._is_asked)
        self.progress.count(rows=table.num_rows)
        held = self._held_back(table)
        if held is None:
            return table, plan.whole_days
        kept = table[DATETIME].to_numpy().astype("datetime64[D]") != held
        return table.filter(pa.array(kept)), plan.whole_days[plan.whole_days != held]

    def _is_asked(self, windows: WindowStore, samples: Samples) -> np.ndarray:
        """Return which samples the plan asks for."""
        calendar = windows.calendar[samples.day]
        asked: np.ndarray = np.isin(calendar, self.plan.whole_days)
        if self.plan.names:
            named = np.isin(windows.instruments, sorted(self.plan.names))[samples.instrument]
            asked |= named & np.isin(calendar, self.plan.own_days)
        return asked

    def _held_back(self, table: pa.Table) -> np.datetime64 | None:
        """Return the newest day if it has too few scores; warn of older days that have."""
        counts = _counts(table)
        usual = [row["n_scores"] for _, row in sorted(self.rows.items())]
        held = None
        for day in self.plan.new_days:
            n_scores = counts.get(day.item(), 0)
            expected = self._usual(usual, day)
            if n_scores >= self.loaded.config.nightly.min_coverage * expected:
                usual.append(n_scores)
                continue
            told = f"{day} has {n_scores:,} scores, {expected:,.0f} are usual"
            if day == self.plan.calendar[-1]:
                self.held_back = DataCheckError(
                    f"{told}: not published", where="[nightly] min_coverage", hint=WHOLE_HINT
                )
                held = day
            else:
                self.progress.warn(f"{told}: published all the same, for later days have come")
        return held

    def _usual(self, before: Sequence[int], day: np.datetime64) -> float:
        """Return the usual number of scores: of published days, and of members where few are published."""
        published = float(np.median(before[-BEFORE:])) if before else 0.0
        if len(before) >= LEAST_KNOWN:
            return published
        at = int(np.searchsorted(self.plan.calendar, day))
        counts = self.plan.members.count[max(0, at - BEFORE) : at]
        return max(published, float(np.median(counts)) if len(counts) else 0.0)

    def _put_members(self, whole_days: np.ndarray, new_days: np.ndarray) -> None:
        """Write down who was a member on the days that were scored whole, and how many scores each day has now."""
        for day, count, names in zip(whole_days.tolist(), *self.plan.members.on(whole_days), strict=True):
            self.rows[day] = {DATETIME: day, **self.rows.get(day, {}), "n_members": int(count), "members": int(names)}
        for day in new_days:
            made = {
                "run": self.run.name,
                "lineage": self.writer.next_lineage,
                "ic": None,
                "rank_ic": None,
                "n_scores": 0,
            }
            self.rows[day.item()] |= made
        for day, n_scores in self.writer.day_counts(list(self.rows)).items():
            self.rows[day]["n_scores"] = n_scores

    # Labels

    def _judge(self) -> tuple[DayFigures, ...]:
        """Judge the days whose labels have become known, or may have changed; return the former."""
        calendar, label = self.plan.calendar, self.store.manifest.label
        begin = begin_of(parse(label.expressions[LABEL]))
        days = np.array(sorted(self.rows), dtype="datetime64[D]")
        at = np.searchsorted(calendar, days)
        for day, place in zip(days.tolist(), at.tolist(), strict=True):
            is_day = _day_at(calendar, place) == day
            start, end = (_day_at(calendar, place + ahead) if is_day else None for ahead in (begin, label.ahead))
            self.rows[day] |= {"label_start": start, "label_end": end}
            if end is None or not self.rows[day]["n_scores"]:  # what was judged is so no more
                self.rows[day] |= {"ic": None, "rank_ic": None}
        known = [
            day for day in sorted(self.rows) if self.rows[day]["label_end"] is not None and self.rows[day]["n_scores"]
        ]
        matured = [day for day in known if self.rows[day]["rank_ic"] is None]
        wanted = known if self.plan.is_revised else matured
        if not wanted:
            return ()
        self.progress.stage("judge matured scores")
        scored = ScoredStore(self.store, sort_scores(self.writer.scores_of(wanted), self.store))
        self.progress.count(rows=len(scored.rows.score))
        for day, ic, rank_ic in zip(*scored.daily_ics(self.loaded.config.eval.min_names), strict=True):
            self.rows[day.item()] |= {"ic": float(ic), "rank_ic": float(rank_ic)}
        return tuple({name: self.rows[day][name] for name in (DATETIME, "ic", "rank_ic")} for day in matured)

    def _drift(self) -> Drift | None:
        """Compare the latest judged days of this run, its test segment left out, with that segment."""
        if self.loaded.config.nightly.drift == "ignore" or not self.pin.days:
            return None
        own = {*self.plan.own_days.tolist(), *self.plan.new_days.tolist()} - {*map(date.fromisoformat, self.pin.days)}
        judged = [
            (day, row["rank_ic"]) for day, row in sorted(self.rows.items())
            if day in own and row["rank_ic"] is not None and not np.isnan(row["rank_ic"])
        ][-self.loaded.config.nightly.drift_days :]  # fmt: skip
        if len(judged) < LEAST_DRIFT:
            return None
        days, rank_ic = (np.array(column) for column in zip(*judged, strict=True))
        live = days.astype("datetime64[D]")
        return find_drift(self.pin.series, live, rank_ic, self.loaded.config.eval, lag=self.pin.lag)

    def _lineage(self) -> Lineage:
        """Return what tonight's scores are made of."""
        manifest, record = self.store.manifest, self.run.record
        return Lineage(
            id=self.writer.next_lineage, made=clock.stamp(), run=self.run.name, weights=self.pin.weights,
            bars=manifest.bars.fingerprint,
            factors={name: dataset.fingerprint for name, dataset in manifest.factor_sets.items()},
            universe=manifest.universe.fingerprint if manifest.universe else None, label=record["label"]["expr"],
            features=features_print(record), window=record["window"], qts_version=__version__,
        )  # fmt: skip


def _counts(table: pa.Table) -> dict[date, int]:
    """Return day → its scores, those that are NaN left out."""
    known = ~np.isnan(table[SCORE].to_numpy())
    days, counts = np.unique(table[DATETIME].to_numpy().astype("datetime64[D]")[known], return_counts=True)
    return dict(zip(days.tolist(), counts.tolist(), strict=True))


def _day_at(calendar: np.ndarray, place: int) -> date | None:
    """Return a day of the calendar, or None if it has not come yet."""
    return calendar[place].item() if place < len(calendar) else None
