"""A run and the store → the windows of a span of days, made with the processors as the run fitted them."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from qts.config import WindowConfig
from qts.errors import InputError, StoreError
from qts.pipeline.features import apply_features
from qts.pipeline.segments import SampleCounts, make_dataset
from qts.processors import PROCESSORS
from qts.store import Store
from qts.windows import WindowDataset, WindowStore


@dataclass(frozen=True)
class SpanWindows:
    """All members that can be scored between two days."""

    windows: WindowStore
    dataset: WindowDataset
    counts: SampleCounts


def read_span(record: dict[str, Any], store: Store, span: tuple[date, date]) -> SpanWindows:
    """Return the windows of every member row between two days, labelled or not.

    Raises InputError if there is none, StoreError if the store's factors mean something else than the run's.
    """
    _check_expressions(record, store)
    calendar = store.calendar()
    low = int(np.searchsorted(calendar, np.datetime64(span[0], "D")))
    high = int(np.searchsorted(calendar, np.datetime64(span[1], "D"), side="right"))
    if low >= high:
        raise InputError(
            f"the store has no day between {span[0]} and {span[1]} (it holds {store.manifest.first} to {store.manifest.last})",
            hint="ingest newer bars, or ask for days that are there",
        )
    window = WindowConfig.model_validate(record["window"])
    windows = apply_features(store, record, *_days_to_read(record, calendar, low - window.step_len + 1, high - 1))
    dataset, counts = make_dataset(windows, window, span, None, needs_label=False)
    if not counts.rows:
        raise InputError(
            f"no member of the universe has a row between {span[0]} and {span[1]}", hint="is the universe up to date?"
        )
    return SpanWindows(windows, dataset, counts)


def _days_to_read(
    record: dict[str, Any], calendar: np.ndarray, first: int, last: int
) -> tuple[date | None, date | None]:
    """Return the days whose rows windows between two positions need; more where the recipe looks further."""
    if any(PROCESSORS[step["name"]].reads_whole_history for step in record["processors"]["features"]):
        return None, None
    end = date.fromisoformat(str(calendar[last]))
    if record["view_first_day"]:  # a view's days are those of its rows: only all of them tell which those are
        return date.fromisoformat(record["view_first_day"]), end
    return date.fromisoformat(str(calendar[max(0, first)])), end


def _check_expressions(record: dict[str, Any], store: Store) -> None:
    """Refuse a store whose factors mean something else than when the run was trained."""
    for name, expression in record["expressions"].items():
        if store.dataset_of(name).expressions[name] != expression:
            raise StoreError(
                f"the run was trained on {name} = {expression}, but the store's {name} is another expression",
                hint="train anew, or ingest with the run's config.toml",
            )
