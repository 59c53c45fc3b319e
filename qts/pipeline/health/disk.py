"""The disk of the store: room, speed, kind; and the folder that work spills into."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from qts.pipeline.health.finding import Finding, Place, gib

PROBE_BYTES = 32 * 2**20
SLOW_WRITE = 50e6
"""Bytes a second of synced writing below which an ingest waits for its disk."""
SLOW_READ = 100e6
LEAST_FREE = 2**30
NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.s3fs",
}
LAYERED = {"overlay", "overlayfs", "aufs"}
IN_MEMORY = {"tmpfs", "ramfs"}


def check_free(place: Place) -> Iterator[Finding]:
    """Compare the room on the disk with the store: one made anew lies beside the old one until it is whole."""
    free, needed = shutil.disk_usage(place.folder).free, max(place.n_bytes, LEAST_FREE)
    found = f"{gib(free)} at {place.folder}"
    if free < needed:
        size = f", the store has {gib(place.n_bytes)}" if place.n_bytes else ""
        yield Finding(
            "disk free", found + size, "careful", "make room: a dataset made anew lies beside the old one for a while"
        )
    else:
        yield Finding("disk free", found)


def check_write_speed(place: Place) -> Iterator[Finding]:
    """Write 32 MiB where the store lies, synced, and remove them."""
    for folder in (place.folder, Path(tempfile.gettempdir())):
        try:
            seconds = _write_probe(folder)
        except OSError as error:
            yield Finding(
                "disk write", f"{folder} cannot be written: {error.strerror}", "careful", "check its permissions"
            )
            continue
        speed = PROBE_BYTES / seconds
        hint = "" if speed >= SLOW_WRITE else "move [store] path to a local disk, or find out what else uses this one"
        yield Finding(
            "disk write", f"{speed / 1e6:,.0f} MB/s at {folder}", "ok" if speed >= SLOW_WRITE else "slow", hint
        )
        return


def _write_probe(folder: Path) -> float:
    """Return the seconds that writing and syncing take."""
    block = os.urandom(2**20)
    with tempfile.TemporaryFile(dir=folder, prefix=".qts-probe-") as probe:
        began = time.perf_counter()
        for _ in range(PROBE_BYTES // len(block)):
            probe.write(block)
        probe.flush()
        os.fsync(probe.fileno())
        return max(time.perf_counter() - began, 1e-6)


def check_read_speed(place: Place) -> Iterator[Finding]:
    """Read of the store's largest part as much as was written, from the disk where the system lets go of its copy."""
    if place.store is None:
        return
    parts = [part for dataset in place.store.manifest.datasets().values() for part in dataset.all_parts()]
    largest = max(parts, key=lambda part: part.n_bytes, default=None)
    if largest is None:
        return
    began = time.perf_counter()
    n_bytes = _read_probe(place.store.folder / largest.path)
    if n_bytes < 2**20:
        return  # too little to tell
    speed = n_bytes / max(time.perf_counter() - began, 1e-6)
    hint = "" if speed >= SLOW_READ else "move [store] path to a local disk: every training reads all factors"
    yield Finding("disk read", f"{speed / 1e6:,.0f} MB/s, {largest.path}", "ok" if speed >= SLOW_READ else "slow", hint)


def _read_probe(file: Path) -> int:
    with file.open("rb", buffering=0) as stream:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return len(stream.read(PROBE_BYTES))


def check_kind(place: Place) -> Iterator[Finding]:
    """Say on what kind of filesystem the store lies."""
    kind = filesystem_of(place.folder)
    if kind is None:
        return
    if kind in NETWORK:
        hint = "locks and atomic renames are the server's business there: one machine at a time, better a local disk"
        yield Finding("filesystem", f"{kind} at {place.folder}", "careful", hint)
    elif kind in LAYERED:
        hint = "a container's own layer is slow and goes with it: mount a volume for [store] path"
        yield Finding("filesystem", f"{kind} at {place.folder}", "careful", hint)
    else:
        yield Finding("filesystem", f"{kind} at {place.folder}")


def check_temp(place: Place) -> Iterator[Finding]:
    """Say where work that spills lies meanwhile, if that is another place than the store."""
    chosen = place.loaded.config.limits.temp_folder if place.loaded else None
    folder = place.loaded.path(chosen) if place.loaded and chosen else Path(tempfile.gettempdir())
    if chosen and not folder.is_dir():
        yield Finding("temp folder", f"{folder} is not there", "missing", "make it, or leave out [limits] temp_folder")
    elif filesystem_of(folder) in IN_MEMORY:
        is_chosen = chosen is not None
        hint = "work spills there to save memory, and this is memory: choose a folder on a disk" if is_chosen else ""
        yield Finding("temp folder", f"{folder} is in memory", "careful" if is_chosen else "ok", hint)
    else:
        yield Finding("temp folder", str(folder))


def filesystem_of(folder: Path) -> str | None:
    """Return the kind of filesystem a folder lies on; None where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found: tuple[Path, str | None] = (Path("/"), None)
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        is_deeper = len(point.parts) >= len(found[0].parts)
        if folder.resolve().is_relative_to(point) and is_deeper and after:
            found = (point, after.split()[0])
    return found[1]
