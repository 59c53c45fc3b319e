"""Scores from a network: in order, without gradients, whatever the batch size the same."""

import numpy as np
import torch

from qts.models._architecture import Architecture
from qts.training.batches import DeviceWindows, ordered_batches

BATCH_SIZE = 1024
"""Samples scored at a time: small enough that a step of all of them stays in the cache of a core."""


def predict_scores(network: Architecture, windows: DeviceWindows, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """Return (n_samples,) float32 scores, in the order of the samples."""
    network.eval()
    with torch.inference_mode():
        parts = [network(windows.windows(chosen)).cpu() for chosen in ordered_batches(len(windows.dataset), batch_size)]
    return torch.cat(parts).numpy() if parts else np.zeros(0, dtype=np.float32)
