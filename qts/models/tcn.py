"""TCN: residual blocks of dilated causal convolutions, a linear head on the last step.

Bai, Kolter and Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence
Modeling, 2018, arXiv:1803.01271; weight norm: Salimans and Kingma, 2016, arXiv:1602.07868.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from qts.models._architecture import Architecture, ModelConfig, register


class TCNConfig(ModelConfig):
    """Keys of tcn."""

    n_channels: PositiveInt = 32
    """Width of a step inside the network."""
    num_layers: PositiveInt = 5
    """Blocks of two convolutions; each sees twice as far as the one below."""
    kernel_size: PositiveInt = 7
    """Steps a convolution spans, its own the last of them."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of values dropped after each convolution while training."""


class CausalConv(nn.Module):
    """A convolution that looks back only, its weight split into length `weight_g` and direction `weight_v`."""

    def __init__(self, n_inputs: int, n_outputs: int, kernel_size: int) -> None:
        super().__init__()
        plain = nn.Conv1d(n_inputs, n_outputs, kernel_size)
        self.weight_g = nn.Parameter(torch.linalg.vector_norm(plain.weight.detach(), dim=(1, 2), keepdim=True))
        self.weight_v = plain.weight
        self.bias = plain.bias

    def forward(self, x: Tensor, n_wanted: int, stride: int = 1) -> Tensor:
        """(batch, n_inputs, n) -> (batch, n_outputs, n_wanted): at the last position and every stride-th before."""
        kernel_size, n = self.weight_v.shape[-1], x.shape[-1]
        n_taps = min(kernel_size, n)  # the others would meet nothing but padding
        weight = self.weight_v * (self.weight_g / torch.linalg.vector_norm(self.weight_v, dim=(1, 2), keepdim=True))
        span = (n_wanted - 1) * stride + n_taps
        return F.conv1d(F.pad(x, (span - n, 0)), weight[..., kernel_size - n_taps :], self.bias, stride)


class Block(nn.Module):
    """Two convolutions, added to their input.

    The next block has twice the dilation, so it reads every second position counted from the end. Computing only those
    makes a dilated convolution a plain one on what the block before handed over, and leaves the last block one position.
    """

    def __init__(self, n_inputs: int, config: TCNConfig, n_above: int) -> None:
        super().__init__()
        self.kernel_size = config.kernel_size
        self.n_read_above = 2 * (config.kernel_size - 1) * (2**n_above - 1) + 1
        self.conv1 = CausalConv(n_inputs, config.n_channels, config.kernel_size)
        self.conv2 = CausalConv(config.n_channels, config.n_channels, config.kernel_size)
        self.dropout = nn.Dropout(config.dropout)
        self.residual = nn.Identity() if n_inputs == config.n_channels else nn.Conv1d(n_inputs, config.n_channels, 1)
        if isinstance(self.residual, nn.Conv1d):
            nn.init.normal_(self.residual.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_inputs, n) -> (batch, n_channels, what the blocks above read of (n + 1) // 2)"""  # noqa: D400
        n = x.shape[-1]
        n_wanted = min((n + 1) // 2, self.n_read_above)
        start = n - 1 - 2 * (n_wanted - 1)
        hidden = self.dropout(F.relu(self.conv1(x, min(n, 2 * (n_wanted - 1) + self.kernel_size))))
        hidden = self.dropout(F.relu(self.conv2(hidden, n_wanted, stride=2)))
        return F.relu(hidden + self.residual(x[..., start::2]))


@register
class TCN(Architecture):
    """Only the cone of positions that ends at the last step is computed."""

    Config = TCNConfig
    feature_weights: ClassVar[Mapping[str, int]] = {"blocks.0.conv1.weight_v": 1, "blocks.0.residual.weight": 1}
    reference_names: ClassVar[Mapping[str, str]] = {
        "tcn.network.": "blocks.",
        ".net.0.": ".conv1.",  # the file holds the convolutions twice
        ".net.4.": ".conv2.",
        "downsample.": "residual.",
        "linear.": "head.",
    }

    def __init__(self, config: TCNConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        widths = [n_features] + [config.n_channels] * (config.num_layers - 1)
        self.blocks = nn.Sequential(
            *(Block(width, config, config.num_layers - 1 - number) for number, width in enumerate(widths))
        )
        self.head = nn.Linear(config.n_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        last = self.blocks(x.transpose(1, 2))  # (batch, n_channels, 1)
        score: Tensor = self.head(last[..., -1]).squeeze(-1)
        return score
