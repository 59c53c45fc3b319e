"""Runs one job in a process of its own and says what it cost."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a job cost, children that it waited for included."""

    wall: float
    user: float
    system: float
    peak: float
    """GiB held at once by the largest process of the job; for a job with workers their sum is larger."""
    found: dict[str, object]
    """The JSON object that the job printed."""

    @property
    def processor(self) -> float:
        """Seconds of processor time."""
        return self.user + self.system

    def __str__(self) -> str:
        """One line for a table."""
        return f"wall {self.wall:7.1f} s  user {self.user:7.1f} s  sys {self.system:5.1f} s  peak {self.peak:5.2f} GiB"


def measure(command: list[str | Path], folder: Path | None = None) -> Cost:
    """Run a command that prints one JSON object on its last line; stops the program if it fails."""
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        out = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with {process.returncode}: {out}")
    found: dict[str, object] = json.loads(out.splitlines()[-1])
    return Cost(wall, used.ru_utime, used.ru_stime, used.ru_maxrss / 2**20, found)


def qts_command(*arguments: str) -> list[str | Path]:
    """Return the command line of qts with these arguments, in this Python."""
    return [sys.executable, "-m", "qts", *arguments, "--json"]
