"""SCHEDULES: how the learning rate goes over a run, one row each.

What depends on the step alone is a pure function of it; `plateau`, which watches the validation metric, is a few
numbers that can be written down and read back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, inf, pi

from qts.registry import Registry

REDUCTION = 0.5
"""What a Plateau multiplies the learning rate by."""
PATIENCE_EPOCHS = 5
"""Epochs without a gain that a Plateau bears."""
LEAST_LR = 1e-6
"""Learning rate that a Plateau does not go below."""
LEAST_GAIN = 1e-5
"""Share of the best figure so far that a Plateau takes for a gain."""


@dataclass(frozen=True)
class ScheduleRow:
    """A row of the table."""

    name: str
    decay: Callable[[float], float]
    """Share of the steps after the warm-up that are done, in [0, 1] → 1 at the peak, 0 at the end of a decay."""
    about: str
    watches_metric: bool = False
    """Whether a Plateau lowers the learning rate as well."""


SCHEDULES: Registry[ScheduleRow] = Registry("schedule")

for _row in (
    ScheduleRow("constant", lambda _done: 1.0, "`lr` from first to last"),
    ScheduleRow("cosine", lambda done: (1.0 + cos(pi * done)) / 2.0, "half a cosine from `lr` down to 0 after the last step"),
    ScheduleRow("linear", lambda done: 1.0 - done, "a straight line from `lr` down to 0 after the last step"),
    ScheduleRow("plateau", lambda _done: 1.0,
                "halved, down to 1e-6, after more than 5 epochs without a better validation metric",
                watches_metric=True),
):  # fmt: skip
    SCHEDULES.enter(_row.name, _row)


def lr_factor(schedule: str, step: int, n_steps: int, n_warmup_steps: int) -> float:
    """Return what the learning rate is multiplied by at a step, counted from 0, of a run of n_steps."""
    decay = SCHEDULES[schedule].decay
    if step < n_warmup_steps:  # 1. up in a straight line, to reach 1 in the first step after the warm-up
        return (step + 1) / (n_warmup_steps + 1)
    if step >= n_steps:  # 2. past the end
        return decay(1.0)
    return decay((step - n_warmup_steps) / (n_steps - n_warmup_steps))  # 3. in between


@dataclass
class Plateau:
    """Lowers the learning rate when the validation metric stands still; `asdict` is its state, its arguments restore it.

    Rule and figures are those of torch's ReduceLROnPlateau as Qlib's general trainer sets it, except that a gain is
    measured by the size of the best figure: metrics may be negative.
    """

    lr: float
    """The learning rate that training starts with."""
    factor: float = 1.0
    """What it is multiplied by now."""
    best: float | None = None
    n_waited: int = 0
    """Epochs since the best one, or since the last reduction."""

    def judge(self, figure: float) -> None:
        """Take an epoch's metric, larger being better; NaN never is."""
        least = -inf if self.best is None else self.best + LEAST_GAIN * abs(self.best)
        if figure > least:
            self.best, self.n_waited = figure, 0
        else:
            self.n_waited += 1
        if self.n_waited > PATIENCE_EPOCHS:
            self.factor = min(self.factor, max(self.factor * REDUCTION, LEAST_LR / self.lr))
            self.n_waited = 0
