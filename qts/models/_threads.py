"""A batch worked on in parts, each by a thread of its own with the parts' data in its core's cache.

On a CPU the steps of a recurrent network are many and small: sharing each among the cores costs more than it gains,
sharing the batch does not. A thread here runs torch with one thread of its own.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LEAST_SAMPLES = 64
"""Samples that are worth a thread."""

T = TypeVar("T")

torch.empty(2**23 - 2**12)  # glibc keeps what is freed only below twice the largest block it ever got back: page faults


def part_edges(n_samples: int) -> list[int]:
    """Return where each part of a batch begins, and where the last one ends; as many parts as torch has threads."""
    n_parts = max(1, min(torch.get_num_threads(), n_samples // LEAST_SAMPLES))
    return [n_samples * part // n_parts for part in range(n_parts + 1)]


def in_parts(work: Callable[[slice], T], edges: Sequence[int]) -> list[T]:
    """Return what the work on each part gives, in order; no part sees autocast."""
    parts = [slice(first, last) for first, last in pairwise(edges)]
    if len(parts) == 1:
        with torch.autocast("cpu", enabled=False):
            return [work(parts[0])]
    return list(_pool(torch.get_num_threads(), os.getpid()).map(work, parts))


@lru_cache(maxsize=4)
def _pool(n_threads: int, _process: int) -> ThreadPoolExecutor:
    """Return threads for which torch uses one core; a forked process gets threads of its own."""
    everybody = threading.Barrier(n_threads)

    def begin() -> None:
        torch.get_num_threads()  # a thread's first question to torch sets it to the default: later, that would undo the 1
        torch.set_num_threads(1)
        everybody.wait()

    for_others = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_threads, initializer=begin)
    try:
        list(pool.map(lambda _: None, range(n_threads)))
    except BaseException:
        everybody.abort()  # nobody waits for a thread that never comes
        raise
    finally:
        torch.set_num_threads(for_others)  # what a thread sets is also the default of threads that come later
    return pool


class _Split(torch.autograd.Function):
    """A function of a batch, taken of its parts; each part has a graph of its own, gone through by its thread."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, run: Callable[[Tensor], Tensor], *parameters: Tensor) -> Tensor:  # noqa: ANN401
        """(batch, …) -> (batch, …)"""  # noqa: D400 - a shape, not a sentence
        edges, wants_x = part_edges(len(x)), ctx.needs_input_grad[0]

        def work(part: slice) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                some = x[part].detach().requires_grad_(wants_x)
                return some, run(some)

        parts = in_parts(work, edges)
        ctx.parts, ctx.edges, ctx.parameters = parts, edges, parameters
        return torch.cat([out.detach() for _, out in parts])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_out: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients by x and by the parameters, the latter summed over the parts in their order."""
        wants_x, parts = ctx.needs_input_grad[0], dict(zip(ctx.edges[:-1], ctx.parts, strict=True))

        def work(part: slice) -> tuple[Tensor, ...]:
            some, out = parts[part.start]
            inputs = [*([some] if wants_x else []), *ctx.parameters]
            return torch.autograd.grad(out, inputs, by_out[part], retain_graph=True)

        found = in_parts(work, ctx.edges)
        by_x = torch.cat([gradients[0] for gradients in found]) if wants_x else None
        by_parameters = [sum(of[1:], of[0]) for of in zip(*(g[int(wants_x) :] for g in found), strict=True)]
        return by_x, None, *by_parameters


def split_batch(run: Callable[[Tensor], Tensor], x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return run(x), worked on in parts; run must treat each sample on its own and draw nothing at random.

    x (batch, …); `parameters` are what run reads besides. Without gradients the parts are only run.
    """
    if torch.is_grad_enabled():
        out: Tensor = _Split.apply(x, run, *parameters)  # type: ignore[no-untyped-call]
        return out
    is_inference = torch.is_inference_mode_enabled()

    def work(part: slice) -> Tensor:
        with torch.inference_mode(is_inference), torch.no_grad():
            return run(x[part])

    return torch.cat(in_parts(work, part_edges(len(x))))
