"""What recurrent architectures share: a stack of cells over the window, and the regressor that reads its last state."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from qts.models._architecture import Architecture, ModelConfig
from qts.models._gru_cpu import score_stack, train_stack
from qts.models._threads import split_batch

Cell = Literal["gru", "lstm"]


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


class GRUStack(nn.GRU):
    """Layers of gated recurrent units; parameters, names and initial values are those of `torch.nn.GRU`."""

    _flat_weights: list[Tensor]  # type: ignore[assignment]  # a GRU has them all

    def __init__(self, n_inputs: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__(n_inputs, hidden_size, num_layers, batch_first=True, dropout=dropout)

    def forward(self, x: Tensor, *, last: bool = False) -> Tensor:  # type: ignore[override]  # one tensor in, one out
        """(batch, step_len, n_inputs) -> (batch, step_len, hidden_size), the states of the last layer; of its last step
        alone with `last`: (batch, hidden_size)
        """  # noqa: D205, D400 - a shape, not a sentence
        dtype = cpu_precision(x, self._flat_weights[0])
        if dtype is not None:
            return self._on_cpu(x, low=dtype == torch.bfloat16, last=last)
        states: Tensor = super().forward(x)[0]
        return states[:, -1] if last else states

    def _on_cpu(self, x: Tensor, *, low: bool, last: bool) -> Tensor:
        drops = self.training and self.dropout > 0
        if not torch.is_grad_enabled() and not drops:
            return score_stack(x, self._flat_weights, low=low, last=last)
        masks = None
        if drops:  # drawn here, because threads would draw in any order
            ones = x.new_ones(x.shape[1], self.hidden_size, len(x))
            masks = [nn.functional.dropout(ones, self.dropout) for _ in range(self.num_layers - 1)]
        return train_stack(x, self._flat_weights, low=low, last=last, masks=masks)


def cpu_precision(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """Return the precision of products where our own layers can run; None where torch's have to."""
    plain = x.device.type == weight.device.type == "cpu" and x.dim() == 3 and x.numel() > 0
    transformed = torch._C._are_functorch_transforms_active()  # noqa: SLF001 - torch has no public way to ask
    seen_through = torch.jit.is_tracing() or torch.compiler.is_compiling() or transformed  # type: ignore[attr-defined,no-untyped-call]
    if not plain or seen_through or type(x) is not Tensor:
        return None
    if torch.is_autocast_enabled("cpu"):
        low = torch.get_autocast_dtype("cpu")
        return low if low == torch.bfloat16 and weight.dtype == torch.float32 else None
    return x.dtype if x.dtype == weight.dtype and x.dtype in {torch.float32, torch.float64} else None


class LSTMStack(nn.LSTM):
    """Layers of long short-term memory; parameters, names and initial values are those of `torch.nn.LSTM`."""

    _flat_weights: list[Tensor]  # type: ignore[assignment]  # an LSTM has them all

    def __init__(self, n_inputs: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__(n_inputs, hidden_size, num_layers, batch_first=True, dropout=dropout)

    def forward(self, x: Tensor, *, last: bool = False) -> Tensor:  # type: ignore[override]  # one tensor in, one out
        """(batch, step_len, n_inputs) -> (batch, step_len, hidden_size), the states of the last layer; of its last step
        alone with `last`: (batch, hidden_size)
        """  # noqa: D205, D400 - a shape, not a sentence
        dtype = cpu_precision(x, self._flat_weights[0])

        def run(some: Tensor) -> Tensor:
            states: Tensor = super(LSTMStack, self).forward(some)[0]
            return states[:, -1] if last else states

        def run_in_a_thread(some: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                return run(some)

        drops = self.training and self.dropout > 0  # threads would draw in any order
        return run(x) if dtype is None or drops else split_batch(run_in_a_thread, x, self._flat_weights)


STACKS: dict[Cell, type[GRUStack] | type[LSTMStack]] = {"gru": GRUStack, "lstm": LSTMStack}


class RecurrentRegressor(Architecture):
    """A recurrent network whose last state is read by a linear head."""

    feature_weights: ClassVar[Mapping[str, int]] = {"rnn.weight_ih_l0": 1}
    reference_names: ClassVar[Mapping[str, str]] = {"fc_out.": "head."}

    def __init__(self, config: RecurrentConfig, n_features: int, cell: Cell) -> None:
        super().__init__(config, n_features)
        self.rnn = STACKS[cell](n_features, config.hidden_size, config.num_layers, config.dropout)
        self.head = nn.Linear(config.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        state = self.rnn(x, last=True)  # (batch, hidden_size)
        score: Tensor = self.head(state).squeeze(-1)
        return score
