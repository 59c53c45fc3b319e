"""Linear: least squares on a window's newest bars, with an optional ridge penalty, solved at once.

Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal Problems, 1970.
"""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from qts.errors import QtsError
from qts.models._architecture import SampleBatches, WholeFit, register
from qts.models._tabular import TabularConfig, check_not_empty, flatten_newest

COLLINEAR = 1e-12
"""Share of the largest variance below which a direction of the inputs holds only the rounding of 32-bit features."""


class LinearConfig(TabularConfig):
    """Keys of linear."""

    alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Penalty on the squared weights, beside the sum of squared errors: it tells less the more samples there are."""


@register
class Linear(WholeFit):
    """One weight an input and an intercept, which is not penalised."""

    Config = LinearConfig

    def __init__(self, config: LinearConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        self.n_steps, self.alpha, self.n_features = config.n_steps, config.alpha, n_features
        self.head = nn.Linear(config.n_steps * n_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        score: Tensor = self.head(flatten_newest(x, self.n_steps)).squeeze(-1)
        return score

    def fit(self, train: SampleBatches, valid: SampleBatches, seed: int, tell: Callable[[str], None]) -> None:  # noqa: ARG002 - nothing is stopped early or drawn
        """Solve the normal equations of the train samples, gone through once; raises QtsError if an input is NaN."""
        check_not_empty(train, "train")
        moments, mean = self._moments(train)
        slopes, n_left_out = solve_ridge(moments[:-1, :-1], moments[:-1, -1], self.alpha)
        with torch.no_grad():
            self.head.weight.copy_(slopes)  # (n_inputs,) -> (1, n_inputs)
            self.head.bias.copy_(mean[-1] - slopes @ mean[:-1])
        without = f"; {n_left_out} directions left out as collinear" if n_left_out else ""
        tell(f"solved for {len(slopes)} inputs on {train.n_samples} samples{without}")

    def _moments(self, samples: SampleBatches) -> tuple[Tensor, Tensor]:
        """Return (k + 1, k + 1) centred weighted sums of products of k inputs and the target, and (k + 1,) means."""
        n_columns = self.head.in_features + 1
        sums = torch.zeros(n_columns + 1, n_columns + 1, dtype=torch.float64)
        origin = torch.zeros(n_columns, dtype=torch.float64)
        for x, y, weight in samples:
            inputs = flatten_newest(x, self.n_steps).cpu().double()
            self._check_finite(inputs)
            columns = torch.cat([inputs, y.cpu().double().unsqueeze(-1)], dim=1)  # (n, k + 1)
            if not sums[-1, -1]:
                # a sample, not zero: it lies near the means, so little cancels, and a constant input is exactly none
                origin = columns[0].clone()
            columns = torch.cat([columns - origin, torch.ones(len(columns), 1, dtype=torch.float64)], dim=1)
            sums += columns.T @ (columns * weight.cpu().double().unsqueeze(-1))
        total, shift = sums[-1, -1], sums[:-1, -1]
        return sums[:-1, :-1] - torch.outer(shift, shift) / total, origin + shift / total

    def _check_finite(self, inputs: Tensor) -> None:
        """Raise QtsError at the first input that is not a number; inputs (n, n_steps * n_features)."""
        if inputs.isfinite().all():
            return
        sample, at = (int(n) for n in (~inputs.isfinite()).nonzero()[0])
        step, feature = divmod(at, self.n_features)
        raise QtsError(
            f"feature {feature} of a train window is {inputs[sample, at]}, {self.n_steps - 1 - step} bars before its newest",
            hint="add a fillna to [[processors.features]]",
        )


def solve_ridge(gram: Tensor, moment: Tensor, alpha: float) -> tuple[Tensor, int]:
    """Return (k,) slopes of least squares with a penalty, and how many directions were too collinear to have one.

    gram (k, k) and moment (k,) are centred sums in float64. Inputs are brought to one scale first, so that a small unit
    is not taken for collinearity; a direction without variance gets the shortest solution, 0.
    """
    gram = gram + alpha * torch.eye(len(gram), dtype=gram.dtype)
    scale = gram.diagonal().sqrt()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    variances, directions = torch.linalg.eigh(gram / torch.outer(scale, scale))
    is_kept = variances > COLLINEAR * variances[-1]
    directions = directions[:, is_kept]  # (k, n_kept)
    slopes = directions @ ((directions.T @ (moment / scale)) / variances[is_kept])
    return slopes / scale, int((~is_kept).sum())
