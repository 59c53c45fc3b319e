"""LOSSES: what training minimises, one row each."""

from collections.abc import Callable

from torch import Tensor

from qts.registry import Registry

Loss = Callable[[Tensor, Tensor], Tensor]
"""(batch,) scores and (batch,) targets, NaN where a target is missing → a scalar."""

LOSSES: Registry[Loss] = Registry("loss")


def mse(score: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over samples that have a target."""
    known = ~target.isnan()
    return (score[known] - target[known]).square().mean()


LOSSES.enter("mse", mse)
