"""Localformer: encoder layers that also see a convolution of their input, and a GRU over what comes out.

The name and the arrangement are Qlib's; encoder: Vaswani et al., 2017, arXiv:1706.03762.
"""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from qts.models._architecture import Architecture, register
from qts.models._layers import EncoderConfig, EncoderLayer, StepConv, positional_table
from qts.models._recurrent import GRUStack

KERNEL_SIZE = 3


class LocalformerConfig(EncoderConfig):
    """Keys of localformer; the GRU has the width and the number of layers of the encoder."""


@register
class Localformer(Architecture):
    """Attention for what is far apart in the window, convolutions and a GRU for what is near."""

    Config = LocalformerConfig
    feature_weights: ClassVar[Mapping[str, int]] = {"embed.weight": 1}
    reference_names: ClassVar[Mapping[str, str]] = {
        "feature_layer.": "embed.",
        "transformer_encoder.layers.": "layers.",
        "transformer_encoder.conv.": "convs.",
        "self_attn.in_proj_": "qkv.",
        "self_attn.out_proj.": "mix.",
        "decoder_layer.": "head.",
    }
    reference_leftovers: ClassVar[tuple[str, ...]] = ("encoder_layer.", "pos_encoder.")

    def __init__(self, config: LocalformerConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        width, n_layers = config.d_model, config.num_layers
        self.rnn = GRUStack(width, width, n_layers, config.dropout if n_layers > 1 else 0.0)
        self.embed = nn.Linear(n_features, width)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(n_layers))
        self.convs = nn.ModuleList(StepConv(width, width, KERNEL_SIZE) for _ in range(n_layers))
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        steps = self.embed(x)  # (batch, step_len, d_model)
        steps = steps + positional_table(steps.shape[1], steps.shape[2], steps.device).to(steps)
        for layer, conv in zip(self.layers, self.convs, strict=True):
            near = conv(steps)
            steps = layer(steps + near)
        # The GRU reads the last layer's output beside the convolution of that layer's input, as the reference does.
        state = self.rnn(steps + near, last=True)  # (batch, d_model)
        score: Tensor = self.head(state).squeeze(-1)
        return score
