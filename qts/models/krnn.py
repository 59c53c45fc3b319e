"""KRNN: a convolution over the window, then several GRUs of one shape side by side, their last states averaged.

No paper; the arrangement is that of Microsoft's FOST forecasting tool.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from qts.models._architecture import Architecture, register
from qts.models._layers import StepConv
from qts.models._recurrent import GRUStack, RecurrentConfig


class KRNNConfig(RecurrentConfig):
    """Keys of krnn."""

    n_channels: PositiveInt = 64
    """Width of a step after the convolution."""
    kernel_size: PositiveInt = 3
    """Steps the convolution spans, centred; of an even number, one more lies before the step than after it."""
    n_rnns: PositiveInt = 3
    """GRUs side by side; they differ by their initial weights."""


@register
class KRNN(Architecture):
    """An average over GRUs that read the same steps, to damp what a single one happens to learn."""

    Config = KRNNConfig
    feature_weights: ClassVar[Mapping[str, int]] = {"conv.weight": 1}
    reference_names: ClassVar[Mapping[str, str]] = {
        "encoder.cnn_encoder.conv.": "conv.",
        "encoder.krnn_encoder.rnn_modules.": "rnns.",
        "out_fc.": "head.",
    }

    def __init__(self, config: KRNNConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        self.conv = StepConv(n_features, config.n_channels, config.kernel_size)
        self.rnns = nn.ModuleList(
            GRUStack(config.n_channels, config.hidden_size, config.num_layers, config.dropout)
            for _ in range(config.n_rnns)
        )
        self.head = nn.Linear(config.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        steps = self.conv(x)  # (batch, step_len, n_channels)
        last = torch.stack([rnn(steps, last=True) for rnn in self.rnns])  # (n_rnns, batch, hidden_size)
        score: Tensor = self.head(last.mean(0)).squeeze(-1)
        return score
