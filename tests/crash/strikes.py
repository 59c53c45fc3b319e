"""What strikes a child from within: a clock, a limit, other rights, or a signal at a certain operation on files."""

import ctypes
import os
import resource
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from qts import clock

Before = Callable[[], None]
"""Runs in the child, ahead of the command."""

_CAPABILITY_VERSION = 0x20080522
"""Of capset(2), with sets of 64 bits."""
_OPERATIONS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def clock_at(moment: datetime) -> Before:
    """Have the program believe that it is a certain moment, and that time stands still."""

    def patch() -> None:
        clock.now = lambda: moment

    return patch


def counting(file: Path, folder: Path) -> Before:
    """Have the number of operations on files below a folder written to a file, a sign each."""

    def watch() -> None:
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        at_operations(folder, lambda: os.write(descriptor, b"."))

    return watch


def signal_at(number: int, folder: Path, sign: int) -> Before:
    """Have a signal strike right before the n-th operation on files below a folder."""
    return lambda: at_operations(folder, once(lambda: os.kill(os.getpid(), sign), number))


def once(strike: Callable[[], None], number: int) -> Callable[[], None]:
    """Return what strikes at the n-th call, and at no other."""
    left = [number]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            strike()

    return count


def at_operations(folder: Path, call: Callable[[], object]) -> None:
    """Call at each operation that changes files below a folder; native code that writes by itself is not heard."""
    place = str(folder)

    def hear(event: str, values: tuple[object, ...]) -> None:
        if (event in _OPERATIONS or (event == "open" and _is_write(values))) and _below(values[0], place):
            call()

    sys.addaudithook(hear)


def _is_write(values: tuple[object, ...]) -> bool:
    mode, flags = values[1], values[2]
    if isinstance(mode, str):
        return any(sign in mode for sign in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITES)


def _below(path: object, place: str) -> bool:
    return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(place)


def file_size_limit(n_bytes: int) -> Before:
    """Have no file grow beyond a size: what a full disk says, at a place that can be chosen."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def without_privileges() -> None:
    """Give up what lets root write where the permission bits forbid it; root stays the owner of its files."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def together(*steps: Before) -> Before:
    """Return steps as one."""

    def all_of_them() -> None:
        for step in steps:
            step()

    return all_of_them
