"""LSTM with additive attention: the last state asks which steps of the window matter, and is read beside their mean.

Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, 2014, arXiv:1409.0473.
"""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import linear

from qts.models._architecture import Architecture, Attentive, register
from qts.models._attention import last_and_attended
from qts.models._recurrent import LSTMStack, RecurrentConfig


class AttentionLSTMConfig(RecurrentConfig):
    """Keys of attention_lstm."""


class AdditiveAttention(nn.Module):
    """How much each state answers the last one: v · tanh(W [last; state] + b)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.attn = nn.Linear(2 * hidden_size, hidden_size)
        self.v = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """(batch, step_len, hidden_size) -> (batch, step_len)"""  # noqa: D400 - a shape, not a sentence
        for_last, for_state = self.attn.weight.chunk(2, dim=1)  # applied apart, so that no pair has to be laid out
        query = linear(states[:, -1:], for_last, self.attn.bias)  # (batch, 1, hidden_size)
        energy: Tensor = self.v((linear(states, for_state) + query).tanh())  # (batch, step_len, 1)
        return energy.squeeze(-1).softmax(dim=-1)


@register
class AttentionLSTM(Architecture, Attentive):
    """A state's weight depends on how it goes with the last one."""

    Config = AttentionLSTMConfig
    feature_weights: ClassVar[Mapping[str, int]] = {"lstm.weight_ih_l0": 1}
    reference_names: ClassVar[Mapping[str, str]] = {"attention.": "pooling."}

    def __init__(self, config: AttentionLSTMConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        self.lstm = LSTMStack(n_features, config.hidden_size, config.num_layers, config.dropout)
        self.pooling = AdditiveAttention(config.hidden_size)
        self.fc = nn.Linear(2 * config.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        states = self.lstm(x)  # (batch, step_len, hidden_size)
        score: Tensor = self.fc(last_and_attended(states, self.pooling(states))).squeeze(-1)
        return score

    def attention(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch, step_len), each row summing to 1"""  # noqa: D400
        weights: Tensor = self.pooling(self.lstm(x))
        return weights
