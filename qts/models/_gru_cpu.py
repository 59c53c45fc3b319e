"""Layers of gated recurrent units on a CPU, with their derivative written out; what makes a network of them is elsewhere.

The cell is that of Cho et al. 2014 (arXiv:1406.1078) in cuDNN's variant, as `torch.nn.GRU` has it, where the reset gate
acts after the state's product:

    r = sigmoid(W_r x + b_r + U_r h + c_r)    reset
    z = sigmoid(W_z x + b_z + U_z h + c_z)    update
    s = U_n h + c_n                           what the state says
    n = tanh(W_n x + b_n + r ∘ s)             candidate
    h' = n + z ∘ (h - n)

With g for the derivative of the loss by h', and d for that by what stands inside a gate's brackets:

    d_n = g ∘ (1 - z) ∘ (1 - n²)              d_z = g ∘ (1 - z) ∘ (h' - n)
    d_s = d_n ∘ r                             d_r = d_n ∘ s ∘ r ∘ (1 - r)
    g of h = g ∘ z + U_rᵀ d_r + U_zᵀ d_z + U_nᵀ d_s

since z (h - n) = h' - n. Samples lie along the last axis, so that a gate's block of one step is contiguous memory; the
blocks stand in the order n, r, z, s: the first three hear the input, the last three the state, each by one product.
tanh x is taken as 2 sigmoid(2 x) - 1, four times as fast, with the inner 2 in the weights. A batch is worked on in parts, a
thread each; the loops over steps are TorchScript, because Python would hold the other threads up between two products.
"""

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from qts.models._threads import in_parts, part_edges

CACHED = 512
"""Samples that are scored together: what they need stays in the cache."""

N_WEIGHTS = 4
"""Tensors of a layer: weights of input and state, biases of input and state; blocks r, z, n, as `torch.nn.GRU` has them."""

Loop = TypeVar("Loop", bound=Callable[..., Any])


def _compiled(loop: Loop) -> Loop:
    """Return a loop without Python between its steps; the loop itself where torch cannot do that any more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; torch.compile would need a compiler on the machine
        try:
            return torch.jit.script(loop)
        except (AttributeError, NotImplementedError, RuntimeError):
            return loop


def blocks_of(weights: list[Tensor], layer: int, low: bool) -> list[Tensor]:  # noqa: FBT001 - TorchScript knows no keywords
    """Return a layer's weights and biases in the order of the blocks, those of the candidate doubled."""
    w_ih, w_hh, b_ih, b_hh = weights[4 * layer], weights[4 * layer + 1], weights[4 * layer + 2], weights[4 * layer + 3]
    gates = 2 * w_hh.shape[1]
    dtype = torch.bfloat16 if low else w_hh.dtype
    return [
        torch.cat([w_ih[gates:] * 2, w_ih[:gates]]).to(dtype),
        torch.cat([w_hh[:gates], w_hh[gates:] * 2]).to(dtype),
        torch.cat([b_ih[gates:] * 2, b_ih[:gates] + b_hh[:gates]]).unsqueeze(1),
        (b_hh[gates:] * 2).unsqueeze(1),
    ]


def step(blocks: list[Tensor], x: Tensor, state: Tensor | None, kept: Tensor, out: Tensor, low: bool) -> None:  # noqa: FBT001
    """(n_inputs, n), (hidden_size, n) -> kept (4 hidden_size, n), out (hidden_size, n)"""  # noqa: D400 - a shape
    width = out.shape[0]
    n, r, z, s = kept[:width], kept[width : 2 * width], kept[2 * width : 3 * width], kept[3 * width :]
    if low:
        torch.add(blocks[2], torch.mm(blocks[0], x.to(torch.bfloat16)), out=kept[: 3 * width])
    else:
        torch.addmm(blocks[2], blocks[0], x, out=kept[: 3 * width])
    s.copy_(blocks[3])
    if state is not None:
        if low:
            kept[width:].add_(torch.mm(blocks[1], state.to(torch.bfloat16)))
        else:
            kept[width:].addmm_(blocks[1], state)
    kept[width : 3 * width].sigmoid_()
    n.addcmul_(r, s).sigmoid_().mul_(2.0).sub_(1.0)
    if state is not None:
        torch.lerp(n, state, z, out=out)
    else:
        torch.addcmul(n, n, z, value=-1, out=out)


_step = _compiled(step)
_blocks_of = _compiled(blocks_of)


def forward_layer(x: Tensor, weights: list[Tensor], layer: int, low: bool) -> tuple[Tensor, Tensor]:  # noqa: FBT001
    """(step_len, n_inputs, n) -> states (step_len, hidden_size, n), kept (step_len, 4 hidden_size, n)"""  # noqa: D400
    blocks = _blocks_of(weights, layer, low)
    width = weights[4 * layer + 1].shape[1]
    states = torch.empty([x.shape[0], width, x.shape[2]], dtype=weights[0].dtype)
    kept = torch.empty([x.shape[0], 4 * width, x.shape[2]], dtype=weights[0].dtype)
    state: Tensor | None = None
    for t in range(x.shape[0]):
        _step(blocks, x[t], state, kept[t], states[t], low)
        state = states[t]
    return states, kept


def backward_layer(
    by_states: Tensor,
    x: Tensor,
    weights: list[Tensor],
    layer: int,
    states: Tensor,
    kept: Tensor,
    wants_x: bool,  # noqa: FBT001
    low: bool,  # noqa: FBT001
) -> list[Tensor]:
    """Return the gradients by x, or what stands for it, and by the four weights.

    by_states (step_len, hidden_size, n), or (hidden_size, n) of the last step alone; the rest as in `forward_layer`.
    """
    w_ih, w_hh = weights[4 * layer], weights[4 * layer + 1]
    width = w_hh.shape[1]
    dtype = torch.bfloat16 if low else w_hh.dtype
    last_only = by_states.dim() == 2
    to_x = torch.cat([w_ih[2 * width :], w_ih[: 2 * width]]).t().to(dtype)
    to_state = w_hh.t().to(dtype)
    by_x = torch.empty(x.shape, dtype=w_ih.dtype) if wants_x else by_states
    by_ih, by_hh = torch.zeros_like(w_ih), torch.zeros_like(w_hh)
    by_bias = torch.zeros([4 * width], dtype=w_hh.dtype)
    inside = torch.empty([4 * width, x.shape[2]], dtype=w_hh.dtype)
    d_n, d_r, d_z, d_s = inside[:width], inside[width : 2 * width], inside[2 * width : 3 * width], inside[3 * width :]
    by_state = by_states.clone() if last_only else by_states[-1].clone()
    carried = torch.empty_like(by_state)
    for back in range(x.shape[0]):
        t = x.shape[0] - 1 - back
        n, r, s = kept[t, :width], kept[t, width : 2 * width], kept[t, 3 * width :]
        torch.mul(by_state, kept[t, 2 * width : 3 * width], out=carried)
        by_state.sub_(carried)
        torch.ops.aten.tanh_backward(by_state, n, grad_input=d_n)
        torch.sub(states[t], n, out=d_z).mul_(by_state)
        torch.mul(d_n, r, out=d_s)
        torch.mul(d_n, s, out=d_r).mul_(0.5)  # s was doubled with the candidate's weights
        torch.ops.aten.sigmoid_backward(d_r, r, grad_input=d_r)
        by_bias.add_(inside.sum(1))
        heard = inside.to(dtype)
        if low:
            by_ih.add_(torch.mm(heard[: 3 * width], x[t].t().to(dtype)))
        else:
            by_ih.addmm_(heard[: 3 * width], x[t].t())
        if wants_x:
            if low:
                by_x[t].copy_(torch.mm(to_x, heard[: 3 * width]))
            else:
                torch.mm(to_x, heard[: 3 * width], out=by_x[t])
        if t > 0:
            if low:
                by_hh.add_(torch.mm(heard[width:], states[t - 1].t().to(dtype)))
                carried.add_(torch.mm(to_state, heard[width:]))
            else:
                by_hh.addmm_(heard[width:], states[t - 1].t())
                carried.addmm_(to_state, heard[width:])
            used = by_state
            by_state = carried
            carried = used
            if not last_only:
                by_state.add_(by_states[t - 1])
    by_ih = torch.cat([by_ih[width:], by_ih[:width]])
    return [by_x, by_ih, by_hh, torch.cat([by_bias[width : 3 * width], by_bias[:width]]), by_bias[width:]]


def score_layers(x: Tensor, weights: list[Tensor], low: bool, last: bool) -> Tensor:  # noqa: FBT001
    """(step_len, n_inputs, n) -> (step_len, hidden_size, n), or (1, hidden_size, n) of the last step; nothing is kept.

    All layers take a step before the next one, so that what a few hundred samples need stays in the cache.
    """
    n_layers, width = len(weights) // 4, weights[1].shape[1]
    blocks = [_blocks_of(weights, layer, low) for layer in range(n_layers)]
    out = torch.empty([1 if last else x.shape[0], width, x.shape[2]], dtype=weights[0].dtype)
    kept = torch.empty([4 * width, x.shape[2]], dtype=weights[0].dtype)
    states = [out[0]] * n_layers
    for t in range(x.shape[0]):
        below = x[t]
        for layer in range(n_layers):
            above = torch.empty([width, x.shape[2]], dtype=weights[0].dtype)
            if t > 0:
                _step(blocks[layer], below, states[layer], kept, above, low)
            else:
                _step(blocks[layer], below, None, kept, above, low)
            states[layer] = above
            below = above
        out[0 if last else t].copy_(below)
    return out


_forward_layer = _compiled(forward_layer)
_backward_layer = _compiled(backward_layer)
_score_layers = _compiled(score_layers)


class _Stack(torch.autograd.Function):
    """All layers and steps, a thread for each part of the batch, with what the derivative needs kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: bool, last: bool, masks: list[Tensor], *weights: Tensor) -> Tensor:  # noqa: ANN401, FBT001
        """(batch, step_len, n_inputs) -> (batch, step_len, hidden_size), or (batch, hidden_size) of the last step"""  # noqa: D400
        edges, (n_samples, step_len, _) = part_edges(len(x)), x.shape
        width = weights[1].shape[1]
        out = weights[0].new_empty((n_samples, width) if last else (n_samples, step_len, width))

        def work(part: slice) -> list[Tensor]:
            with torch.no_grad():
                below, kept = x[part].permute(1, 2, 0), []
                for layer in range(len(weights) // N_WEIGHTS):
                    if layer and masks:
                        below = below * masks[layer - 1][..., part]
                    kept += [below, *_forward_layer(below, list(weights), layer, low)]
                    below = kept[-2]
                out[part] = below[-1].t() if last else below.permute(2, 0, 1)
            return kept

        parts = in_parts(work, edges)
        ctx.save_for_backward(*weights, *(tensor for kept in parts for tensor in kept))
        ctx.low, ctx.last, ctx.masks, ctx.edges, ctx.shape = low, last, masks, edges, x.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_out: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients by x and by the weights, the latter summed over the parts in their order."""
        n_parts, saved = len(ctx.edges) - 1, ctx.saved_tensors
        n_layers = len(saved) // (N_WEIGHTS + 3 * n_parts)
        weights, rest = list(saved[: N_WEIGHTS * n_layers]), saved[N_WEIGHTS * n_layers :]
        wants_x = ctx.needs_input_grad[0]
        by_x = by_out.new_empty(ctx.shape) if wants_x else None

        def work(part: slice) -> list[Tensor]:
            own = rest[3 * n_layers * ctx.edges.index(part.start) :]
            by = by_out[part].t() if ctx.last else by_out[part].permute(1, 2, 0)
            found: list[Tensor] = []
            with torch.no_grad():
                by = by.contiguous()
                for layer in reversed(range(n_layers)):
                    x, states, kept = own[3 * layer : 3 * layer + 3]
                    by, *of_weights = _backward_layer(
                        by, x, weights, layer, states, kept, bool(layer) or wants_x, ctx.low
                    )
                    if layer and ctx.masks:
                        by *= ctx.masks[layer - 1][..., part]
                    found = [*of_weights, *found]
                if by_x is not None:
                    by_x[part] = by.permute(2, 0, 1)
            return found

        parts = in_parts(work, ctx.edges)
        return by_x, None, None, None, *(sum(of[1:], of[0]) for of in zip(*parts, strict=True))


def train_stack(
    x: Tensor, weights: list[Tensor], *, low: bool, last: bool, masks: list[Tensor] | None = None
) -> Tensor:
    """(batch, step_len, n_inputs) -> (batch, step_len, hidden_size), or (batch, hidden_size) of the last step

    With `low`, factors of products are 16-bit; sums, gates and states are in the weights' precision. `masks`, each
    (step_len, hidden_size, batch), are what the states of all layers but the last are multiplied by.
    """  # noqa: D400
    states: Tensor = _Stack.apply(x, low, last, masks or [], *weights)  # type: ignore[no-untyped-call]
    return states


def score_stack(x: Tensor, weights: list[Tensor], *, low: bool, last: bool) -> Tensor:
    """Return what `train_stack` does, without a derivative."""
    n_samples, step_len, _ = x.shape
    width, is_inference = weights[1].shape[1], torch.is_inference_mode_enabled()
    out = weights[0].new_empty((n_samples, width) if last else (n_samples, step_len, width))

    def work(part: slice) -> None:
        with torch.inference_mode(is_inference), torch.no_grad():
            for first in range(part.start, part.stop, CACHED):
                few = slice(first, min(first + CACHED, part.stop))
                states = _score_layers(x[few].permute(1, 2, 0), weights, low, last)
                out[few] = states[0].t() if last else states.permute(2, 0, 1)

    in_parts(work, part_edges(n_samples))
    return out
