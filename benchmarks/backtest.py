"""Times a backtest against pyqlib's on the same scores and bars, and compares what both say of every day.

    python benchmarks/backtest.py FOLDER [--peers PYTHON] [--scores FILE] [--rounds 3]

FOLDER holds bars.parquet, members.csv and index.parquet. Scores, unless given (instrument, datetime, score), are a reversal
of five days under noise, members alone, from 2020 on. Both sides trade them as the reference's shipped workflows do: 50
names, at most 5 exchanged a day, at the close, limits of 9.5 %, 0.05 % and 0.15 % cost. A round runs every job once, each in
a process of its own; figures are medians. The store and pyqlib's bins are made before, untimed.

loop         the days alone: qts's grids are laid out, pyqlib's Exchange is built
backtest     market preparation and loop; qts has read the bars, pyqlib reads them while it builds its Exchange
whole        from files to the report's figures: opening the store or qlib.init, reading scores and bars, backtest
process      the same from the shell, imports included; `qts backtest` also judges the scores and writes the HTML report

PYTHON is that of an environment with pyqlib, such as benchmarks/ingest.py makes; without it qts is timed alone.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa  # noqa: TID253 - a script that is no part of the package
import pyarrow.csv as pc  # noqa: TID253 - as above
import pyarrow.parquet as pq  # noqa: TID253 - as above
from measure import Cost, measure, qts_command
from path import BARS
from peers import script

from qts.backtest.engine import run_backtest, run_grid
from qts.backtest.market import Market
from qts.config import BacktestConfig, load_config
from qts.pipeline.evaluate import write_records
from qts.pipeline.scored import ScoredStore, sort_scores
from qts.pipeline.subject import read_scores
from qts.store import open_store

FIRST = np.datetime64("2020-01-02")
GRID = {"top_k": (20, 50, 100), "n_drop": (1, 5, 10), "lag": (1, 2)}
CONFIG = BARS + '\n[factors]\nset = "raw"\n'
N_BACK = 5
"""Days of the reversal."""

T = TypeVar("T")
Seconds = list[float]
"""Of wall and of processor."""


def timed(work: Callable[[], T]) -> tuple[T, Seconds]:
    """Return what some work gives, and what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, [time.perf_counter() - wall, time.process_time() - processor]


def make_scores(folder: Path, file: Path, seed: int = 0) -> dict[str, object]:
    """Write scores of the members on every day from FIRST to the third last, so that the last is traded on the second last."""
    bars = pq.read_table(folder / "bars.parquet", columns=["instrument", "date", "close"])
    names, column = np.unique(bars["instrument"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    days, row = np.unique(bars["date"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    close = np.full((len(days), len(names)), np.nan)
    close[row, column] = bars["close"].to_numpy()
    is_member = np.zeros(close.shape, dtype=bool)
    spans = pc.read_csv(folder / "members.csv")
    for name, start, end in zip(*(spans[key].to_pylist() for key in ("instrument", "start", "end")), strict=True):
        inside = (days >= np.datetime64(start)) & (days <= np.datetime64(end))
        is_member[inside, np.searchsorted(names, name) % len(names)] |= name in names
    reversal = np.full(close.shape, np.nan)
    reversal[N_BACK:] = 1 - close[N_BACK:] / close[:-N_BACK]
    rows, columns = np.nonzero(is_member & np.isfinite(reversal) & ((days >= FIRST) & (days <= days[-3]))[:, None])
    noise = np.random.default_rng(seed).normal(0, 0.05, len(rows))
    scores = {"instrument": names[columns], "datetime": days[rows], "score": reversal[rows, columns] + noise}
    pq.write_table(pa.table({name: pa.array(values) for name, values in scores.items()}), file)
    return {"n_scores": len(rows)}


def trade(folder: Path, what: str) -> dict[str, object]:
    """Do qts's part in this process: one backtest under the rules named, or the grid; returns what its stages took."""
    loaded = load_config(folder / "qts.toml")
    rules: Any = "qlib" if what == "qlib" else "exchange"
    config = BacktestConfig(rules=rules, lag=max(GRID["lag"]) if what == "grid" else 1)

    def load() -> ScoredStore:
        store = open_store(loaded.path(loaded.config.store.path))
        scored = ScoredStore(store, sort_scores(read_scores(loaded, folder / "scores.parquet"), store))
        _ = scored.bars, scored.members
        return scored

    def run(market: Market, scores: np.ndarray) -> list[Any]:
        if what != "grid":
            return [run_backtest(market, scores, config)]
        changes = [dict(zip(GRID, values, strict=True)) for values in product(*GRID.values())]
        return run_grid(market, scores, [config.model_copy(update=change) for change in changes])

    scored, load_took = timed(load)
    (market, scores), market_took = timed(lambda: scored.market(config))
    results, run_took = timed(lambda: run(market, scores))
    write_records(results[0], folder / f"ours-{what}")
    stages = {"load": load_took, "market": market_took, "loop": run_took, "backtest": _sum(market_took, run_took),
              "whole": _sum(load_took, market_took, run_took)}  # fmt: skip
    found = results[0].statistics
    return {"stages": stages, "n_scores": len(scored.rows.score), "n_days": len(results[0].days), "n": len(results),
            "n_names": len(market.instruments), "annual_return": found["annual_return"]}  # fmt: skip


def _sum(*parts: Seconds) -> Seconds:
    return [sum(values) for values in zip(*parts, strict=True)]


@dataclass
class Bench:
    """The folder of one benchmark, and what was found so far."""

    folder: Path
    peer: Path | None
    span: tuple[str, str]
    """First and last day that pyqlib trades."""
    took: dict[str, list[dict[str, Seconds]]] = field(default_factory=dict)
    """Job → round → stage → seconds."""
    found: dict[str, Cost] = field(default_factory=dict)
    """Job → the last cost."""

    @property
    def jobs(self) -> dict[str, list[str | Path]]:
        """Name → command, in the order of a round."""
        own: list[str | Path] = [sys.executable, Path(__file__), self.folder, "--part"]
        tell = ("--scores", "scores.parquet", "--no-progress")
        peer: dict[str, list[str | Path]] = {}
        if self.peer:
            paths = [self.folder / name for name in ("bins", "scores.parquet", "theirs")]
            peer = {"pyqlib": [self.peer, script("qlib_backtest.py"), "trade", *paths, *self.span]}
        grid = [f"--grid={key}={','.join(map(str, values))}" for key, values in GRID.items()]
        return {
            "qts, rules of qlib": [*own, "qlib"],
            **peer,
            "qts, rules of an exchange": [*own, "exchange"],
            f"qts, grid of {np.prod([len(v) for v in GRID.values()])}": [*own, "grid"],
            "`qts backtest --rules qlib`": qts_command("backtest", *tell, "--rules", "qlib", "--out", "report"),
            "`qts backtest`": qts_command("backtest", *tell, "--out", "report"),
            "`qts backtest --grid`": qts_command("backtest", *tell, *grid),
        }

    def run_round(self) -> None:
        """Run every job once."""
        for name, command in self.jobs.items():
            cost = measure(command, self.folder)
            stages: Any = cost.found.get("stages", {}) if isinstance(cost.found, dict) else {}
            if "exchange" in stages:
                stages["loop"] = [a - b for a, b in zip(stages["backtest"], stages["exchange"], strict=True)]
            stages["process"] = [cost.wall, cost.processor]
            self.took.setdefault(name, []).append(stages)
            self.found[name] = cost
            print(f"{name:<28} {cost}", flush=True)

    def median(self, job: str, stage: str) -> Seconds | None:
        """Return the median wall and processor seconds of a stage; None if the job has no such stage."""
        rounds = [one[stage] for one in self.took.get(job, []) if stage in one]
        return [statistics.median(values) for values in zip(*rounds, strict=True)] if rounds else None


STAGES = ("loop", "backtest", "whole", "process")
ADDED = {"load": "scores and bars read", "market": "market laid out", "exchange": "Exchange built"}


def print_table(bench: Bench) -> None:
    """Print the medians, and how many times qts's cost pyqlib's is."""
    print(
        "\n| job | "
        + " | ".join([*ADDED.values(), *STAGES])
        + " | peak GiB |\n|"
        + "---|" * (len(ADDED) + len(STAGES) + 2)
    )
    for name in bench.took:
        cells = [bench.median(name, stage) for stage in (*ADDED, *STAGES)]
        text = " | ".join(f"{cell[0]:.2f} / {cell[1]:.2f}" if cell else "" for cell in cells)
        print(f"| {name} | {text} | {bench.found[name].peak:.2f} |")
    print("\nseconds of wall / of processor")
    if bench.peer is None:
        return
    print("\n| qts : pyqlib | wall | processor |\n|---|---|---|")
    pairs = [("qts, rules of qlib", stage) for stage in STAGES[:3]]
    for job, stage in [*pairs, ("qts, rules of an exchange", "backtest"), ("`qts backtest --rules qlib`", "process")]:
        ours, theirs = bench.median(job, stage), bench.median("pyqlib", stage)
        if ours and theirs:
            ratios = " | ".join(f"1 : {b / a:.1f}" for a, b in zip(ours, theirs, strict=True))
            print(f"| {stage}: {job} | {ratios} |")


def compare(ours: Path, theirs: Path) -> None:
    """Print how far the accounts and holdings of both sides are apart; the days are those that qts reports."""
    own, other = (pq.read_table(folder / "accounts.parquet") for folder in (ours, theirs))
    days = own["datetime"].to_numpy().astype("datetime64[D]")
    other_days = other["datetime"].to_numpy().astype("datetime64[D]")
    at = np.flatnonzero(np.isin(other_days, days))
    early = np.abs(other["return"].to_numpy()[other_days < days[0]]).max(initial=0)
    print(f"\n{len(days)} days from {days[0]} to {days[-1]}; pyqlib has {len(other_days)}, "
          f"those before return at most {early:g}")  # fmt: skip
    if not np.array_equal(other_days[at], days):
        sys.exit("NOT THE SAME DAYS")
    names = {"account": "account", "cash": "cash", "gross_return": "return", "cost": "cost", "turnover": "turnover"}
    for mine, its in {**names, "benchmark": "bench"}.items():
        a, b = own[mine].to_numpy(), other[its].to_numpy()[at]
        apart = np.abs(a - b)
        share = apart / np.maximum(np.abs(b), 1e-300) if mine in ("account", "cash") else apart
        worst = int(np.nanargmax(share))
        kind = "relative" if mine in ("account", "cash") else "absolute"
        print(
            f"{mine:<13} largest {kind} difference {share[worst]:.2e} on {days[worst]}; at the end {a[-1]:.17g} : {b[-1]:.17g}"
        )
    compare_holdings(read_holdings(ours / "positions.parquet"), read_holdings(theirs / "positions.parquet"), days)


def read_holdings(file: Path) -> dict[np.datetime64, dict[str, float]]:
    """Return day → name → shares."""
    held: dict[np.datetime64, dict[str, float]] = {}
    table = pq.read_table(file, columns=["datetime", "instrument", "shares"]).to_pydict()
    for day, name, shares in zip(*table.values(), strict=True):
        held.setdefault(np.datetime64(day, "D"), {})[name] = shares
    return held


def compare_holdings(
    ours: dict[np.datetime64, dict[str, float]], theirs: dict[np.datetime64, dict[str, float]], days: np.ndarray
) -> None:
    """Print on how many days names or shares differ, and the first such day."""
    others = [day for day in days if ours.get(day, {}).keys() != theirs.get(day, {}).keys()]
    apart = 0.0
    for day in days:
        own, other = ours.get(day, {}), theirs.get(day, {})
        apart = max([apart, *(abs(own[name] / other[name] - 1) for name in own.keys() & other.keys() if other[name])])
    print(f"days on which other names are held: {len(others)} of {len(days)}; "
          f"largest relative difference of a holding's shares {apart:.2e}")  # fmt: skip
    if others:
        own, other = ours.get(others[0], {}), theirs.get(others[0], {})
        print(f"first on {others[0]}: qts alone {sorted(own.keys() - other.keys())}, "
              f"pyqlib alone {sorted(other.keys() - own.keys())}")  # fmt: skip


def prepare(folder: Path, given: argparse.Namespace) -> Bench:
    """Make store, scores and bins in a folder."""
    source = given.folder.resolve()
    (folder / "qts.toml").write_text(CONFIG.format(folder=source), encoding="utf-8")
    scores = folder / "scores.parquet"
    print(f"{'ingest, untimed':<28} {measure(qts_command('ingest', '--quiet'), folder)}", flush=True)
    if given.scores:
        shutil.copy(given.scores, scores)
    else:
        # in a process of its own, for a child's peak counts what its parent held
        measure([sys.executable, Path(__file__), source, "--part", "scores", "--scores", scores])
    if given.peers:
        command = [given.peers, script("qlib_backtest.py"), "dump"]
        command += [source / name for name in ("bars.parquet", "index.parquet", "members.csv")]
        print(f"{'bins made, untimed':<28} {measure([*command, folder / 'bins'], folder)}", flush=True)
    config = load_config(folder / "qts.toml")
    calendar = open_store(config.path(config.config.store.path)).calendar()
    days = np.unique(pq.read_table(scores, columns=["datetime"])["datetime"].to_numpy().astype("datetime64[D]"))
    last = min(int(np.searchsorted(calendar, days[-1])) + 1, len(calendar) - 2)
    return Bench(folder, given.peers, (str(days[0]), str(calendar[last])))


def main() -> None:
    """Prepare, run the rounds, print the tables; or do one part, for the program itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="of an environment with pyqlib")
    parser.add_argument("--scores", type=Path, help="Parquet with instrument, datetime, score")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=["scores", "qlib", "exchange", "grid"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        made = make_scores(given.folder, given.scores) if given.part == "scores" else trade(given.folder, given.part)
        print(json.dumps(made))
        return
    if given.peers:
        given.peers = given.peers.absolute()  # not resolved: an environment's python may be a link out of it
    with tempfile.TemporaryDirectory() as name:
        bench = prepare(Path(name), given)
        for _ in range(given.rounds):
            bench.run_round()
        print_table(bench)
        print(json.dumps({name: cost.found for name, cost in bench.found.items() if "stages" in cost.found}))
        if bench.peer:
            compare(bench.folder / "ours-qlib", bench.folder / "theirs")


if __name__ == "__main__":
    main()
