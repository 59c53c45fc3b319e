"""The training loop: epochs of steps, a look at the whole validation segment, the best weights in the end."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from qts.config import TrainConfig
from qts.errors import QtsError
from qts.evaluation import daily_ic, summarise
from qts.models._architecture import Architecture, WholeFit
from qts.progress import Progress
from qts.training.batches import Batches, DeviceWindows, Pass, Piece, day_batches, shuffled_batches
from qts.training.device import autocast, generator_states, restore_generators
from qts.training.group import ALONE, Group
from qts.training.history import EarlyStop, Epoch, outlook, say
from qts.training.losses import LOSSES, loss_of
from qts.training.optimizers import clip_gradients, make_optimizer
from qts.training.predictor import predict_scores
from qts.training.schedules import Plateau, lr_factor


@dataclass(frozen=True)
class Validation:
    """How a network does on every row of the validation segment."""

    loss: float
    ic: float
    rank_ic: float


@dataclass
class Trainer:
    """Fits one network; `train` may be called once."""

    network: Architecture
    config: TrainConfig
    device: torch.device
    progress: Progress
    on_epoch: Callable[[Epoch, "Trainer"], None] = lambda _epoch, _trainer: None
    """Called after each epoch, to write it down."""
    group: Group = ALONE
    """The processes that train together."""
    features: Sequence[str] = ()
    """Names of the features, for messages."""
    say_window: Callable[[int], str] = lambda row: f"the window ending at row {row}"
    """What a message calls the window that ends at a row."""
    history: list[Epoch] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    generators: dict[str, Tensor] = field(default_factory=dict)
    """States of the random generators after the last epoch; those of another process than the first by its rank."""

    def __post_init__(self) -> None:
        self.network.to(self.device)
        is_stepped = self.network.batches != "whole"
        self.optimizer = make_optimizer(self.network, self.config, self.device) if is_stepped else None
        self.loss = loss_of(self.config)
        self.judges_days = LOSSES[self.config.loss].by_day
        self.plateau = Plateau(self.config.lr)
        self._feed_seconds = 0.0

    @property
    def takes_days(self) -> bool:
        """Whether a batch is one cross-section: the architecture or the loss wants it so."""
        return self.judges_days or self.network.batches == "by_day"

    def train(self, train: DeviceWindows, valid: DeviceWindows) -> EarlyStop:
        """Run epochs until patience or their number runs out; leaves the best weights in the network.

        Goes on after the epochs of `history`. Raises QtsError at the first loss that is not finite, and if no epoch had
        a finite metric.
        """
        stop = EarlyStop.after(self.history, self.config.metric, self.config.patience)
        last = 1 if self.network.batches == "whole" else self.config.epochs
        for epoch in range(len(self.history) + 1, last + 1):
            if stop.is_over:
                break
            started = time.perf_counter()
            train_loss = self._learn(train, valid, epoch)
            trained = time.perf_counter()
            found = self.validate(valid)
            self._note_epoch(epoch, train_loss, found, stop, (started, trained), (len(train), len(valid)))
        if not self.best_weights:
            raise QtsError(
                f"no epoch had a finite validation {self.config.metric}", hint="does the valid segment have labels?"
            )
        self.network.load_state_dict(self.best_weights)
        return stop

    def _learn(self, train: DeviceWindows, valid: DeviceWindows, epoch: int) -> float:
        """Go once through the train segment; return its loss."""
        self._feed_seconds = 0.0
        if isinstance(self.network, WholeFit):
            self.progress.stage("fit")
            self.progress.count(rows=len(train))
            self.network.fit(Pass(train), Pass(valid), self.config.seed, self.progress.note)
            return self._loss_of(predict_scores(self.network, train), train)
        batches = self.batches(train, epoch)
        self.progress.stage(outlook(self.history, epoch, self.config.epochs), len(batches.order))
        return self.run_epoch(train, batches, epoch)

    def batches(self, windows: DeviceWindows, epoch: int) -> Batches:
        """Return the batches of an epoch."""
        config = self.config
        if self.takes_days:
            day, least = windows.dataset.samples.day, 2 if self.judges_days else 1
            teaches = np.bincount(day, weights=windows.counts()) >= least
            if not teaches.any():
                raise QtsError(
                    f"no day of the train segment has {least} labelled samples", hint="are universe and label right?"
                )
            # a step without a gradient would move the weights all the same, by momentum and decay
            return day_batches(day, config.seed, epoch, config.days_per_step, left_out=~teaches[day])
        return shuffled_batches(len(windows), config.batch_size, config.seed, epoch)

    def run_epoch(self, windows: DeviceWindows, batches: Batches, epoch: int) -> float:
        """Move the weights once a step; return the mean loss, each sample weighing the same.

        On a GPU nothing is read back before the epoch's end, so a loss that is not finite is told only then; likewise by
        several processes, of which all have to hear of it.
        """
        self.network.train()
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        losses = torch.zeros(batches.n_steps, device=self.device)
        tells_at_once = self.device.type == "cpu" and self.group.size == 1
        step, loss = 0, losses.new_zeros(())
        for piece, x in self._fed(windows.gathered(batches, self.group)):
            if len(piece.chosen):
                part = self._loss_on(windows, piece.chosen, x) * piece.share
                if tells_at_once and not part.isfinite():
                    self._refuse(windows, batches, step, part.item(), epoch)
                part.backward()  # type: ignore[no-untyped-call]
                loss = loss + part.detach()
                del part  # and with it what the backward pass kept
            if piece.ends_step:
                losses[step] = self.group.sum_gradients(parameters, loss)
                self._move(parameters, epoch, step, batches.n_steps)
                step, loss = step + 1, torch.zeros_like(loss)
            self.progress.advance(len(piece.chosen) * self.group.size)
            self.progress.count(rows=len(piece.chosen) * self.group.size)
        found = losses.cpu().double().numpy()
        if not np.isfinite(found).all():
            first = int(np.flatnonzero(~np.isfinite(found))[0])
            self._refuse(windows, batches, first, found[first], epoch)
        return float(np.average(found, weights=_step_sizes(batches))) if len(found) else 0.0

    def _refuse(self, windows: DeviceWindows, batches: Batches, step: int, value: float, epoch: int) -> NoReturn:
        """Say in which step the loss was not finite, and whether its inputs were to blame."""
        first, last = (batches.edges[min(at * batches.per_step, len(batches))] for at in (step, step + 1))
        chosen = torch.from_numpy(batches.order[first:last])
        where = f"epoch {epoch}, batch {step + 1} of {len(chosen)} samples"
        bad = (~windows.windows(chosen.to(self.device)).isfinite()).any(dim=1).nonzero()  # (k, 2): sample, feature
        if len(bad):
            sample, feature = bad[0].tolist()
            name = self.features[feature] if self.features else feature
            window = self.say_window(int(windows.dataset.samples.row[chosen[sample]]))
            raise QtsError(
                f"the loss became {value}: feature {name} of {window} is not finite",
                where=where, hint="add a fillna or clip to [[processors.features]]",
            )  # fmt: skip
        infinite = windows.targets(chosen.to(self.device)).isinf().nonzero()  # (k, 1)
        if len(infinite):
            window = self.say_window(int(windows.dataset.samples.row[chosen[int(infinite[0])]]))
            raise QtsError(f"the loss became {value}: the label of {window} is infinite", where=where,
                           hint="let [label] expr be finite or NaN, or add a processor to [[processors.label]]")  # fmt: skip
        raise QtsError(f"the loss became {value}: training diverged", where=where, hint="try a smaller [train] lr")

    def _loss_on(self, windows: DeviceWindows, chosen: Tensor, x: Tensor) -> Tensor:
        with autocast(self.device, self.config.precision):
            score = self.network(x)
        return self.loss(score.float(), windows.targets(chosen), windows.weights(chosen))

    def _move(self, parameters: list[torch.nn.Parameter], epoch: int, step: int, n_steps: int) -> None:
        """Take one step of the optimiser with the gradients at hand, and drop them."""
        assert self.optimizer is not None  # noqa: S101 - there are steps
        clip_gradients(parameters, self.config.clip_value, self.config.clip_norm)
        done = (epoch - 1) * n_steps + step
        warmup = round(self.config.warmup_epochs * n_steps)
        factor = lr_factor(self.config.schedule, done, self.config.epochs * n_steps, warmup) * self.plateau.factor
        for parameter_group in self.optimizer.param_groups:
            parameter_group["lr"] = self.config.lr * factor
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _fed(self, pieces: Iterator[tuple[Piece, Tensor]]) -> Iterator[tuple[Piece, Tensor]]:
        """Pass the pieces on, and count the seconds they take to come."""
        while True:
            asked = time.perf_counter()
            found = next(pieces, None)
            self._feed_seconds += time.perf_counter() - asked
            if found is None:
                return
            yield found

    def validate(self, windows: DeviceWindows) -> Validation:
        """Judge the network on every sample: loss against the targets, daily IC and RankIC against the raw label."""
        scores = predict_scores(self.network, windows, precision=self.config.precision, group=self.group)
        dataset = windows.dataset
        day = dataset.samples.day - dataset.samples.day.min()
        ic, rank_ic = daily_ic(day, scores, dataset.labels(), int(day.max()) + 1)
        return Validation(self._loss_of(scores, windows), summarise(ic)[0], summarise(rank_ic)[0])

    def _loss_of(self, scores: np.ndarray, windows: DeviceWindows) -> float:
        """Return the loss of all samples, unweighted; the mean over days, where the loss is one of cross-sections.

        Judged is what has a score and a target; NaN, if that is nothing.
        """
        judged = np.flatnonzero(~np.isnan(scores) & ~np.isnan(windows.dataset.targets()))
        if not len(judged):
            return np.nan
        score, target = (torch.from_numpy(column[judged]).double() for column in (scores, windows.dataset.targets()))
        if not self.judges_days:
            return self.loss(score, target, None).item()
        pieces = day_batches(windows.dataset.samples.day[judged]).pieces(torch.device("cpu"))
        return float(np.mean([self.loss(score[p.chosen], target[p.chosen], None).item() for p in pieces]))

    def _note_epoch(
        self,
        epoch: int,
        train_loss: float,
        found: Validation,
        stop: EarlyStop,
        times: tuple[float, float],
        n_samples: tuple[int, int],
    ) -> None:
        """Write an epoch down, and keep its weights if they are the best so far."""
        train_seconds, valid_seconds = times[1] - times[0], time.perf_counter() - times[1]
        line = Epoch(
            epoch=epoch, train_loss=train_loss, valid_loss=found.loss, valid_ic=found.ic, valid_rank_ic=found.rank_ic,
            lr=float(self.optimizer.param_groups[0]["lr"]) if self.optimizer else 0.0,
            train_seconds=train_seconds, valid_seconds=valid_seconds, samples_per_second=n_samples[0] / train_seconds,
            valid_samples_per_second=n_samples[1] / valid_seconds, feed_share=self._feed_seconds / train_seconds,
            is_best=False,
        )  # fmt: skip
        if stop.improves(epoch, line.figure(self.config.metric)):
            line = replace(line, is_best=True)
            self.best_weights = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        if self.config.schedule == "plateau":
            self.plateau.judge(line.figure(self.config.metric))
        self.history.append(line)
        self.generators = self._all_generators()
        self.on_epoch(line, self)
        self.progress.note(say(line, stop))

    def _all_generators(self) -> dict[str, Tensor]:
        """Return the states of all processes' generators; each drops other states."""
        own = generator_states(self.device)
        found = {name: self.group.gather(state.to(self.device)) for name, state in own.items()}
        return {_of_process(name, rank): state for name, states in found.items() for rank, state in enumerate(states)}

    def restore_generators(self, states: dict[str, Tensor]) -> None:
        """Put this process's generators where they were; states as in `generators`."""
        own = {name: states.get(_of_process(name, self.group.rank)) for name in ("cpu", "cuda")}
        restore_generators({name: state for name, state in own.items() if state is not None}, self.device)


def _of_process(name: str, rank: int) -> str:
    return f"{name}.{rank}" if rank else name


def _step_sizes(batches: Batches) -> np.ndarray:
    """Return (n_steps,) samples in each step."""
    return np.diff(np.append(batches.edges[: -1 : batches.per_step], batches.edges[-1]))
