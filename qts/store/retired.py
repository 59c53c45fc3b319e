"""Parts that no longer count: kept for a while, so that a reader who opened the store before still finds its own.

Each commit retires its parts into a generation, a numbered folder below `.previous`. The newest stays until the next
commit; older ones for a quarter of an hour, as long as they fit into the room that the store itself takes.
"""

import errno
from pathlib import Path

from qts import clock
from qts.plain_file import size_of
from qts.store.atomic import remove

PREVIOUS = ".previous"
"""Where generations lie."""

GRACE_SECONDS = 900
"""How long a reader that opened the store before several commits is sure to find its parts."""

SHARE_OF_STORE = 2
"""How many times the store's size generations of the grace period may take before the oldest go early."""


class Retired:
    """The generations of a store, and the one that a writer fills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filled: Path | None = None

    def put(self, path: str) -> None:
        """Move a part out of the store's present; raises OSError if it cannot be moved."""
        place = self._own() / path
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            (self.folder / path).replace(place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            (self.folder / path).unlink()  # the dataset lies on another disk: its readers have no grace

    def _own(self) -> Path:
        """Return this writer's generation, made when the first part goes into it."""
        if self._filled is None:
            found = generations(self.folder)
            self._filled = self.folder / PREVIOUS / f"{int(found[0].name) + 1 if found else 1:06d}"
        return self._filled

    def clear(self, n_bytes: int) -> None:
        """Remove generations that nobody needs any more; `n_bytes` is the size of the store.

        A generation from the future, after a clock was set back, counts as young; the room bounds it all the same.
        """
        room = SHARE_OF_STORE * n_bytes
        for file in (self.folder / PREVIOUS).glob("*"):
            if not file.name.isdecimal():
                remove(file)
        for generation in generations(self.folder)[1:]:
            room -= size_of(generation)
            age = clock.now().timestamp() - generation.stat().st_mtime
            if age > GRACE_SECONDS or room < 0:
                remove(generation)


def generations(folder: Path) -> list[Path]:
    """Return the generations of a store, the newest first."""
    found = (path for path in (folder / PREVIOUS).glob("*") if path.name.isdecimal())
    return sorted(found, key=lambda path: int(path.name), reverse=True)
