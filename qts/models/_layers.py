"""Blocks that more than one architecture is built of: positions, an encoder layer, a convolution along the steps."""

import math
from typing import Annotated, Self

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from qts.models._architecture import ModelConfig

HIDDEN_BYTES = 2 * 2**20
"""Size of the hidden values of a feed-forward that a processor's cache still holds."""


class EncoderConfig(ModelConfig):
    """Keys of a stack of encoder layers."""

    d_model: PositiveInt = 64
    """Width of a step inside the network."""
    n_heads: PositiveInt = 2
    """Attention heads, among which d_model is divided."""
    num_layers: PositiveInt = 2
    """Encoder layers."""
    feedforward: PositiveInt = 2048
    """Width of the hidden layer that each step passes through on its own."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of attention weights, hidden values and sublayer outputs dropped while training."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.d_model % self.n_heads:
            raise ValueError(f"n_heads = {self.n_heads} does not divide d_model = {self.d_model}")
        return self


def positional_table(step_len: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return sines (even columns) and cosines (odd ones) of the step's number: (step_len, width)."""
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angles = torch.arange(step_len, device=device)[:, None] * rates  # (step_len, width / 2, rounded up)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


class EncoderLayer(nn.Module):
    """Attention over the window, then a feed-forward; either is added to its input and the sum normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.d_model
        self.n_heads = config.n_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.linear1 = nn.Linear(width, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x: Tensor, n_last: int | None = None) -> Tensor:
        """(batch, step_len, d_model) -> the same, or its last n_last steps at the price of those."""
        last = x if n_last is None else x[:, -n_last:]
        last = self.norm1(last + self.dropout(self._attend(last, x)))
        normed: Tensor = self.norm2(last + self.dropout(self._feed_forward(last)))
        return normed

    def _attend(self, asking: Tensor, asked: Tensor) -> Tensor:
        """(batch, n, d_model), (batch, step_len, d_model) -> (batch, n, d_model)"""  # noqa: D400
        width = asked.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias  # the queries' rows, then the keys', then the values'
        query = F.linear(asking, weight[:width], bias[:width])
        key_value = F.linear(asked, weight[width:], bias[width:])
        query = query.view(*query.shape[:2], self.n_heads, -1).transpose(1, 2)  # (batch, n_heads, n, width / n_heads)
        key, value = key_value.view(*asked.shape[:2], 2, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        # Plain products: the fused kernel is slower on windows this short. Keys laid out as they are multiplied: else a
        # sample's sums round by where in the batch it stands.
        weights = (query * query.shape[-1] ** -0.5 @ key.contiguous().transpose(-1, -2)).softmax(-1)
        heads = self.dropout(weights) @ value  # (batch, n_heads, n, head)
        mixed: Tensor = self.mix(heads.transpose(1, 2).flatten(2))
        return mixed

    def _feed_forward(self, x: Tensor) -> Tensor:
        """(batch, n, d_model) -> the same."""
        rows = x.flatten(0, 1)
        n_rows = len(rows)
        if x.is_cpu:  # the hidden values are much wider than the rows and outgrow the cache: 1.4 times faster in pieces
            n_rows = max(1, HIDDEN_BYTES // (self.linear1.out_features * x.element_size()))
        pieces = [
            self.linear2(self.dropout(F.relu(self.linear1(piece), inplace=True))) for piece in torch.split(rows, n_rows)
        ]
        return torch.cat(pieces).view_as(x)


class StepConv(nn.Conv1d):
    """A convolution along the steps that keeps their number; an even kernel reaches one step further back than ahead."""

    def __init__(self, n_inputs: int, n_outputs: int, kernel_size: int) -> None:
        super().__init__(n_inputs, n_outputs, kernel_size)
        self.reach = (kernel_size // 2, (kernel_size - 1) // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_inputs) -> (batch, step_len, n_outputs)"""  # noqa: D400
        return super().forward(F.pad(x.transpose(1, 2), self.reach)).transpose(1, 2)
