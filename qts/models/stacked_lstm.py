"""Stacked LSTM: layers of different widths over the window, a linear head on the last state of the last.

Graves, Mohamed and Hinton, Speech Recognition with Deep Recurrent Neural Networks, 2013, arXiv:1303.5778. Layers of one
width are `lstm`.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, ClassVar, Self

from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from qts.models._architecture import Architecture, ModelConfig, register
from qts.models._recurrent import LSTMStack


class StackedLSTMConfig(ModelConfig):
    """Keys of stacked_lstm."""

    hidden_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1, strict=False)] = (64, 32)
    """Width of each layer's state, from the layer that reads the features to the one that is read."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of states dropped between layers while training; never inside the recurrence or after the last layer."""

    @model_validator(mode="after")
    def _has_something_between(self) -> Self:
        if self.dropout and len(self.hidden_sizes) == 1:
            raise ValueError("dropout acts between layers, and one hidden size leaves nothing between")
        return self


@register
class StackedLSTM(Architecture):
    """Each layer is a recurrence of its own, as wide as it is told."""

    Config = StackedLSTMConfig
    feature_weights: ClassVar[Mapping[str, int]] = {"layers.0.weight_ih_l0": 1}

    def __init__(self, config: StackedLSTMConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        widths = pairwise((n_features, *config.hidden_sizes))
        self.layers = nn.ModuleList(LSTMStack(below, width) for below, width in widths)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(config.hidden_sizes[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        states = x
        for layer in self.layers[:-1]:
            states = self.dropout(layer(states))  # (batch, step_len, width of the layer)
        score: Tensor = self.fc(self.layers[-1](states, last=True)).squeeze(-1)
        return score
