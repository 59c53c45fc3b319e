"""What long work tells whoever watches: stages, steps and notes; never data."""

from typing import Protocol


class Progress(Protocol):
    """A watcher of long work."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage of `total` steps, or of unknown length."""

    def advance(self, steps: int = 1) -> None:
        """Say that some steps of the stage are done."""

    def count(self, *, rows: int = 0, n_bytes: int = 0) -> None:
        """Say how many rows the stage took in or made, and how many bytes it read or wrote; several times adds up."""

    def note(self, text: str) -> None:
        """Say something worth reading."""

    def warn(self, text: str) -> None:
        """Say something that needs attention."""


class SilentProgress:
    """Watches without a word."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Do nothing."""

    def advance(self, steps: int = 1) -> None:
        """Do nothing."""

    def count(self, *, rows: int = 0, n_bytes: int = 0) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Do nothing."""


class PassedOn:
    """Passes everything on to another watcher; what is to be otherwise a subclass says."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def stage(self, name: str, total: int | None = None) -> None:
        """Pass it on."""
        self.progress.stage(name, total)

    def advance(self, steps: int = 1) -> None:
        """Pass it on."""
        self.progress.advance(steps)

    def count(self, *, rows: int = 0, n_bytes: int = 0) -> None:
        """Pass it on."""
        self.progress.count(rows=rows, n_bytes=n_bytes)

    def note(self, text: str) -> None:
        """Pass it on."""
        self.progress.note(text)

    def warn(self, text: str) -> None:
        """Pass it on."""
        self.progress.warn(text)
