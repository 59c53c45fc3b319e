"""What a training remembers of its epochs: a line each, the best so far, and how long to go on."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; a line of history.parquet."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_ic: float
    valid_rank_ic: float
    lr: float
    """Learning rate of its last step."""
    train_seconds: float
    valid_seconds: float
    samples_per_second: float
    """Of training."""
    valid_samples_per_second: float
    feed_share: float
    """Share of the seconds of training in which the network waited for its windows."""
    is_best: bool

    def figure(self, metric: str) -> float:
        """Return the validation metric as early stopping compares it: larger is better."""
        return {"loss": -self.valid_loss, "ic": self.valid_ic, "rank_ic": self.valid_rank_ic}[metric]


@dataclass
class EarlyStop:
    """Remembers the best epoch; says when to give up. Equal is not better, and NaN never is."""

    patience: int
    best: float = -np.inf
    best_epoch: int = 0
    waited: int = 0

    def improves(self, epoch: int, value: float) -> bool:
        """Record an epoch's figure, larger being better; return whether it is the best so far."""
        if value > self.best:
            self.best, self.best_epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    @classmethod
    def after(cls, history: list[Epoch], metric: str, patience: int) -> Self:
        """Return what is remembered after some epochs."""
        stop = cls(patience)
        for line in history:
            stop.improves(line.epoch, line.figure(metric))
        return stop


def say(line: Epoch, stop: EarlyStop) -> str:
    """Return an epoch as one line for whoever watches."""
    mark = "best" if line.is_best else f"best is epoch {stop.best_epoch}"
    seconds = line.train_seconds + line.valid_seconds
    return (
        f"epoch {line.epoch}: train loss {line.train_loss:.5f}, valid loss {line.valid_loss:.5f}, IC {line.valid_ic:.4f}, "
        f"RankIC {line.valid_rank_ic:.4f}, {line.samples_per_second:,.0f} samples/s, {seconds:.1f} s ({mark})"
    )


def outlook(history: list[Epoch], epoch: int, epochs: int) -> str:
    """Return what stands before an epoch's bar: how it went so far, and how long it may take at most."""
    if not history:
        return f"epoch {epoch} of {epochs}"
    last = history[-1]
    seconds = (last.train_seconds + last.valid_seconds) * (epochs - epoch + 1)
    left = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    return f"epoch {epoch} of {epochs} (loss {last.train_loss:.4f}, valid IC {last.valid_ic:.4f}, at most {left} left)"


def to_rows(history: list[Epoch]) -> list[dict[str, Any]]:
    """Return a row an epoch."""
    return [asdict(line) for line in history]
