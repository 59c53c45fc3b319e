"""Times training and prediction against pyqlib, architecture by architecture, on the same windows.

    python benchmarks/train.py FOLDER [--peers PYTHON] [--models gru lstm] [--small] [--rounds 2] [--out FILE]
    python benchmarks/train.py FOLDER --synthetic 2580000 --device cuda --precision fp32 bf16 --minutes 7

FOLDER holds bars.parquet and members.csv; `--synthetic ROWS` makes random ones there if it holds none. Each architecture
has the sizes and batches of pyqlib's Alpha158 benchmark (KRNN: those of its Alpha360 benchmark): 20 features, 20 steps.
A round runs qts, then pyqlib with each number of loader processes (`--jobs`), each in a process of its own; of pyqlib's
the fastest counts, figure by figure. Both sides have the same windows: samples are counted and windows summed on both.

train pass   one epoch of optimiser steps, by samples a second
epoch        what an epoch takes until the tool knows its scores: qts trains and judges the valid segment; pyqlib trains,
             scores the train segment anew and scores the valid segment. pyqlib drops the last batch of each pass: its
             seconds are those of whole segments at the same speed
fit          the whole call, opening the data and keeping the weights included; laying out KRNN's rows is not
predict      the test segment scored, without and with the time it takes to open it (qts opens all three segments)

`--threads` are torch's, on either side; pyqlib's loader processes come on top of them.

PYTHON is that of an environment with pyqlib and torch, such as benchmarks/ingest.py makes; without it qts is timed alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import measure
from peers import script
from train_data import SPANS, Study, export_frame, make_market
from train_figures import Figures, Found, line_of, print_feed, print_ratios, print_sameness, print_speeds
from train_recipes import FLAT, RECIPES

EVERY = 97
"""Every so manyth window is summed on both sides."""


@dataclass
class Bench:
    """What is measured, and what was found so far."""

    given: argparse.Namespace
    study: Study
    peer_job: dict[str, Any] | None
    """What pyqlib is told of the data; None: there is no pyqlib."""
    found: Found
    started: float
    """When the program began, by the clock of `perf_counter`."""
    failed: list[str] = field(default_factory=list)

    def has_time(self, needed: float) -> bool:
        """Return whether so many seconds are left."""
        minutes = self.given.minutes
        return minutes is None or time.perf_counter() - self.started + needed < 60 * minutes

    def run(self) -> None:
        """Run all rounds; what finds no time left is named."""
        took: dict[str, float] = {}
        for number in range(1, self.given.rounds + 1):
            for model in self.given.models:
                if not self.has_time(took.get(model, 0.0)):
                    print(f"no time left for {model} in round {number}", flush=True)
                    continue
                began = time.perf_counter()
                for precision in self.given.precision:
                    self._note(f"qts {model} {precision}", lambda m=model, p=precision, n=number: self._ours(m, p, n))
                if self.peer_job:
                    for jobs in [0] if model in FLAT else self.given.jobs:
                        self._note(f"pyqlib {model}", lambda m=model, j=jobs, n=number: self._theirs(m, j, n))
                took[model] = time.perf_counter() - began

    def _note(self, name: str, work: Callable[[], Figures]) -> None:
        """Write down what a process found; one that fails is named, and costs nobody else its figures."""
        try:
            figures = work()
        except SystemExit as stopped:  # how a job that failed ends the program
            print(f"{name} failed: {stopped}", file=sys.stderr, flush=True)
            self.failed.append(name)
            return
        self.found.figures.append(figures)
        print(line_of(figures), flush=True)
        if self.given.out:
            with self.given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"device": self.given.device, **vars(figures)}) + "\n")

    def _ours(self, model: str, precision: str, number: int) -> Figures:
        given, recipe = self.given, RECIPES[model]
        train = recipe.train | {"epochs": given.epochs, "patience": given.epochs, "seed": 0}
        train |= {"device": given.device, "precision": precision}
        tables = {"model": {"name": model, **recipe.model}, "train": train}
        text = "".join(
            f"\n[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
            for name, table in tables.items()
        )
        config = self.study.config_file(f"{model}-{precision}", text)
        command: list[str | Path] = [sys.executable, Path(__file__).with_name("train_qts.py"), config, str(EVERY)]
        return Figures.of(measure(command, self.study.folder), "qts", model, precision, number)

    def _theirs(self, model: str, jobs: int, number: int) -> Figures:
        given, recipe = self.given, RECIPES[model]
        module, name = recipe.peer
        job = {
            **(self.peer_job or {}), "module": module, "class": name, "options": recipe.options, "jobs": jobs,
            "epochs": given.epochs, "threads": given.threads, "device": given.device, "seed": 0, "every": EVERY,
            "is_flat": model in FLAT,
        }  # fmt: skip
        file = self.study.folder / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        command: list[str | Path] = [given.peers, script("qlib_train.py"), file]
        return Figures.of(measure(command, self.study.folder), "pyqlib", model, "fp32", number, jobs)


def has_qlib(python: Path | None) -> bool:
    """Return whether an environment has pyqlib; says so if not."""
    if python is None:
        print("no --peers: pyqlib is left out")
        return False
    found = subprocess.run([python, "-c", "import qlib, torch"], check=False, capture_output=True, text=True)
    if found.returncode:
        print(f"{python} has no pyqlib that works ({found.stderr.strip().splitlines()[-1]}): it is left out")
    return not found.returncode


@contextmanager
def study_folder(given: Path | None) -> Iterator[Path]:
    """Give the study's folder, a temporary one if none was named."""
    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def parse() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="of an environment with pyqlib and torch")
    parser.add_argument("--models", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "tf32", "bf16"], default=["fp32"], help="of qts")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--jobs", type=int, nargs="+", default=[0, 2], help="pyqlib's loader processes, to be tried each"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, help="begin nothing that would not end by then")
    parser.add_argument("--small", dest="size", action="store_const", const="small", default="full")
    parser.add_argument("--synthetic", type=int, metavar="ROWS", help="make random bars if the folder has none")
    parser.add_argument("--study", type=Path, help="where store and windows are kept; a temporary folder if not given")
    parser.add_argument("--out", type=Path, help="a file for one JSON line a process")
    return parser.parse_args()


def main() -> None:
    """Prepare the data, run the rounds, print the tables."""
    started, given = time.perf_counter(), parse()
    if given.peers:
        given.peers = given.peers.absolute()  # not resolved: an environment's python may be a link out of it
    if given.synthetic and not (given.folder / "bars.parquet").exists():
        make_market(given.folder, given.synthetic)
    with study_folder(given.study) as folder:
        study = Study.make(folder, given.folder.resolve(), given.size, given.threads)
        job = None
        if has_qlib(given.peers):
            job = export_frame(study.windows(), folder / "frame.parquet")
        print(f"{given.size}: {json.dumps(SPANS[given.size])}", flush=True)
        found = Found(given.models, given.precision)
        bench = Bench(given, study, job, found, started)
        bench.run()
    print_sameness(found)
    print(f"device {given.device}, {given.threads} threads, {given.epochs} epochs")
    print_speeds(found)
    if job:
        print_ratios(found)
    print_feed(found)
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()
