"""A command line, or a function, in a fork of this process: as isolated as one of its own, without the seconds of imports.

Fork from a process in which no other thread runs: `python -m …`, not a test session that has used DuckDB or torch.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

SECONDS = 60.0
"""How long a child may take; one that takes longer hangs."""
MEMORY = 2 << 30
FILE_SIZE = 256 << 20

Work = Callable[[], int]
"""What a child does; it ends with the code that is returned."""


@dataclass(frozen=True)
class Ended:
    """How a child ended, and what it said."""

    code: int | None
    """The exit code; None: a signal ended it."""
    signal: int | None
    """The signal that ended it; None: it exited."""
    is_late: bool
    """Whether it hung, and was killed for that."""
    out: str
    err: str
    seconds: float
    peak: int
    """Most bytes resident at once, those shared with the process that forked among them."""


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
        _, status, used = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return Ended(
            code if code >= 0 else None,
            -code if code < 0 else None,
            is_late,
            _text(self.out),
            _text(self.err),
            time.monotonic() - self.began,
            used.ru_maxrss << 10,
        )


def preload() -> None:
    """Import what commands import when they run, once for all forks."""
    import duckdb  # noqa: F401
    import pyarrow.parquet
    import safetensors.torch  # noqa: F401
    import torch

    import qts

    for module in pkgutil.walk_packages(qts.__path__, "qts."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # what needs an extra that is not installed
                importlib.import_module(module.name)
    pyarrow.array(["of objects: the first array loads what else is installed for them"])
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # or each fork copies the pages of all objects at its first collection


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


def run_forked(
    arguments: Sequence[str],
    folder: Path,
    *,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    file_size: int = FILE_SIZE,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] = lambda: None,
) -> Ended:
    """Run `qts ARGUMENTS` from `folder` in a fork; kill it after `seconds`.

    `memory`: bytes that it may map beyond what it inherits. `file_size`: bytes of the longest file it may write.
    `environment` is added to ours. `before` runs in the fork, ahead of the command.
    """

    def first() -> None:
        _limit(memory, file_size)
        os.environ.update(environment or {})
        before()

    return start(qts(*arguments, before=first), folder).wait(seconds)


def _become(work: Work, folder: Path, out: IO[bytes], err: IO[bytes]) -> NoReturn:
    """Stand in the folder, with streams as a process of its own has them; work, and end at once."""
    code = 70
    try:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, open as long as we live
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        code = work()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 70
    finally:
        sys.stderr.flush()
        os._exit(code)


def _limit(memory: int, file_size: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, mapped + memory))


def _text(stream: IO[bytes]) -> str:
    with stream:
        stream.seek(0)
        return stream.read().decode("utf-8", "backslashreplace")
