"""The parity certificate: qts's factors against pyqlib's, cell by cell, on real bars; writes it into docs/parity.md.

    python benchmarks/parity.py FOLDER [--venv DIR] [--cache DIR] [--store DIR]

FOLDER holds bars.parquet and members.csv. Alpha158 and the label are compared on every row, Alpha360 on every eighth
instrument. pyqlib computes its values once for the same bars; they are kept in the cache. `--store` takes the Alpha158
of a store that is there in place of a new one. Every cell beyond tolerance is computed anew by `verdicts.py`.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb  # noqa: TID253 - a script that is no part of the package
import numpy as np
import pyarrow as pa  # noqa: TID253 - as above
import pyarrow.compute as pc  # noqa: TID253 - as above
import pyarrow.parquet as pq  # noqa: TID253 - as above
from measure import measure, qts_command
from peers import CACHE, installed, peer_python, script
from verdicts import ABS_TOLERANCE, QLIB_RIGHT, REL_TOLERANCE, UNEXPLAINED, Series, agrees, explain

from qts import __version__
from qts.columns import LABEL
from qts.store import open_store
from qts.store.read import PanelRows

PAGE = Path(__file__).parents[1] / "docs/parity.md"
BEGIN, END = "<!-- parity:begin -->", "<!-- parity:end -->"
EVERY = 8
"""Alpha360 is compared on each instrument so many names after the last."""
FLOOR = 1e-6
"""Relative differences are taken where a value is larger than this."""
KBAR = ("KMID", "KLEN", "KMID2", "KUP", "KUP2", "KLOW", "KLOW2", "KSFT", "KSFT2")
CONFIG = """
[bars]
path = "{bars}"
[factors]
set = "{what}"
"""


@dataclass(frozen=True)
class Reference:
    """What pyqlib computed, and with which versions."""

    folder: Path
    """Parquet parts, in the order of their rows."""
    versions: dict[str, str]

    def files(self) -> list[Path]:
        """Return the parts."""
        return sorted(self.folder.glob("*.parquet"))

    def read(self, columns: list[str]) -> pa.Table:
        """Return columns of every row."""
        return pa.concat_tables(pq.read_table(file, columns=columns) for file in self.files())


@dataclass(frozen=True)
class Comparison:
    """What one factor set's comparison found."""

    tallies: dict[str, "Tally"]
    """By family."""
    n_instruments: int
    n_rows: int
    first: np.datetime64
    last: np.datetime64


@dataclass
class Tally:
    """The differences of one family."""

    cells: int = 0
    values: int = 0
    """Cells with a value on both sides."""
    differing: int = 0
    beyond: int = 0
    missing_here: int = 0
    """qts has no value where Qlib has one."""
    missing_there: int = 0
    largest: float = 0.0
    largest_relative: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Take in one column; return the rows that differ beyond tolerance or in missingness."""
        no_ours, no_theirs = np.isnan(ours), np.isnan(theirs)
        is_same = (ours == theirs) | (no_ours & no_theirs)
        self.cells += len(ours)
        self.values += int((~(no_ours | no_theirs)).sum())
        self.missing_here += int((no_ours & ~no_theirs).sum())
        self.missing_there += int((no_theirs & ~no_ours).sum())
        rows = np.flatnonzero(~is_same)
        self.differing += len(rows)
        bad = rows[~agrees(ours[rows], theirs[rows])]
        rows = rows[~(no_ours | no_theirs)[rows]]
        if len(rows):
            difference = np.abs(ours[rows].astype(np.float64) - theirs[rows])
            size = np.maximum(np.abs(ours[rows]), np.abs(theirs[rows])).astype(np.float64)
            self.largest = max(self.largest, float(difference.max()))
            relative = np.where(size > FLOOR, difference / size, 0)
            self.largest_relative = max(self.largest_relative, float(relative.max()))
            self.beyond += int((~agrees(ours[rows], theirs[rows])).sum())
        return bad


def make_reference(folder: Path, cache: Path, python: Path, what: str, every: int) -> Reference:
    """Return pyqlib's values of these bars; computes them unless the cache has them."""
    content = hashlib.sha256((folder / "bars.parquet").read_bytes()).hexdigest()[:12]
    store, made = cache / content / "bins", cache / content / f"{what}-{every}"
    versions = {name: installed(python)[name] for name in ("pyqlib", "pandas", "numpy")}
    told = made / "versions.json"
    if told.is_file() and json.loads(told.read_text(encoding="utf-8")) == versions:
        return Reference(made, versions)
    for left in (store, made):
        shutil.rmtree(left, ignore_errors=True)
    print(f"pyqlib computes {what}", file=sys.stderr, flush=True)
    measure([python, script("qlib158.py"), "dump", folder / "bars.parquet", folder / "members.csv", store])
    measure([python, script("qlib158.py"), "all", store, made, "--what", what, "--every", str(every)])
    shutil.rmtree(store)
    told.write_text(json.dumps(versions), encoding="utf-8")
    return Reference(made, versions)


def make_store(bars: Path, study: Path, what: str) -> Path:
    """Ingest bars into a new store."""
    study.mkdir()
    (study / "qts.toml").write_text(CONFIG.format(bars=bars, what=what), encoding="utf-8")
    measure(qts_command("ingest", "--quiet"), study)
    return study / ".qts"


def sample_bars(bars: Path, sample: Path) -> Path:
    """Write the bars of every eighth instrument."""
    table = pq.read_table(bars)
    chosen = sorted(table["instrument"].unique().to_pylist())[::EVERY]
    pq.write_table(table.filter(pc.is_in(table["instrument"], pa.array(chosen))), sample)
    return sample


def check_rows(panel: PanelRows, calendar: np.ndarray, reference: Reference) -> None:
    """Stop unless both have the same rows in the same order."""
    table = reference.read(["instrument", "datetime"])
    names = table["instrument"].to_numpy().astype(str)
    days = table["datetime"].to_numpy().astype("datetime64[D]")
    if len(names) != len(panel.day):
        sys.exit(f"qts has {len(panel.day)} rows, Qlib {len(names)}")
    if not ((panel.instruments[panel.instrument] == names).all() and (calendar[panel.day] == days).all()):
        sys.exit("qts and Qlib have other rows, or another order of them")


def read_series(bars: Path, panel: PanelRows, calendar: np.ndarray) -> Series:
    """Return close and volume of every row of the panel."""
    table = pq.read_table(bars, columns=["instrument", "date", "close", "volume"])
    at = np.searchsorted(panel.instruments, table["instrument"].to_numpy().astype(str)) * len(calendar)
    at += np.searchsorted(calendar, table["date"].to_numpy().astype("datetime64[D]"))
    rows = np.searchsorted(panel.instrument.astype(np.int64) * len(calendar) + panel.day, at)
    fields = {}
    for name in ("close", "volume"):
        fields[name] = np.full(len(panel.day), np.nan, dtype=np.float32)
        fields[name][rows] = table[name].to_numpy()
    start = np.searchsorted(panel.instrument, np.arange(len(panel.instruments)))[panel.instrument]
    return Series(fields["close"], fields["volume"], start)


def family_of(column: str) -> tuple[str, int]:
    """Return a factor's family and its number: window or lag."""
    if column == LABEL:
        return "label", 0
    if column in KBAR:
        return "KBAR", 0
    found = re.fullmatch(r"(\D+)(\d+)", column)
    return (found[1], int(found[2])) if found else (column, 0)


def compare(store: Path, reference: Reference, bars: Path, what: str) -> Comparison:
    """Compare every column of a factor set, and the label."""
    opened = open_store(store)
    columns = [*opened.manifest.factor_sets[what].expressions, LABEL]
    panel, calendar = opened.read(columns), opened.calendar()
    check_rows(panel, calendar, reference)
    series = read_series(bars, panel, calendar)
    tallies: dict[str, Tally] = {}
    for at, column in enumerate(columns):
        family, n = family_of(column)
        tally = tallies.setdefault(family, Tally())
        theirs_name = "LABEL0" if column == LABEL else column
        ours, theirs = panel.values[:, at], reference.read([theirs_name])[theirs_name].to_numpy()
        bad = tally.add(ours, theirs)
        if len(bad):
            tally.reasons += explain(series, family, n, bad, ours[bad], theirs[bad])
    return Comparison(tallies, len(panel.instruments), len(panel.day), calendar[0], calendar[-1])


def number(n: int) -> str:
    """Return a count with thin groups."""
    return f"{n:,}".replace(",", " ")


def size(x: float) -> str:
    """Return a difference in two digits."""
    return f"{x:.1e}" if x else "0"


def difference_rows(what: str, tallies: dict[str, Tally]) -> Iterator[tuple[str, ...]]:
    """Yield a table row for all families without a difference, and one for each other."""
    same = {family: tally for family, tally in tallies.items() if not tally.differing}
    if same:
        cells = sum(tally.cells for tally in same.values())
        names = (family if tally.values else f"{family} (without values)" for family, tally in same.items())
        yield what, ", ".join(names), number(cells), "0", "0", "0", "0", "0 / 0"
    for family, tally in tallies.items():
        if tally.differing:
            missing = f"{number(tally.missing_here)} / {number(tally.missing_there)}"
            sizes = (size(tally.largest), size(tally.largest_relative))
            yield what, family, number(tally.cells), number(tally.differing), *sizes, number(tally.beyond), missing


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = (f"| {' | '.join(row)} |" for row in (head, *rows))
    return "\n".join([next(lines), "|" + "---|" * len(head), *lines])


def certificate(found: dict[str, Comparison], versions: dict[str, str]) -> str:
    """Return the certificate as Markdown."""
    whole, sample = found["alpha158"], found["alpha360"]
    qlib_stack = ", ".join(f"{name} {version}" for name, version in versions.items())
    differences: list[tuple[str, ...]] = []
    reasons: list[tuple[str, ...]] = []
    judged: Counter[str] = Counter()
    for what, comparison in found.items():
        differences += difference_rows(what, comparison.tallies)
        for family, tally in comparison.tallies.items():
            judged += tally.reasons
            reasons += [(what, family, number(n), reason) for reason, n in tally.reasons.most_common()]
    head = (
        "set",
        "families",
        "cells",
        "not identical",
        "largest abs.",
        "largest rel.",
        "beyond",
        "only one has a value",
    )
    parts = [
        f"Written by `benchmarks/parity.py`: qts {__version__} (DuckDB {duckdb.__version__}) against {qlib_stack}. Bars of "
        f"{number(whole.n_instruments)} Chinese stocks, {number(whole.n_rows)} rows, {whole.first} to {whole.last}; Alpha360 "
        f"on every {EVERY}th stock, {number(sample.n_rows)} rows. Both sides have the same rows.",
        "Every cell is compared as float32. *Not identical* counts every difference; *beyond* counts pairs of values more "
        f"than {ABS_TOLERANCE:g} + {REL_TOLERANCE:g} of the larger apart; *only one has a value* counts cells missing in qts "
        "alone / in Qlib alone. The largest differences are those of all cells with two values, the relative ones where the "
        f"larger exceeds {FLOOR:g}.",
        table(head, differences),
        f"Each of the {number(judged.total())} cells that are beyond, or have a value on one side only, was computed anew from its "
        "definition, in 64 bits and on deviations from the window's mean. Cells in which Qlib is right and qts is not: "
        f"{number(judged[QLIB_RIGHT])}; unexplained cells: {number(judged[UNEXPLAINED])}.",
        table(("set", "family", "cells", "reason"), reasons or [("", "", "0", "")]),
    ]
    return "\n\n".join(parts)


def write_page(text: str) -> None:
    """Put the certificate between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{PAGE.name} lacks {BEGIN} and {END}")
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    """Compare both sets, print the certificate and write it into its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--venv", type=Path, help="the peers' environment; made if it is not there")
    parser.add_argument("--cache", type=Path, default=CACHE / "parity", help="where pyqlib's values are kept")
    parser.add_argument("--store", type=Path, help="a store with Alpha158 of the same bars")
    given = parser.parse_args()
    folder, cache = given.folder.resolve(), given.cache.resolve()
    bars, python = folder / "bars.parquet", peer_python(given.venv)
    found: dict[str, Comparison] = {}
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        for what, every in {"alpha158": 1, "alpha360": EVERY}.items():
            reference = make_reference(folder, cache, python, what, every)
            versions = reference.versions
            study = Path(name) / what
            own_bars = bars if every == 1 else sample_bars(bars, Path(name) / "sample.parquet")
            store = given.store if given.store and every == 1 else make_store(own_bars, study, what)
            found[what] = compare(store, reference, own_bars, what)
            shutil.rmtree(study, ignore_errors=True)
    text = certificate(found, versions)
    write_page(text)
    print(text)


if __name__ == "__main__":
    main()
