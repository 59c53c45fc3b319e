"""A market in several states of its source, and the commands that a disturbance may strike."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.market import DAYS, FACTOR_SET, LEARNING, bars_table

NOW = datetime(2024, 3, 26, 20, 0, tzinfo=UTC)
"""When every command runs, unless the clock is what is disturbed."""

CONFIG = f"""
[bars]
path      = "bars"
universe  = "universe.csv"
benchmark = "I5"

[factors]
set = "mine.toml"

[factors.custom]
MOM = "$close/Ref($close, 3)"
MIX = "Mean($volume, 5)/$volume"

[segments]
train = ["2024-01-08", "2024-02-18"]
valid = ["2024-02-19", "2024-03-05"]
test  = ["2024-03-06", "2024-03-18"]
{LEARNING}
[limits]
threads = 1
""".replace("epochs     = 2", "epochs     = 4")
OTHER_LABEL = 'label.expr="Ref($close, -3)/Ref($close, -1) - 1"'
OTHER_FACTORS = 'factors.custom={MOM = "$close/Ref($close, 7)", GAIN = "Max($close, 4)/$open"}'

KNOWN_DAYS = 82
"""Days of the history; nights come after them."""


@dataclass(frozen=True)
class Case:
    """A command, and what it is run on."""

    base: str
    """What was done before: a key of BASES."""
    source: str
    """The state of the bars that it meets: a key of SOURCES."""
    arguments: tuple[str, ...]


CASES: dict[str, Case] = {
    "first ingest": Case("sources", "history", ("ingest",)),
    "night": Case("ingested", "night", ("ingest",)),
    "restated": Case("ingested", "restated", ("ingest",)),
    "late rows": Case("ingested", "late", ("ingest",)),
    "other config": Case("ingested", "history", ("ingest", "--set", OTHER_LABEL, "--set", OTHER_FACTORS)),
    "window": Case("ingested", "history", ("window",)),
    "train": Case("windowed", "history", ("train",)),
    "predict": Case("trained", "history", ("predict",)),
    "nightly": Case("published", "night", ("nightly",)),
}
INGESTS = ("first ingest", "night", "restated", "late rows", "other config")

BASES: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "sources": ("", ()),
    "ingested": ("sources", (("ingest",),)),
    "windowed": ("ingested", (("window",),)),
    "trained": ("windowed", (("train",),)),
    "published": ("trained", (("runs", "pin", f"{NOW:%Y%m%dT%H}"), ("nightly",))),
}
"""What was done before → on top of what, and by which commands."""


def _until(n_days: int) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.filter(pc.less(table["datetime"], pa.scalar(DAYS[n_days].item())))


def _is(table: pa.Table, instrument: str, day: int | None = None) -> pa.ChunkedArray:
    found = pc.equal(table["instrument"], instrument)
    return found if day is None else pc.and_(found, pc.equal(table["datetime"], pa.scalar(DAYS[day].item())))


def _restated(table: pa.Table) -> pa.Table:
    """Halve the prices of one instrument, as after a split."""
    for name in ("open", "high", "low", "close"):
        halved = pc.if_else(_is(table, "I3"), pc.multiply(table[name], 0.5), table[name])
        table = table.set_column(table.schema.get_field_index(name), name, halved)
    return table


def _without_late_row(table: pa.Table) -> pa.Table:
    return table.filter(pc.invert(_is(table, "I4", 70)))


SOURCES: dict[str, dict[str, Callable[[pa.Table], pa.Table]]] = {
    "history": {"bars.parquet": lambda table: _without_late_row(_until(KNOWN_DAYS)(table))},
    "night": {"night.parquet": lambda table: _nights(table, 2)},
    "later": {"night.parquet": lambda table: _nights(table, 2), "later.parquet": lambda table: _nights(table, 3, 2)},
    "another night": {"night.parquet": lambda table: _nights(table, 1)},
    "restated": {"bars.parquet": lambda table: _restated(_without_late_row(_until(KNOWN_DAYS + 2)(table)))},
    "late": {"bars.parquet": _until(KNOWN_DAYS + 2)},
}
"""State of the bars → the files that it has besides, or in place of, those of the history."""


def _nights(table: pa.Table, last: int, first: int = 0) -> pa.Table:
    days = table["datetime"]
    low, high = (pa.scalar(DAYS[KNOWN_DAYS + at].item()) for at in (first, last))
    return table.filter(pc.and_(pc.greater_equal(days, low), pc.less(days, high)))


def write_sources(folder: Path) -> None:
    """Write every state of the bars into a folder of its own, with times of change that are the same each time."""
    table = bars_table()
    for number, (state, files) in enumerate(SOURCES.items()):
        for name, make in files.items():
            file = folder / state / name
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(make(table), file)
            seconds = (NOW - timedelta(days=2, minutes=-number)).timestamp()
            os.utime(file, (seconds, seconds))


def write_study(folder: Path) -> None:
    """Write config, universe and factor set: a study without bars."""
    folder.mkdir(parents=True)
    members = [f"I{number},2024-01-01,2024-12-31" for number in range(1, 9)]
    leaver = ["I0,2024-01-01,2024-01-31", "I0,2024-02-15,2024-12-31"]
    (folder / "universe.csv").write_text("\n".join(["instrument,start,end", *leaver, *members]) + "\n")
    (folder / "mine.toml").write_text(FACTOR_SET)
    (folder / "qts.toml").write_text(CONFIG)
    (folder / "bars").mkdir()


def put_source(sources: Path, state: str, study: Path) -> None:
    """Have a state of the bars in a study: the history, and what the state has besides; each file in one step."""
    wanted = {file.name: file for at in ("history", state) for file in (sources / at).iterdir()}
    for file in (study / "bars").iterdir():
        if file.name not in wanted:
            file.unlink()
    for name, file in wanted.items():
        temporary = study / f"{name}.coming"
        shutil.copy2(file, temporary)
        temporary.replace(study / "bars" / name)
