"""A study whose bars come a day a night, and what may be wrong with them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from qts.cli.main import run as qts
from qts.config import load_config
from qts.pipeline.predict import predict_run
from qts.predictions import Book, read_book
from qts.progress import SilentProgress
from tests.market import CONFIG, bars_table

TEST = CONFIG.replace('test  = ["2024-03-06", "2024-03-26"]', 'test  = ["2024-03-06", "2024-03-14"]')
FIRST, LAST = date(2024, 3, 18), date(2024, 3, 28)
"""First and last night; the market trades every day."""


Change = Callable[[pa.Table], pa.Table]


@dataclass
class Market:
    """A study whose bars come a day a night."""

    folder: Path
    capture: pytest.CaptureFixture[str] | None
    bars: pa.Table = field(default_factory=bars_table)

    def reveal(self, day: date, change: Change | None = None) -> None:
        """Deliver the bars up to a day."""
        known = self.bars.filter(pc.less_equal(self.bars["datetime"], pa.scalar(day, pa.date32())))
        pq.write_table(change(known) if change else known, self.folder / "bars.parquet")

    def __call__(self, *line: str) -> tuple[int, str, str]:
        """Run a command; return its exit code and what it wrote to stdout and stderr."""
        if self.capture:
            self.capture.readouterr()
        code = qts([*line, "--config", str(self.folder / "qts.toml")])
        return code, *(self.capture.readouterr() if self.capture else ("", ""))

    def night(self, *line: str) -> dict[str, Any]:
        """Run a night that must succeed."""
        code, out, err = self("nightly", "--json", *line)
        assert code == 0, err
        return json.loads(out)

    def book(self) -> Book:
        """Return what is published."""
        found = read_book(self.folder / "predictions")
        assert found is not None
        return found

    def published(self) -> dict[tuple[str, date], float]:
        """Return the present scores."""
        return {(row["instrument"], row["datetime"]): row["score"] for row in self.book().scores().to_pylist()}

    def one_run(self, first: date = FIRST) -> dict[tuple[str, date], float]:
        """Score the days from the first night on at once, in a store made of everything at once."""
        fresh = self.folder.parent / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(self.folder, fresh, ignore=shutil.ignore_patterns(".qts", "predictions"))
        loaded = load_config(fresh / "qts.toml")
        assert qts(["ingest", "-q", "--config", str(fresh / "qts.toml")]) == 0
        table = predict_run(loaded, SilentProgress(), run=self.pinned(), first=first).scores
        return {(row["instrument"], row["datetime"]): row["score"] for row in table.to_pylist()}

    def pinned(self) -> str:
        """Return the pinned run's name."""
        return json.loads((self.folder / "runs/pinned.json").read_text())["run"]

    def train(self, *line: str) -> None:
        """Train and pin a run with the bars until the first night."""
        self.reveal(FIRST - timedelta(1))
        assert self("ingest")[0] == 0
        assert self("train", *line)[0] == 0
        name = (self.folder / "runs/latest").read_text().strip()
        assert self("runs", "pin", name)[0] == 0


def nights(first: date = FIRST, last: date = LAST) -> list[date]:
    return [first + timedelta(at) for at in range((last - first).days + 1)]


def as_it_is(bars: pa.Table) -> pa.Table:
    return bars


def scaled(name: str, day: date, by: float) -> Change:
    """Return a correction: another close of a name on a day, with the high and low to fit."""

    def change(bars: pa.Table) -> pa.Table:
        rows = [
            row | {"close": row["close"] * by, "high": row["high"] * 2, "low": row["low"] / 2}
            if (row["instrument"], row["datetime"]) == (name, day)
            else row
            for row in bars.to_pylist()
        ]
        return pa.Table.from_pylist(rows, schema=bars.schema)

    return change


def without(*keys: tuple[str, date]) -> Change:
    def change(bars: pa.Table) -> pa.Table:
        kept = [(row["instrument"], row["datetime"]) not in keys for row in bars.to_pylist()]
        return bars.filter(pa.array(kept))

    return change


def tree(folder: Path) -> dict[str, bytes]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith(".lock"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


GATS = ("--model", "gats", "--set", "model.hidden_size=4", "--set", "model.num_layers=1", "--set", "model.dropout=0.0")


def only(*names: str) -> Change:
    return lambda bars: bars.filter(pc.is_in(bars["instrument"], pa.array(names)))
