"""A market with a finished run, made once for the commands that only look at one, or that work on a copy."""

import shutil
from pathlib import Path

import pytest

from qts.cli.main import run
from tests.market import CONFIG, write_market

SEARCHES = """
[walk]
step_days = 11

[tune]
trials = 2
[tune.space]
"train.lr" = { low = 1e-3, high = 1e-1, log = true }
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a market with a finished run and its report; nobody may change it."""
    file = write_market(tmp_path_factory.mktemp("finished"), CONFIG + SEARCHES)
    assert run(["run", "--config", str(file), "-q"]) == 0
    return file.parent


@pytest.fixture
def study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(finished, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    return tmp_path / "study"
