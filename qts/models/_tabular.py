"""What the tabular baselines share: a window's newest bars as one row of numbers."""

from pydantic import PositiveInt
from torch import Tensor

from qts.errors import ConfigError, QtsError
from qts.models._architecture import ModelConfig, SampleBatches


class TabularConfig(ModelConfig):
    """Keys of a model that reads a window as one row of numbers."""

    n_steps: PositiveInt = 1
    """How many of the window's newest bars it reads; 1: the newest alone, as in the reference's tabular baselines."""


def flatten_newest(x: Tensor, n_steps: int) -> Tensor:
    """(batch, step_len, n_features) -> (batch, n_steps * n_features), oldest bar first; ConfigError if too short."""
    step_len = x.shape[1]
    if step_len < n_steps:
        raise ConfigError(
            f"n_steps = {n_steps} bars are to be read, but a window has {step_len}",
            hint=f"set [model] n_steps to {step_len} or less, or [window] step_len to {n_steps} or more",
        )
    return x[:, step_len - n_steps :].flatten(start_dim=1)


def check_not_empty(samples: SampleBatches, segment: str) -> None:
    """Raise QtsError if a segment has no sample to fit on."""
    if not samples.n_samples:
        raise QtsError(f"there are no {segment} samples", hint="does the segment have labels?")
