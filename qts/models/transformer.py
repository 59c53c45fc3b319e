"""Transformer: encoder layers over the window, a linear head on the last step.

Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762.
"""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from qts.models._architecture import Architecture, register
from qts.models._layers import EncoderConfig, EncoderLayer, positional_table


class TransformerConfig(EncoderConfig):
    """Keys of transformer."""


@register
class Transformer(Architecture):
    """Every step attends to every step; only the last one is read, so the last layer computes no other."""

    Config = TransformerConfig
    feature_weights: ClassVar[Mapping[str, int]] = {"embed.weight": 1}
    reference_names: ClassVar[Mapping[str, str]] = {
        "feature_layer.": "embed.",
        "transformer_encoder.layers.": "layers.",
        "self_attn.in_proj_": "qkv.",
        "self_attn.out_proj.": "mix.",
        "decoder_layer.": "head.",
    }
    reference_leftovers: ClassVar[tuple[str, ...]] = ("encoder_layer.", "pos_encoder.")

    def __init__(self, config: TransformerConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        self.embed = nn.Linear(n_features, config.d_model)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))
        self.head = nn.Linear(config.d_model, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        steps = self.embed(x)  # (batch, step_len, d_model)
        steps = steps + positional_table(steps.shape[1], steps.shape[2], steps.device).to(steps)
        for layer in self.layers[:-1]:
            steps = layer(steps)
        last = self.layers[-1](steps, n_last=1)  # (batch, 1, d_model)
        score: Tensor = self.head(last[:, -1]).squeeze(-1)
        return score
