"""Disturb commands in every way a machine can, round after round: `python -m tests.crash --rounds 500 --seed 7`."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: a parent that forks has no threads

from tests.crash.disturbances import DISTURBANCES
from tests.crash.market import CASES
from tests.crash.rounds import names_of, play
from tests.crash.scene import Theatre, unmount
from tests.forked import preload


def main() -> int:
    """Play rounds; return 1 if one has found something."""
    asked = _asked()
    for name in [name for name in os.environ if name.startswith("QTS_")]:
        del os.environ[name]
    preload()
    began = time.monotonic()
    numbers = range(asked.only, asked.only + 1) if asked.only is not None else range(asked.rounds)
    with tempfile.TemporaryDirectory(prefix="crash-", ignore_cleanup_errors=True) as folder:
        theatre = Theatre(Path(folder).resolve())
        try:
            failures, counts = _play_all(theatre, asked, numbers)
        finally:
            unmount(theatre.study)
    _tell(counts, len(numbers), failures, time.monotonic() - began)
    return 1 if failures else 0


def _play_all(theatre: Theatre, asked: argparse.Namespace, numbers: range) -> tuple[int, Counter[str]]:
    counts: Counter[str] = Counter()
    failures = 0
    for number, disturbance, case in names_of(asked.seed, numbers):
        if asked.disturbance not in (None, disturbance) or asked.case not in (None, case):
            continue
        counts[f"round: {disturbance}"] += 1
        counts[f"case: {case}"] += 1
        began = time.monotonic()
        try:
            counts.update(play(theatre, asked.seed, number, disturbance, case))
        except AssertionError as found:
            failures += 1
            again = f"python -m tests.crash --seed {asked.seed} --only {number}"
            _say(f"round {number}, {case}, {disturbance}: {found}\n  to repeat it: {again}")
        if asked.verbose:
            _say(f"round {number}, {case}, {disturbance}: {time.monotonic() - began:.2f} s")
    return failures, counts


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="how many rounds (30)")
    parser.add_argument("--seed", type=int, default=1, help="what decides every round (1)")
    parser.add_argument("--only", type=int, help="this round alone")
    parser.add_argument("--disturbance", choices=DISTURBANCES, help="rounds of this disturbance alone")
    parser.add_argument("--case", choices=CASES, help="rounds of this case alone")
    parser.add_argument("--verbose", action="store_true", help="a line a round")
    return parser.parse_args()


def _tell(counts: Counter[str], n_rounds: int, failures: int, seconds: float) -> None:
    for name, row in DISTURBANCES.items():
        if reason := row.why_not():
            _say(f"left out: {name}: {reason}")
    for name, count in sorted(counts.items()):
        _say(f"{count:6,}  {name}")
    _say(f"{n_rounds:6,}  rounds in {seconds:.0f} s, {failures} failed")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # what was frozen for the forks would be told as leaks
