"""What others do to a study's files while a command is at work on them: sources that change, folders that are closed."""

import os
import time
from pathlib import Path

from tests.crash.market import SOURCES
from tests.crash.scene import Scene
from tests.crash.strikes import without_privileges
from tests.forked import Ended

ANOTHER = {"first ingest": "late", "night": "another night", "restated": "late", "late rows": "restated"}
"""Case → the state of the bars whose file takes the place of its own."""

CLOSED = (
    ".qts", ".qts/bars", ".qts/labels", ".qts/factors", ".qts/factors/mine", ".qts/windows", "runs", "runs/*",
)  # fmt: skip
"""Folders that may be closed to writers."""


def change_source(scene: Scene) -> Ended:
    """Have the newest file of the bars vanish, be cut short, or be rewritten in place while an ingest reads."""
    another = ANOTHER[scene.case_name]
    name = next(iter(SOURCES[another]))
    file = scene.study / "bars" / name
    scene.also.add(scene.theatre.store_with(scene.case.base, another))
    scene.theatre.set_up(scene.case)
    moment = scene.random.uniform(0, 0.8 * scene.reference.seconds)
    change = scene.random.choice(["vanish", "cut", "rewrite", "rewrite"])
    child = scene.start()
    if not child.ends_within(moment):
        if change == "vanish":
            file.unlink()
        elif change == "cut":
            os.truncate(file, scene.random.randrange(file.stat().st_size))
        else:
            _rewrite(file, scene.theatre.sources / another / name)
    return child.wait()


def _rewrite(file: Path, other: Path) -> None:
    """Write another content into a file, piece by piece."""
    content = other.read_bytes()
    with file.open("r+b", buffering=0) as stream:
        for at in range(0, len(content), 4096):
            stream.write(content[at : at + 4096])
            time.sleep(0.002)
        stream.truncate(len(content))


def read_only(scene: Scene) -> Ended:
    """Close a folder of the study to writers, and run the command as one whom that stops."""
    found = [path for pattern in CLOSED for path in scene.study.glob(pattern) if path.is_dir()]
    closed = scene.random.choice([scene.study, *found])
    mode = closed.stat().st_mode
    closed.chmod(0o555)
    try:
        return scene.run(without_privileges)
    finally:
        closed.chmod(mode)
