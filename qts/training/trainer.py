"""The training loop: epochs of batches, a look at the whole validation segment, the best weights in the end."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from qts.config import TrainConfig
from qts.errors import QtsError
from qts.evaluation import daily_ic, summarise
from qts.models._architecture import Architecture
from qts.progress import Progress
from qts.training.batches import DeviceWindows, shuffled_batches
from qts.training.losses import LOSSES, Loss
from qts.training.predictor import predict_scores

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; a line of history.parquet."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_ic: float
    valid_rank_ic: float
    train_seconds: float
    valid_seconds: float
    is_best: bool


@dataclass
class EarlyStop:
    """Remembers the best epoch; says when to give up. Equal is not better, and NaN never is."""

    patience: int
    best: float = -np.inf
    best_epoch: int = 0
    waited: int = 0

    def improves(self, epoch: int, value: float) -> bool:
        """Record an epoch's figure, larger being better; return whether it is the best so far."""
        if value > self.best:
            self.best, self.best_epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience


@dataclass(frozen=True)
class Validation:
    """How a network does on every row of the validation segment."""

    loss: float
    ic: float
    rank_ic: float

    def figure(self, metric: str) -> float:
        """Return the metric as early stopping compares it: larger is better."""
        return {"loss": -self.loss, "ic": self.ic, "rank_ic": self.rank_ic}[metric]


@dataclass
class Trainer:
    """Fits one network; `train` may be called once."""

    network: Architecture
    config: TrainConfig
    device: torch.device
    progress: Progress
    on_epoch: Callable[[Epoch, "Trainer"], None] = lambda _epoch, _trainer: None
    """Called after each epoch, to write it down."""
    history: list[Epoch] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network.to(self.device)
        self.optimizer = OPTIMIZERS[self.config.optimizer](self.network.parameters(), lr=self.config.lr)  # type: ignore[call-arg]
        self.loss: Loss = LOSSES[self.config.loss]

    def train(self, train: DeviceWindows, valid: DeviceWindows) -> EarlyStop:
        """Run epochs until patience or their number runs out; leaves the best weights in the network.

        Raises QtsError at the first loss that is not finite, and if no epoch had a finite metric.
        """
        stop = EarlyStop(self.config.patience)
        n_batches = -(-len(train.dataset) // self.config.batch_size)
        for epoch in range(1, self.config.epochs + 1):
            self.progress.stage(f"epoch {epoch}", n_batches)
            started = time.perf_counter()
            batches = shuffled_batches(len(train.dataset), self.config.batch_size, self.config.seed, epoch)
            train_loss = self.run_epoch(train, batches, epoch)
            trained = time.perf_counter()
            found = self.validate(valid)
            is_best = stop.improves(epoch, found.figure(self.config.metric))
            if is_best:
                self.best_weights = {
                    name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()
                }
            line = Epoch(
                epoch,
                train_loss,
                found.loss,
                found.ic,
                found.rank_ic,
                trained - started,
                time.perf_counter() - trained,
                is_best,
            )
            self.history.append(line)
            self.on_epoch(line, self)
            self.progress.note(_say(line, stop))
            if stop.is_over:
                break
        if not self.best_weights:
            raise QtsError(
                f"no epoch had a finite validation {self.config.metric}", hint="does the valid segment have labels?"
            )
        self.network.load_state_dict(self.best_weights)
        return stop

    def run_epoch(self, windows: DeviceWindows, batches: Iterable[np.ndarray], epoch: int) -> float:
        """Take one optimiser step a batch; return the mean loss, each sample weighing the same."""
        self.network.train()
        total, n_samples = 0.0, 0
        for number, chosen in enumerate(batches, start=1):
            loss = self.loss(self.network(windows.windows(chosen)), windows.targets(chosen))
            value = loss.item()
            if not np.isfinite(value):
                raise _not_finite(windows, chosen, value, epoch, number)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if self.config.clip_value:
                torch.nn.utils.clip_grad_value_(self.network.parameters(), self.config.clip_value)
            self.optimizer.step()
            total, n_samples = total + value * len(chosen), n_samples + len(chosen)
            self.progress.advance()
        return total / max(n_samples, 1)

    def validate(self, windows: DeviceWindows) -> Validation:
        """Judge the network on every sample: loss against the targets, daily IC and RankIC against the raw label."""
        scores = predict_scores(self.network, windows)
        dataset = windows.dataset
        loss = self.loss(torch.from_numpy(scores).double(), torch.from_numpy(dataset.targets()).double()).item()
        day = dataset.samples.day - dataset.samples.day.min()
        ic, rank_ic = daily_ic(day, scores, dataset.labels(), int(day.max()) + 1)
        return Validation(loss, summarise(ic)[0], summarise(rank_ic)[0])


def _say(line: Epoch, stop: EarlyStop) -> str:
    mark = "best" if line.is_best else f"best is epoch {stop.best_epoch}"
    return (
        f"epoch {line.epoch}: train loss {line.train_loss:.5f}, valid loss {line.valid_loss:.5f}, "
        f"IC {line.valid_ic:.4f}, RankIC {line.valid_rank_ic:.4f}, {line.train_seconds + line.valid_seconds:.1f} s ({mark})"
    )


def _not_finite(windows: DeviceWindows, chosen: np.ndarray, value: float, epoch: int, number: int) -> QtsError:
    """Say which batch, and whether its inputs were to blame."""
    inputs = windows.windows(chosen)
    bad = (~inputs.isfinite()).any(dim=1).nonzero()  # (k, 2): sample in the batch, feature
    where = f"epoch {epoch}, batch {number} of {len(chosen)} samples"
    if len(bad):
        sample, feature = (int(n) for n in bad[0])
        row = int(windows.dataset.samples.row[chosen[sample]])
        message = f"the loss became {value}: feature {feature} of the window ending at row {row} is not finite"
        return QtsError(message, where=where, hint="add a fillna or clip to [[processors.features]]")
    if not bool(windows.targets(chosen).isfinite().any()):
        return QtsError(f"the loss became {value}: the batch has no finite label", where=where)
    return QtsError(f"the loss became {value}: training diverged", where=where, hint="try a smaller [train] lr")
