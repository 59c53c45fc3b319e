"""Paths that were read from a file: they name something inside their own folder, or they are refused.

A manifest, a run's record or `latest` may have been written by anybody. What a user names on the command line or in
qts.toml is the user's own affair and does not come here.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from qts.errors import StoreError


def is_relative(path: object) -> bool:
    """Return whether a text is a path of plain names with forward slashes: no root, no `..`, nothing unprintable."""
    if not isinstance(path, str) or not path.isprintable() or "\\" in path:
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def is_name(name: object) -> bool:
    """Return whether a text is one plain part of a path, as the name of a run is."""
    return is_relative(name) and "/" not in str(name)


def confined(folder: Path, path: str) -> Path:
    """Return the place of a path that was read from a file; raises StoreError if it lies outside the folder.

    The folder itself may be reached through a link; a link in it may lead anywhere inside, and nowhere else.
    """
    if not is_relative(path):
        raise StoreError(f"{path!r} is no path inside {folder}", hint="the file that names it was not written by qts")
    place = folder / path
    if not _is_inside(place, folder):
        raise StoreError(f"{place} is a link that leads out of {folder}", hint=_LINK_HINT)
    return place


def refuse_links(folder: Path, names: Iterable[str] | None = None) -> None:
    """Refuse a folder to be written to that holds a link which leads out of it: something else would be overwritten.

    `names` are the files and folders in it that are written to; None: all of it. Raises StoreError.
    """
    if link := link_out(folder, names):
        raise StoreError(f"{link} is a link that leads out of {folder}", hint=_LINK_HINT)


def link_out(folder: Path, names: Iterable[str] | None = None) -> Path | None:
    """Return the first link in a folder, or in some of what is in it, that leads out of it; None if there is none."""
    places = [folder] if names is None else [folder / name for name in names]
    entries = (
        entry
        for place in places
        for entry in (place, *(Path(at, name) for at, folders, files in os.walk(place) for name in (*folders, *files)))
    )
    return next((e for e in entries if e != folder and e.is_symlink() and not _is_inside(e, folder)), None)


_LINK_HINT = "remove the link; the whole folder may be one, a part of it may not"


def _is_inside(place: Path, folder: Path) -> bool:
    try:
        return place.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return False
