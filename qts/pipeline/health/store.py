"""What lies in the store and beside it: what is missing, what nobody needs, and who writes."""

from collections.abc import Iterator
from pathlib import Path

from qts import clock
from qts.errors import NoStoreError, StoreError
from qts.pipeline.health.finding import Finding, Place, gib
from qts.pipeline.status import present_windows
from qts.plain_file import size_of
from qts.store import open_store
from qts.store.atomic import is_alive
from qts.store.lock import holder_of
from qts.store.retired import PREVIOUS, SHARE_OF_STORE
from qts.store.write import STAGING

MANY_PARTS = 100
SMALL_PART = 256 * 2**10
"""Bytes below which opening a part takes longer than reading it."""


def check_config(place: Place) -> Iterator[Finding]:
    """Say which config this is about."""
    if place.loaded is not None:
        yield Finding("config", str(place.loaded.file) if place.loaded.file else "none: defaults")


def check_store(place: Place) -> Iterator[Finding]:
    """Say whether the store is there with all its parts."""
    if place.loaded is None:
        return
    folder = place.loaded.path(place.loaded.config.store.path)
    try:
        store = open_store(folder)
    except NoStoreError:
        yield Finding("store", f"none yet at {folder}")
        return
    except StoreError as error:
        yield Finding("store", error.message, "missing", error.hint or "run: qts ingest")
        return
    parts = [part for dataset in store.manifest.datasets().values() for part in dataset.all_parts()]
    absent = [part.path for part in parts if not (folder / part.path).is_file()]
    found = f"{gib(place.n_bytes)}, {len(parts)} parts, {store.manifest.first} to {store.manifest.last}"
    if absent:
        yield Finding("store", f"{len(absent)} parts are gone, as {absent[0]}", "missing", "run: qts ingest")
    else:
        yield Finding("store", found)


def check_parts(place: Place) -> Iterator[Finding]:
    """Name datasets of many small parts."""
    for name, dataset in place.store.manifest.datasets().items() if place.store else ():
        n_parts = len(dataset.all_parts())
        if n_parts > MANY_PARTS and dataset.n_bytes < n_parts * SMALL_PART:
            hint = f"delete {place.folder / name}, then run: qts ingest"
            yield Finding(f"parts of {name}", f"{n_parts} of {gib(dataset.n_bytes / n_parts)} each", "slow", hint)


def check_previous(place: Place) -> Iterator[Finding]:
    """Say what readers of older commits still take."""
    size = size_of(place.folder / PREVIOUS) if place.store else 0
    if size:
        is_much = size > SHARE_OF_STORE * place.n_bytes
        hint = (
            f"the next commit of qts ingest removes it; if no command is at work, {place.folder / PREVIOUS} may go"
            if is_much
            else ""
        )
        yield Finding("retired parts", gib(size), "careful" if is_much else "ok", hint)


def check_windows(place: Place) -> Iterator[Finding]:
    """Name window folders that this config does not use; they are removed by hand, as another config may."""
    if place.loaded is None or place.store is None:
        return
    present = present_windows(place.loaded, place.store)
    unused = [path for path in (place.folder / "windows").glob("[!.]*") if path.is_dir() and path.name != present]
    if present is not None and unused:
        size = gib(sum(size_of(path) for path in unused))
        names = ", ".join(sorted(path.name for path in unused)[:3]) + (", …" if len(unused) > 3 else "")
        hint = f"if no other config uses them, delete them in {place.folder / 'windows'}; qts window builds them anew"
        yield Finding("unused windows", f"{len(unused)} folders, {size}: {names}", "careful", hint)


def check_writers(place: Place) -> Iterator[Finding]:
    """Say who writes, and what writers left behind that are no more."""
    if place.loaded is None:
        return
    places = place.loaded.config.store
    runs = place.loaded.path(places.runs)
    folders = [place.loaded.path(places.path), place.loaded.path(places.predictions), *sorted(runs.glob("*"))]
    found = [(folder, holder) for folder in folders if (holder := holder_of(folder)) and is_alive(holder.pid)]
    for folder, holder in found:
        yield Finding("writer", f"process {holder.pid} ({holder.command}) writes to {folder} since {holder.since}")
    if not found:
        yield from _leftovers([folder for folder in (*folders[:2], runs) if folder.is_dir()])


def _leftovers(folders: list[Path]) -> Iterator[Finding]:
    found = [path for folder in folders for path in folder.rglob("*.tmp") if STAGING not in path.parts]
    found += [path for folder in folders if (path := folder / STAGING).is_dir()]
    if found:
        size = sum(map(size_of, found))
        hint = "they do no harm: the next writer sweeps them"
        yield Finding("leftovers", f"{len(found)} of killed writers, {gib(size)}, as {found[0]}", "careful", hint)


def check_clock(place: Place) -> Iterator[Finding]:
    """Compare the machine's clock with what was written before, and the bars with the clock."""
    now = clock.now()
    if place.store is not None:
        committed = (place.store.folder / "manifest.json").stat().st_mtime
        if committed > now.timestamp() + 60:
            hint = "set the clock: ages and records would be wrong"
            yield Finding("clock", f"{now:%F %T} UTC is before the store's last commit", "careful", hint)
            return
        if place.store.manifest.last > clock.today_somewhere():
            hint = "are the bars of the future, or is the clock behind?"
            yield Finding("clock", f"{now:%F %T} UTC, but bars reach {place.store.manifest.last}", "careful", hint)
            return
    yield Finding("clock", f"{now:%F %T} UTC")
