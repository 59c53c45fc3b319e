"""GRU: gated recurrent units over the window, a linear head on the last state.

Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014, arXiv:1406.1078.
"""

from qts.models._architecture import register
from qts.models._recurrent import RecurrentConfig, RecurrentRegressor


class GRUConfig(RecurrentConfig):
    """Keys of gru."""


@register
class GRU(RecurrentRegressor):
    """Two gates a cell: reset and update."""

    Config = GRUConfig

    def __init__(self, config: GRUConfig, n_features: int) -> None:
        super().__init__(config, n_features, "gru")
