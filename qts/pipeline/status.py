"""What is there: bars, factors, windows, runs, predictions and the last call of each command; and how old it is."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from qts import clock
from qts.config import LoadedConfig
from qts.errors import ConfigError, InputError, NoStoreError, QtsError, StoreError
from qts.pipeline.age import age_in_days, refuse_old
from qts.pipeline.command_record import RECORDED, read_command_record, say_how_it_ended
from qts.pipeline.pinned import read_pin
from qts.plain_file import size_of
from qts.predictions import Book, read_book
from qts.store import Store, open_store
from qts.windows.build import read_meta

ENDS = {0: "done", 130: "interrupted", 143: "terminated"}
"""Exit code → state of a command's last call; any other code: failed."""


@dataclass(frozen=True)
class Status:
    """What there is, as rows for people and as one object for programs."""

    rows: list[dict[str, Any]]
    last: dict[str, str | None]
    """bars, factors and predictions → last day; None where there are none."""
    age_days: dict[str, int | None]
    """bars and predictions → trading days since their last one."""
    pinned: str | None
    """The pinned run."""
    nightly: dict[str, Any] | None
    """code, when, last_done and day of the last night; None: none has run."""
    refusal: QtsError | None
    """Why this is too old for whoever asked."""

    def payload(self) -> dict[str, Any]:
        """Return it for programs."""
        return {name: value for name, value in vars(self).items() if name != "refusal"}


def status(loaded: LoadedConfig, *, max_age: int | None = None) -> Status:
    """Return what there is; with `max_age`, in trading days, a refusal if bars or predictions are older, or absent."""
    folder = loaded.path(loaded.config.store.path)
    store = _store(folder)
    book_row, book_last = _book(loaded)
    rows = [*_dataset_rows(store), *_window_rows(loaded, store), *_run_rows(loaded), *book_row, *_command_rows(folder)]
    calendar = np.empty(0, dtype="datetime64[D]")
    if store is not None:
        with suppress(StoreError):
            calendar = store.calendar()
    bars_last = store.manifest.last if store else None
    lasts = {"bars": bars_last, "predictions": book_last}
    ages = {name: None if day is None else age_in_days(day, clock.today(), calendar) for name, day in lasts.items()}
    last = {"bars": bars_last, "factors": bars_last, "predictions": book_last}
    return Status(
        rows, {name: None if day is None else str(day) for name, day in last.items()}, ages, _pinned(loaded),
        _night(folder), _refusal(lasts, max_age, calendar),
    )  # fmt: skip


def _store(folder: Path) -> Store | None:
    try:
        return open_store(folder)
    except NoStoreError:
        return None


def _refusal(lasts: dict[str, date | None], max_age: int | None, calendar: np.ndarray) -> QtsError | None:
    if max_age is None:
        return None
    if lasts["bars"] is None:
        return InputError("there are no bars yet", where="--max-age", hint="run: qts ingest")
    for name, day in lasts.items():
        if day is not None:
            try:
                refuse_old(day, max_age, calendar, name)
            except InputError as error:
                return error
    return None


def _dataset_rows(store: Store | None) -> list[dict[str, Any]]:
    if store is None:
        return []
    last = str(store.manifest.last)
    found = store.manifest.datasets().items()
    return [_row(name, "written", last, dataset.n_rows, dataset.n_bytes) for name, dataset in found]


def present_windows(loaded: LoadedConfig, store: Store | None) -> str | None:
    """Return the name of the window folder that config and store ask for; None where they ask for none."""
    from qts.pipeline.features import make_recipe  # noqa: PLC0415 - listing datasets needs no features

    if store is None:
        return None
    try:
        return make_recipe(loaded).fingerprint(store)
    except (ConfigError, StoreError):
        return None


def _window_rows(loaded: LoadedConfig, store: Store | None) -> list[dict[str, Any]]:
    rows = []
    present = present_windows(loaded, store)
    for path in sorted((loaded.path(loaded.config.store.path) / "windows").glob("[!.]*")):
        if meta := read_meta(path):
            is_present = present in (None, path.name)
            note = f"{len(meta['features'])} features" + ("" if is_present else ", of another config or older data")
            rows.append(
                _row(f"windows/{path.name}", "written" if is_present else "stale", None, None, size_of(path), note)
            )
    return rows


def _run_rows(loaded: LoadedConfig) -> list[dict[str, Any]]:
    from qts.pipeline.run_record import seeds_of  # noqa: PLC0415 - listing datasets needs no torch
    from qts.training.checkpoint import list_runs  # noqa: PLC0415 - as above

    rows = []
    for record in list_runs(loaded.path(loaded.config.store.runs)):
        note = f"{record['model']['name']}, seed {seeds_of(record)}"
        if record["state"] == "done":
            rank_ic = record["best"]["valid_rank_ic"]  # null where no day could be judged
            note += f", valid RankIC {'none' if rank_ic is None else f'{rank_ic:.4f}'} at epoch {record['best_epoch']}"
        rows.append(_row(f"runs/{record['name']}", record["state"], record["segments"]["test"][1], None, None, note))
    return rows


def _book(loaded: LoadedConfig) -> tuple[list[dict[str, Any]], date | None]:
    """Return the row of what the nights have published, and its last day; one that is damaged is shown as that."""
    try:
        book = read_book(loaded.path(loaded.config.store.predictions))
        if book is None:
            return [], None
        last = _last_day(book)
    except StoreError as error:
        return [_row("predictions", "damaged", None, None, None, error.message)], None
    parts = book.manifest.months.values()
    n_rows, n_bytes = (sum(getattr(part, name) for part in parts) for name in ("n_rows", "n_bytes"))
    lineages = book.manifest.lineages
    note = f"run {lineages[-1].run}, {len(lineages)} lineages" if lineages else ""
    return [_row("predictions", "published", str(last), n_rows, n_bytes, note)], last


def _last_day(book: Book) -> date | None:
    days = book.days()["datetime"]
    return days[-1].as_py() if len(days) else None


def _pinned(loaded: LoadedConfig) -> str | None:
    try:
        return read_pin(loaded).run
    except StoreError:
        return None


def _night(folder: Path) -> dict[str, Any] | None:
    found = read_command_record(folder, "nightly")
    if found is None:
        return None
    result = found.get("result")
    day = result.get("day") if isinstance(result, dict) else None
    return {"code": found["code"], "when": found.get("ended"), "last_done": found.get("last_done"), "day": day}


def _command_rows(folder: Path) -> list[dict[str, Any]]:
    rows = []
    for name in sorted(RECORDED):
        if found := read_command_record(folder, name):
            state = ENDS.get(found["code"], "failed")
            note = say_how_it_ended(found)
            if found["code"]:
                note += f", last success {found.get('last_done') or 'never'}"
            rows.append(_row(f"log/{name}", state, None, None, None, note))
    return rows


def _row(
    what: str, state: str, last: str | None, n_rows: int | None, n_bytes: int | None, note: str = ""
) -> dict[str, Any]:
    return {"what": what, "state": state, "last": last, "rows": n_rows, "bytes": n_bytes, "note": note}
