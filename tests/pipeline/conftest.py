"""A study with a pinned run, for tests of nights."""

import shutil
from pathlib import Path

import pytest

from tests.market import write_market
from tests.pipeline.night_market import TEST, Market


@pytest.fixture(scope="package")
def before_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a pinned run, before the first night."""
    study = tmp_path_factory.mktemp("trained")
    write_market(study, TEST)
    Market(study, None).train()
    return study


@pytest.fixture
def market(before_nights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Market:
    shutil.copytree(before_nights, tmp_path / "study")
    return Market(tmp_path / "study", capsys)
