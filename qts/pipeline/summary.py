"""An architecture as the config would build it, layer by layer, tried on the windows that it would be given."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from qts.config import LoadedConfig
from qts.errors import StoreError
from qts.pipeline.recipes import feature_names
from qts.pipeline.train import model_options
from qts.pipeline.window import are_windows_fresh, build_windows
from qts.progress import SilentProgress
from qts.training.batches import DeviceWindows
from qts.training.checkpoint import build_network
from qts.training.shapes import check_shapes
from qts.training.summary import Summary, score_shapes, summarise_network

TRIED = 7
"""Windows that are scored on trial."""


@dataclass(frozen=True)
class ModelSummary:
    """A network that is not trained yet, and how it took to the windows."""

    model: str
    options: dict[str, Any]
    """The checked keys of `[model]`."""
    takes: tuple[int, int]
    """(step_len, n_features) that the network was built for."""
    windows_give: tuple[int, int] | None
    """The same of windows on disk; None if the config's are not there."""
    scores: dict[int, tuple[int, ...]]
    """Windows in a batch → shape of their scores."""
    summary: Summary

    def rows(self) -> list[dict[str, object]]:
        """Return a row a layer."""
        return [
            {
                "layer": layer.name, "type": layer.type,
                "output": "" if layer.output is None else " x ".join(map(str, layer.output)) or "1",
                "parameters": layer.n_parameters, "bytes": layer.n_bytes, "flops": layer.flops, "counted": layer.counted,
            }
            for layer in self.summary.layers
        ]  # fmt: skip

    def totals(self) -> dict[str, object]:
        """Return what programs want beside the rows."""
        totals = asdict(self.summary)
        weights = [{"name": name, "shape": shape, "trainable": known} for name, shape, known in totals.pop("weights")]
        del totals["layers"]
        return {
            "model": self.model, "config": self.options, "takes": self.takes, "windows_give": self.windows_give,
            "scores": [{"windows": n, "shape": shape} for n, shape in self.scores.items()], "totals": totals,
            "weights": weights,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return what people want beside the rows."""
        made = self.summary
        taken = f"the model takes {self.takes}"
        sizes = ", ".join(map(str, self.scores))
        frozen = made.n_parameters - made.n_trainable
        trained = f"{frozen:,} of them not trained" if frozen else "all trained"
        on_a_day = f" on a day of {made.n_windows} names" if made.n_windows > 1 else ""
        return [
            f"{taken}; there are no windows of this config yet" if self.windows_give is None
            else f"windows give {self.windows_give}, {taken}",
            f"batches of {sizes} windows give scores of {', '.join(map(str, self.scores.values()))}",
            f"{made.n_parameters:,} parameters, {trained}; {made.n_buffers:,} numbers in buffers; {made.n_bytes:,} bytes",
            f"{made.flops / 1e6:.2f} MFLOP a score{on_a_day}, forward; a multiplication and an addition are two",
        ]  # fmt: skip


def summarise_model(loaded: LoadedConfig) -> ModelSummary:
    """Build the config's model without training it, and score a few windows: those on disk, else windows of zeros.

    Raises ConfigError if `[model]` is wrong or the network does not give one score a window.
    """
    options = model_options(loaded)
    name, step_len = loaded.config.model.name, loaded.config.window.step_len
    windows = _some_windows(loaded)
    n_features = _n_features(loaded) if windows is None else windows.shape[2]
    with torch.random.fork_rng(devices=[]):
        network = build_network(name, options.model_dump(), n_features)
    check_shapes(network, n_features, step_len)
    tried = torch.zeros(TRIED, step_len, n_features) if windows is None else windows
    return ModelSummary(
        model=name, options=options.model_dump(mode="json"), takes=(step_len, n_features),
        windows_give=None if windows is None else (windows.shape[1], windows.shape[2]),
        scores=score_shapes(network, tried), summary=summarise_network(network, n_features, step_len),
    )  # fmt: skip


def _n_features(loaded: LoadedConfig) -> int:
    names, select = feature_names(loaded), loaded.config.factors.select
    return len(names if select is None else set(names) & set(select))


def _some_windows(loaded: LoadedConfig) -> Tensor | None:
    """Return (n, step_len, n_features) first windows of the valid segment, or None if they are not on disk."""
    try:
        if loaded.config.segments is None or not are_windows_fresh(loaded):
            return None
        dataset = build_windows(loaded, SilentProgress()).datasets["valid"]
    except StoreError:
        return None
    held = DeviceWindows(dataset, torch.device("cpu"))
    return held.windows(torch.arange(min(TRIED, len(held))))
