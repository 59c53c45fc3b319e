"""How long each stage of a command took, and how much went through it: one measure for every watcher."""

import re
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

_OUTLOOK = re.compile(r" \(.*")
_NUMBER = re.compile(r" \d+( of \d+)?$")


@dataclass
class Stage:
    """A stage and its figures."""

    name: str
    seconds: float = 0.0
    rows: int = 0
    bytes: int = 0


class StageMeter:
    """Measures the stages of one command; rows and bytes may be counted by several threads.

    Its figures do not depend on whether anybody reads what is said of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = self.started = time.perf_counter()
        self._current: Stage | None = None
        self._ended: dict[str, Stage] = {}

    def begin(self, name: str) -> Stage | None:
        """Begin a stage; return the one that ended by that. The same name again goes on with the same stage."""
        plain = _OUTLOOK.sub("", name)
        if self._current is not None and self._current.name == plain:
            return None
        ended = self.end()
        self._current, self._since = Stage(plain), time.perf_counter()
        return ended

    def count(self, rows: int, n_bytes: int) -> None:
        """Add to the stage at work; before the first one there is nothing to add to."""
        with self._lock:
            if self._current is not None:
                self._current.rows += rows
                self._current.bytes += n_bytes

    def end(self) -> Stage | None:
        """End the stage at work, if there is one, and return it."""
        with self._lock:
            ended, self._current = self._current, None
            if ended is not None:
                ended.seconds = round(time.perf_counter() - self._since, 3)
                self._add(ended)
        return ended

    def _add(self, ended: Stage) -> None:
        """Add a stage to those that have its name but for a number, as epochs do."""
        name = _NUMBER.sub("", ended.name)
        total = self._ended.setdefault(name, Stage(name))
        total.seconds = round(total.seconds + ended.seconds, 3)
        total.rows += ended.rows
        total.bytes += ended.bytes

    def stages(self) -> list[dict[str, Any]]:
        """Return a row a stage that ended, in order; epochs are one stage."""
        return [asdict(stage) for stage in self._ended.values()]

    def totals(self) -> dict[str, Any]:
        """Return seconds since the beginning, rows and bytes of all stages, and the peak memory in bytes."""
        rows, n_bytes = (sum(getattr(stage, name) for stage in self._ended.values()) for name in ("rows", "bytes"))
        seconds = round(time.perf_counter() - self.started, 3)
        return {"seconds": seconds, "rows": rows, "bytes": n_bytes, "peak_memory": peak_memory()}


def peak_memory() -> int:
    """Return the most bytes this process held in memory so far."""
    import resource  # only where a stage ends

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # macOS counts bytes, Linux KiB
