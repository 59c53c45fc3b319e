"""The peers' environment, apart from our own: their pins and ours must not meet.

`qlib158.py` and `kun158.py` beside this file run in it, each as a process.
"""

import json
import os
import subprocess
import venv
from pathlib import Path

PACKAGES = {"pyqlib": "0.9.7", "KunQuant": "0.1.12", "alphalens-reloaded": "0.5.1"}
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qts-benchmarks"
"""Where the environment and the reference values are kept between runs."""

_SHOW = "import json; from importlib.metadata import distributions as d; print(json.dumps({x.name: x.version for x in d()}))"


def script(name: str) -> Path:
    """Return the path of a peer's script."""
    return Path(__file__).parent / name


def installed(python: Path) -> dict[str, str]:
    """Return the packages of an environment and their versions."""
    shown = subprocess.run([python, "-c", _SHOW], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(shown.stdout)
    return found


def peer_python(folder: Path | None = None) -> Path:
    """Return the Python of the peers' environment; makes it and installs what it lacks."""
    folder = folder or CACHE / "venv"
    python = folder.resolve() / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    present = installed(python)
    lacking = [f"{name}=={version}" for name, version in PACKAGES.items() if present.get(name) != version]
    if lacking:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *lacking], check=True)
    return python
