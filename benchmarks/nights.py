"""Simulates nightly ingests: the bars are revealed a day at a time, and at the end the store is compared with one made in one go.

    python benchmarks/nights.py FOLDER [--nights 250] [--repeat 1]

FOLDER holds bars.parquet. Every night the whole file is written again with one more day, as vendors do; `qts ingest` runs
as cron would start it, in a process of its own. `--repeat` copies the market so many times under new names. Prints the
cost of the first ingest, of the nights by quarter of the simulation, and how many parts the store has.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import duckdb  # noqa: TID253 - the benchmark makes bars of its own
import numpy as np
from measure import Cost, measure, qts_command

from qts.store import open_store

CONFIG = '[bars]\npath = "bars.parquet"\n'


def main() -> None:
    """Run the simulation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nights", type=int, default=250)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--work", type=Path, help="where the study lies meanwhile; a temporary folder if not given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        study = Path(name)
        (study / "qts.toml").write_text(CONFIG, encoding="utf-8")
        market = _Market(given.folder / "bars.parquet", given.repeat, study)
        days = market.days
        market.reveal(days[-given.nights - 1])
        print(f"first ingest  {measure(qts_command('ingest'), study)}", flush=True)
        nights: list[Cost] = []
        for day in days[-given.nights :]:
            market.reveal(day)
            nights.append(measure(qts_command("ingest"), study))
        _show(nights)
        store = open_store(study / ".qts")
        print({name: len(dataset.all_parts()) for name, dataset in store.manifest.datasets().items()})
        (study / ".qts").rename(study / "grown")
        print(f"one ingest    {measure(qts_command('ingest'), study)}", flush=True)
        sys.exit(_compare(study / "grown", study / ".qts"))


class _Market:
    """The bars, revealed up to a day."""

    def __init__(self, source: Path, repeat: int, study: Path) -> None:
        self.connection = duckdb.connect()
        self.study = study
        day = next(n for n in duckdb.sql(f"FROM '{source}'").columns if n in ("date", "datetime"))
        self.connection.execute(
            f"CREATE TABLE bars AS SELECT CASE WHEN r = 0 THEN '' ELSE r || '-' END || instrument AS instrument, "
            f"{day} AS datetime, * EXCLUDE (instrument, {day}, r) FROM '{source}', range({repeat}) AS t(r) "
            f"ORDER BY instrument, datetime"
        )
        self.days = [
            row[0] for row in self.connection.execute("SELECT DISTINCT datetime FROM bars ORDER BY 1").fetchall()
        ]

    def reveal(self, until: object) -> None:
        """Write the file as it was on a day."""
        fresh = self.study / "bars.new"
        self.connection.execute(
            f"COPY (FROM bars WHERE datetime <= DATE '{until}' ORDER BY instrument, datetime) TO '{fresh}' (FORMAT parquet)"
        )
        shutil.move(fresh, self.study / "bars.parquet")


def _show(nights: list[Cost]) -> None:
    """Print the median and the slowest night of each quarter."""
    size = max(len(nights) // 4, 1)
    for at in range(0, len(nights), size):
        part = nights[at : at + size]
        walls, work = sorted(cost.wall for cost in part), [cost.processor for cost in part]
        print(
            f"nights {at + 1:>4}-{at + len(part):<4} wall median {statistics.median(walls):5.2f} s  slowest {walls[-1]:5.2f} s  "
            f"processor {statistics.median(work):5.2f} s  peak {max(cost.peak for cost in part):5.2f} GiB",
            flush=True,
        )


def _compare(grown: Path, fresh: Path) -> int:
    """Compare every value of two stores; return the number of columns that differ."""
    one, other = open_store(grown), open_store(fresh)
    columns = ["label", "has_bar", *(c for d in other.manifest.factor_sets.values() for c in d.expressions)]
    n_different = 0
    for at in range(0, len(columns), 20):
        names = columns[at : at + 20]
        a, b = one.read(names), other.read(names)
        same_rows = np.array_equal(a.instrument, b.instrument) and np.array_equal(a.day, b.day)
        for place in range(len(names)):
            is_same = same_rows and np.array_equal(
                a.values[:, place].view(np.uint32), b.values[:, place].view(np.uint32)
            )
            n_different += not is_same
    print(f"{len(columns)} columns of {len(a.instrument):,} rows compared bit by bit: {n_different} differ")
    return n_different


if __name__ == "__main__":
    main()
