"""Independent pieces of work, one after another in this process or several at once in processes of their own.

Another process is the program itself with other arguments: nothing is handed over but files, and what it keeps when it
is stopped is what the program keeps.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Protocol, TypeVar

from qts.errors import ConfigError, DataCheckError, DeviceError, InputError, LockHeldError, QtsError
from qts.progress import Progress

Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
AnyItem = TypeVar("AnyItem")
AnyResult = TypeVar("AnyResult")

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 60
"""How long a process that is told to stop may take to keep what is whole."""

_KINDS = {kind.code: kind for kind in (QtsError, ConfigError, DataCheckError, InputError, LockHeldError, DeviceError)}


class Task(Protocol[Item_contra, Result_co]):
    """What is done with each item; it may be done again, and finds what is there."""

    def name(self, item: Item_contra) -> str:
        """Return what people call it."""

    def begin(self, item: Item_contra) -> list[str]:
        """Return the arguments by which the program does the long part of it in another process."""

    def finish(self, item: Item_contra) -> Result_co:
        """Do it, or what is left of it after that, in this process; keep what came of it."""


def run_tasks(
    task: Task[AnyItem, AnyResult], items: Sequence[AnyItem], n_processes: int, progress: Progress
) -> list[AnyResult]:
    """Return what came of each item, in order; with one process all is done in this one.

    The first failure, Ctrl-C or SIGTERM ends what is at work; what was finished is kept. Raises the error of an item
    with its name before the message, and with the exit code it had.
    """
    if n_processes == 1 or len(items) < 2:
        return [_finish(task, item) for item in items]
    found: dict[int, AnyResult] = {}
    waiting, at_work, ready = list(range(len(items)))[::-1], dict[int, _Process](), list[int]()
    try:
        while len(found) < len(items):
            while waiting and len(at_work) < n_processes:
                number = waiting.pop()
                at_work[number] = _Process.start(task.begin(items[number]))
            ended = [number for number, process in at_work.items() if process.popen.poll() is not None]
            for number in ended:
                at_work.pop(number).settle(task.name(items[number]), progress)
                ready.append(number)
            if not ended and ready:  # after others have begun in the place of those that ended
                number = ready.pop(0)
                found[number] = _finish(task, items[number])
            elif not ended:
                time.sleep(POLL_SECONDS)
    finally:
        _stop(list(at_work.values()))
    return [found[number] for number in range(len(items))]


def _finish(task: Task[AnyItem, AnyResult], item: AnyItem) -> AnyResult:
    try:
        return task.finish(item)
    except QtsError as error:
        first = error.parts()[0]
        raise _named(task.name(item), error.code, first.message, first.where, first.hint) from error


def _named(name: str, code: int, message: str, where: str | None, hint: str | None) -> QtsError:
    kind = next((kind for known, kind in _KINDS.items() if known == code), QtsError)
    return kind(f"{name}: {message}", where=where, hint=hint)


@dataclass(frozen=True)
class _Process:
    """The program at work elsewhere, and what it writes."""

    popen: "subprocess.Popen[bytes]"
    out: IO[bytes]
    err: IO[bytes]

    @classmethod
    def start(cls, arguments: Sequence[str]) -> "_Process":
        """Begin; variables that would set keys stay here, and Ctrl-C is for us to pass on.

        It sees by its stdin that we are gone, even if we were killed.
        """
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QTS_")}
        # -P: modules that lie in the working folder are no part of the program
        command = [sys.executable, "-P", "-m", "qts.cli.child", *arguments, "--json", "--quiet"]
        popen = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=out, stderr=err, env=environment, start_new_session=True
        )
        return cls(popen, out, err)

    def let_go(self) -> None:
        """Close our end of its stdin; if it is still there, it ends."""
        if self.popen.stdin:
            self.popen.stdin.close()

    def settle(self, name: str, progress: Progress) -> None:
        """Pass on the warnings of a process that has ended; raises QtsError if it failed."""
        self.let_go()
        told, said = _read(self.err).splitlines(), _read(self.out)
        if self.popen.returncode == 0:
            for line in told:
                if line.startswith("warning: "):
                    progress.warn(line.removeprefix("warning: "))
            return
        try:
            error = json.loads(said)["error"]
        except (ValueError, KeyError, TypeError):
            last = told[-1] if told else "it said nothing"
            raise QtsError(f"{name}: its process ended with {self.popen.returncode}", hint=last) from None
        raise _named(name, error["code"], error["message"], error["where"], error["hint"])


def _read(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode(errors="replace")


def _stop(processes: Sequence[_Process]) -> None:
    """End processes; each keeps what is whole."""
    for process in processes:
        process.popen.terminate()
    until = time.monotonic() + PATIENCE_SECONDS
    for process in processes:
        try:
            process.popen.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
        process.let_go()
        process.out.close()
        process.err.close()
