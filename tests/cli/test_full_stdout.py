"""Results that cannot be written to stdout, as a file on a full disk, are a failure with a message."""

import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["schema"], ["operators", "--format", "csv"], ["operators", "--json"]])
def test_a_full_disk_behind_stdout_is_a_failure_and_said_once(arguments: list[str]) -> None:
    with FULL.open("w") as stdout:
        ended = subprocess.run(
            [sys.executable, "-m", "qts", *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0] == "error: cannot write stdout: No space left on device"
    assert len(ended.stderr.splitlines()) == 2
