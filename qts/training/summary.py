"""A network layer by layer: shapes, parameters, bytes, and what a score costs, found by scoring windows of zeros."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from qts.models._architecture import Architecture

DAY = 300
"""Windows in the day on which by_day architectures are counted: their cost a score grows with the names of a day."""

_GATES = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}
"""Products of a recurrent cell: torch counts those of a fused kernel as none."""


@dataclass(frozen=True)
class Layer:
    """One module without the modules inside it."""

    name: str
    type: str
    output: tuple[int, ...] | None
    """Shape for one window; None if the module only keeps weights that another one uses."""
    n_parameters: int
    n_bytes: int
    """Of parameters and buffers."""
    flops: int
    """A window, forward; a multiplication and an addition are two. What works element by element is not counted."""
    counted: Literal["operators", "formula"]
    """Whether torch counted the operators as they ran, or the cells' size tells."""


@dataclass(frozen=True)
class Summary:
    """A network's layers and what they come to."""

    layers: tuple[Layer, ...]
    weights: tuple[tuple[str, tuple[int, ...], bool], ...]
    """Name, shape and whether it is trained, of every parameter."""
    n_parameters: int
    n_trainable: int
    n_buffers: int
    """Numbers that are kept with the weights, but found otherwise."""
    n_bytes: int
    flops: int
    """A score, forward."""
    n_windows: int
    """In the batch that was counted: 1, or a day's."""


def summarise_network(network: Architecture, n_features: int, step_len: int) -> Summary:
    """Return what a network is made of; its mode and weights are left as they were."""
    n_windows = DAY if network.batches == "by_day" else 1
    shapes = _watch(network, torch.zeros(1, step_len, n_features))
    costs = shapes if n_windows == 1 else _watch(network, torch.zeros(n_windows, step_len, n_features))
    layers = tuple(
        layer
        for name, module in network.named_modules()
        if not _only_holds(layer := _layer(name, module, shapes, costs, n_windows), module)
    )
    parameters = list(network.named_parameters())
    kept = [parameter for _, parameter in parameters]
    return Summary(
        layers=layers,
        weights=tuple((name, tuple(p.shape), p.requires_grad) for name, p in parameters),
        n_parameters=sum(p.numel() for p in kept),
        n_trainable=sum(p.numel() for p in kept if p.requires_grad),
        n_buffers=sum(b.numel() for b in network.buffers()),
        n_bytes=sum(t.nbytes for t in (*kept, *network.buffers())),
        flops=round(sum(costs.flops.values()) / n_windows),
        n_windows=n_windows,
    )


def score_shapes(
    network: Architecture, windows: Tensor, sizes: tuple[int, ...] = (7, 3, 1)
) -> dict[int, tuple[int, ...]]:
    """Return the shape of the scores of batches of some sizes, a last batch being shorter; (n, step_len, n_features) in."""
    with _still(network):
        return {n: tuple(network(windows[:n]).shape) for n in sizes}


def _layer(name: str, module: nn.Module, shapes: "_Watch", costs: "_Watch", n_windows: int) -> Layer:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return Layer(
        name=name or "(itself)",
        type=type(module).__name__,
        output=shapes.outputs.get(module),
        n_parameters=sum(p.numel() for p in module.parameters(recurse=False)),
        n_bytes=sum(tensor.nbytes for tensor in own),
        flops=round(costs.flops.get(module, 0) / n_windows),
        counted="formula" if isinstance(module, nn.RNNBase) else "operators",
    )


def _only_holds(layer: Layer, module: nn.Module) -> bool:
    return any(True for _ in module.children()) and not layer.n_bytes and not layer.flops


@contextmanager
def _still(network: Architecture) -> Iterator[None]:
    """Take a network as it is when it scores, and put it back."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(was_training)


@dataclass
class _Watch:
    """What the modules do while a batch is scored: their outputs' shapes, and their own products."""

    counter: FlopCounterMode = field(default_factory=lambda: FlopCounterMode(display=False))
    outputs: dict[nn.Module, tuple[int, ...]] = field(default_factory=dict)
    flops: dict[nn.Module, int] = field(default_factory=dict)
    open: list[list[int]] = field(default_factory=list)
    """For each module at work: the count when it began, and what modules inside it took of that."""

    def enter(self, _module: nn.Module, _inputs: Any) -> None:  # noqa: ANN401 - whatever it is given
        self.open.append([self.counter.get_total_flops(), 0])

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401 - whatever it is given and gives
        began, inside = self.open.pop()
        spent = self.counter.get_total_flops() - began
        if self.open:
            self.open[-1][1] += spent
        own = _recurrent_flops(module, inputs[0]) if isinstance(module, nn.RNNBase) else spent - inside
        self.flops[module] = self.flops.get(module, 0) + own
        first = output[0] if isinstance(output, tuple) else output
        self.outputs[module] = tuple(first.shape[1:] if first.shape[0] == 1 else first.shape)


def _watch(network: Architecture, windows: Tensor) -> _Watch:
    """Score a batch and return what was seen; (n, step_len, n_features) in."""
    place = next((p.device for p in network.parameters()), torch.device("cpu"))
    seen = _Watch()
    hooks = [
        hook
        for module in network.modules()
        for hook in (module.register_forward_pre_hook(seen.enter), module.register_forward_hook(seen.leave))
    ]
    try:
        with _still(network), seen.counter:
            network(windows.to(place))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _recurrent_flops(rnn: nn.RNNBase, x: Tensor) -> int:
    """Return the products of a recurrent stack over (batch, step_len, n_inputs) windows."""
    gates = next(n for kind, n in _GATES.items() if isinstance(rnn, kind))
    ways, width = (2 if rnn.bidirectional else 1), rnn.hidden_size
    below = [rnn.input_size] + [ways * width] * (rnn.num_layers - 1)
    return sum(2 * x.shape[0] * x.shape[1] * ways * gates * width * (n_inputs + width) for n_inputs in below)
