"""A score is a function of weights and of data up to its day: whatever is asked beside it, it has the same bits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from qts.columns import DATETIME, INSTRUMENT, SCORE
from qts.errors import InputError, StoreError
from qts.pipeline.held import hold, scale_of
from qts.pipeline.predict import score_samples, weights_print
from qts.pipeline.proofs.proof import NO_RUN, Case, Proof, Tally
from qts.pipeline.span_windows import SpanWindows, read_span
from qts.training.batches import DeviceWindows
from qts.training.checkpoint import Run

NAME = "scores are invariant"
PAIRS_A_DAY = 10
"""Pairs that are drawn of one day, so that not every pair costs a reading of the store."""
DEVICE_TOLERANCE = 1e-5
"""Largest difference of a score between a CPU and a GPU, whose sums are rounded in another order."""
DAYS_AROUND = 5
"""Days at most before and after the one asked for, in a query of another range."""
OTHER_BATCH_SIZE = 37
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Asked:
    """One day asked alone, and the pairs of it that were drawn."""

    day: date
    held: DeviceWindows
    names: np.ndarray
    """(n_samples,) instruments of the day's samples."""
    drawn: np.ndarray
    """(n,) positions of samples."""
    scores: np.ndarray
    """(n,) their scores, each asked alone; of a by-day network, its cross-section alone."""


class ScoresInvariant:
    """One run's scores, asked in several ways."""

    def __init__(self, case: Case, run: Run) -> None:
        self.case = case
        self.run = run
        self.loaded = case.loaded
        self.rng = case.generator(1)
        self.takes_days = "members" in run.record or run.network().batches == "by_day"
        alone = "a whole day asked alone" if self.takes_days else "asked alone"
        may_be_gpu = torch.cuda.is_available() or str(run.record.get("device", "")).startswith("cuda")
        self.tolerance = DEVICE_TOLERANCE if may_be_gpu else 0.0
        within = f", within {DEVICE_TOLERANCE:g}: a GPU may have made them" if may_be_gpu else ""
        self.tallies = {
            name: Tally(NAME, what)
            for name, what in {
                "kept": f"{alone}, and as kept with the run{within}",
                "book": f"{alone}, and as published{within}",
                "range": f"{alone}, and in another range of days",
                "batch": f"{alone}, and in batches of {OTHER_BATCH_SIZE}",
                "threads": f"{alone}, and on {_other_threads()} instead of {torch.get_num_threads()} threads",
                "gpu": f"on the CPU, and on a GPU within {DEVICE_TOLERANCE:g}",
            }.items()
        }
        for tally in self.tallies.values():
            tally.pause()

    def prove(self) -> Iterator[Proof]:
        """Ask and compare."""
        published = self._published()
        days = self._days(published)
        n_pairs = -(-self.case.n_pairs // max(len(days), 1))
        for day in days:
            try:
                with self.tallies["kept"].running():
                    asked = self._ask(day, n_pairs)
            except StoreError:
                raise
            except InputError as error:  # no member has a row
                self._miss(day, published, str(error))
            else:
                self._prove_day(asked, published)
        nothing = "no day has scores" if not days else ""
        absent = {
            "kept": nothing or ("" if self.case.kept is not None else "no scores of these data and weights are kept"),
            "book": nothing or ("" if published is not None else "nothing of this run was published"),
            "batch": nothing or ("a by-day network has no batch size" if self.takes_days else ""),
            "gpu": nothing or ("" if torch.cuda.is_available() else "there is no GPU"),
        }
        for name, tally in self.tallies.items():
            reason = absent.get(name, nothing)
            yield tally.skip(reason) if reason and not tally.n_checked else tally.done()

    def _published(self) -> pa.Table | None:
        """Return the present published scores that this run made with the weights it has now."""
        if self.case.book is None:
            return None
        weights = weights_print(self.run)
        own = [
            line.id for line in self.case.book.manifest.lineages if (line.run, line.weights) == (self.run.name, weights)
        ]
        table = self.case.book.scores()
        table = table.filter(pc.is_in(table["lineage"], pa.array(own, pa.int32())))
        return table if table.num_rows else None

    def _days(self, published: pa.Table | None) -> list[date]:
        """Return random days of what was scored; without kept scores, of the test segment."""
        calendar = self.case.store.calendar()
        first, last = (np.datetime64(day, "D") for day in self.run.record["segments"]["test"])
        kept = (
            calendar[(calendar >= first) & (calendar <= last)] if self.case.kept is None else _days_of(self.case.kept)
        )
        sources = [kept] + ([] if published is None else [_days_of(published)])
        n_days = max(1, -(-self.case.n_pairs // (PAIRS_A_DAY * len(sources))))
        drawn = [self.rng.choice(days, min(n_days, len(days)), replace=False) for days in sources if len(days)]
        return sorted({day for days in drawn for day in days.tolist()})

    def _ask(self, day: date, n_pairs: int) -> Asked:
        """Ask a day, and then each drawn pair, alone."""
        self.case.progress.stage(f"score {day}")
        found = read_span(self.run.record, self.case.store, (day, day))
        held = self._held(found, np.arange(len(found.dataset)))
        names = found.windows.instruments[found.dataset.samples.instrument]
        drawn = np.sort(self.rng.choice(len(names), min(n_pairs, len(names)), replace=False))
        if self.takes_days:
            scores = self._scores(held)[drawn]
        else:
            alone = [self._scores(self._held(found, np.array([at]), held)) for at in drawn]
            scores = np.concatenate([np.empty(0, np.float32), *alone])
        return Asked(day, held, names, drawn, scores)

    def _held(self, found: SpanWindows, chosen: np.ndarray, beside: DeviceWindows | None = None) -> DeviceWindows:
        samples = found.dataset.samples.take(chosen)
        return hold(replace(found.dataset, samples=samples), CPU, scale_of(self.run.record), beside=beside)

    def _scores(self, held: DeviceWindows, **keys: int) -> np.ndarray:
        return score_samples(self.run, held, self.loaded, **keys)

    def _prove_day(self, asked: Asked, published: pa.Table | None) -> None:
        """Compare a day's drawn pairs with the same asked otherwise."""
        names = asked.names[asked.drawn]
        for name, known in (("kept", self.case.kept), ("book", published)):
            if known is not None:
                self._compare_known(name, asked, known)

        def compare(name: str, scores: np.ndarray, tolerance: float = 0.0) -> None:
            self.tallies[name].equal(scores, asked.scores, lambda at: f"{names[at]} on {asked.day}", tolerance)

        with self.tallies["range"].running():
            compare("range", self._in_another_range(asked))
        if not self.takes_days:
            with self.tallies["batch"].running():
                compare("batch", self._scores(asked.held, batch_size=OTHER_BATCH_SIZE)[asked.drawn])
        with self.tallies["threads"].running(), _on_threads(_other_threads()):
            compare("threads", self._scores(asked.held)[asked.drawn])
        if torch.cuda.is_available():
            with self.tallies["gpu"].running():
                held = hold(asked.held.dataset, torch.device("cuda"), scale_of(self.run.record))
                compare("gpu", self._scores(held)[asked.drawn], DEVICE_TOLERANCE)

    def _miss(self, day: date, published: pa.Table | None, reason: str) -> None:
        """Count a day that has no scores now: a failure where it has some on disk."""
        for name, known in (("kept", self.case.kept), ("book", published)):
            if known is not None and np.isin(np.datetime64(day, "D"), _days_of(known)):
                self.tallies[name].fact(f"{day} has scores there, and none now: {reason}", holds=False)

    def _compare_known(self, name: str, asked: Asked, known: pa.Table) -> None:
        """Compare drawn pairs with scores that lie on disk; a pair that has none there counts as failed."""
        tally = self.tallies[name]
        with tally.running():
            rows = known.filter(pc.equal(known[DATETIME], pa.scalar(asked.day, known.schema.field(DATETIME).type)))
            if not rows.num_rows:
                return
            score_of = dict(zip(rows[INSTRUMENT].to_pylist(), rows[SCORE].to_numpy().tolist(), strict=True))
            for at, score in zip(asked.drawn, asked.scores, strict=True):
                place = f"{asked.names[at]} on {asked.day}"
                if asked.names[at] in score_of:
                    there = np.array([score_of[asked.names[at]]], dtype=np.float32)
                    tally.equal(np.array([score]), there, lambda _, place=place: place, self.tolerance)  # type: ignore[misc]
                else:
                    tally.fact(f"{place} has a score now, and none there", holds=False)
            if lost := sorted({*score_of} - {*asked.names.tolist()}):
                tally.fact(f"{lost[0]} on {asked.day} has a score there, and none now", holds=False)

    def _in_another_range(self, asked: Asked) -> np.ndarray:
        """Return the drawn pairs' scores, asked with random days before and after theirs."""
        calendar = self.case.store.calendar()
        at = int(np.searchsorted(calendar, np.datetime64(asked.day, "D")))
        low, high = self.rng.integers(1, DAYS_AROUND + 1, 2)
        span = (calendar[max(0, at - low)].item(), calendar[min(len(calendar) - 1, at + high)].item())
        found = read_span(self.run.record, self.case.store, span)
        samples = found.dataset.samples
        scores = self._scores(self._held(found, np.arange(len(samples))))
        own = np.flatnonzero(found.windows.calendar[samples.day] == np.datetime64(asked.day, "D"))
        names = found.windows.instruments[samples.instrument[own]]
        place_of = dict(zip(names.tolist(), own.tolist(), strict=True))
        there = [place_of.get(name) for name in asked.names[asked.drawn].tolist()]
        return np.array([np.nan if place is None else scores[place] for place in there], dtype=np.float32)


@contextmanager
def _on_threads(n_threads: int) -> Iterator[None]:
    """Have torch work on another number of threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _other_threads() -> int:
    return 2 if torch.get_num_threads() == 1 else 1


def _days_of(table: pa.Table) -> np.ndarray:
    return np.unique(table[DATETIME].to_numpy().astype("datetime64[D]"))


def prove_scores_invariant(case: Case) -> Iterator[Proof]:
    """Ask random pairs of what was scored alone, and compare with whatever else can be asked."""
    if case.run is None:
        yield Tally(NAME, "asked alone, and otherwise").skip(NO_RUN)
        return
    yield from ScoresInvariant(case, case.run).prove()
