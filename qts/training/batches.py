"""Batches on the device: the matrix goes there once, windows are gathered where it lies."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from qts.windows import WindowDataset


class DeviceWindows:
    """A dataset's matrix and targets as tensors of one device; on the CPU they are the mapped arrays themselves."""

    def __init__(self, dataset: WindowDataset, device: torch.device) -> None:
        self.dataset = dataset
        self.device = device
        self._matrix = torch.from_numpy(dataset.matrix).to(device)
        self._target = torch.from_numpy(dataset.targets()).to(device)
        self._divisors = None if dataset.divisors is None else torch.from_numpy(dataset.divisors).to(device)

    def windows(self, chosen: np.ndarray) -> Tensor:
        """Return (n, step_len, n_features); (n,) sample positions in. A step without a row is NaN."""
        rows = torch.from_numpy(self.dataset.rows(chosen))  # (n, step_len)
        absent = rows < 0
        flat = rows.clamp(min=0).flatten().to(self.device)
        windows = self._matrix.index_select(0, flat).view(*rows.shape, self.dataset.n_features)
        if absent.any():
            windows[absent.to(self.device)] = torch.nan
        return windows if self._divisors is None else relative(windows, self._divisors)

    def targets(self, chosen: np.ndarray) -> Tensor:
        """Return (n,) targets; (n,) sample positions in."""
        return self._target[torch.from_numpy(chosen).to(self.device)]


def relative(windows: Tensor, divisors: Tensor) -> Tensor:
    """Return (n, step_len, n_features) windows over the newest values of other features, plus 1e-12 as in Alpha360.

    divisors (n_features,) positions; below 0 a feature stays as it is.
    """
    newest = windows[:, -1:, :].index_select(2, divisors.clamp(min=0)) + 1e-12  # (n, 1, n_features)
    return windows / torch.where(divisors < 0, torch.ones_like(newest), newest)


def shuffled_batches(n_samples: int, batch_size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Yield the positions of each batch of an epoch; the order depends on seed and epoch alone. None is dropped."""
    order = np.random.default_rng([seed, epoch]).permutation(n_samples)
    yield from np.split(order, range(batch_size, n_samples, batch_size))


def ordered_batches(n_samples: int, batch_size: int) -> Iterator[np.ndarray]:
    """Yield consecutive positions."""
    yield from np.split(np.arange(n_samples), range(batch_size, n_samples, batch_size))
