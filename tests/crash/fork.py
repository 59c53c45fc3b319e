"""Children of this process: a command line or a function, in a fork that inherits every import and no thread."""

import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

SECONDS = 60.0
"""How long a child may take; one that takes longer hangs."""

Work = Callable[[], int]
"""What a child does; it ends with the code that is returned."""


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int | None
    """The exit code; None: a signal ended it."""
    signal: int | None
    is_late: bool
    """Whether it hung, and was killed for that."""
    out: str
    err: str
    seconds: float


@dataclass(frozen=True)
class Child:
    """A child at work."""

    pid: int
    out: IO[bytes]
    err: IO[bytes]
    began: float

    def send(self, number: int) -> None:
        """Send a signal; one that has ended no longer hears it, but is still ours to wait for."""
        os.kill(self.pid, number)

    def ends_within(self, seconds: float) -> bool:
        """Return whether it ended by itself."""
        handle = os.pidfd_open(self.pid)
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)

    def wait(self, seconds: float = SECONDS) -> Ended:
        """Return how it ended; kill it if it hangs."""
        is_late = not self.ends_within(seconds)
        if is_late:
            self.send(signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        took = time.monotonic() - self.began
        by_signal = -code if code < 0 else None
        return Ended(code if code >= 0 else None, by_signal, is_late, _text(self.out), _text(self.err), took)


def start(work: Work, folder: Path) -> Child:
    """Begin work in a fork that stands in a folder."""
    sys.stdout.flush()
    sys.stderr.flush()
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed when the child has ended
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become(work, folder, out, err)
    return Child(pid, out, err, began)


def qts(*arguments: str, before: Callable[[], None] = lambda: None) -> Work:
    """Return a command line as work; `before` runs in the child, ahead of it."""

    def work() -> int:
        from qts.cli.main import run

        before()
        return int(run(list(arguments)))

    return work


def ask(function: Callable[[], Any], folder: Path) -> Any:
    """Return what a function says in a fork, as far as JSON can; an exception is raised here, with its trace."""

    def work() -> int:
        print(json.dumps(function()))  # noqa: T201 - this is how it tells us
        return 0

    ended = start(work, folder).wait()
    if ended.code != 0:
        raise AssertionError(ended.err or f"it ended with {ended.code or ended.signal}")
    return json.loads(ended.out)


def _become(work: Work, folder: Path, out: IO[bytes], err: IO[bytes]) -> NoReturn:
    code = 70
    try:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115 - as above
        code = work()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _text(stream: IO[bytes]) -> str:
    with stream:
        stream.seek(0)
        return stream.read().decode("utf-8", "replace")
