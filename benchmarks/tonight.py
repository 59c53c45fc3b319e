"""Nightly scores on real bars: a month of nights with what goes wrong, and how long one night of 5,000 names takes.

    python benchmarks/tonight.py month FOLDER [--nights 21] [--epochs 2]
    python benchmarks/tonight.py cold FOLDER [--names 5000] [--days 500] [--rounds 5]

FOLDER holds bars.parquet and members.csv. `month` reveals the bars a day a night, as vendors do, with one night missed, one
delivery cut off in the middle, and one late correction of a bar; `qts nightly` runs as cron would start it, in a process
of its own. In the end every published score is compared, bit by bit, with those of one run over a store made in one go.
`cold` makes a market of so many names out of the bars and times `qts nightly` of one new day.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import duckdb  # noqa: TID253 - the benchmark makes bars of its own
import pyarrow.compute as pc  # noqa: TID253 - and compares scores
import pyarrow.parquet as pq  # noqa: TID253 - as above
from measure import Cost, measure, qts_command

from qts.predictions import read_book

SELECT = """["RESI5", "WVMA5", "RSQR5", "KLEN", "RSQR10", "CORR5", "CORD5", "CORR10", "ROC60", "RESI10", "VSTD5", "RSQR60",
          "CORR60", "WVMA60", "STD5", "RSQR20", "CORD60", "CORD10", "CORR20", "KLOW"]"""
CONFIG = """[bars]
path = "bars.parquet"
{universe}
[segments]
train = ["{0}", "{1}"]
valid = ["{2}", "{3}"]
test  = ["{4}", "{5}"]
[factors]
set    = "alpha158"
select = {select}
[model]
name = "gru"
[train]
epochs = {epochs}
batch_size = 2000
"""


class Market:
    """Bars that are revealed up to a day."""

    def __init__(self, source: Path, study: Path, relation: str) -> None:
        self.connection = duckdb.connect()
        self.file = study / "bars.parquet"
        self.day = next(n for n in duckdb.sql(f"FROM '{source}'").columns if n in ("date", "datetime"))
        self.connection.execute(f"CREATE TABLE bars AS {relation.format(source=source, day=self.day)}")
        rows = self.connection.execute("SELECT DISTINCT datetime FROM bars ORDER BY 1").fetchall()
        self.days = [row[0] for row in rows]

    def reveal(self, until: object) -> None:
        """Write the file as it was on a day, in one step."""
        fresh = self.file.with_suffix(".new")
        known = f"FROM bars WHERE datetime <= DATE '{until}' ORDER BY instrument, datetime"
        self.connection.execute(f"COPY ({known}) TO '{fresh}' (FORMAT parquet)")
        fresh.replace(self.file)

    def cut_off(self) -> None:
        """Leave half of the file, as a delivery that broke."""
        content = self.file.read_bytes()
        self.file.write_bytes(content[: len(content) // 2])

    def correct(self, day: object, members: Path) -> str:
        """Change the close of a member on a day of the past by 5 %; return whose."""
        chosen = (
            f"SELECT instrument FROM bars JOIN read_csv('{members}') AS m USING (instrument) WHERE datetime = DATE '{day}' "
            f'AND datetime BETWEEN m.start AND coalesce(m."end", datetime) ORDER BY instrument LIMIT 1 OFFSET 100'
        )
        name = self.connection.execute(chosen).fetchall()[0][0]
        self.connection.execute(
            f"UPDATE bars SET close = close * 1.05, high = greatest(high, close * 1.05) "
            f"WHERE instrument = '{name}' AND datetime = DATE '{day}'"
        )
        return str(name)


def prepare(study: Path, market: Market, universe: str, epochs: int, n_nights: int) -> None:
    """Train and pin a run on the bars before the first night."""
    last = len(market.days) - n_nights - 1
    edges = [int(last * share) for share in (0.3, 0.7, 0.72, 0.85, 0.87, 1.0)]
    days = [market.days[at] for at in edges]
    (study / "qts.toml").write_text(
        CONFIG.format(*days, universe=universe, select=SELECT, epochs=epochs), encoding="utf-8"
    )
    market.reveal(market.days[last])
    for line in (("ingest", "-q"), ("train", "-q")):
        print(f"qts {line[0]:12} {measure(qts_command(*line), study)}", flush=True)
    name = (study / "runs/latest").read_text(encoding="utf-8").strip()
    print(f"qts runs pin     {measure(qts_command('runs', 'pin', name), study)}", flush=True)


def call(study: Path, *line: str) -> tuple[int, str, str]:
    """Run a command; return its exit code, stdout and stderr."""
    done = subprocess.run(qts_command(*line), cwd=study, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def month(folder: Path, study: Path, n_nights: int, epochs: int) -> int:
    """Run the nights, then compare; return the number of scores that differ."""
    shutil.copy(folder / "members.csv", study)
    market = Market(folder / "bars.parquet", study, "SELECT {day} AS datetime, * EXCLUDE ({day}) FROM '{source}'")
    prepare(study, market, 'universe = "members.csv"', epochs, n_nights)
    nights = market.days[-n_nights:]
    missed, corrupt, late = nights[5], nights[9], nights[14]
    costs: list[Cost] = []
    for day in nights:
        if day == missed:
            print(f"{day}  no night", flush=True)
            continue
        if day == late:
            print(
                f"{day}  a correction of {market.correct(nights[8], folder / 'members.csv')} on {nights[8]}", flush=True
            )
        market.reveal(day)
        if day == corrupt:
            market.cut_off()
            code, _, err = call(study, "nightly", "-q")
            print(f"{day}  delivery cut off: exit {code}: {err.splitlines()[0]}", flush=True)
            continue
        costs.append(measure(qts_command("nightly", "-q", "--max-age", "100000"), study))
        told = json.loads((study / ".qts/log/nightly/run.json").read_text(encoding="utf-8"))["result"]
        print(f"{day}  {costs[-1]}  new {told['n_new']}, changed {told['n_changed']}", flush=True)
    print(f"median night {statistics.median(cost.wall for cost in costs):.2f} s")
    return compare(study, nights)


def compare(study: Path, nights: list[date]) -> int:
    """Score all nights at once in a store made of everything at once; return how many scores differ from the published."""
    fresh = study / "fresh"
    fresh.mkdir()
    keys = ["--set", f'store.path="{fresh}/store"', "--set", f'store.predictions="{fresh}/predictions"']
    pinned = json.loads((study / "runs/pinned.json").read_text(encoding="utf-8"))["run"]
    for line in (["ingest", "-q"], ["predict", "--run", pinned, "--start", str(nights[0]), "--out", "all.parquet"]):
        code, _, err = call(study, *line, *keys)
        if code:
            raise SystemExit(err)
    book = read_book(study / "predictions")
    if book is None:
        raise SystemExit("nothing was published")
    whole = pq.read_table(study / "all.parquet")
    published = book.scores(nights[0])
    joined = published.join(whole, keys=["instrument", "datetime"], join_type="full outer", right_suffix="_whole")
    pairs = zip(joined["score"].to_pylist(), joined["score_whole"].to_pylist(), strict=True)
    differ = sum(a is None or b is None or a != b for a, b in pairs)
    versions = {n: published.filter(pc.equal(published["version"], n)).num_rows for n in (1, 2, 3)}
    print(f"{published.num_rows:,} published, {whole.num_rows:,} of one run, {differ:,} differ; versions {versions}; "
          f"{book.superseded().num_rows} superseded; {len(book.manifest.lineages)} lineages")  # fmt: skip
    print(call(study, "verify", "--json")[1][:2000] if "--verify" in sys.argv else "")
    return differ


def cold(folder: Path, study: Path, n_names: int, n_days: int, rounds: int) -> int:
    """Time one new day of many names, a process each time, the book and the store put back before."""
    first = f"(SELECT DISTINCT {{day}} AS d FROM '{{source}}' ORDER BY 1 DESC LIMIT {n_days})"
    relation = (
        f"SELECT instrument || '-' || r AS instrument, {{day}} AS datetime, * EXCLUDE (instrument, {{day}}, r, n) FROM "
        f"(SELECT *, dense_rank() OVER (ORDER BY r, instrument) AS n FROM '{{source}}', range(10) AS t(r) "
        f"WHERE {{day}} >= (SELECT min(d) FROM {first})) WHERE n <= {n_names}"
    )
    market = Market(folder / "bars.parquet", study, relation)
    prepare(study, market, "", 1, 2)
    market.reveal(market.days[-2])
    print(f"first night      {measure(qts_command('nightly', '-q'), study)}", flush=True)
    market.reveal(market.days[-1])
    kept = study.parent / "kept"
    shutil.copytree(study, kept, symlinks=True)
    costs = []
    for _ in range(rounds):
        shutil.rmtree(study)
        shutil.copytree(kept, study, symlinks=True)
        costs.append(measure(qts_command("nightly", "-q"), study))
        print(f"one new day      {costs[-1]}", flush=True)
    book = read_book(study / "predictions")
    print(f"median {statistics.median(cost.wall for cost in costs):.2f} s; "
          f"{0 if book is None else book.scores(market.days[-1]).num_rows:,} scores")  # fmt: skip
    return 0


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["month", "cold"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nights", type=int, default=21)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--names", type=int, default=5000)
    parser.add_argument("--days", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--verify", action="store_true", help="run qts verify on the study in the end")
    parser.add_argument("--work", type=Path, help="where the study lies meanwhile; a temporary folder if not given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        study = Path(name) / "study"
        study.mkdir()
        if given.job == "month":
            sys.exit(month(given.folder, study, given.nights, given.epochs) > 0)
        sys.exit(cold(given.folder, study, given.names, given.days, given.rounds))


if __name__ == "__main__":
    main()
