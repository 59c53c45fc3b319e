"""A watcher between a long piece of work and its trainings."""

from qts.progress import Progress


class Hushed:
    """Passes on what a training is at, not what it says of each epoch; a warning is passed on once."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.warned: set[str] = set()

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
        """Keep it."""

    def warn(self, text: str) -> None:
        """Pass it on the first time."""
        if text not in self.warned:
            self.warned.add(text)
            self.progress.warn(text)
