"""DISTURBANCES: all that a machine does to a command, one row each."""

import math
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.crash.crowd import crowd
from tests.crash.full_disk import small_disk, why_no_small_disk
from tests.crash.market import CASES, INGESTS, NOW
from tests.crash.meddling import change_source, read_only
from tests.crash.scene import Scene
from tests.crash.strikes import clock_at, file_size_limit, signal_at
from tests.forked import Ended

ALL = tuple(CASES)


@dataclass(frozen=True)
class Disturbance:
    """A row: what is done while the command of a case runs, and how the command may answer."""

    strike: Callable[[Scene], Ended | None]
    """Runs the command and disturbs it; None: it has judged for itself how commands ended."""
    cases: tuple[str, ...] = ALL
    codes: frozenset[int] = frozenset({0})
    """Exit codes that it may have."""
    signals: frozenset[int] = frozenset()
    """Signals that may end it."""
    weight: int = 1
    """How many rounds it has where the lightest has one."""
    why_not: Callable[[], str | None] = lambda: None
    """Why it cannot be done here; None: it can."""


def _at_a_moment(sign: int) -> Callable[[Scene], Ended]:
    """Send a signal at some moment of the time that the command takes undisturbed."""

    def strike(scene: Scene) -> Ended:
        seconds = scene.random.uniform(0, scene.reference.seconds)
        child = scene.start()
        if not child.ends_within(seconds):
            child.send(sign)
        return child.wait()

    return strike


def _at_an_operation(sign: int) -> Callable[[Scene], Ended]:
    """Have a signal strike right before some operation on files."""
    return lambda scene: scene.run(signal_at(scene.random.randint(1, scene.reference.n_operations), scene.study, sign))


def _full_at_a_size(scene: Scene) -> Ended:
    n_bytes = int(math.exp(scene.random.uniform(math.log(2_000), math.log(40_000))))
    return scene.run(file_size_limit(n_bytes))


def _clock_set_back(scene: Scene) -> Ended:
    back = scene.random.choice([timedelta(hours=7), timedelta(days=1), timedelta(days=9), None])
    return scene.run(clock_at(NOW - back if back else datetime(1990, 1, 1, tzinfo=UTC)))


def _twice(scene: Scene) -> Ended:
    """Kill it, and kill the one that cleans up after it."""
    _at_an_operation(signal.SIGKILL)(scene)
    return _at_a_moment(signal.SIGKILL)(scene)


_EARLY = frozenset({signal.SIGTERM, signal.SIGINT})
"""A signal that comes before the program listens ends it by itself: to a shell that is the same exit code."""

DISTURBANCES: dict[str, Disturbance] = {
    "killed at a moment": Disturbance(_at_a_moment(signal.SIGKILL), signals=frozenset({signal.SIGKILL}), weight=6),
    "killed at a file": Disturbance(_at_an_operation(signal.SIGKILL), signals=frozenset({signal.SIGKILL}), weight=8),
    "killed twice": Disturbance(_twice, signals=frozenset({signal.SIGKILL}), weight=2),
    "terminated at a moment": Disturbance(_at_a_moment(signal.SIGTERM), codes=frozenset({0, 143}), signals=_EARLY),
    "terminated at a file": Disturbance(_at_an_operation(signal.SIGTERM), codes=frozenset({0, 143}), weight=2),
    "interrupted at a moment": Disturbance(_at_a_moment(signal.SIGINT), codes=frozenset({0, 130}), signals=_EARLY),
    "interrupted at a file": Disturbance(_at_an_operation(signal.SIGINT), codes=frozenset({0, 130})),
    "file too large": Disturbance(_full_at_a_size, codes=frozenset({0, 1}), weight=3),
    "disk full": Disturbance(small_disk, codes=frozenset({0, 1}), weight=2, why_not=why_no_small_disk),
    "read-only folder": Disturbance(read_only, codes=frozenset({0, 1}), weight=2),
    "source changed": Disturbance(change_source, INGESTS[1:4], codes=frozenset({0, 4}), weight=3),
    "clock set back": Disturbance(_clock_set_back, (*INGESTS, "window", "predict"), codes=frozenset({0, 3})),
    "two writers, eight readers": Disturbance(crowd, ("night",)),
}
