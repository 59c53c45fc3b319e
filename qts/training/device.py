"""Which device the work is done on, and how exactly."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch

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
    """Return the context in which matrix products have a precision; only bf16 needs one."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def set_exactness(precision: str, *, deterministic: bool) -> None:
    """Set for the whole process whether 32-bit products may be shortened, and whether algorithms may vary."""
    is_short = precision == "tf32"
    torch.set_float32_matmul_precision("high" if is_short else "highest")
    torch.backends.cudnn.allow_tf32 = is_short
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product is asked for
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = False
