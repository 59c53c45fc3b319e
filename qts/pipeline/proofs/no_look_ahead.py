"""Nothing looks ahead: with every bar after a day another one, features and scores up to that day have the same bits.

Two stores are made aside of the same bars up to a day and of other bars after it. Labels may look ahead, and are not
compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from qts.columns import DATETIME, END, INSTRUMENT, START
from qts.errors import InputError
from qts.expr.lookback import crosses
from qts.expr.parse import parse
from qts.pipeline.compute import rows_back
from qts.pipeline.held import hold, scale_of
from qts.pipeline.ingest import temp_folder
from qts.pipeline.night_plan import crosses_instruments
from qts.pipeline.predict import score_samples
from qts.pipeline.proofs.proof import NO_RUN, Case, Proof, Tally
from qts.pipeline.proofs.temporary_store import EVERY_DAY, Extract, extract_bars, make_store
from qts.pipeline.span_windows import read_span
from qts.processors import PROCESSORS
from qts.store import Store
from qts.store.engine import spill_folder

NAME = "nothing looks ahead"
SCORED_DAYS = 5
"""Days up to the one after which all is different, that are scored."""
SPREAD = 0.5
"""Standard deviation of the logarithm of what a bar's fields are multiplied by."""
UNBOUNDED_BACK = 250
"""Days before that are taken along where a factor reads all of history."""
AFTER_DAYS = 30
"""Days after that are taken along where all instruments are."""


@dataclass(frozen=True)
class Twins:
    """Two stores that are equal up to a day, and what of them is compared."""

    day: date
    plain: Store
    perturbed: Store


def prove_no_look_ahead(case: Case) -> Iterator[Proof]:
    """Perturb what comes after a random day, and compare what was before."""
    features = Tally(NAME, "factors up to a day, and the same with other bars after it")
    day = _random_day(case)
    if day is None:
        yield features.skip("there is no day with others before and after it")
        return
    case.progress.stage(f"perturb the bars after {day}")
    with spill_folder(temp_folder(case.loaded)) as folder:
        instruments = _instruments(case, day)
        extract = extract_bars(case.store, instruments, *_stretch(case, day, is_whole=instruments is None))
        members = _members(case.store, extract)
        perturbed = Extract(_perturb(case, extract.bars, day), extract.calendar, extract.is_whole)
        stores = [
            make_store(case.loaded, Path(folder) / name, bars, members)
            for name, bars in (("plain", extract), ("perturbed", perturbed))
        ]
        twins = Twins(day, *stores)
        _compare_factors(features, twins)
        yield features.done()
        yield _compare_scores(case, twins)


def _random_day(case: Case) -> date | None:
    """Return a day of the test segment, or without a run of the later half, that has others after it."""
    calendar = case.store.calendar()
    if len(calendar) < 3:
        return None
    days = calendar[len(calendar) // 2 : -1]
    if case.run is not None:
        first, last = (np.datetime64(day, "D") for day in case.run.record["segments"]["test"])
        tested = calendar[:-1][(calendar[:-1] >= first) & (calendar[:-1] <= last)]
        days = tested if len(tested) else days
    chosen: date = case.generator(2).choice(days).item()
    return chosen


def crosses_in(store: Store, record: dict[str, Any] | None) -> bool:
    """Return whether a factor of a store, or what makes a run's scores of them, reads other instruments."""
    texts = (text for dataset in store.manifest.factor_sets.values() for text in dataset.expressions.values())
    return any(crosses(parse(text)) for text in texts) or (record is not None and crosses_instruments(record))


def _instruments(case: Case, day: date) -> list[str] | None:
    """Return random instruments with a bar on the day, members if there are enough; None: all are needed."""
    if crosses_in(case.store, case.run.record if case.run else None):
        return None
    panel = case.store.read_bars([case.store.manifest.fields[0]])
    calendar = case.store.calendar()
    here = calendar[panel.day] == np.datetime64(day, "D")
    members = case.store.membership(panel.instruments, panel.instrument, panel.day, calendar)
    codes = np.unique(panel.instrument[here & members])
    codes = codes if len(codes) else np.unique(panel.instrument[here])
    names: list[str] = panel.instruments[codes].tolist()
    return sorted(case.generator(3).choice(names, min(case.n_instruments, len(names)), replace=False).tolist())


def _stretch(case: Case, day: date, *, is_whole: bool) -> tuple[date | None, date | None]:
    """Return the days to take along: all, unless all instruments come along and less history will do."""
    record = case.run.record if case.run else None
    steps = record["processors"]["features"] if record else ()
    if not is_whole or any(PROCESSORS[step["name"]].reads_whole_history for step in steps):
        return None, None
    if record and record["view_first_day"]:
        return None, None
    manifest, calendar = case.store.manifest, case.store.calendar()
    nodes = [parse(text) for dataset in manifest.factor_sets.values() for text in dataset.expressions.values()]
    back = rows_back(nodes)
    back = UNBOUNDED_BACK if back is None else back
    back += SCORED_DAYS + (record["window"]["step_len"] if record else 0)
    at = int(np.searchsorted(calendar, np.datetime64(day, "D")))
    return calendar[max(0, at - back)].item(), calendar[min(len(calendar) - 1, at + AFTER_DAYS)].item()


def _members(store: Store, extract: Extract) -> pa.Table | None:
    """Return the store's universe as far as its instruments are in the extract."""
    if store.manifest.universe is None:
        return None
    rows = pa.concat_tables(
        pq.read_table(file, columns=[INSTRUMENT, START, END], partitioning=None)
        for file in store.files(store.manifest.universe)
    )
    return rows.filter(pc.is_in(rows[INSTRUMENT], pc.unique(extract.bars[INSTRUMENT])))


def _perturb(case: Case, bars: pa.Table, day: date) -> pa.Table:
    """Return the bars with every number after a day multiplied by a random factor of its own."""
    rng = case.generator(4)
    is_later = bars[DATETIME].to_numpy().astype("datetime64[D]") > np.datetime64(day, "D")
    for at, column in enumerate(bars.schema):
        if pa.types.is_floating(column.type):
            values = bars[column.name].to_numpy()
            factor = np.exp(rng.normal(0, SPREAD, int(is_later.sum())))
            other = values.copy()
            other[is_later] = values[is_later] * factor
            missing = np.isnan(other)
            bars = bars.set_column(at, column, pa.array(other, column.type, mask=missing))
    return bars


def _compare_factors(tally: Tally, twins: Twins) -> None:
    """Compare all factors up to the day; that nothing moved after it would prove nothing."""
    names = [name for dataset in twins.plain.manifest.factor_sets.values() for name in dataset.expressions]
    plain, other = (store.read(names) for store in (twins.plain, twins.perturbed))
    calendar = twins.plain.calendar()
    if not (np.array_equal(plain.day, other.day) and np.array_equal(plain.instrument, other.instrument)):
        tally.fact("the rows of the days before are others", holds=False)
        return
    own = plain.instruments[plain.instrument] != EVERY_DAY
    until = calendar[plain.day] <= np.datetime64(twins.day, "D")
    rows = np.flatnonzero(own & until)

    def say(at: int) -> str:
        row, column = rows[at // len(names)], at % len(names)
        name = plain.instruments[plain.instrument[row]]
        return f"{names[column]} of {name} on {calendar[plain.day[row]]}, with other bars after {twins.day}"

    tally.equal(other.values[rows], plain.values[rows], say)
    later = own & ~until
    moved = (plain.values[later] != other.values[later]) & ~np.isnan(plain.values[later])
    if names and not moved.any():
        tally.fact(f"no factor after {twins.day} has moved with its bars: nothing is proved", holds=False)


def _compare_scores(case: Case, twins: Twins) -> Proof:
    """Compare the scores of the last days up to the day."""
    tally = Tally(NAME, f"scores of up to {SCORED_DAYS} days, and the same with other bars after them")
    if case.run is None:
        return tally.skip(NO_RUN)
    calendar = twins.plain.calendar()
    at = int(np.searchsorted(calendar, np.datetime64(twins.day, "D")))
    first = calendar[max(0, at - SCORED_DAYS + 1)].item()
    try:
        plain, other = (_scores(case, store, (first, twins.day)) for store in (twins.plain, twins.perturbed))
    except InputError as error:
        return tally.skip(str(error))
    if plain.keys() != other.keys():
        strange = min(plain.keys() ^ other.keys())
        tally.fact(f"{strange[0]} on {strange[1]} has a score with one future, and none with the other", holds=False)
        return tally.done()
    keys = [key for key in plain if key[0] != EVERY_DAY]
    found, wanted = (np.array([scores[key] for key in keys], dtype=np.float32) for scores in (other, plain))
    tally.equal(found, wanted, lambda at: f"{keys[at][0]} on {keys[at][1]}, with other bars after {twins.day}")
    return tally.done()


def _scores(case: Case, store: Store, span: tuple[date, date]) -> dict[tuple[str, str], float]:
    """Return instrument and day → score."""
    assert case.run is not None  # noqa: S101 - the caller looked
    found = read_span(case.run.record, store, span)
    samples = found.dataset.samples
    held = hold(found.dataset, torch.device("cpu"), scale_of(case.run.record))
    scores = score_samples(case.run, held, case.loaded)
    names, days = found.windows.instruments[samples.instrument], found.windows.calendar[samples.day]
    return dict(zip(zip(names.tolist(), map(str, days), strict=True), scores.tolist(), strict=True))
