"""What readers see: everything that a study holds, as hashes of what the public faces of store, runs and book say."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qts.errors import NoStoreError
from qts.store import Store, open_store

STORE, RUNS, BOOK = ".qts", "runs", "predictions"


def store_print(store: Store) -> str:
    """Return a hash of all rows of a store; raises StoreError if its datasets do not agree on their keys."""
    manifest, calendar = store.manifest, store.calendar()
    names = [name for dataset in manifest.factor_sets.values() for name in dataset.expressions]
    panel, bars = store.read([*sorted(names), "label", "has_bar"]), store.read_bars(manifest.fields)
    members = store.membership(panel.instruments, panel.instrument, panel.day, calendar)
    benchmark = store.benchmark_close() or ()
    keys = [part for rows in (panel, bars) for part in (rows.instrument, rows.day)]
    arrays = [calendar, panel.values, bars.values, members, *keys, *benchmark]
    says = [manifest.label.expressions, sorted(names), panel.instruments.tolist(), str(manifest.last)]
    found = hashlib.sha256(json.dumps(says).encode())
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _store(study: Path) -> str | None:
    try:
        return store_print(open_store(study / STORE))
    except NoStoreError:
        return None


def _runs(study: Path) -> dict[str, str]:
    """Return run → hash of the weights that the network is rebuilt with, of finished runs."""
    from qts.training.checkpoint import list_runs, open_run

    found = {}
    for record in list_runs(study / RUNS):
        if record["state"] == "done":
            weights = open_run(study / RUNS, record["name"]).network().state_dict()
            content = b"".join(weights[name].numpy().tobytes() for name in sorted(weights))
            found[record["name"]] = hashlib.sha256(content).hexdigest()[:16]
    return found


def _book(study: Path) -> list[str] | None:
    """Return each published score as text, present and superseded."""
    from qts.config import load_config
    from qts.predictions import read_book

    loaded = load_config(study / "qts.toml")
    book = read_book(loaded.path(loaded.config.store.predictions))
    if book is None:
        return None
    rows = [*book.scores().to_pylist(), *book.superseded().to_pylist()]
    keys = ("instrument", "datetime", "score", "version", "lineage")
    assert book.days().num_rows >= len({row["datetime"] for row in rows if "replaced_by" not in row})
    return sorted(" ".join(str(row[key]) for key in keys) for row in rows)


def look(study: Path) -> dict[str, Any]:
    """Return all that readers see; raises what they would be told if something cannot be read."""
    return {"store": _store(study), "runs": _runs(study), "book": _book(study)}


def read_over_and_over(study: Path, until: Path, told: Path) -> Callable[[], int]:
    """Return the work of a reader: open the store and read all of it until a file is there, and tell what was seen."""

    def work() -> int:
        with told.open("w", encoding="utf-8") as stream:
            while not until.exists():
                stream.write(f"{store_print(open_store(study / STORE))}\n")
                time.sleep(0.02)
        return 0

    return work


def open_then_read(study: Path, wait_for: Path, ready: Path, told: Path) -> Callable[[], int]:
    """Return the work of a slow reader: open the store, wait until a file is there, then read all of it."""

    def work() -> int:
        store = open_store(study / STORE)
        ready.touch()
        while not wait_for.exists():
            time.sleep(0.01)
        told.write_text(f"{store_print(store)}\n", encoding="utf-8")
        return 0

    return work
