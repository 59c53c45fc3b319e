"""What the recurrent regressors share: a stack of cells over the window, a linear head on the last state."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from qts.models._architecture import Architecture, ModelConfig


class RecurrentConfig(ModelConfig):
    """Keys of a recurrent regressor."""

    hidden_size: PositiveInt = 64
    """Width of a layer's state."""
    num_layers: PositiveInt = 2
    """Layers, each reading the states of the one below."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of states dropped between layers while training; never inside the recurrence or after the last layer."""

    @model_validator(mode="after")
    def _has_something_between(self) -> Self:
        if self.dropout and self.num_layers == 1:
            raise ValueError("dropout acts between layers, and num_layers = 1 leaves nothing between")
        return self


class RecurrentRegressor(Architecture):
    """A recurrent network whose last state is read by a linear head."""

    def __init__(self, config: RecurrentConfig, n_features: int, cell: type[nn.GRU] | type[nn.LSTM]) -> None:
        super().__init__(config, n_features)
        self.rnn = cell(n_features, config.hidden_size, config.num_layers, batch_first=True, dropout=config.dropout)
        self.head = nn.Linear(config.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        states, _ = self.rnn(x)  # (batch, step_len, hidden_size)
        score: Tensor = self.head(states[:, -1]).squeeze(-1)
        return score
