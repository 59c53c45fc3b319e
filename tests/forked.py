"""A command line run in a fork of this process: as isolated as a process of its own, without the seconds of imports.

Fork from a process in which no other thread runs: `python -m …`, not a test session that has used DuckDB or torch.
"""

import contextlib
import gc
import importlib
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
from typing import IO, NoReturn

SECONDS = 30.0
MEMORY = 2 << 30
FILE_SIZE = 256 << 20


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int | None
    """The exit code; None: a signal ended it."""
    signal: int | None
    """The signal that ended it; None: it exited."""
    is_late: bool
    """Whether it was killed because its time was up."""
    out: str
    err: str
    seconds: float
    peak: int
    """Most bytes resident at once, those shared with the process that forked among them."""


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


def run_forked(
    arguments: Sequence[str],
    folder: Path,
    *,
    seconds: float = SECONDS,
    memory: int | None = MEMORY,
    file_size: int = FILE_SIZE,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Outcome:
    """Run `qts ARGUMENTS` from `folder` in a fork; kill it after `seconds`.

    `memory`: bytes that it may map beyond what it inherits; None: any number. `file_size`: bytes of the longest file it
    may write. `environment` is added to ours. `before` runs in the fork, ahead of the command.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(folder, out, err)
            _limit(memory, file_size)
            os.environ.update(environment or {})
            _work(list(arguments), before)
        is_late = not _ends_within(child, seconds)
        if is_late:
            os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        return Outcome(
            code if code >= 0 else None,
            -code if code < 0 else None,
            is_late,
            _text(out),
            _text(err),
            time.monotonic() - began,
            used.ru_maxrss << 10,
        )


def _ends_within(child: int, seconds: float) -> bool:
    handle = os.pidfd_open(child)
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _become(folder: Path, out: IO[bytes], err: IO[bytes]) -> None:
    """Stand in the folder, with streams as a process of its own has them."""
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, open as long as we live
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115


def _limit(memory: int | None, file_size: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    if memory is not None:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, mapped + memory))


def _work(arguments: list[str], before: Callable[[], None] | None) -> NoReturn:
    """Run the command and end at once: what else this process holds is not its business."""
    code = 1
    try:
        if before is not None:
            before()
        from qts.cli.main import run

        code = int(run(arguments))
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    finally:
        sys.stderr.flush()
        os._exit(code)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "backslashreplace")
