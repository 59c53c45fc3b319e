"""A study small enough to spoil in one line: 6 instruments x 60 days, 3 factors, segments of 35, 11 and 14 days."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

INSTRUMENTS = ("S1", "S2", "S3", "S4", "S5", "S6")
N_DAYS = 60
HEADER = "instrument,datetime,open,high,low,close,volume"

CONFIG = """\
[bars]
source = "csv"
path = "bars.csv"
universe = "universe.csv"

[factors]
set = "three.toml"

[label]
expr = "Ref($close, -2)/Ref($close, -1) - 1"

[segments]
train = ["2024-01-01", "2024-02-16"]
valid = ["2024-02-19", "2024-03-04"]
test = ["2024-03-05", "2024-03-22"]

[window]
step_len = 5

[model]
name = "gru"
hidden_size = 4
num_layers = 1

[train]
epochs = 1
lr = 1e-3
device = "cpu"

[eval]
min_names = 3

[limits]
threads = 1
"""

FACTORS = """\
about = "three factors"

[factors]
KMID = "($close-$open)/$open"
ROC4 = "Ref($close, 4)/$close"
VMA2 = "Mean($volume, 2)/$volume"
"""

UNIVERSE = "instrument,start,end\n" + "".join(f"{name},2024-01-01,\n" for name in INSTRUMENTS[:5])


def calendar() -> list[str]:
    """List the 60 weekdays from 2024-01-01 to 2024-03-22."""
    return np.busday_offset("2024-01-01", np.arange(N_DAYS)).astype(str).tolist()


def bar_lines() -> list[str]:
    """Return the lines of bars.csv: the header, then instrument by instrument; S3's first day is data row 121."""
    rng = np.random.default_rng(5)
    lines = [HEADER]
    for name in INSTRUMENTS:
        close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, N_DAYS)))
        start = close * np.exp(rng.normal(0, 0.01, N_DAYS))
        volume = rng.integers(1000, 9000, N_DAYS)
        for day, o, c, v in zip(calendar(), start, close, volume, strict=True):
            lines.append(f"{name},{day},{o:.4f},{max(o, c) * 1.01:.4f},{min(o, c) * 0.99:.4f},{c:.4f},{v}")
    return lines


@dataclass(frozen=True)
class Study:
    """A folder with qts.toml, three.toml, universe.csv, bars.csv and the same bars in bars.parquet."""

    folder: Path

    def file(self, name: str) -> Path:
        """Return a file of the study."""
        return self.folder / name

    def edit(self, name: str, old: str, new: str) -> int:
        """Replace the one place where `old` stands in a file; return its line."""
        text = self.file(name).read_text(encoding="utf-8")
        before, found, after = text.partition(old)
        if not found or old in after:
            raise ValueError(f"{old!r} must stand once in {name}")
        self.file(name).write_text(before + new + after, encoding="utf-8")
        return before.count("\n") + 1

    def lines(self, name: str = "bars.csv") -> list[str]:
        """Return the lines of a file; data row n is line n, the header line 0."""
        return self.file(name).read_text(encoding="utf-8").splitlines()

    def write_lines(self, lines: list[str], name: str = "bars.csv") -> None:
        """Write a file anew."""
        self.file(name).parent.mkdir(exist_ok=True)
        self.file(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def spoil_cell(self, row: int, column: str, value: str, name: str = "bars.csv") -> None:
        """Put a value in one cell of a CSV; data rows count from 1."""
        lines = self.lines(name)
        cells = lines[row].split(",")
        cells[lines[0].split(",").index(column)] = value
        lines[row] = ",".join(cells)
        self.write_lines(lines, name)

    def digests(self) -> dict[str, str]:
        """Return a hash of every file under the study but locks and command records: equal if nothing was touched."""
        return {
            file.relative_to(self.folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(self.folder.rglob("*"))
            if file.is_file()
            and not file.relative_to(self.folder).as_posix().startswith((".qts/.lock", ".qts/log/", "runs/.lock"))
        }


def write_study(folder: Path) -> Study:
    """Write a sound study."""
    from pyarrow import csv, parquet

    study = Study(folder)
    folder.mkdir(parents=True)
    for name, text in (("qts.toml", CONFIG), ("three.toml", FACTORS), ("universe.csv", UNIVERSE)):
        study.file(name).write_text(text, encoding="utf-8")
    study.write_lines(bar_lines())
    parquet.write_table(csv.read_csv(study.file("bars.csv")), study.file("bars.parquet"))
    return study
