"""Scores from a network: in order, without gradients, whatever the batch size the same."""

import numpy as np
import torch

from qts.models._architecture import Architecture
from qts.training.batches import Batches, DeviceWindows, day_batches, ordered_batches
from qts.training.device import autocast
from qts.training.group import ALONE, Group

BATCH_SIZE = 1024
"""Samples scored at a time: small enough that a step of all of them stays in the cache of a core."""


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
    """Return (n_samples,) float32 scores, in the order of the samples; several processes share the work."""
    network.eval()
    scores = torch.zeros(len(windows), dtype=torch.float32, device=windows.device)
    batches = score_batches(network, windows, batch_size)
    with torch.inference_mode(), autocast(windows.device, precision):
        for piece, x in windows.gathered(batches, group):
            if len(piece.chosen):
                scores[piece.chosen] = network(x).float()
    return group.sum(scores).cpu().numpy()
