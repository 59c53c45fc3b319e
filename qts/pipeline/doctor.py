"""What this machine and installation can do."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from qts import __version__

PACKAGES = ("torch", "duckdb", "pyarrow", "numpy", "pydantic", "typer", "rich", "safetensors", "filelock", "plotly")


def examine(folder: Path) -> list[dict[str, Any]]:
    """Return a row a finding: versions, devices, cores, memory, disk."""
    facts = {"qts": __version__, "python": platform.python_version(), "platform": platform.platform()}
    facts |= {package: _version(package) for package in PACKAGES}
    facts["cores"] = str(os.cpu_count())
    facts["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    facts["disk free"] = f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB at {folder}"
    devices = (
        [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    facts["cuda"] = ", ".join(devices) or "no CUDA device; training uses the CPU"
    facts["torch threads"] = str(torch.get_num_threads())
    return [{"what": what, "found": found} for what, found in facts.items()]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
