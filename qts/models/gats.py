"""GATs: each instrument's window is encoded, then the instruments of a day attend to each other.

Velickovic et al., Graph Attention Networks, 2018, arXiv:1710.10903; every instrument is every other's neighbour, with one
attention head.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from qts.models._architecture import Architecture, register
from qts.models._recurrent import STACKS, Cell, RecurrentConfig

SLOPE = 0.01


class GATsConfig(RecurrentConfig):
    """Keys of gats."""

    cell: Cell = "lstm"
    """What encodes a window."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.7
    """Share of states dropped between layers while training; nothing of the attention is dropped."""


@register
class GATs(Architecture):
    """A batch is the graph of one day; an instrument with a gap in its window is not in it, and has no score."""

    Config = GATsConfig
    batches = "by_day"
    feature_weights: ClassVar[Mapping[str, int]] = {"rnn.weight_ih_l0": 1}
    reference_names: ClassVar[Mapping[str, str]] = {"fc_out.": "head.", "fc.": "readout."}

    def __init__(self, config: GATsConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        width = config.hidden_size
        self.rnn = STACKS[config.cell](n_features, width, config.num_layers, config.dropout)
        self.transformation = nn.Linear(width, width)
        self.a = nn.Parameter(torch.randn(2 * width, 1))  # one half for the neighbour, one for who looks at it
        self.readout = nn.Linear(width, width)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,), NaN for a window with a gap"""  # noqa: D400 - a shape
        complete = _complete(x)
        state = self._last_state(x, complete)
        mixed = torch.addmm(state, self._weights(state, complete), state)  # (batch, hidden_size)
        score: Tensor = self.head(leaky_relu(self.readout(mixed), SLOPE)).squeeze(-1)
        return score.masked_fill(~complete, torch.nan)

    def neighbours(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch, batch), what a row takes of each column; 0 for a window with a gap"""  # noqa: D400
        complete = _complete(x)
        weights = self._weights(self._last_state(x, complete), complete)
        return weights.masked_fill(~complete[:, None], 0.0)

    def _last_state(self, x: Tensor, complete: Tensor) -> Tensor:
        """(batch, step_len, n_features), (batch,) -> (batch, hidden_size)

        What is missing becomes 0 before anything is computed of it: a NaN would come back as a gradient. Nothing is
        indexed away, as a GPU would have to tell how many are left.
        """  # noqa: D400
        state: Tensor = self.rnn(torch.where(complete[:, None, None], x, 0.0), last=True)
        return state

    def _weights(self, state: Tensor, complete: Tensor) -> Tensor:
        """(batch, hidden_size), (batch,) -> (batch, batch), each row summing to 1, 0 in the columns that are not complete

        A pair's energy is a sum of one number an instrument, so that pairs of states are never laid out.
        """  # noqa: D400
        neighbour, itself = linear(self.transformation(state), self.a.view(2, -1)).unbind(dim=-1)  # (batch,) both
        lowest = torch.finfo(neighbour.dtype).min / 2  # not -inf: a day without a complete window has a softmax too
        energy = itself[:, None] + neighbour.masked_fill(~complete, lowest)
        return leaky_relu(energy, SLOPE, inplace=True).softmax(dim=-1)


def _complete(x: Tensor) -> Tensor:
    """(batch, step_len, n_features) -> (batch,), whether a window has no gap and no infinity"""  # noqa: D400
    return x.isfinite().flatten(1).all(dim=1)
