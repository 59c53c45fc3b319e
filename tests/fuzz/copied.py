"""A folder as it is, and a copy of one that each case spoils and that is mended, not made anew, for the next."""

import hashlib
import os
import shutil
import stat
from pathlib import Path

Digests = dict[str, str]
"""Path → what is there."""

Stamp = tuple[int, ...]
"""What the system says of a file; whoever writes to it, or puts another in its place, makes it another."""

_known: dict[Stamp, str] = {}
"""Stamp of a file → digest of its bytes: a fork inherits what was read before."""


def digests(folder: Path) -> Digests:
    """Return path → what is there, of all under a folder; what is no file is named by its kind."""
    return {name: _digest(folder / name) for name in _names(folder)}


def _names(folder: Path) -> list[str]:
    """List all under a folder, each folder before what it holds."""
    return [
        os.path.relpath(Path(holder, name), folder)
        for holder, folders, files in os.walk(folder)
        for name in (*folders, *files)
    ]


def _stamp(path: Path) -> Stamp:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        return (found.st_mode,)
    return found.st_mode, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(path: Path) -> str:
    stamp = _stamp(path)
    if stat.S_ISLNK(stamp[0]):
        return f"link to {path.readlink()}"
    if not stat.S_ISREG(stamp[0]):
        return str(stat.S_IFMT(stamp[0]))
    if stamp not in _known:
        _known[stamp] = hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 - to compare
    return _known[stamp]


class Copy:
    """A copy of a folder in which only what has changed since is made anew."""

    def __init__(self, sound: Path, folder: Path) -> None:
        self.sound, self.folder = sound, folder
        self._names = _names(sound)
        self._stamps: dict[str, Stamp] = {}
        """Path → its stamp when it was sound."""

    def mend(self) -> None:
        """Make it what the sound folder is, whatever was done to it."""
        self.folder.mkdir(exist_ok=True)
        for name in _names(self.folder):
            path = self.folder / name
            if os.path.lexists(path) and self._stamps.get(name) != _stamp(path):
                _remove(path)
        for name in self._names:
            if not os.path.lexists(self.folder / name):
                _put(self.sound / name, self.folder / name)
        self._stamps = {name: _stamp(self.folder / name) for name in self._names}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _put(sound: Path, place: Path) -> None:
    if sound.is_dir() and not sound.is_symlink():
        place.mkdir()
    else:
        shutil.copy2(sound, place, follow_symlinks=False)
