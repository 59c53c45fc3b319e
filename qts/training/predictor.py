"""Scores from a network: in order, without gradients, and to the last bit the same whatever is asked beside them."""

import numpy as np
import torch
from torch import Tensor

from qts.models._architecture import Architecture
from qts.training.batches import Batches, DeviceWindows, day_batches, ordered_batches
from qts.training.device import autocast
from qts.training.group import ALONE, Group

BATCH_SIZE = 1024
"""Samples scored at a time: small enough that a step of all of them stays in the cache of a core."""

FULL = 64
"""A batch is filled up to a multiple of so many: libraries multiply few rows by other sums, which round otherwise."""


def score_batches(network: Architecture, windows: DeviceWindows, batch_size: int = BATCH_SIZE) -> Batches:
    """Return how an architecture's samples are scored: any together, or one cross-section at a time."""
    if network.batches == "by_day":
        return day_batches(windows.dataset.samples.day)
    return ordered_batches(len(windows), batch_size)


def predict_scores(
    network: Architecture,
    windows: DeviceWindows,
    batch_size: int = BATCH_SIZE,
    precision: str = "fp32",
    group: Group = ALONE,
) -> np.ndarray:
    """Return (n_samples,) float32 scores, in the order of the samples; several processes share the work.

    A sample's score depends on its window alone, or on its whole cross-section: on a CPU neither other samples, nor
    `batch_size`, nor the number of threads move a bit of it.
    """
    network.eval()
    scores = torch.zeros(len(windows), dtype=torch.float32, device=windows.device)
    batches = score_batches(network, windows, batch_size)
    with torch.inference_mode(), autocast(windows.device, precision):
        for piece, x in windows.gathered(batches, group):
            if len(piece.chosen):
                whole = x if batches.are_whole else _filled(x)
                scores[piece.chosen] = network(whole)[: len(x)].float()
    return group.sum(scores).cpu().numpy()


def _filled(x: Tensor) -> Tensor:
    """(n, step_len, n_features) -> (m, step_len, n_features), m the next multiple of FULL; the last window is repeated."""
    missing = -len(x) % FULL
    return torch.cat([x, x[-1:].expand(missing, -1, -1)]) if missing else x
