"""LSTM: long short-term memory over the window, a linear head on the last state.

Hochreiter and Schmidhuber, Long Short-Term Memory, 1997, Neural Computation 9(8). With num_layers = 1
it is the plain LSTM; layers of different widths are `stacked_lstm`.
"""

from qts.models._architecture import register
from qts.models._recurrent import RecurrentConfig, RecurrentRegressor


class LSTMConfig(RecurrentConfig):
    """Keys of lstm."""


@register
class LSTM(RecurrentRegressor):
    """Three gates a cell, and a memory that they guard."""

    Config = LSTMConfig

    def __init__(self, config: LSTMConfig, n_features: int) -> None:
        super().__init__(config, n_features, "lstm")
