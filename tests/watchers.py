"""Watchers of long work that do something at a moment of it."""

from qts.progress import SilentProgress


class StopsAt(SilentProgress):
    """Presses Ctrl-C at the beginning of the n-th epoch."""

    def __init__(self, epoch: int) -> None:
        self.left = epoch

    def stage(self, name: str, total: int | None = None) -> None:  # noqa: ARG002 - the protocol has it
        """Count epochs."""
        self.left -= name.startswith("epoch ")
        if self.left == 0:
            raise KeyboardInterrupt
