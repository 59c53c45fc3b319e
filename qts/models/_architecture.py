"""What every architecture is: a config of its own and a map from windows to scores; training is elsewhere."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, TypeVar

from torch import Tensor, nn

from qts.config import Table
from qts.registry import Registry


class ModelConfig(Table):
    """Only what is architecture: widths, depths, dropout. How it is trained is `[train]`'s."""


class Architecture(nn.Module, ABC):
    """Windows in, one score each out; never learns where its windows came from."""

    Config: ClassVar[type[ModelConfig]]
    batches: ClassVar[Literal["shuffled", "by_day"]] = "shuffled"
    """`by_day`: a batch is one cross-section, because the scores of a day depend on each other."""

    def __init__(self, config: ModelConfig, n_features: int) -> None:  # noqa: ARG002 - what every architecture takes
        super().__init__()

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence


ARCHITECTURES: Registry[type[Architecture]] = Registry("model")

AnyArchitecture = TypeVar("AnyArchitecture", bound=type[Architecture])


def register(architecture: AnyArchitecture) -> AnyArchitecture:
    """Enter an architecture under the name of its file."""
    ARCHITECTURES.enter(architecture.__module__.rpartition(".")[2], architecture)
    return architecture
