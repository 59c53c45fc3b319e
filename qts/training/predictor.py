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
    scores = np.empty(
        len(windows.dataset), dtype=np.float32
    )  # one array: many small ones would keep freed memory in pieces
    with torch.inference_mode():
        for chosen in ordered_batches(len(scores), batch_size):
            if len(chosen):
                scores[chosen] = network(windows.windows(chosen)).float().cpu().numpy()
    return scores
