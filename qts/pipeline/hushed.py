"""A watcher between a long piece of work and its trainings."""

from qts.progress import PassedOn, Progress


class Hushed(PassedOn):
    """Passes on what a training is at, not what it says of each epoch; a warning is passed on once."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self.warned: set[str] = set()

    def note(self, text: str) -> None:
        """Keep it."""

    def warn(self, text: str) -> None:
        """Pass it on the first time."""
        if text not in self.warned:
            self.warned.add(text)
            self.progress.warn(text)
