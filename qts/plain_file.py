"""Looks at places where anything may stand, or vanish: a pipe would never end, and a device never be empty."""

import errno
from contextlib import suppress
from pathlib import Path


def is_file(path: Path) -> bool:
    """Return whether a path is that of a regular file; a name that no file can have is an answer too."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or a NUL
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path is that of a folder, as `is_file` does."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of a folder's files; what is just being removed counts as far as it is there."""
    total = 0
    for file in (path, *path.rglob("*")):
        with suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def refuse_irregular(file: Path) -> None:
    """Raise OSError for what is there and no regular file, and for a path that is none."""
    try:
        is_irregular = file.exists() and not file.is_file()
    except ValueError as error:  # a NUL
        raise OSError(errno.EINVAL, str(error)) from None
    if is_irregular:
        raise OSError(errno.EINVAL, "not a regular file", str(file))


def read_plain(file: Path) -> bytes:
    """Return the bytes of a regular file; raises OSError for anything else, or a path that is none."""
    refuse_irregular(file)
    return file.read_bytes()
