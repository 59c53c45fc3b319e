"""Nights drawn at random: what comes, comes late, is corrected, taken back, renamed or lost between two of them."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qts.cli.main import run as qts
from tests.market import CONFIG, FACTOR_SET, bars_table, write_market

Row = dict[str, Any]
TWIN = "-twin"
FIRST = date(2024, 3, 18)
"""The first night; the market trades every day."""
CONFIG_OF_NIGHTS = CONFIG.replace('test  = ["2024-03-06", "2024-03-26"]', 'test  = ["2024-03-06", "2024-03-14"]')
CROSSING = FACTOR_SET + 'PLACE = "CSRank(Mean($close, 3)/$close)"\n'


@dataclass(frozen=True)
class Kind:
    """A run whose scores depend on other things than another's."""

    train: tuple[str, ...] = ()
    factors: str = FACTOR_SET
    config: str = ""


KINDS = {
    "gru": Kind(),
    "gats": Kind(("--model", "gats", "--set", "model.dropout=0.0")),
    "ensemble": Kind(("--seeds", "2")),
    "ranked": Kind(
        config='[processors]\nfeatures = [{ name = "cs_rank" }, { name = "cs_fillna" }, { name = "fillna" }]\n'
    ),
    "dropped": Kind(config='[processors]\nfeatures = [{ name = "dropna" }]\n'),
    "crossing": Kind(factors=CROSSING),
    "members": Kind(("--set", 'window.history="universe"')),
    "unfilled": Kind(("--set", 'window.fill="none"')),
}


@dataclass
class Nights:
    """A study whose bars come a day a night, and what happens to them."""

    folder: Path
    draw: random.Random
    is_parted: bool
    """The source is a folder of files: what is delivered stays in its file."""
    day: date = FIRST
    rows: list[Row] = field(default_factory=lambda: bars_table().to_pylist())
    withheld: list[Row] = field(default_factory=list)
    """What comes a night or more too late."""
    members: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, study: Path, folder: Path, seed: int) -> "Nights":
        """Copy a trained study, whose source is a file or a folder as the seed wants it."""
        draw = random.Random(seed)  # noqa: S311 - no secret
        shutil.copytree(study, folder)
        nights = cls(folder, draw, draw.random() < 0.4)
        nights.members = (folder / "universe.csv").read_text().split()[1:]
        if nights.is_parted:
            (folder / "bars.parquet").unlink()
            (folder / "bars").mkdir()
            config = (folder / "qts.toml").read_text()
            (folder / "qts.toml").write_text(config.replace('"bars.parquet"', '"bars"'))
        if draw.random() < 0.3:  # a name that is heard of late, with all its past
            nights.withhold(lambda row: row["instrument"] == "I6")
        if draw.random() < 0.3:  # a day of the past that is heard of late
            late = FIRST - timedelta(draw.randint(-3, 3))
            nights.withhold(lambda row: row["datetime"] == late)
        nights.deliver()
        return nights

    def __call__(self, *line: str) -> int:
        """Run a command; return its exit code."""
        return qts([*line, "--config", str(self.folder / "qts.toml")])

    def known(self) -> list[Row]:
        """Return the rows that have come."""
        return [row for row in self.rows if row["datetime"] <= self.day]

    def deliver(self) -> None:
        """Write what has come; of part files, only those whose rows are others than they were."""
        schema = bars_table().schema
        known = self.known()
        if not self.is_parted:
            pq.write_table(pa.Table.from_pylist(known, schema=schema), self.folder / "bars.parquet")
            return
        files: dict[str, list[Row]] = {}
        for row in known:
            files.setdefault(row.setdefault("file", f"{self.day}.parquet"), []).append(row)
        for gone in {file.name for file in (self.folder / "bars").iterdir()} - files.keys():
            (self.folder / "bars" / gone).unlink()
        for name, rows in files.items():
            table, file = pa.Table.from_pylist(rows, schema=schema), self.folder / "bars" / name
            if not file.exists() or not pq.read_table(file).equals(table):
                pq.write_table(table, file)

    def withhold(self, is_late: Callable[[Row], bool]) -> None:
        """Keep rows back until `catch_up` brings them."""
        self.withheld += [row for row in self.rows if is_late(row)]
        self.rows = [row for row in self.rows if not is_late(row)]

    def drop(self, is_gone: Callable[[Row], bool]) -> None:
        """Lose rows for good."""
        self.rows = [row for row in self.rows if not is_gone(row)]

    def write_universe(self) -> None:
        """Write who is a member from when to when."""
        (self.folder / "universe.csv").write_text("\n".join(["instrument,start,end", *self.members]) + "\n")

    def happen(self) -> None:
        """Let one thing happen."""
        deed = self.draw.choice(list(DEEDS))
        self.said.append(f"{self.day}: {deed}")
        DEEDS[deed](self)

    def a_past_day(self, back: int = 14) -> date:
        """Return a day that has come."""
        return self.day - timedelta(self.draw.randint(0, back))

    def a_name(self) -> str:
        """Return an instrument that has come."""
        return self.draw.choice(sorted({row["instrument"] for row in self.known()}))


def correct(nights: Nights) -> None:
    name, day, by = nights.a_name(), nights.a_past_day(), nights.draw.choice([0.97, 1.04])
    for row in nights.rows:
        if (row["instrument"], row["datetime"]) == (name, day):
            row |= {"close": row["close"] * by, "high": row["high"] * 2, "low": row["low"] / 2}


def scale_history(nights: Nights) -> None:
    names = {row["instrument"] for row in nights.rows if nights.draw.random() < 0.001} | {nights.a_name()}
    for row in nights.rows:
        if row["instrument"] in names:
            row |= {field: row[field] * 0.5 for field in ("open", "high", "low", "close")}


def withhold_row(nights: Nights) -> None:
    name, n_days = nights.a_name(), nights.draw.randint(0, 4)
    nights.withhold(
        lambda row: row["instrument"] == name and nights.day <= row["datetime"] <= nights.day + timedelta(n_days)
    )


def suspend(nights: Nights) -> None:
    name, n_days = nights.a_name(), nights.draw.randint(0, 3)
    nights.drop(lambda row: row["instrument"] == name and 0 <= (row["datetime"] - nights.day).days <= n_days)


def catch_up(nights: Nights) -> None:
    nights.rows, nights.withheld = nights.rows + nights.withheld, []


def take_back(nights: Nights) -> None:
    name, day = nights.a_name(), nights.a_past_day()
    nights.drop(lambda row: (row["instrument"], row["datetime"]) == (name, day))


def lose_day(nights: Nights) -> None:
    day = nights.a_past_day(20)
    nights.drop(lambda row: row["datetime"] == day)


def lose_name(nights: Nights) -> None:
    name = nights.a_name()
    if len({row["instrument"] for row in nights.known()}) > 6:
        nights.drop(lambda row: row["instrument"] == name)


def rename(nights: Nights) -> None:
    name = nights.a_name()
    for row in (*nights.rows, *nights.withheld):
        if row["instrument"] == name:
            row["instrument"] = f"{name}x"
    if nights.draw.random() < 0.7:
        nights.members = [line.replace(f"{name},", f"{name}x,") for line in nights.members]
        nights.write_universe()


def change_universe(nights: Nights) -> None:
    """Shorten a membership, at an end or in the past; or have everybody from the start."""
    at = nights.draw.randrange(len(nights.members))
    name, start, _ = nights.members[at].split(",")
    day, until = nights.a_past_day(30), nights.a_past_day(30)
    nights.members[at] = nights.draw.choice([
        f"{name},2024-01-01,2024-12-31", f"{name},{start},{max(day, date.fromisoformat(start))}",
        f"{name},{start},{max(min(day, until), date.fromisoformat(start))}\n{name},{max(day, until)},2024-12-31",
        f"{name},{max(day, date.fromisoformat(start))},2024-12-31",
    ])  # fmt: skip
    nights.members = "\n".join(nights.members).split()
    nights.write_universe()


def add_factor(nights: Nights) -> None:
    with (nights.folder / "mine.toml").open("a") as file:
        file.write(f'MORE{len(nights.said)} = "$high/$low"\n')


def change_gate(nights: Nights) -> None:
    file = nights.folder / "qts.toml"
    text = file.read_text().partition("[check]")[0]
    file.write_text(f"{text}[check]\njump = {nights.draw.randint(2, 9)}.5\n")


def lose_store(nights: Nights) -> None:
    shutil.rmtree(nights.folder / ".qts", ignore_errors=True)


def back_up(nights: Nights) -> None:
    shutil.rmtree(nights.folder / "backup", ignore_errors=True)
    if (nights.folder / ".qts").exists():
        shutil.copytree(nights.folder / ".qts", nights.folder / "backup")


def restore(nights: Nights) -> None:
    if (nights.folder / "backup").exists():
        lose_store(nights)
        shutil.copytree(nights.folder / "backup", nights.folder / ".qts")
        for _ in range(nights.draw.randint(0, 2)):
            correct(nights)
            ingest_by_hand(nights)


def ingest_by_hand(nights: Nights) -> None:
    nights.deliver()
    nights("ingest", "-q")


def reach_back(nights: Nights) -> None:
    file = nights.folder / "qts.toml"
    text = file.read_text()
    if "[nightly]" not in text:
        file.write_text(text.replace("[eval]", '[nightly]\nsince = "2024-03-14"\n\n[eval]'))


def pin_other(nights: Nights) -> None:
    """Pin the run's twin of the same weights, whose features are cut off nearer; or, if that is pinned, the run again."""
    pinned = json.loads((nights.folder / "runs/pinned.json").read_text())["run"]
    if '"clip":' not in (nights.folder / "runs" / pinned / "run.json").read_text():
        return
    other = pinned.removesuffix(TWIN) if pinned.endswith(TWIN) else f"{pinned}{TWIN}"
    if not (nights.folder / "runs" / other).exists():
        shutil.copytree(nights.folder / "runs" / pinned, nights.folder / "runs" / other)
        (nights.folder / "runs" / other / "predictions.parquet").unlink(missing_ok=True)
        record = json.loads((nights.folder / "runs" / other / "run.json").read_text())
        for step in record["processors"]["features"]:
            step["options"] |= {"clip": 0.5} if "clip" in step["options"] else {}
        (nights.folder / "runs" / other / "run.json").write_text(json.dumps(record))
    nights("runs", "pin", other)


def miss(nights: Nights) -> None:
    nights.day += timedelta(nights.draw.randint(1, 3))


DEEDS: dict[str, Callable[[Nights], None]] = {
    deed.__name__: deed
    for deed in (
        correct, scale_history, withhold_row, suspend, catch_up, take_back, lose_day, lose_name, rename, change_universe,
        add_factor, change_gate, lose_store, back_up, restore, ingest_by_hand, reach_back,
        pin_other, miss,
    )
}  # fmt: skip


def train(folder: Path, kind: Kind) -> None:
    """Write a study of a kind, with a run that is pinned, before its first night."""
    write_market(folder, kind.config + CONFIG_OF_NIGHTS)
    (folder / "mine.toml").write_text(kind.factors)
    known = [row for row in bars_table().to_pylist() if row["datetime"] < FIRST]
    pq.write_table(pa.Table.from_pylist(known, schema=bars_table().schema), folder / "bars.parquet")
    config = ("--config", str(folder / "qts.toml"))
    for line in (("ingest",), ("train", *kind.train), ("runs", "pin")):
        name = [(folder / "runs/latest").read_text().strip()] if line[0] == "runs" else []
        assert qts([*line, *name, *config]) == 0
