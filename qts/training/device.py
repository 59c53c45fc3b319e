"""Which device the work is done on."""

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
