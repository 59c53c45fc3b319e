"""The manifest of a book: which parts are present, and what each score was made of."""

import json
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from qts.errors import StoreError
from qts.plain_file import read_plain
from qts.store.confined import confined
from qts.store.manifest import Part

MANIFEST = "manifest.json"
FORMAT = 1
"""Version of the disk format."""
SCORES, SUPERSEDED, DAYS = "scores", "superseded", "days"
"""Folders of present scores, of those that others have taken the place of, and of the days."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Lineage(_Record):
    """What the scores of one night's work were made of."""

    id: int
    """What a row of the book names it by; 1 the first."""
    made: str
    """When they were published, UTC."""
    run: str
    """The run's name."""
    weights: str
    """sha256 of the run's weights; of an ensemble, of its members' one after the other."""
    bars: str
    """Fingerprint of the store's bars."""
    factors: dict[str, str]
    """Factor set → fingerprint of its values."""
    universe: str | None
    """Fingerprint of the membership; None: there was none."""
    label: str
    """The label the run was trained on."""
    features: str
    """Hash of the features: factors, expressions, and the processors as they were fitted."""
    window: dict[str, Any]
    """What a window is."""
    qts_version: str
    """The version that scored."""


class Synced(_Record):
    """The data that the present scores of a run are right for; a later night looks at what has changed since."""

    weights: str
    """Whose scores."""
    history: str
    """The store's `history`: another one means that every bar was taken in anew."""
    revision: int
    """The store's `revision`."""
    bars: str = ""
    """Fingerprint of the store's bars: a store that was restored from a backup counts other revisions."""
    recipe: str
    """Hash of how the run's features are made in the store, and of the label."""
    universe: str | None
    """Fingerprint of the membership."""


class BookManifest(_Record):
    """What a book holds; replaced in one atomic step, last in every commit."""

    format: Literal[1] = 1
    """Version of the disk format."""
    qts_version: str
    """The version that wrote it."""
    months: dict[str, Part] = {}
    """Month, as 2026-05 → the present scores of its days: one row a key."""
    superseded: tuple[Part, ...] = ()
    """Scores that others have taken the place of, a part for each night that had some."""
    days: Part | None = None
    """A row a day."""
    lineages: tuple[Lineage, ...] = ()
    """By their ids, from 1 on."""
    first: date | None = None
    """First day that was asked for, were it that it was held back and has no scores yet."""
    synced: Synced | None = None
    """The data that the scores are right for."""
    before: tuple[str, ...] = ()
    """Files that the manifest before this one counted: a reader may still be at them."""

    def parts(self) -> tuple[Part, ...]:
        """Return every part."""
        return (*self.months.values(), *self.superseded, *((self.days,) if self.days else ()))

    def lineage(self, number: int) -> Lineage:
        """Return a lineage by its id; raises StoreError if there is none."""
        for lineage in self.lineages:
            if lineage.id == number:
                return lineage
        raise StoreError(f"the predictions name lineage {number}, which is not recorded", hint="run: qts verify")


def read_manifest(folder: Path) -> BookManifest | None:
    """Return the manifest of a book, None if there is no book; raises StoreError if it is damaged."""
    file = folder / MANIFEST
    try:
        written = json.loads(read_plain(file))
        if isinstance(written, dict) and written.get("format") != FORMAT:
            message = f"the predictions in {folder} have the format of another version of qts"
            raise StoreError(message, hint="read them with that version, or name another [store] predictions")
        manifest = BookManifest.model_validate(written)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise StoreError(
            f"the manifest of the predictions {file} is damaged: {reason}",
            hint="restore it from a backup, or name another [store] predictions: what was published is not made anew",
        ) from None
    for path in (*(part.path for part in manifest.parts()), *manifest.before):
        confined(folder, path)
    return manifest
