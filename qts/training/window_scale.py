"""A z-score of whole windows: each step of each feature has a median and a spread of its own, fitted on train windows.

Processors see rows, so what is only made of rows when a window is cut, as prices over the newest one, is scaled here.
The formula is Qlib's RobustZScoreNorm, a column of which is a step of a field.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from qts.training.batches import DeviceWindows, Scale

MAD_TO_STD = 1.4826
MAD_FLOOR = 1e-12
CLIP = 3.0


@dataclass(frozen=True)
class WindowScale:
    """What to subtract from each cell of a window, and what to divide it by."""

    center: Tensor
    """(step_len, n_features) float32"""
    spread: Tensor
    """(step_len, n_features) float32"""

    @classmethod
    def fit(cls, windows: DeviceWindows) -> Self:
        """Fit medians and median deviations over all samples, cell by cell; a cell that is always missing stays so."""
        dataset = windows.dataset
        center, deviation = np.zeros((2, dataset.step_len, dataset.n_features), dtype=np.float32)
        for step in range(dataset.step_len):
            cells = windows.step(step).cpu().numpy()  # (n_samples, n_features)
            with np.errstate(invalid="ignore"):
                center[step] = _median(cells)
                deviation[step] = _median(np.abs(cells - center[step]))
        return cls(torch.from_numpy(center), torch.from_numpy((deviation + MAD_FLOOR) * MAD_TO_STD))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return what `to_json` gave."""
        return cls(*(torch.tensor(values[name], dtype=torch.float32) for name in ("center", "spread")))

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, for run.json."""
        return {"center": self.center.tolist(), "spread": self.spread.tolist()}

    def on(self, device: torch.device) -> Scale:
        """Return what turns windows of a device into scaled ones; a missing value becomes 0, the median."""
        center, spread = self.center.to(device), self.spread.to(device)

        def scaled(windows: Tensor) -> Tensor:
            """(n, step_len, n_features) -> the same"""  # noqa: D400 - a shape
            return ((windows - center) / spread).clamp(-CLIP, CLIP).nan_to_num(nan=0.0)

        return scaled


def _median(cells: np.ndarray) -> np.ndarray:
    """(n, n_features) -> (n_features,), missing values left out; 0 where all are missing"""  # noqa: D400 - a shape
    found = [np.median(known) if len(known := column[~np.isnan(column)]) else 0.0 for column in cells.T]
    return np.array(found, dtype=np.float32)
