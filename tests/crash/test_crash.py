"""Thirty rounds of the harness, in a process of its own: it forks, which a process with threads must not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS, SEED = 30, 20240326


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the harness forks and waits as Linux lets it")
def test_commands_that_a_machine_disturbs_end_as_undisturbed_ones() -> None:
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--rounds", str(ROUNDS), "--seed", str(SEED)],
        cwd=root, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr[-2000:]}"
    assert f"{ROUNDS}  rounds in" in ended.stdout
