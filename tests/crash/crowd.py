"""Two writers and eight readers at once, on a source that grows and a config that changes and changes back."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.crash.market import OTHER_LABEL, put_source
from tests.crash.reading import open_then_read, read_over_and_over
from tests.crash.scene import Scene, say_how
from tests.forked import Child, Ended, start

N_READERS = 5
SLOW_READERS = (0, 1, 2)
"""Steps before which a slow reader opens the store; it reads after two more."""

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("night", ()),
    ("night", ("--set", OTHER_LABEL)),
    ("later", ()),
    ("restated", ()),
    ("night", ()),
)
"""State of the bars and options of the ingests that two writers begin at once, one step after another."""

WRITERS: tuple[tuple[tuple[str, ...], frozenset[int]], ...] = (
    ((), frozenset({0, 5})),
    (("--wait", "30"), frozenset({0})),
)
"""Options of the two writers, and the codes they may end with."""


@dataclass(frozen=True)
class _Slow:
    child: Child
    told: Path
    go: Path
    at: int


def crowd(scene: Scene) -> None:
    """Have readers read while writers commit; every reader sees the store as it is after one step or another."""
    put_source(scene.theatre.sources, "history", scene.study)
    known = {scene.reference.seen_before["store"]}
    known |= {scene.theatre.store_with(scene.case.base, *step) for step in STEPS}
    scene.theatre.set_up(scene.case)
    scene.also.update(known)
    scene.only_contents = True  # which parts there are is decided by which nights came one by one
    place = scene.theatre.folder / f"crowd-{scene.random.randrange(10**9)}"
    place.mkdir()
    until = place / "until"
    told = [place / f"reader-{number}" for number in range(N_READERS)]
    readers = [start(read_over_and_over(scene.study, until, file), scene.study) for file in told]
    slow: list[_Slow] = []
    try:
        for at, (source, options) in enumerate(STEPS):
            if at in SLOW_READERS:
                slow.append(_begin_slow(scene, place, at))
            put_source(scene.theatre.sources, source, scene.study)
            _write(scene, options)
            for reader in slow:
                if at == reader.at + 1:
                    reader.go.touch()
    finally:
        until.touch()
        ended = [reader.wait() for reader in [*readers, *(line.child for line in slow)]]
    _judge(scene, ended, [*told, *(line.told for line in slow)], known)


def _begin_slow(scene: Scene, place: Path, at: int) -> _Slow:
    told, go, ready = (place / f"slow-{at}-{name}" for name in ("told", "go", "ready"))
    child = start(open_then_read(scene.study, go, ready, told), scene.study)
    while not ready.exists() and not child.ends_within(0.01):
        pass
    return _Slow(child, told, go, at)


def _write(scene: Scene, options: tuple[str, ...]) -> None:
    writers = [scene.theatre.start(("ingest", *options, *more)) for more, _ in WRITERS]
    for writer, (_, codes) in zip(writers, WRITERS, strict=True):
        ended = writer.wait()
        assert ended.code in codes, f"a writer ended with {say_how(ended)}"


def _judge(scene: Scene, ended: list[Ended], told: list[Path], known: set[str]) -> None:
    for reader in ended:
        assert reader.code == 0, f"a reader ended with {say_how(reader)}"
    seen = list(_lines(told))
    strange = [line for line in seen if line not in known]
    assert not strange, f"{len(strange)} of {len(seen)} readings are of no snapshot"
    scene.counts["reader snapshots"] += len(seen)


def _lines(files: list[Path]) -> Iterator[str]:
    for file in files:
        yield from file.read_text(encoding="utf-8").split()
