"""Times the evaluation of scores, beside what pyqlib and alphalens compute of the same panel.

    python benchmarks/evaluate.py [--peers PYTHON] [--sizes 1532x281 2000x5000] [--rounds 3]

A panel is made from a seed: random walks, a label of two days, scores that know a little of it, one row in fifty missing.
Each job is a process of its own; the panel is in memory before any clock runs. What each computes:

qts          evaluate_signal, everything the report of `qts eval` shows: IC, RankIC, spread with Newey-West errors and
             bootstrap intervals, six horizons and the decay, quantiles, the weighted portfolio, turnover and
             autocorrelation at three lags, sizes, scores cleared of exposures, coverage
no intervals the same without the bootstrap
pyqlib       calc_ic, calc_long_short_return, calc_long_short_prec, pred_autocorr, risk_analysis: one label, no error bands;
             group returns are left out, for it computes them inside a plot
alphalens    the tables of its full tear sheet at three horizons, without a plot; small panels alone

PYTHON is that of an environment with pyqlib, and alphalens-reloaded for its line; what is lacking is left out.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # noqa: TID253 - a script that is no part of the package
import pyarrow.parquet as pq  # noqa: TID253 - as above
from backtest import timed
from measure import Cost, measure
from peers import script

from qts.config import EvalConfig
from qts.evaluation import Prices, Signal, evaluate_signal

BEFORE, AFTER = 80, 22
"""Days of prices before the first score and after the last."""
MOST = 1_000_000
"""Rows of the largest panel that alphalens is given: it holds several frames of objects at once."""


def make_signal(n_days: int, n_names: int, seed: int = 0) -> Signal:
    """Return a panel as the evaluation takes it."""
    rng = np.random.default_rng(seed)
    first = np.datetime64("2015-01-05")
    weekdays = np.arange(first, first + 2 * (n_days + BEFORE + AFTER))
    days = weekdays[np.is_busday(weekdays)][: n_days + BEFORE + AFTER]
    returns = rng.normal(0, 0.02, (len(days), n_names))
    close = 20 * np.exp(np.cumsum(returns, axis=0))
    value = rng.lognormal(15, 1, n_names) * rng.lognormal(0, 0.3, close.shape)
    scored = slice(BEFORE, BEFORE + n_days)
    label = close[BEFORE + 2 : BEFORE + n_days + 2] / close[BEFORE + 1 : BEFORE + n_days + 1] - 1
    score = 0.05 * label / 0.02 + rng.normal(0, 1, label.shape)
    day, name = np.nonzero(rng.random(label.shape) > 0.02)
    return Signal(
        days[scored], np.array([f"X{at:05d}" for at in range(n_names)]), day, name, score[day, name],
        label[day, name], Prices(days, close, value),
    )  # fmt: skip


def evaluate(n_days: int, n_names: int, draws: int) -> dict[str, object]:
    """Do qts's part in this process."""
    signal = make_signal(n_days, n_names)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report, took = timed(lambda: evaluate_signal(signal, EvalConfig(bootstrap=draws)))
    figures = {name: report.summary[name] for name in ("ic", "rank_ic")}
    return {"stages": {"whole": took}, "n_rows": len(signal.score), "before_gib": held, **figures}


def write_panel(folder: Path, n_days: int, n_names: int) -> dict[str, object]:
    """Write a panel for the peers: rows of scores and labels, and a table of closes."""
    signal = make_signal(n_days, n_names)
    columns = {
        "datetime": pa.array(signal.days[signal.day].astype("datetime64[ns]")),
        "instrument": pa.array(signal.instruments).take(pa.array(signal.instrument)),
        "score": pa.array(signal.score),
        "label": pa.array(signal.label),
    }
    pq.write_table(pa.table(columns), folder / "panel.parquet")
    closes = {name: signal.prices.close[:, at] for at, name in enumerate(signal.instruments.tolist())}
    days = pa.array(signal.prices.days.astype("datetime64[ns]"))
    pq.write_table(pa.table({"day": days, **closes}), folder / "closes.parquet")
    return {"n_rows": len(signal.score)}


def commands(folder: Path, size: tuple[int, int], peer: Path | None, peers: list[str]) -> dict[str, list[str | Path]]:
    """Return job → command."""
    own: list[str | Path] = [sys.executable, Path(__file__), "--part", *map(str, size)]
    found = {"qts": [*own, "1000"], "qts, no intervals": [*own, "0"]}
    if peer and "qlib" in peers:
        found["pyqlib"] = [peer, script("qlib_backtest.py"), "judge", folder / "panel.parquet"]
    if peer and "alphalens" in peers and size[0] * size[1] <= MOST:
        files = [folder / "panel.parquet", folder / "closes.parquet"]
        found["alphalens"] = [peer, script("qlib_backtest.py"), "alphalens", *files]
    return found


def peers_of(python: Path | None) -> list[str]:
    """Return the peers that an environment has; says which it lacks."""
    found: list[str] = []
    if python is None:
        return found
    for name in ("qlib", "alphalens"):
        tried = subprocess.run([python, "-c", f"import {name}"], check=False, capture_output=True, text=True)
        if tried.returncode:
            print(f"{name} is left out: {tried.stderr.strip().splitlines()[-1]}")
        else:
            found.append(name)
    return found


def stages_of(cost: Cost) -> dict[str, list[float]]:
    """Return what a job says that its stages took."""
    stages: Any = cost.found["stages"]
    return dict(stages)


def print_table(size: str, costs: dict[str, list[Cost]]) -> None:
    """Print the medians of a panel."""
    n_rows = costs["qts"][0].found["n_rows"]
    print(f"\n{size}: {n_rows:,} scores\n\n| job | wall s | processor s | peak GiB | before GiB | qts : it | stages |")
    print("|" + "---|" * 7)
    first: list[float] = []
    for name, those in costs.items():
        rounds = [stages_of(one) for one in those]
        middle = {
            stage: [statistics.median(values) for values in zip(*(one[stage] for one in rounds), strict=True)]
            for stage in rounds[0]
        }
        wall, processor = middle.pop("whole")
        first = first or [wall, processor]
        parts = ", ".join(f"{stage} {took[1]:.2f}" for stage, took in middle.items())
        peak = max(one.peak for one in those)
        before = f"{one:.2f}" if isinstance(one := those[0].found.get("before_gib"), float) else ""
        ratio = f"1 : {processor / first[1]:.2f}"
        print(f"| {name} | {wall:.2f} | {processor:.2f} | {peak:.2f} | {before} | {ratio} | {parts} |")
    print(json.dumps({name: {key: those[0].found[key] for key in ("ic", "rank_ic") if key in those[0].found}
                      for name, those in costs.items()}))  # fmt: skip


def main() -> None:
    """Run all jobs and print the tables; or do one part, for the program itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="of an environment with pyqlib")
    parser.add_argument("--sizes", nargs="+", default=["1532x281", "2000x5000"], metavar="DAYSxNAMES")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        n_days, n_names = map(int, given.part[:2])
        what: str = given.part[2]
        is_draws = what.isdigit()
        work = evaluate(n_days, n_names, int(what)) if is_draws else write_panel(Path(what), n_days, n_names)
        print(json.dumps(work))
        return
    python = given.peers.absolute() if given.peers else None  # not resolved: it may be a link out of its environment
    peers = peers_of(python)
    for text in given.sizes:
        n_days, n_names = map(int, text.split("x"))
        costs: dict[str, list[Cost]] = {}
        with tempfile.TemporaryDirectory() as name:
            if peers:  # in a process of its own, for a child's peak counts what its parent held
                measure([sys.executable, Path(__file__), "--part", str(n_days), str(n_names), name])
            jobs = commands(Path(name), (n_days, n_names), python, peers)
            for _ in range(given.rounds):
                for job, command in jobs.items():
                    cost = measure(command)
                    costs.setdefault(job, []).append(cost)
                    print(f"{text:<10} {job:<18} {cost}  {json.dumps(stages_of(cost)['whole'])}", flush=True)
        print_table(text, costs)


if __name__ == "__main__":
    main()
