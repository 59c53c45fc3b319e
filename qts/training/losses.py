"""LOSSES: what training minimises, one row each.

Every function takes (batch,) scores and targets, NaN where a target is missing, and (batch,) weights or None. Missing
targets are masked, never indexed away: an index of their number would make the CPU wait for a GPU at every step. A
batch without any target is worth 0. Results are in 32 bits, or in the scores' own if those are more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from qts.config import TrainConfig
from qts.errors import QtsError
from qts.registry import Registry

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(batch,) scores, (batch,) targets, NaN where one is missing, and (batch,) weights or None → a scalar."""

_ROUNDING = 8
"""Units in the last place by which values that ought to be equal may differ."""


@dataclass(frozen=True)
class LossRow:
    """A row of the table."""

    name: str
    function: Callable[..., Tensor]
    """Score, target, weight and then, by keyword, the `options`."""
    about: str
    by_day: bool = False
    """Whether a batch must be one cross-section."""
    options: tuple[str, ...] = ()
    """Keys of `[train]` that the function takes."""


LOSSES: Registry[LossRow] = Registry("loss")


def loss_of(config: TrainConfig) -> Loss:
    """Return the loss that the config names, its options bound."""
    row = LOSSES[config.loss]
    return partial(row.function, **{key: getattr(config, key) for key in row.options})


@dataclass(frozen=True)
class _Batch:
    """Scores and targets of which every one counts for its weight: 0 stands where a target is missing."""

    score: Tensor
    target: Tensor
    weight: Tensor
    """(batch,) all of them."""
    n_known: Tensor
    """() how many have a target, at least 1."""

    @classmethod
    def of(cls, score: Tensor, target: Tensor, weight: Tensor | None) -> "_Batch":
        """Mask what has no target; raises QtsError unless all are (batch,), as others would be broadcast in silence."""
        shapes = [tuple(tensor.shape) for tensor in (score, target, weight) if tensor is not None]
        if score.dim() != 1 or len(set(shapes)) > 1:
            said = ", ".join(map(str, shapes))
            raise QtsError(
                f"scores, targets and weights of a batch must all be (batch,), not {said}",
                hint="an architecture's forward ends in squeeze(-1)",
            )
        known = ~target.isnan()
        score = score.to(torch.promote_types(score.dtype, torch.float32))
        weight = known.to(score.dtype) if weight is None else torch.where(known, weight.to(score.dtype), 0.0)
        target = torch.where(known, target.to(score.dtype), 0.0)
        return cls(torch.where(known, score, 0.0), target, weight, known.sum().clamp(min=1))

    def mean(self, losses: Tensor) -> Tensor:
        """Return the sum of weight times loss over the number of targets: weights have mean 1 over the segment."""
        return (self.weight * losses).sum() / self.n_known

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss of a cross-section times its mean weight, which formulas that compare samples lose."""
        return loss * self.weight.sum() / self.n_known


def mse(score: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of weight (score - target)²."""
    batch = _Batch.of(score, target, weight)
    return batch.mean((batch.score - batch.target).square())


def mae(score: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of weight |score - target|."""
    batch = _Batch.of(score, target, weight)
    return batch.mean((batch.score - batch.target).abs())


def huber(score: Tensor, target: Tensor, weight: Tensor | None = None, huber_delta: float = 1.0) -> Tensor:
    """Mean of weight times half the squared error, up to an error of delta, and linear beyond (Huber, 1964)."""
    batch = _Batch.of(score, target, weight)
    return batch.mean(functional.huber_loss(batch.score, batch.target, reduction="none", delta=huber_delta))


def ic(score: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """One minus the weighted Pearson correlation; 1, without a gradient, if scores or targets are constant."""
    batch = _Batch.of(score, target, weight)
    return batch.scaled(1.0 - _correlation(batch.score, batch.target, batch.weight))


def rank_ic(score: Tensor, target: Tensor, weight: Tensor | None = None, temperature: float = 0.1) -> Tensor:
    """One minus the weighted correlation of the scores' soft ranks with the targets' ranks; memory is O(batch²).

    A soft rank adds up, over the others, a sigmoid of how far one is ahead (Qin, Liu and Li, 2010, "A general
    approximation framework for direct optimization of information retrieval measures"). It is ahead in standard
    deviations of the scores, over `temperature`: towards 0 ranks become exact, and their gradients vanish.
    """
    batch = _Batch.of(score, target, weight)
    counts = batch.weight > 0
    scaled = _standardise(batch.score, batch.weight) / temperature
    soft = torch.sigmoid(scaled[:, None] - scaled[None, :]) @ counts.to(scaled.dtype)  # (batch, batch) -> (batch,)
    return batch.scaled(1.0 - _correlation(soft, _ranks(batch.target, counts).to(soft.dtype), batch.weight))


def listwise(score: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross entropy of the chances to be first, by targets and by scores: ListNet's top-one form (Cao et al., 2007).

    Chances are a softmax, over the cross-section, of scores and of standardised targets. A sample of twice the weight
    stands for two equal ones.
    """
    batch = _Batch.of(score, target, weight)
    counts = batch.weight > 0
    copies = batch.weight * counts.sum().clamp(min=1) / _at_least_tiny(batch.weight.sum())
    log_copies = torch.where(counts, copies, 1.0).log()
    least = torch.finfo(batch.score.dtype).min  # and not minus infinity, of which a batch without targets gives NaN
    chance = torch.where(counts, _standardise(batch.target, batch.weight) + log_copies, least).softmax(0)
    log_total = torch.where(counts, batch.score + log_copies, least).logsumexp(0)
    return batch.scaled((chance * torch.where(counts, log_total - batch.score, 0.0)).sum())


def _ranks(x: Tensor, counts: Tensor) -> Tensor:
    """(batch,) -> (batch,): twice the rank among those that count, less 1; ties share the average."""
    ordered = torch.where(counts, x, torch.inf).sort().values
    before, up_to = (torch.searchsorted(ordered, x, right=right) for right in (False, True))
    return before + up_to.minimum(counts.sum())


def _at_least_tiny(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(x.dtype).tiny)


def _correlation(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted Pearson correlation of two (batch,) columns; 0, without a gradient, if one is constant."""
    return (weight * _standardise(x, weight) * _standardise(y, weight)).sum() / _at_least_tiny(weight.sum())


def _standardise(x: Tensor, weight: Tensor) -> Tensor:
    """(batch,) -> (batch,) in weighted standard deviations from the weighted mean; 0 if x is constant or weighs 0.

    Whether x is constant is asked of its extremes, as a mean leaves a rounding error of a spread. What is not finite
    stays so. Division by the largest deviation keeps squares within range; results do not depend on it, so its
    gradient is none.
    """
    counts, known = weight > 0, x.detach()
    low, high = torch.where(counts, known, torch.inf).amin(), torch.where(counts, known, -torch.inf).amax()
    largest = torch.where(counts, known, 0.0).abs().amax()
    is_flat = (high - low <= _ROUNDING * torch.finfo(x.dtype).eps * largest) & largest.isfinite()
    share = weight / _at_least_tiny(weight.sum())
    centered = torch.where(counts & ~is_flat, x - (share * x).sum(), 0.0)
    centered = centered / torch.where(is_flat, 1.0, centered.detach().abs().amax())
    variance = (share * centered.square()).sum()
    return centered / torch.where(is_flat, 1.0, variance).sqrt()


for _row in (
    LossRow("mse", mse, "mean of weight (score - target)²"),
    LossRow("mae", mae, "mean of weight |score - target|"),
    LossRow("huber", huber,
            "mean of weight e²/2 where the error e is up to `huber_delta`, else huber_delta (|e| - huber_delta/2)",
            options=("huber_delta",)),
    LossRow("ic", ic, "1 - weighted Pearson correlation of scores and targets, a cross-section a batch", by_day=True),
    LossRow("rank_ic", rank_ic,
            "1 - weighted correlation of the scores' soft ranks and the targets' ranks, a cross-section a batch",
            by_day=True),
    LossRow("listwise", listwise,
            "ListNet: -sum of softmax(standardised targets) log softmax(scores), a cross-section a batch", by_day=True),
):  # fmt: skip
    LOSSES.enter(_row.name, _row)
