"""Samples on a device, scaled as the config or the run says; everything that feeds a network gets them here."""

from typing import Any

import numpy as np
import torch

from qts.config import LoadedConfig
from qts.training.batches import DeviceWindows
from qts.training.device import resolve_device
from qts.training.window_scale import WindowScale
from qts.windows import WindowDataset

SCALE = "window_scale"
"""Where run.json keeps the scale of a run's windows."""


def device_of(loaded: LoadedConfig) -> torch.device:
    """Return the device that the config names, with as many threads as `[limits]` allows; raises DeviceError."""
    if loaded.config.limits.threads:
        torch.set_num_threads(loaded.config.limits.threads)
    return resolve_device(loaded.config.train.device)


def hold(
    dataset: WindowDataset,
    device: torch.device,
    scale: WindowScale | None = None,
    weight: np.ndarray | None = None,
    beside: DeviceWindows | None = None,
) -> DeviceWindows:
    """Return samples on a device; those of another segment, `beside` them, share their matrix."""
    held = DeviceWindows(dataset, device, weight, beside)
    held.scale = None if scale is None else scale.on(device)
    return held


def fit_scale(train: WindowDataset, standardise: str) -> WindowScale | None:
    """Return the scale that `[window] standardise` asks for, fitted on the train samples."""
    return None if standardise == "none" else WindowScale.fit(DeviceWindows(train, torch.device("cpu")))


def scale_of(record: dict[str, Any]) -> WindowScale | None:
    """Return the scale that a run was trained with."""
    return WindowScale.from_json(record[SCALE]) if record.get(SCALE) else None
