"""Which device the work is done on, and how exactly."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from qts.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """Return the device for auto | cpu | cuda | cuda:n; raises DeviceError if a GPU was asked for and is absent."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        n_found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= n_found:
            found = f"{n_found} CUDA devices" if n_found else "no CUDA device"
            raise DeviceError(
                f'device "{name}" was asked for, but there is {found}', hint='set [train] device = "auto" or "cpu"'
            )
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which matrix products have a precision; only bf16 needs one, the others are set for good."""
    _set_short(precision)
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def set_exactness(precision: str, *, deterministic: bool) -> None:
    """Set for the whole process whether 32-bit products may be shortened, and whether algorithms may vary."""
    _set_short(precision)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product is asked for
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = False


def _set_short(precision: str) -> None:
    """Allow or forbid NVIDIA's shortened products; torch by itself allows them in recurrent layers and convolutions."""
    is_short = precision == "tf32"
    torch.set_float32_matmul_precision("high" if is_short else "highest")
    torch.backends.cudnn.allow_tf32 = is_short


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the random generators, which dropout draws from: (n_bytes,) uint8 each."""
    found = {"cpu": torch.get_rng_state()}
    return found | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the generators where they were; one that has no state stays as it is."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
