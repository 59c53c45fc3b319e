"""Windows: one float32 matrix on disk, an index, and views of step_len consecutive rows."""

from qts.windows.build import WindowStore, open_windows, write_windows
from qts.windows.dataset import Samples, WindowDataset
from qts.windows.view import View

__all__ = ["Samples", "View", "WindowDataset", "WindowStore", "open_windows", "write_windows"]
