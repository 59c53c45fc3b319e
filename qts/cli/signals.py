"""Ctrl-C, SIGTERM and the time limit of a command: one exception each, raised where the work is, so that it unwinds.

A second signal while that goes on is passed over; a third ends the process at once. Everything is written in atomic
steps, so that even then nothing is left half done.
"""

import faulthandler
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from qts.errors import ConfigError, ExitCode, QtsError

GRACE_SECONDS = 75.0
"""How long work may unwind after its time limit: as long as processes that it began may take to keep what is whole."""
LONGEST_SECONDS = 1e8
_HARD_AFTER = 3


class Terminated(BaseException):
    """SIGTERM arrived: work unwinds as it does for Ctrl-C."""


class TimedOut(BaseException):
    """The time limit has passed: work unwinds as it does for Ctrl-C."""


class Stopped(QtsError):  # noqa: N818 - nothing went wrong
    """A signal ended the work."""


_KINDS: dict[int, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
    signal.SIGALRM: TimedOut,
}
"""Signal → what it raises where the work is."""
STOPS = (KeyboardInterrupt, Terminated, TimedOut)
_TOLD = {
    signal.SIGINT: ("interrupted", ExitCode.INTERRUPTED),
    signal.SIGTERM: ("terminated", ExitCode.TERMINATED),
    signal.SIGALRM: ("timed out", ExitCode.FAILED),
}

_arrived: list[int] = []
"""Signals in the order they came; libraries turn our exceptions into errors of their own."""


def has_arrived() -> bool:
    """Return whether a signal came: whatever the work failed with, that is why it ended."""
    return bool(_arrived)


def has_timed_out() -> bool:
    """Return whether the time limit ended the work."""
    return signal.SIGALRM in _arrived[:1]


def stop_of(seconds: float | None) -> Stopped:
    """Return what is told of the first signal that came; `seconds` is the time limit, if there was one."""
    text, code = _TOLD[signal.Signals(_arrived[0] if _arrived else signal.SIGINT)]
    if text == "timed out" and seconds is not None:
        text += f" after {seconds:g} s"
    told = Stopped(text, hint="what was whole is kept; run it again to go on")
    told.code = code  # type: ignore[misc]  # this one's, not the class's
    return told


def _hear(number: int, _frame: FrameType | None) -> None:
    is_unwinding = bool(_arrived) and sys.exception() is not None
    _arrived.append(number)
    if len(_arrived) >= _HARD_AFTER:
        os._exit(_TOLD[signal.Signals(number)][1])
    if not is_unwinding:
        raise _KINDS[number]


def _pass_over(number: int, _frame: FrameType | None) -> None:
    _arrived.append(number)
    if len(_arrived) >= _HARD_AFTER:
        os._exit(_TOLD[signal.Signals(number)][1])


@contextmanager
def heard() -> Iterator[None]:
    """Raise what signals mean until the end of the block; who had them before has them again."""
    _arrived.clear()
    before = {number: signal.signal(number, _hear) for number in _KINDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def pass_over() -> None:
    """Raise nothing any more: the work has ended, and is only being told of."""
    for number in _KINDS:
        signal.signal(number, _pass_over)


def check_limit(seconds: float | None) -> None:
    """Refuse what is no time limit; raises ConfigError."""
    if seconds is not None and not (math.isfinite(seconds) and 0 < seconds <= LONGEST_SECONDS):
        message = f"a time limit of {seconds:g} s is none"
        raise ConfigError(message, where="--timeout", hint="give seconds, more than 0")


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TimedOut in the block once `seconds` have passed; None: never.

    What cannot unwind, as it waits for a disk that is gone or is deep in native code, is ended by force some time later.
    """
    if seconds is None:
        yield
        return
    with ExitStack() as watched:
        _watch(seconds + GRACE_SECONDS, watched)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        watched.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        yield


def _watch(seconds: float, watched: ExitStack) -> None:
    """End the process after `seconds` unless the block has ended: by a thread, or, if none can run, without Python."""
    has_ended = threading.Event()
    thread = threading.Thread(target=_end_by_force, args=(has_ended, seconds), daemon=True)
    thread.start()
    watched.callback(has_ended.set)
    nowhere = watched.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - a device
    faulthandler.dump_traceback_later(seconds + 5, exit=True, file=nowhere)
    watched.callback(faulthandler.cancel_dump_traceback_later)


def _end_by_force(has_ended: threading.Event, seconds: float) -> None:
    if has_ended.wait(seconds):
        return
    threading.Thread(target=_say_so, daemon=True).start()  # stderr may hang as well
    has_ended.wait(1.0)
    os._exit(ExitCode.FAILED)


def _say_so() -> None:
    with suppress(OSError):
        os.write(2, b"error: the work did not end in time after its time limit: the process is ended by force\n")
