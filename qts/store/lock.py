"""One writer a folder: an operating system's lock, which a killed process cannot leave behind."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from qts import clock
from qts.errors import LockHeldError, QtsError
from qts.plain_file import read_plain
from qts.store.confined import refuse_links

LOCK = ".lock"
HOLDER = ".lock.json"
"""Who holds the lock, for messages; the lock itself is the operating system's."""


@contextmanager
def only_writer(
    folder: Path, busy: str, *, wait_seconds: float = 0, hint: str, config_key: str = "[store] path"
) -> Iterator[None]:
    """Hold a folder's lock, which is made if it is missing; who holds it is written beside it.

    Raises LockHeldError, `busy` and the holder, if another process has it and `wait_seconds` have passed; QtsError if
    the folder cannot be written, StoreError if the lock is a link that leads elsewhere. The file of the lock stays:
    were it removed, one who waits for it and one who comes later would hold two locks of the same name.
    """
    lock = FileLock(folder / LOCK, timeout=wait_seconds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        refuse_links(folder, (LOCK, HOLDER))
        lock.acquire()
        (folder / HOLDER).write_text(_this_process(), encoding="utf-8")
    except Timeout:
        raise LockHeldError(f"{busy}: {_said_of(holder_of(folder))}", hint=hint) from None
    except OSError as error:
        lock.release()
        message = f"cannot write to {folder}: {error.strerror}"
        raise QtsError(message, hint=f"check {config_key} and its permissions") from error
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _this_process() -> str:
    return json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv), "since": clock.stamp()})


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, as it said itself."""

    pid: int
    command: str
    since: str


def holder_of(folder: Path) -> Holder | None:
    """Return who said last that it holds a folder's lock, alive or not; None if nobody did."""
    try:
        told = json.loads(read_plain(folder / HOLDER))
        return Holder(int(told["pid"]), str(told["command"]), str(told["since"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _said_of(holder: Holder | None) -> str:
    return f"process {holder.pid} ({holder.command}) since {holder.since}" if holder else "an unknown process"
