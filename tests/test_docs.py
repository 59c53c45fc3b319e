"""Documents that cannot lag: generated blocks are current, commands and keys are named, the set-up commands are two."""

import re
from pathlib import Path

import pytest

from qts.cli.commands import app
from qts.expr.operators import OPERATORS
from tests.docs_blocks import stale

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_generated_blocks_are_current() -> None:
    assert stale(write=False) == []


@pytest.mark.parametrize("command", [c.name for c in app.registered_commands])
def test_the_readme_names_every_command(command: str) -> None:
    assert f"`qts {command}`" in README


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_docs_explain_every_operator(operator: str) -> None:
    assert f"`{operator}(" in (ROOT / "docs/operators.md").read_text(encoding="utf-8")


def test_two_commands_set_everything_up() -> None:
    found = [
        line
        for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
        for line in block.splitlines()
        if "pip install" in line
    ]
    assert len(found) == 2
    assert "qts run --config sample_data/qts.toml" in found[0]
    assert "pytest" in found[1]


def test_links_of_the_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_s_config_is_sound(tmp_path: Path) -> None:
    from qts.cli.main import run

    config = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)[0]
    (tmp_path / "qts.toml").write_text(config, encoding="utf-8")
    assert run(["check", "--config", str(tmp_path / "qts.toml"), "--config-only"]) == 0


def test_the_top_level_holds_only_what_it_should() -> None:
    allowed = {
        "pyproject.toml",
        "qts",
        "tests",
        "sample_data",
        "README.md",
        "justfile",
        "LICENSE",
        "CHANGELOG.md",
        "benchmarks",
        "docs",
    }
    left_by_tools = {"build", "dist"}
    assert {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} <= allowed | left_by_tools
