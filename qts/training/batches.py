"""Batches: which samples are taken together, and their windows gathered where the matrix lies."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from qts.training.group import ALONE, Group
from qts.windows import WindowDataset
from qts.windows.view import ABSENT

CHUNK = 1 << 17
"""Samples whose row numbers are worked out at a time."""

DEVICE_SHARE = 0.6
"""Share of a GPU's free memory that a matrix may fill; a larger one stays on the host."""

Scale = Callable[[Tensor], Tensor]
"""(n, step_len, n_features) → the same, every cell scaled."""

S = TypeVar("S")
T = TypeVar("T")


class Piece(NamedTuple):
    """What one process does of one step, or of one cross-section of a step."""

    chosen: Tensor
    """(n,) positions of samples; none, if other processes do all of the step."""
    share: float
    """What its mean loss counts for in the loss of the step."""
    ends_step: bool
    """Whether the optimiser moves after it."""


@dataclass(frozen=True)
class Batches:
    """An order of samples, cut into batches: all that an epoch needs to know of its data."""

    order: np.ndarray
    """(n,) positions of samples."""
    edges: np.ndarray
    """(n_batches + 1,) where in the order each batch begins and the last one ends."""
    per_step: int = 1
    """Batches in one step of the optimiser."""
    are_whole: bool = False
    """Whether a batch must not be split among processes: then its processes take batches in turn."""

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def n_steps(self) -> int:
        """Steps of the optimiser."""
        return -(-len(self) // self.per_step)

    def pieces(self, device: torch.device, group: Group = ALONE) -> Iterator[Piece]:
        """Yield what one process has to do; the order is moved to the device once."""
        order = torch.from_numpy(self.order).to(device)
        edges = self.edges.tolist()
        for first in range(0, len(self), self.per_step):
            step = range(first, min(first + self.per_step, len(self)))
            if self.are_whole:
                mine = [(order[edges[at] : edges[at + 1]], 1 / len(step)) for at in step[group.rank :: group.size]]
            else:
                n_samples = edges[step[-1] + 1] - edges[first]
                parts = (order[edges[at] + group.rank : edges[at + 1] : group.size] for at in step)
                mine = [(part, len(part) / n_samples) for part in parts]
            mine = mine or [(order[:0], 0.0)]
            for at, (chosen, share) in enumerate(mine, start=1):
                yield Piece(chosen, share, ends_step=at == len(mine))


def _cut(order: np.ndarray, batch_size: int) -> Batches:
    return Batches(order, np.append(np.arange(0, len(order), batch_size), len(order)))


def shuffled_batches(n_samples: int, batch_size: int, seed: int, epoch: int) -> Batches:
    """Return an epoch's batches; the order depends on seed and epoch alone. No sample is dropped."""
    return _cut(np.random.default_rng([seed, epoch]).permutation(n_samples), batch_size)


def ordered_batches(n_samples: int, batch_size: int) -> Batches:
    """Return batches of consecutive samples."""
    return _cut(np.arange(n_samples), batch_size)


def day_batches(
    day: np.ndarray, seed: int | None = None, epoch: int = 0, per_step: int = 1, left_out: np.ndarray | None = None
) -> Batches:
    """Return one batch a day, each a whole cross-section; shuffled days with a seed, else in order.

    day (n,) positions in the calendar; left_out (n,) bool, samples of days that get no batch.
    """
    order = np.argsort(day, kind="stable")
    order = order if left_out is None else order[~left_out[order]]
    edges = np.append(np.flatnonzero(np.diff(day[order], prepend=-1)), len(order))
    if seed is not None:
        days = np.random.default_rng([seed, epoch]).permutation(len(edges) - 1)
        parts = [order[edges[at] : edges[at + 1]] for at in days]
        order, edges = np.concatenate([order[:0], *parts]), np.cumsum([0, *map(len, parts)])
    return Batches(order, edges, per_step, are_whole=True)


class DeviceWindows:
    """A dataset on a device: targets, weights and the rows of every window there, the matrix too if it fits.

    On the CPU the matrix is the mapped file itself. On a GPU windows are gathered where they are needed, and no batch
    waits for the host; a matrix that is too large stays there, and windows are gathered and sent ahead of their use.
    Another segment's windows, `beside` these, share their matrix.
    """

    matrix: Tensor
    """(n_rows, n_features)"""

    def __init__(
        self,
        dataset: WindowDataset,
        device: torch.device,
        weight: np.ndarray | None = None,
        beside: "DeviceWindows | None" = None,
    ) -> None:
        self.dataset = dataset
        self.device = device
        self.scale: Scale | None = None
        if beside is not None and beside.dataset.matrix is dataset.matrix and beside.device == device:
            self.matrix = beside.matrix
        else:
            self.matrix = _placed(torch.from_numpy(dataset.matrix), device)
        self._home = self.matrix.device
        self.is_held = self._home.type == device.type
        self._rows = _rows_of(dataset).to(self._home)  # (n, step_len)
        self._has_gaps = bool((self._rows == ABSENT).any())
        self._divisors = None if dataset.divisors is None else torch.from_numpy(dataset.divisors).to(device)
        self._target = torch.from_numpy(dataset.targets()).to(device)
        self._weight = None if weight is None else torch.from_numpy(weight).to(device)

    def __len__(self) -> int:
        return len(self.dataset)

    def windows(self, chosen: Tensor) -> Tensor:
        """Return (n, step_len, n_features); (n,) sample positions in. A step without a row is NaN."""
        rows = self._rows.index_select(0, chosen.to(self._home))  # (n, step_len)
        windows = self._cells(rows)
        if not self.is_held:
            windows = windows.pin_memory().to(self.device, non_blocking=True)
        if self._divisors is not None:
            windows = relative(windows, self._divisors)
        return windows if self.scale is None else self.scale(windows)

    def step(self, number: int) -> Tensor:
        """Return (n_samples, n_features): one step of every window, before `scale`."""
        cells = self._cells(self._rows[:, [number, -1]]).to(self.device)  # (n_samples, 2, n_features)
        return (cells if self._divisors is None else relative(cells, self._divisors))[:, 0]

    def _cells(self, rows: Tensor) -> Tensor:
        """Return (n, k, n_features) of (n, k) row numbers; NaN where there is no row."""
        flat = (rows.clamp(min=0) if self._has_gaps else rows).flatten()
        cells = self.matrix.index_select(0, flat).view(*rows.shape, self.dataset.n_features)
        return cells.masked_fill((rows == ABSENT).unsqueeze(-1), torch.nan) if self._has_gaps else cells

    def targets(self, chosen: Tensor) -> Tensor:
        """Return (n,) targets; (n,) sample positions in."""
        return self._target.index_select(0, chosen)

    def weights(self, chosen: Tensor) -> Tensor | None:
        """Return (n,) weights, or None if all samples weigh the same."""
        return None if self._weight is None else self._weight.index_select(0, chosen)

    def counts(self) -> np.ndarray:
        """Return (n_samples,) bool: whether a sample has a target and weighs anything."""
        has_target = np.isfinite(self.dataset.targets())
        return has_target if self._weight is None else has_target & (self._weight.cpu().numpy() > 0)

    def gathered(self, batches: Batches, group: Group = ALONE) -> Iterator[tuple[Piece, Tensor]]:
        """Yield each piece of work and its windows; those of a matrix on the host are fetched a piece ahead."""
        pieces = batches.pieces(self.device, group)
        if self.is_held:
            return ((piece, self.windows(piece.chosen)) for piece in pieces)
        sent = _ahead(batches.pieces(self._home, group), lambda piece: self.windows(piece.chosen))
        return zip(pieces, sent, strict=True)  # positions are on either side once: to send them would wait for the GPU


def _placed(matrix: Tensor, device: torch.device) -> Tensor:
    """Return the matrix on the device, or where it is if a GPU has too little room."""
    is_large = device.type == "cuda" and matrix.nbytes > DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]
    return matrix if is_large else matrix.to(device)


def _rows_of(dataset: WindowDataset) -> Tensor:
    """Return (n, step_len) int32 row numbers of every window."""
    rows = np.empty((len(dataset), dataset.step_len), dtype=np.int32)
    for start in range(0, len(dataset), CHUNK):
        chosen = np.arange(start, min(start + CHUNK, len(dataset)))
        rows[chosen] = dataset.rows(chosen)
    return torch.from_numpy(rows)


def _ahead(items: Iterable[S], make: Callable[[S], T]) -> Iterator[T]:
    """Yield what is made of each item, the next one being made meanwhile by a thread."""
    with ThreadPoolExecutor(1) as pool:
        pending = None
        for item in items:
            following = pool.submit(make, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


@dataclass(frozen=True)
class Pass:
    """Samples that have a target, in order and once through: what a model fitted at once is given."""

    windows: DeviceWindows
    batch_size: int = 4096

    @property
    def _known(self) -> np.ndarray:
        return np.flatnonzero(np.isfinite(self.windows.dataset.targets()))

    @property
    def n_samples(self) -> int:
        """Samples with a target."""
        return len(self._known)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for piece, x in self.windows.gathered(_cut(self._known, self.batch_size)):
            target, weight = self.windows.targets(piece.chosen), self.windows.weights(piece.chosen)
            yield x, target, torch.ones_like(target) if weight is None else weight


def relative(windows: Tensor, divisors: Tensor) -> Tensor:
    """Return (n, step_len, n_features) windows over the newest values of other features, plus 1e-12 as in Alpha360.

    divisors (n_features,) positions; below 0 a feature stays as it is.
    """
    newest = windows[:, -1:, :].index_select(2, divisors.clamp(min=0)) + 1e-12  # (n, 1, n_features)
    return windows / torch.where(divisors < 0, torch.ones_like(newest), newest)
