"""Help is instant: nothing heavy is loaded before a command needs it."""

import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "duckdb", "pyarrow", "numpy", "plotly", "rich")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    loaded = f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    code = f"import sys; from qts.cli.main import run; run({arguments!r}); {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_takes_under_a_fifth_of_a_second_of_processor_time() -> None:
    """Processor time of the best of five: what is promised of a quiet machine, asked of a busy one."""
    import resource

    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "qts", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        time.sleep(0.01)
    assert min(spent) < 0.2


def test_a_config_error_is_told_without_torch() -> None:
    code = "import sys; from qts.cli.main import run; assert run(['check', '--set', 'train.lrr=1']) == 2"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
