"""What every test stands on: a shut-out environment, the golden files, and a market small enough to read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Two workers on two cores: a thread each, or they starve one another. It must be set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _no_foreign_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep the developer's own qts.toml and QTS_ variables out of the tests."""
    for name in [name for name in os.environ if name.startswith("QTS_") and name != "QTS_REAL_BARS"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of values that pyqlib 0.9.7 gave on a synthetic market; its README explains each file."""
    return GOLDEN
