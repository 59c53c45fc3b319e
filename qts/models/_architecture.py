"""What every architecture is: a config of its own and a map from windows to scores; training is elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Literal, Protocol, TypeVar

from torch import Tensor, nn

from qts.config import Table
from qts.registry import Registry


class ModelConfig(Table):
    """Only what is architecture: widths, depths, dropout. How it is trained is `[train]`'s."""


class Architecture(nn.Module, ABC):
    """Windows in, one score each out; never learns where its windows came from."""

    Config: ClassVar[type[ModelConfig]]
    batches: ClassVar[Literal["shuffled", "by_day", "whole"]] = "shuffled"
    """`by_day`: a batch is one cross-section, because the scores of a day depend on each other; `whole`: fitted at
    once on all samples, without gradients."""
    caution: ClassVar[str | None] = None
    """What whoever trains it should know first."""
    feature_weights: ClassVar[Mapping[str, int]] = {}
    """Parameter → the axis of it that counts features: what has to move when the features come in another order."""
    reference_names: ClassVar[Mapping[str, str]] = {}
    """Parts of parameter names in the reference's files → ours, replaced in this order."""
    reference_leftovers: ClassVar[tuple[str, ...]] = ()
    """Beginnings of names in the reference's files, after that, that stand for nothing."""

    def __init__(self, config: ModelConfig, n_features: int) -> None:  # noqa: ARG002 - what every architecture takes
        super().__init__()

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence


class Attentive(ABC):
    """An architecture that can say which steps of a window it looked at."""

    @abstractmethod
    def attention(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch, step_len), non-negative, each row summing to 1"""  # noqa: D400


class SampleBatches(Protocol):
    """All samples of a segment, in order; can be gone through again."""

    @property
    def n_samples(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield windows (n, step_len, n_features), targets (n,) without NaN, and weights (n,) of mean 1."""


class WholeFit(Architecture):
    """An architecture whose weights are found at once, without gradients."""

    batches = "whole"

    @abstractmethod
    def fit(self, train: SampleBatches, valid: SampleBatches, seed: int, tell: Callable[[str], None]) -> None:
        """Find the weights; `tell` takes a line worth reading."""


ARCHITECTURES: Registry[type[Architecture]] = Registry("model")

AnyArchitecture = TypeVar("AnyArchitecture", bound=type[Architecture])


def register(architecture: AnyArchitecture) -> AnyArchitecture:
    """Enter an architecture under the name of its file."""
    ARCHITECTURES.enter(architecture.__module__.rpartition(".")[2], architecture)
    return architecture
