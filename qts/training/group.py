"""Several processes that train one model, each on its share of every step; `torchrun` starts them.

Gradients and losses are summed over the processes, so a step moves the weights as it would in one process.
"""

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from qts.errors import DeviceError


@dataclass(frozen=True)
class Group:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same in each; in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
        """Sum gradients in place and return the summed loss; one exchange for all of them."""
        if self.size == 1:
            return loss
        held = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in held]
        flat = self.sum(torch.cat([loss.detach().reshape(1), *(gradient.flatten() for gradient in gradients)]))
        parts = torch.split(flat[1:], [gradient.numel() for gradient in gradients])
        for parameter, part in zip(held, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        return flat[0]

    def gather(self, values: Tensor) -> list[Tensor]:
        """Return the values of every process, by rank; they have one shape, and lie where the group exchanges."""
        if self.size == 1:
            return [values]
        found = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(found, values)
        return found

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            dist.barrier()


ALONE = Group()


def join_group(device: torch.device) -> tuple[Group, torch.device]:
    """Return this process's group and device; the environment of `torchrun` says how many there are.

    Raises DeviceError if there are more processes on this machine than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE, device
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            found = f"{torch.cuda.device_count()} CUDA devices"
            raise DeviceError(f"process {local + 1} on this machine has no GPU: there are {found}",
                              hint="start as many processes as there are GPUs, or use --device cpu")  # fmt: skip
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)  # its threads abort a process whose interpreter ends before them
    return Group(dist.get_rank(), dist.get_world_size()), device
