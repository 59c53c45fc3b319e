"""MLP: fully connected layers over a window's newest bars, a linear head.

Rumelhart, Hinton and Williams, Learning Representations by Back-Propagating Errors, 1986.
"""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from qts.models._architecture import Architecture, register
from qts.models._tabular import TabularConfig, flatten_newest


class MLPConfig(TabularConfig):
    """Keys of mlp."""

    hidden_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1, strict=False)] = (256, 64)
    """Width of each hidden layer, as [256, 64]."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of values dropped after each hidden layer while training."""
    layer_norm: bool = False
    """Whether each hidden layer is normalised over its width before the ReLU, each sample by itself."""


@register
class MLP(Architecture):
    """Linear, ReLU and dropout a layer; nothing is normalised over a batch, so a score has no batch mates."""

    Config = MLPConfig

    def __init__(self, config: MLPConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        self.n_steps = config.n_steps
        sizes = [config.n_steps * n_features, *config.hidden_sizes]
        self.hidden = nn.Sequential(*(_hidden_layer(config, *ends) for ends in pairwise(sizes)))
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        row = flatten_newest(x, self.n_steps)  # (batch, n_steps * n_features)
        score: Tensor = self.head(self.hidden(row)).squeeze(-1)
        return score


def _hidden_layer(config: MLPConfig, n_inputs: int, n_outputs: int) -> nn.Sequential:
    norm = [nn.LayerNorm(n_outputs)] if config.layer_norm else []
    return nn.Sequential(nn.Linear(n_inputs, n_outputs), *norm, nn.ReLU(), nn.Dropout(config.dropout))
