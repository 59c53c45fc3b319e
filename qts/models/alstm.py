"""ALSTM: features projected, a recurrent stack over the window, attention over its steps beside the last state.

Feng et al., Enhancing Stock Movement Prediction with Adversarial Training, 2019, arXiv:1810.09936; simplified from
Qin et al., A Dual-Stage Attention-Based Recurrent Neural Network, 2017, arXiv:1704.02971.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from qts.models._architecture import Architecture, Attentive, register
from qts.models._attention import last_and_attended
from qts.models._recurrent import STACKS, Cell, RecurrentConfig


class ALSTMConfig(RecurrentConfig):
    """Keys of alstm."""

    cell: Cell = "gru"
    """What the layers are made of; the benchmarks have always run with gru."""
    hidden_size: Annotated[int, Field(ge=2)] = 64
    """Width of the projection and of a layer's state; the attention works at half of it."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share dropped while training, of states between layers and of what the attention sees of them."""


@register
class ALSTM(Architecture, Attentive):
    """A state's weight depends on that state alone."""

    Config = ALSTMConfig
    feature_weights: ClassVar[Mapping[str, int]] = {"project.weight": 1}
    reference_names: ClassVar[Mapping[str, str]] = {
        "att_net.att_fc_in.": "relevance.0.",
        "att_net.att_fc_out.": "relevance.3.",
        "net.fc_in.": "project.",
        "fc_out.": "head.",
    }

    def __init__(self, config: ALSTMConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        width = config.hidden_size
        self.project = nn.Linear(n_features, width)
        self.rnn = STACKS[config.cell](width, width, config.num_layers, config.dropout)
        self.head = nn.Linear(2 * width, 1)
        self.relevance = nn.Sequential(
            nn.Linear(width, width // 2), nn.Dropout(config.dropout), nn.Tanh(), nn.Linear(width // 2, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        states = self._states(x)
        score: Tensor = self.head(last_and_attended(states, self._weights(states))).squeeze(-1)
        return score

    def attention(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch, step_len), each row summing to 1"""  # noqa: D400
        return self._weights(self._states(x))

    def _states(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch, step_len, hidden_size)"""  # noqa: D400
        states: Tensor = self.rnn(self.project(x).tanh())
        return states

    def _weights(self, states: Tensor) -> Tensor:
        """(batch, step_len, hidden_size) -> (batch, step_len)"""  # noqa: D400
        weights: Tensor = self.relevance(states).squeeze(-1).softmax(dim=-1)
        return weights
