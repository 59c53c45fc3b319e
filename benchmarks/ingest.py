"""Times qts's ingest against pyqlib and KunQuant: bars in Parquet → Alpha158 and the label.

    python benchmarks/ingest.py FOLDER [--runs 2] [--venv DIR] [--peers qlib kunquant] [--what alpha158]

FOLDER holds bars.parquet and members.csv. Each job is a process of its own on the same two cores, and each run of a peer
follows a run of qts at once, so that a busy machine slows both; ratios are those of such pairs. The peers' environment is
made on first use. What each does:

qts                 ingest into a new store: bars checked and kept, factors and label of every row, committed to disk
pyqlib, all rows    the same factors and label from its bin store, two processes, float32 Parquet
pyqlib, members     its handler over the universe's rows alone, two processes, kept in memory, nothing written
KunQuant            two threads; reads, pivots, compiles C++, computes, pivots back, writes float32 Parquet; no label.
                    Its first rows and missing days follow other rules, and in float32 BETA, RSQR and RESI are wrong

Peak memory is that of a job's largest process. Making pyqlib's bin store is not part of its time, but is shown.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import Cost, measure, qts_command
from peers import peer_python, script

N_CORES = 2
CONFIG = """
[bars]
path = "{bars}"
[factors]
set = "{what}"
[limits]
threads = {cores}
"""


@dataclass(frozen=True)
class Bench:
    """Where the jobs of one benchmark find their input and leave their output."""

    folder: Path
    """Of the bars."""
    work: Path
    """Emptied after each job."""
    scratch: Path
    """Holds pyqlib's bin store."""
    python: Path
    """Of the peers' environment."""
    what: str

    @property
    def bars(self) -> Path:
        """The bars' file."""
        return self.folder / "bars.parquet"

    @property
    def bins(self) -> Path:
        """The bin store that pyqlib reads."""
        return self.scratch / "bins"

    def run(self, command: list[str | Path]) -> Cost:
        """Run one job in an empty folder."""
        self.work.mkdir()
        (self.work / "qts.toml").write_text(
            CONFIG.format(bars=self.bars, what=self.what, cores=N_CORES), encoding="utf-8"
        )
        try:
            return measure(command, self.work)
        finally:
            shutil.rmtree(self.work)

    def qlib(self, *arguments: str | Path) -> list[str | Path]:
        """Return a command line of pyqlib's script."""
        return [self.python, script("qlib158.py"), *arguments]

    def kunquant(self, dtype: str) -> list[str | Path]:
        """Return a command line of KunQuant's script."""
        return [self.python, script("kun158.py"), self.bars, "out", "--dtype", dtype]

    def dump(self) -> None:
        """Make pyqlib's bin store, and say how long it took."""
        cost = self.run(self.qlib("dump", self.bars, self.folder / "members.csv", self.bins))
        print(f"{'pyqlib, bin store made (untimed)':<34} {cost}", flush=True)


@dataclass(frozen=True)
class Job:
    """A peer's job."""

    peer: str
    whats: tuple[str, ...]
    """The factor sets it knows."""
    command: Callable[[Bench], list[str | Path]]


JOBS = {
    "pyqlib, all rows": Job(
        "qlib", ("alpha158", "alpha360"), lambda bench: bench.qlib("all", bench.bins, "out", "--what", bench.what)
    ),
    "pyqlib, members": Job(
        "qlib", ("alpha158", "alpha360"), lambda bench: bench.qlib("members", bench.bins, "--what", bench.what)
    ),
    "KunQuant, float32": Job("kunquant", ("alpha158",), lambda bench: bench.kunquant("float32")),
    "KunQuant, float64": Job("kunquant", ("alpha158",), lambda bench: bench.kunquant("float64")),
}


def shown(values: list[float], form: str) -> str:
    """Return the median, and the range if there is one."""
    text = format(statistics.median(values), form)
    return text if len(values) == 1 else f"{text} ({min(values):{form}} - {max(values):{form}})"


def print_table(costs: dict[str, list[Cost]]) -> None:
    """Print the median cost of each job."""
    print(f"\n| {'job':<18} | wall s | user s | sys s | peak GiB | rows |\n|---|---|---|---|---|---|")
    for name, those in costs.items():
        rows = those[0].found.get("rows", those[0].found.get("n_rows"))
        figures = (shown([getattr(cost, key) for cost in those], ".1f") for key in ("wall", "user", "system"))
        print(f"| {name:<18} | {' | '.join(figures)} | {max(cost.peak for cost in those):.2f} | {rows} |")


def print_ratios(pairs: dict[str, list[tuple[Cost, Cost]]]) -> None:
    """Print how many times qts's cost each peer's is."""
    print("\n| qts : peer | wall | user + sys |\n|---|---|---|")
    for name, those in pairs.items():
        walls = [peer.wall / ours.wall for ours, peer in those]
        processors = [peer.processor / ours.processor for ours, peer in those]
        print(f"| {name} | 1 : {shown(walls, '.2f')} | 1 : {shown(processors, '.2f')} |")


def main() -> None:
    """Run the pairs and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=2, help="pairs a peer's job")
    parser.add_argument("--venv", type=Path, help="the peers' environment; made if it is not there")
    parser.add_argument("--peers", nargs="+", choices=["qlib", "kunquant"], default=["qlib", "kunquant"])
    parser.add_argument("--what", choices=["alpha158", "alpha360"], default="alpha158")
    given = parser.parse_args()
    jobs = {name: job for name, job in JOBS.items() if job.peer in given.peers and given.what in job.whats}
    if not jobs:
        sys.exit(f"none of {', '.join(given.peers)} knows {given.what}")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_CORES])
    pairs: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in jobs}
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(
            given.folder.resolve(), Path(scratch) / "work", Path(scratch), peer_python(given.venv), given.what
        )
        if "qlib" in given.peers:
            bench.dump()
        for _ in range(given.runs):
            for name, job in jobs.items():
                ours = bench.run(qts_command("ingest", "--quiet"))
                print(f"{'qts':<34} {ours}", flush=True)
                theirs = bench.run(job.command(bench))
                print(f"{name:<34} {theirs}  {parts(theirs)}", flush=True)
                pairs[name].append((ours, theirs))
    ours_all = [ours for those in pairs.values() for ours, _ in those]
    print_table({"qts": ours_all} | {name: [theirs for _, theirs in those] for name, those in pairs.items()})
    print_ratios(pairs)


def parts(cost: Cost) -> str:
    """Return what a job says of its own parts, in seconds."""
    return ", ".join(f"{key[:-8]} {value:.1f} s" for key, value in cost.found.items() if key.endswith("_seconds"))


if __name__ == "__main__":
    main()
