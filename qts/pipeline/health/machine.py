"""Versions, processors, memory, devices and the encoding."""

import locale
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import torch

from qts import __version__
from qts.pipeline.health.finding import Finding, Place, gib

LEAST_PYTHON = (3, 11)
PACKAGES = ("torch", "duckdb", "pyarrow", "numpy", "pydantic", "typer", "rich", "safetensors", "filelock", "plotly")
"""Dependencies, where nothing tells their bounds."""
CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?P<bounds>[^;]*)(;.*extra == ['\"](?P<extra>[\w-]+)['\"])?")
_ASKED = {"lightgbm": "model.name", "mlflow": "train.log", "tensorboard": "train.log", "optuna": "tune.sampler"}
"""Extra → the key of the config that asks for it."""


def check_versions(_place: Place) -> Iterator[Finding]:
    """Return qts, Python and the platform."""
    yield Finding("qts", __version__)
    is_new = sys.version_info[:2] >= LEAST_PYTHON
    least = ".".join(map(str, LEAST_PYTHON))
    yield Finding(
        "python", platform.python_version(), "ok" if is_new else "missing", "" if is_new else f"{least} is the least"
    )
    yield Finding("platform", platform.platform())


def check_packages(place: Place) -> Iterator[Finding]:
    """Compare each dependency with its declared bounds; an extra is missing only if the config asks for it."""
    try:
        declared = requires("qts") or []
    except PackageNotFoundError:  # the tree is run without having been installed
        declared = list(PACKAGES)
    wanted = _extras_asked_for(place)
    for text in declared:
        if found := _REQUIREMENT.match(text):
            yield _package(found["name"], found["bounds"].strip(), found["extra"], wanted)


def _package(name: str, bounds: str, extra: str | None, wanted: set[str]) -> Finding:
    try:
        installed = version(name)
    except PackageNotFoundError:
        if extra is None:
            return Finding(name, "not installed", "missing", f"pip install '{name}{bounds}'")
        if extra not in wanted:
            return Finding(name, f"not installed; the extra {extra} would bring it")
        return Finding(
            name, f"not installed, but {_ASKED[extra]} asks for it", "missing", f"pip install 'qts[{extra}]'"
        )
    if not fits(installed, bounds):
        return Finding(name, installed, "careful", f"qts is tested with {name}{bounds}: pip install '{name}{bounds}'")
    return Finding(name, installed)


def fits(installed: str, bounds: str) -> bool:
    """Return whether a version lies within bounds as `>=2.8,<2.14`; what else a bound may say is not looked at."""
    have = _numbers(installed)
    for bound in bounds.split(","):
        sign, limit = re.match(r"\s*([<>=!~]*)\s*(.*)", bound).groups()  # type: ignore[union-attr]  # it always matches
        if (sign == ">=" and have < _numbers(limit)) or (sign == "<" and have >= _numbers(limit)):
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])


def _extras_asked_for(place: Place) -> set[str]:
    if place.loaded is None:
        return set()
    config = place.loaded.config
    asked = {"lightgbm"} & {config.model.name} | {"mlflow", "tensorboard"} & set(config.train.log)
    return asked | ({"optuna"} if config.tune.sampler == "tpe" and config.tune.space else set())


def check_cores(place: Place) -> Iterator[Finding]:
    """Compare the threads that work is shared among with the cores this process may use."""
    there = os.cpu_count() or 1
    usable = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(there)
    if (limit := cpu_limit()) is not None:
        usable = min(usable, limit)
    yield Finding("cores", f"{there}" + (f", of which {usable:g} may be used" if usable < there else ""))
    asked = place.loaded.config.limits.threads if place.loaded else None
    for what, threads, key in (
        ("engine threads", asked or there, "[limits] threads"),
        ("torch threads", torch.get_num_threads(), "OMP_NUM_THREADS"),
    ):
        if threads > max(usable, 1):
            yield Finding(what, f"{threads} on {usable:g} cores", "slow", f"set {key} to {max(int(usable), 1)}")
        else:
            yield Finding(what, str(threads))


def _limits_of(name: str) -> Iterator[str]:
    """Yield what a limit of this process's cgroup says, and of those around it; v2 alone."""
    try:
        lines = OWN_CGROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")
    group = CGROUP / own
    for folder in (group, *group.parents):
        if not folder.is_relative_to(CGROUP):
            return
        file = folder / name
        if file.is_file():
            yield file.read_text(encoding="utf-8")


def cpu_limit() -> float | None:
    """Return how many cores' worth of time the cgroups grant; None: no limit."""
    found = []
    for text in _limits_of("cpu.max"):
        quota, _, period = text.partition(" ")
        if quota.strip().isdigit() and period.strip().isdigit() and int(period):
            found.append(int(quota) / int(period))
    return min(found, default=None)


def memory_limit() -> int:
    """Return the bytes of memory this process may have: the machine's, or fewer if its cgroups say so."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([there, *(int(text) for text in _limits_of("memory.max") if text.strip().isdigit())])


def check_memory(place: Place) -> Iterator[Finding]:
    """Compare memory with [limits] memory and with the size of the store."""
    memory = memory_limit()
    asked = place.loaded.config.limits.n_bytes if place.loaded else None
    if asked is not None and asked > memory:
        hint = f"set [limits] memory to less than {gib(memory)}"
        yield Finding("memory", f"{gib(memory)}, but [limits] memory is {gib(asked)}", "careful", hint)
    elif place.n_bytes > memory:
        hint = "set [limits] memory so that work is cut smaller, or [factors] select"
        yield Finding("memory", f"{gib(memory)}, the store has {gib(place.n_bytes)}", "slow", hint)
    else:
        yield Finding("memory", gib(memory))


def check_cuda(place: Place) -> Iterator[Finding]:
    """Say which CUDA devices there are; absent is one only if the config asks for it."""
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
        yield Finding("cuda", ", ".join(names))
    elif place.loaded is not None and place.loaded.config.train.device.startswith("cuda"):
        hint = "set [train] device to cpu, or install a torch that has CUDA"
        yield Finding("cuda", "no CUDA device, but [train] device asks for one", "missing", hint)
    elif shutil.which("nvidia-smi"):
        hint = f"torch {torch.__version__} cannot use it: install a torch that has CUDA"
        yield Finding("cuda", "this machine seems to have a GPU, but torch sees none", "slow", hint)
    else:
        yield Finding("cuda", "no CUDA device; training uses the CPU")


def check_encoding(_place: Place) -> Iterator[Finding]:
    """Say how names of files and texts are encoded."""
    found = {sys.getfilesystemencoding().lower(), locale.getpreferredencoding(do_setlocale=False).lower()}
    is_utf8 = {name.replace("-", "") for name in found} == {"utf8"}
    hint = "" if is_utf8 else "set LC_ALL=C.UTF-8 or PYTHONUTF8=1: names beyond ASCII may not be read"
    yield Finding("encoding", ", ".join(sorted(found)), "ok" if is_utf8 else "careful", hint)
