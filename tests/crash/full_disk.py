"""A disk so small that a command fills it; where the system lets us make one."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.crash.scene import Scene
from tests.forked import Ended

_BLOCK = 4096


@cache
def why_no_small_disk() -> str | None:
    """Return why there is no small disk here; None if there is."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        return "only root can mount one"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return None if tried.returncode == 0 else "this machine lets nobody mount one"


def small_disk(scene: Scene) -> Ended:
    """Run the command on a disk with a little room left, which has more afterwards."""
    aside = scene.theatre.folder / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    scene.study.rename(aside)
    scene.study.mkdir()
    room = scene.random.randrange(0, 60) * _BLOCK
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_size(aside) + room}", "none", scene.study], check=True)
    shutil.copytree(aside, scene.study, dirs_exist_ok=True)
    ended = scene.run()
    subprocess.run(["mount", "-o", "remount,size=64m", scene.study], check=True)
    return ended


def _size(folder: Path) -> int:
    """Return the bytes that files take in whole blocks."""
    return sum(-(-path.stat().st_size // _BLOCK) * _BLOCK for path in folder.rglob("*") if path.is_file())
