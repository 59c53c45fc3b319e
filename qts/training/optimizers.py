"""OPTIMIZERS: how a gradient becomes a step, one row each; and the clipping of gradients before it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from qts.config import TrainConfig
from qts.registry import Registry

Group = dict[str, Any]
"""Parameters, under "params", and what is special to them."""

_FUSED_DEVICES = frozenset({"cpu", "cuda"})
"""Where torch has all of a step in one kernel: on a CPU a third of the time of Adam's separate ones."""


@dataclass(frozen=True)
class OptimizerRow:
    """A row of the table."""

    name: str
    make: Callable[[list[Group], TrainConfig, bool], torch.optim.Optimizer]
    """Groups of parameters, the config and whether to fuse → the optimiser."""
    about: str
    spares_vectors: bool = False
    """Whether `weight_decay` leaves biases and norms, parameters of less than two axes, alone."""


OPTIMIZERS: Registry[OptimizerRow] = Registry("optimizer")


def make_optimizer(network: nn.Module, config: TrainConfig, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser that the config names, over the network's parameters that learn."""
    row = OPTIMIZERS[config.optimizer]
    groups = _groups(network, spares_vectors=row.spares_vectors)
    return row.make(groups, config, device.type in _FUSED_DEVICES)


def _groups(network: nn.Module, *, spares_vectors: bool) -> list[Group]:
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not spares_vectors:
        return [{"params": learning}]
    matrices: Group = {"params": [parameter for parameter in learning if parameter.dim() > 1]}
    vectors: Group = {"params": [parameter for parameter in learning if parameter.dim() <= 1], "weight_decay": 0.0}
    return [group for group in (matrices, vectors) if group["params"]] or [matrices]


def clip_gradients(parameters: Iterable[nn.Parameter], value: float, norm: float) -> None:
    """Clip every gradient element to ± value, then their common Euclidean norm to at most norm; 0: not at all.

    Neither waits for the device: a norm that is not finite is left for the loss to tell.
    """
    learning = list(parameters)
    if value:
        nn.utils.clip_grad_value_(learning, value)
    if norm:
        nn.utils.clip_grad_norm_(learning, norm)


def _adam(groups: list[Group], config: TrainConfig, fused: bool) -> torch.optim.Optimizer:  # noqa: FBT001 - as in `make`
    return torch.optim.Adam(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def _adamw(groups: list[Group], config: TrainConfig, fused: bool) -> torch.optim.Optimizer:  # noqa: FBT001 - as in `make`
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def _sgd(groups: list[Group], config: TrainConfig, fused: bool) -> torch.optim.Optimizer:  # noqa: FBT001 - as in `make`
    return torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=fused
    )


for _row in (
    OptimizerRow("adam", _adam, "Adam as published; `weight_decay` times a parameter is added to its gradient"),
    OptimizerRow("adamw", _adamw,
                 "Adam with decoupled decay: a parameter, unless bias or norm, shrinks by lr times `weight_decay` a step",
                 spares_vectors=True),
    OptimizerRow("sgd", _sgd,
                 "gradient descent with `momentum`; `weight_decay` times a parameter is added to its gradient"),
):  # fmt: skip
    OPTIMIZERS.enter(_row.name, _row)
