"""Which scores a night has to make: those of new days, and published ones whose data is no longer what it was."""

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from qts.columns import DATETIME, HAS_BAR, LABEL
from qts.expr.lookback import crosses
from qts.expr.parse import parse
from qts.models import load_architecture
from qts.predictions import Book, Synced
from qts.processors import PROCESSORS
from qts.store import Store, fingerprint

BEFORE = 20
"""Days before the first one that is scored whose members are counted: they say how many are usual."""


@dataclass(frozen=True)
class Members:
    """Of each day of the calendar, who could be scored."""

    calendar: np.ndarray
    """(n_days,) datetime64[D], the store's."""
    count: np.ndarray
    """(n_days,) members, 0 more than BEFORE days before the first one that was asked for."""
    names: np.ndarray
    """(n_days,) int64, a hash of their names."""

    def on(self, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return count and hash, (n,) each, of any days; both are 0 on one that is not in the calendar."""
        at = np.minimum(np.searchsorted(self.calendar, days), len(self.calendar) - 1)
        is_there = self.calendar[at] == days
        return np.where(is_there, self.count[at], 0), np.where(is_there, self.names[at], 0)


@dataclass(frozen=True)
class Plan:
    """What is scored in a night."""

    calendar: np.ndarray
    """datetime64[D], the store's."""
    first: date | None
    """First day that is scored, now and in the nights that come; None: it is still to come."""
    members: Members
    new_days: np.ndarray
    """Days without a score."""
    whole_days: np.ndarray
    """Days of which every member is scored: new ones, and those whose members are others than they were."""
    names: frozenset[str]
    """Instruments scored on every day of this run: their past has changed."""
    own_days: np.ndarray
    """Published days of this run."""
    is_revised: bool
    """Whether labels of published days may have changed."""
    synced: Synced

    @property
    def span(self) -> tuple[date, date] | None:
        """First and last day with something to score; None if there is nothing."""
        asked = self.whole_days if not self.names else np.concatenate([self.whole_days, self.own_days])
        days = asked[np.isin(asked, self.calendar)]
        return (days.min().item(), days.max().item()) if len(days) else None


def crosses_instruments(record: dict[str, Any]) -> bool:
    """Return whether a score depends on other instruments: by a factor, a processor, the network, or ranks of a day."""
    return (
        "members" in record
        or load_architecture(record["model"]["name"]).batches == "by_day"
        or any(PROCESSORS[step["name"]].crosses for step in record["processors"]["features"])
        or any(crosses(parse(expression)) for expression in record["expressions"].values())
    )


def sees_others(record: dict[str, Any]) -> bool:
    """Return whether rows of other instruments decide what a window holds, or which days it is laid out on."""
    drops_rows = any(PROCESSORS[step["name"]].reads_whole_history for step in record["processors"]["features"])
    return record["history"] == "universe" or drops_rows or crosses_instruments(record)


def features_print(record: dict[str, Any]) -> str:
    """Return the hash of a run's features: their names, expressions, and processors as they were fitted."""
    return fingerprint(record["features"], record["expressions"], record["processors"], record["history"])


def synced_with(store: Store, record: dict[str, Any], weights: str) -> Synced:
    """Return the data as it is now, as far as scores of a run depend on it."""
    manifest = store.manifest
    recipes = {name: store.dataset_of(name).recipe for name in (*record["expressions"], LABEL)}
    universe = manifest.universe.fingerprint if manifest.universe else None
    return Synced(
        weights=weights, history=manifest.history, revision=manifest.revision, bars=manifest.bars.fingerprint,
        recipe=fingerprint(recipes, features_print(record), record["window"]), universe=universe,
    )  # fmt: skip


def plan_night(store: Store, record: dict[str, Any], weights: str, book: Book | None, since: date | None) -> Plan:
    """Return what has to be scored; days that another run published stay as they were published."""
    calendar = store.calendar()
    rows = book.days().to_pylist() if book else []
    known = np.array([row[DATETIME] for row in rows], dtype="datetime64[D]")
    asked_before = [book.manifest.first] if book and book.manifest.first else []
    first = np.datetime64(
        min([*known[:1].tolist(), *asked_before, *([since] if since else [])], default=calendar[-1].item())
    )
    members = _members(store, record, first)
    asked = calendar[calendar >= first]
    features = features_print(record)
    lineages = [book.manifest.lineage(row["lineage"]) for row in rows] if book else []
    is_own = np.array([
        (made.weights, made.features, made.window) == (weights, features, record["window"]) for made in lineages
    ])  # fmt: skip
    own = known[is_own.astype(bool)]
    new_days = asked[~np.isin(asked, known)]
    touched = own[_differs(rows, known, members)[is_own.astype(bool)]]
    now = synced_with(store, record, weights)
    names = _revised(store, book, now)
    is_revised = names is None or bool(names) or len(touched) > 0
    is_reshaped = sees_others(record) and (bool(names) or len(touched) > 0 or _has_other_members(book, now))
    if names is None or is_reshaped:
        touched, names = own, names or frozenset()
    return Plan(
        calendar, first.item() if len(asked) else None, members, new_days, np.union1d(new_days, touched),
        names if len(own) else frozenset(), own, is_revised, now,
    )  # fmt: skip


def _members(store: Store, record: dict[str, Any], first: np.datetime64) -> Members:
    """Count the members of each day from `first` on, as the features do."""
    calendar = store.calendar()
    begin: date = calendar[max(0, int(np.searchsorted(calendar, first)) - BEFORE)].item()
    panel = store.read([HAS_BAR], begin)
    counted = store.membership(panel.instruments, panel.instrument, panel.day, calendar)
    if record["history"] == "instrument":
        counted &= panel.values[:, 0] > 0
    hashes = np.array([_hash(name) for name in panel.instruments.tolist()], dtype=np.uint64)
    sums = np.zeros(len(calendar), dtype=np.uint64)
    np.add.at(sums, panel.day[counted], hashes[panel.instrument[counted]])
    return Members(calendar, np.bincount(panel.day[counted], minlength=len(calendar)), sums.view(np.int64))


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _differs(rows: list[dict[str, Any]], known: np.ndarray, members: Members) -> np.ndarray:
    """Return (n_rows,) bool: whether a published day has other members now; none, if it was no day after all."""
    count, names = members.on(known)
    then = np.array([(row["n_members"], row["members"]) for row in rows], dtype=np.int64).reshape(-1, 2)
    return (count != then[:, 0]) | (names != then[:, 1])


def _revised(store: Store, book: Book | None, now: Synced) -> frozenset[str] | None:
    """Return the instruments whose past has changed since the book was written; None: any may have."""
    then = book.manifest.synced if book else None
    if then is None:
        return frozenset()
    same = (then.weights, then.history, then.recipe) == (now.weights, now.history, now.recipe)
    at = store.manifest.states.get(then.bars)
    if not same or at is None:
        return None
    revised = store.manifest.revised
    return frozenset(name for name, number in revised.items() if number > at)


def _has_other_members(book: Book | None, now: Synced) -> bool:
    """Return whether the membership has changed, if only on days before the published ones: windows look back."""
    then = book.manifest.synced if book else None
    return then is not None and then.universe != now.universe
