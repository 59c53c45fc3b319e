"""Bidirectional LSTM: one reads the window forwards, one backwards; a linear head on where both of them end.

Schuster and Paliwal, Bidirectional Recurrent Neural Networks, 1997, IEEE Transactions on Signal Processing 45(11).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from qts.models._architecture import Architecture, register
from qts.models._recurrent import RecurrentConfig

LEAKS = (
    "it sees the future when it is run once along a series and read at every day, when steps of a window were padded or "
    "filled from later days, or when the label's period overlaps the window"
)


class BiLSTMConfig(RecurrentConfig):
    """Keys of bilstm."""

    closed_windows: Literal[True]
    """Must be said: every window ends at its sample's own day, and nothing in it was filled from later days."""
    num_layers: PositiveInt = 1
    """Layers, each reading the states of both directions of the one below."""

    @model_validator(mode="before")
    @classmethod
    def _windows_are_closed(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("closed_windows") is not True:
            raise ValueError(
                "closed_windows = true is required: a backward pass is safe only on windows that end at the sample's own "
                f"day and were not filled from later days; {LEAKS}"
            )
        return values


@register
class BiLSTM(Architecture):
    """Reads the two final states; the backward state at the last step has seen a single step."""

    Config = BiLSTMConfig
    caution = f"bilstm also reads each window backwards: safe as long as windows are closed, but {LEAKS}"
    feature_weights: ClassVar[Mapping[str, int]] = {"bilstm.weight_ih_l0": 1, "bilstm.weight_ih_l0_reverse": 1}

    def __init__(self, config: BiLSTMConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        self.bilstm = nn.LSTM(
            n_features,
            config.hidden_size,
            config.num_layers,
            batch_first=True,
            dropout=config.dropout,
            bidirectional=True,
        )
        self.fc = nn.Linear(2 * config.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        _, (final, _) = self.bilstm(x)  # (2 * num_layers, batch, hidden_size)
        both = torch.cat((final[-2], final[-1]), dim=-1)  # (batch, 2 * hidden_size), forwards first
        score: Tensor = self.fc(both).squeeze(-1)
        return score
