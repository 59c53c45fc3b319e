"""Increments: whatever happens to the bars between two ingests, the store is what a first ingest would have made."""

import os
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from qts.config import LoadedConfig, load_config
from qts.errors import ConfigError
from qts.pipeline import ingest_work, recipes
from qts.pipeline.ingest import IngestResult, ingest
from qts.progress import SilentProgress
from qts.store import open_store

N_INSTRUMENTS, N_DAYS = 7, 50
FIRST = date(2024, 1, 1)

CONFIG = """
[bars]
path = "bars.parquet"
groups = ["industry"]
[factors]
set = "mine.toml"
[factors.custom]
TREND = "EMA($close, 3) - EMA($close, 8)"
STRENGTH = 'CSRank($close/Ref($close, 4), by="industry")'
"""
FACTORS = """
[factors]
MA = { windows = [3, 10], expr = "Mean($close, N)/$close" }
SD = { windows = [5], expr = "Std($close, N)" }
UP = "Mean($close > Ref($close, 1), 4)"
QU = "Quantile($close, 6, 0.7)"
CORR = "Corr($close, Log($volume + 1), 7)"
"""


def make_bars(n_days: int = N_DAYS, n_instruments: int = N_INSTRUMENTS, seed: int = 5) -> pa.Table:
    """Instruments I0, I1, … of growing age, with holes; a day more only adds rows."""
    rng = np.random.default_rng(seed)
    close = np.exp(np.cumsum(rng.normal(0, 0.02, (n_instruments, 90)), axis=1)) * 10
    volume = rng.integers(1, 1000, (n_instruments, 90)).astype(np.float32)
    holes = rng.random((n_instruments, 90)) < 0.08
    rows = [
        (f"I{i}", FIRST + timedelta(d), float(close[i, d]), float(volume[i, d]), f"G{i % 2}")
        for i in range(n_instruments)
        for d in range(3 * i, n_days)
        if not holes[i, d]
    ]
    names, days, prices, volumes, groups = zip(*rows, strict=True)
    price = pa.array(prices, pa.float32())
    return pa.table(
        {"instrument": names, "datetime": pa.array(days, pa.date32()), "open": price, "high": price, "low": price,
         "close": price, "volume": pa.array(volumes, pa.float32()), "industry": groups}
    )  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> LoadedConfig:
    (tmp_path / "qts.toml").write_text(CONFIG)
    (tmp_path / "mine.toml").write_text(FACTORS)
    return load_config(tmp_path / "qts.toml")


def take_in(study: LoadedConfig, bars: pa.Table) -> IngestResult:
    pq.write_table(bars, study.folder / "bars.parquet")
    return ingest(study, SilentProgress(), rescan=True)


def rows_of(folder: Path) -> dict[str, np.ndarray]:
    """Return every value a store serves."""
    store = open_store(folder)
    columns = ["label", "has_bar", *(c for d in store.manifest.factor_sets.values() for c in d.expressions)]
    panel = store.read(columns)
    files = store.files(store.manifest.bars)
    bars = duckdb.sql(f"FROM read_parquet({files}) ORDER BY instrument, datetime").to_arrow_table()
    served = {"instrument": panel.instruments[panel.instrument], "day": store.calendar()[panel.day]}
    served |= {f"bars.{name}": bars[name].to_numpy() for name in bars.column_names}
    return served | {name: panel.values[:, at] for at, name in enumerate(columns)}


def assert_as_if_new(study: LoadedConfig) -> None:
    """Compare with a store made in one go: every value, and the hash of the bars."""
    folder = study.folder / "fresh"
    same = [f"store.path={folder}", f"bars.path={study.config.bars.path}"]
    ingest(load_config(study.file, assignments=same), SilentProgress())
    want, got = rows_of(folder), rows_of(study.folder / ".qts")
    assert want.keys() == got.keys()
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    fresh, grown = (open_store(f).manifest for f in (folder, study.folder / ".qts"))
    assert {n: d.fingerprint for n, d in fresh.datasets().items()} == {
        n: d.fingerprint for n, d in grown.datasets().items()
    }


def part_files(study: LoadedConfig) -> dict[str, tuple[int, int]]:
    """Return path → inode and time of change of every part that counts."""
    folder = study.folder / ".qts"
    paths = [part.path for d in open_store(folder).manifest.datasets().values() for part in d.all_parts()]
    return {path: ((folder / path).stat().st_ino, (folder / path).stat().st_mtime_ns) for path in paths}


def changed_at(bars: pa.Table, row: int, column: str, value: float) -> pa.Table:
    values = bars[column].to_pylist()
    values[row] = value
    return bars.set_column(bars.column_names.index(column), column, pa.array(values, bars[column].type))


def without_row(bars: pa.Table, row: int) -> pa.Table:
    return pa.concat_tables([bars.slice(0, row), bars.slice(row + 1)])


def without_instrument(bars: pa.Table, name: str) -> pa.Table:
    return bars.filter(pc.not_equal(bars["instrument"], name))


def row_of(bars: pa.Table, instrument: str, at: int) -> int:
    return [i for i, name in enumerate(bars["instrument"].to_pylist()) if name == instrument][at]


def test_a_new_day_adds_rows_and_touches_no_part_that_was_there(study: LoadedConfig) -> None:
    take_in(study, make_bars(N_DAYS))
    before = part_files(study)
    result = take_in(study, make_bars(N_DAYS + 1))
    after = part_files(study)
    assert (result.grown, result.restated, result.new, result.gone) == (7, (), (), ())
    replaced = {path.partition("-")[0] for path in before.keys() - after.keys()}
    assert replaced == {"calendar/calendar", "instruments/instruments", "labels/tail"}
    assert all(after[path] == stat for path, stat in before.items() if path in after)
    assert_as_if_new(study)


def test_a_month_of_nights_ends_where_one_ingest_does_and_leaves_few_parts(study: LoadedConfig) -> None:
    for n_days in range(N_DAYS, N_DAYS + 30):
        take_in(study, make_bars(n_days))
    parts = open_store(study.folder / ".qts").manifest.factor_sets["mine"].parts
    assert len(parts) <= 16
    assert_as_if_new(study)


def test_a_restated_price_recomputes_that_instrument_alone_and_is_named(study: LoadedConfig) -> None:
    bars = make_bars()
    take_in(study, bars)
    result = take_in(study, changed_at(bars, row_of(bars, "I3", 11), "close", 12.5))
    assert (result.grown, result.restated) == (0, ("I3",))
    assert_as_if_new(study)


def test_a_restatement_and_a_new_day_arrive_together(study: LoadedConfig) -> None:
    take_in(study, make_bars(N_DAYS))
    bars = make_bars(N_DAYS + 2)
    result = take_in(study, changed_at(bars, row_of(bars, "I1", 4), "volume", 7.0))
    assert result.restated == ("I1",)
    assert_as_if_new(study)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda bars: without_row(bars, row_of(bars, "I2", 9)), {"restated": ("I2",)}),
        (lambda bars: without_row(bars, row_of(bars, "I4", -1)), {"restated": ("I4",)}),
        (lambda bars: without_instrument(bars, "I5"), {"gone": ("I5",)}),
    ],
    ids=["a row deleted", "the last row deleted", "an instrument deleted"],
)
def test_what_is_deleted_is_no_longer_there(
    study: LoadedConfig, change: Callable[[pa.Table], pa.Table], names: dict[str, tuple[str, ...]]
) -> None:
    take_in(study, make_bars())
    result = take_in(study, change(make_bars()))
    assert {name: getattr(result, name) for name in names} == names
    assert_as_if_new(study)


def test_a_new_instrument_is_taken_in_whole(study: LoadedConfig) -> None:
    take_in(study, without_instrument(make_bars(), "I2"))
    result = take_in(study, make_bars())
    assert (result.new, result.restated) == (("I2",), ())
    assert_as_if_new(study)


def test_rows_that_come_a_day_late_are_new_rows_not_a_restatement(study: LoadedConfig) -> None:
    bars = make_bars()
    late = without_row(without_row(bars, row_of(bars, "I1", -1)), row_of(bars, "I0", -1))
    take_in(study, late)
    result = take_in(study, bars)
    assert (result.grown, result.restated) == (2, ())
    assert_as_if_new(study)


def test_a_day_of_the_past_that_nobody_had_moves_every_window(study: LoadedConfig) -> None:
    bars = make_bars()
    day = pa.scalar(FIRST + timedelta(20), pa.date32())
    take_in(study, bars.filter(pc.not_equal(bars["datetime"], day)))
    take_in(study, bars)
    assert_as_if_new(study)


def test_an_instrument_that_resumes_has_a_row_for_each_day_between(study: LoadedConfig) -> None:
    bars = make_bars(N_DAYS + 6)
    pause = pa.array([FIRST + timedelta(N_DAYS - 5 + k) for k in range(9)], pa.date32())
    is_out = pc.and_(pc.equal(bars["instrument"], "I3"), pc.is_in(bars["datetime"], pause))
    resumed = bars.filter(pc.invert(is_out))
    early = pa.scalar(FIRST + timedelta(N_DAYS), pa.date32())
    take_in(study, resumed.filter(pc.less(resumed["datetime"], early)))
    take_in(study, resumed)
    assert_as_if_new(study)


def test_rows_put_aside_do_not_come_back(study: LoadedConfig) -> None:
    bars = make_bars(N_DAYS)
    row = row_of(bars, "I2", 8)
    bad = changed_at(bars, row, "high", 1.0)
    assert take_in(study, bad).n_quarantined == 1
    longer = make_bars(N_DAYS + 1)
    result = take_in(study, changed_at(longer, row_of(longer, "I2", 8), "high", 1.0))
    assert (result.n_quarantined, result.restated) == (1, ())
    assert_as_if_new(study)


def test_a_night_whose_only_row_of_an_instrument_is_put_aside_leaves_it_where_it_was(study: LoadedConfig) -> None:
    take_in(study, make_bars(N_DAYS))
    longer = make_bars(N_DAYS + 1)
    result = take_in(study, changed_at(longer, row_of(longer, "I2", -1), "high", 1.0))
    assert (result.n_quarantined, result.grown) == (1, 7)
    assert_as_if_new(study)
    later = make_bars(N_DAYS + 2)
    take_in(study, changed_at(later, row_of(longer, "I2", -1) + 2, "high", 1.0))
    assert_as_if_new(study)


def test_a_mended_row_leaves_the_quarantine(study: LoadedConfig) -> None:
    bars = make_bars()
    take_in(study, changed_at(bars, row_of(bars, "I2", 8), "high", 1.0))
    result = take_in(study, bars)
    assert (result.n_quarantined, result.restated) == (0, ("I2",))
    assert_as_if_new(study)


@pytest.mark.parametrize(
    "factors",
    [FACTORS + 'EXTRA = "Max($high, 9)"', FACTORS.replace("[3, 10]", "[10]"), FACTORS.replace("6, 0.7", "6, 0.2")],
    ids=["longer", "shorter", "another formula"],
)
def test_another_factor_list_is_computed_over_the_bars_the_store_has(study: LoadedConfig, factors: str) -> None:
    take_in(study, make_bars(N_DAYS))
    take_in(study, make_bars(N_DAYS + 1))
    (study.folder / "mine.toml").write_text(factors)
    result = ingest(study, SilentProgress())
    assert result.written == ("factors/mine",)
    assert_as_if_new(study)


def test_another_version_of_the_compiler_computes_everything_anew(
    study: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(study, make_bars())
    monkeypatch.setattr(recipes, "COMPILER", 999)
    result = ingest(study, SilentProgress())
    assert result.written == ("labels", "factors/mine", "factors/custom")
    assert_as_if_new(study)


def test_unchanged_files_are_not_read(study: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(study, make_bars())

    def refuse(*_: object) -> None:
        raise AssertionError("the source was read")

    monkeypatch.setattr(ingest_work, "make_raw", refuse)
    assert ingest(study, SilentProgress()).is_up_to_date


def of_days(bars: pa.Table, first: int, end: int) -> pa.Table:
    day = bars["datetime"]
    bounds = [pa.scalar(FIRST + timedelta(at), pa.date32()) for at in (first, end)]
    return bars.filter(pc.and_(pc.greater_equal(day, bounds[0]), pc.less(day, bounds[1])))


def write_plainly(bars: pa.Table, file: Path) -> None:
    """Write so that the size of the file does not depend on the numbers in it."""
    pq.write_table(bars, file, compression="none", use_dictionary=False, write_statistics=False)


def test_a_file_more_in_a_folder_is_read_alone(study: LoadedConfig) -> None:
    folder = study.folder / "daily"
    folder.mkdir()
    study = load_config(study.file, assignments=["bars.path=daily"])
    bars = make_bars(N_DAYS + 2)
    history = of_days(bars, 0, N_DAYS)
    write_plainly(history, folder / "history.parquet")
    ingest(study, SilentProgress())
    pq.write_table(of_days(bars, N_DAYS, N_DAYS + 1), folder / "a.parquet")
    stat = (folder / "history.parquet").stat()
    write_plainly(changed_at(history, 3, "close", 77.0), folder / "history.parquet")  # whoever reads it, notices
    os.utime(folder / "history.parquet", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = ingest(study, SilentProgress())
    assert (result.grown, result.restated) == (7, ())
    write_plainly(history, folder / "history.parquet")
    pq.write_table(of_days(bars, N_DAYS + 1, N_DAYS + 2), folder / "b.parquet")
    assert ingest(study, SilentProgress()).grown == 7  # another time: all of it is read
    assert_as_if_new(study)


def test_a_new_file_with_days_of_the_past_makes_all_of_them_count(study: LoadedConfig) -> None:
    folder = study.folder / "daily"
    folder.mkdir()
    study = load_config(study.file, assignments=["bars.path=daily"])
    bars = make_bars()
    is_late = pc.and_(
        pc.equal(bars["instrument"], "I2"), pc.less(bars["datetime"], pa.scalar(FIRST + timedelta(20), pa.date32()))
    )
    pq.write_table(bars.filter(pc.invert(is_late)), folder / "history.parquet")
    ingest(study, SilentProgress())
    pq.write_table(bars.filter(is_late), folder / "late.parquet")
    assert ingest(study, SilentProgress()).restated == ("I2",)
    assert_as_if_new(study)


def test_new_days_are_the_same_with_rows_near_gaps_computed_apart(
    study: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qts.pipeline.compute.EDGE_ROWS", 0)
    take_in(study, make_bars(N_DAYS))
    take_in(study, make_bars(N_DAYS + 3))
    monkeypatch.undo()
    assert_as_if_new(study)


@pytest.mark.parametrize("edge_rows", [0, 10**9], ids=["rows near gaps apart", "all rows alike"])
@pytest.mark.parametrize("threads", [1, 2])
def test_values_do_not_depend_on_threads_or_buckets(
    study: LoadedConfig, threads: int, edge_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(study, make_bars())
    want = rows_of(study.folder / ".qts")
    monkeypatch.setattr("qts.pipeline.compute.EDGE_ROWS", edge_rows)
    monkeypatch.setattr("qts.pipeline.compute.BUCKET_ROWS", 60)
    other = load_config(study.file, assignments=["store.path=other", f"limits.threads={threads}"])
    ingest(other, SilentProgress())
    assert len(open_store(study.folder / "other").manifest.factor_sets["mine"].parts) >= 4
    for name, values in rows_of(study.folder / "other").items():
        np.testing.assert_array_equal(values, want[name], err_msg=name)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        ('CSRank($close, by="sector")', 'ODD groups by "sector", but no such column is kept'),
        ("$industry + 1", "ODD reads $industry as a number, but it is text"),
    ],
)
def test_a_group_that_is_no_column_and_a_text_that_is_no_number_are_refused(
    study: LoadedConfig, factor: str, message: str
) -> None:
    pq.write_table(make_bars(), study.folder / "bars.parquet")
    odd = load_config(study.file, assignments=[f"factors.custom.ODD='{factor}'"])
    with pytest.raises(ConfigError, match=re.escape(message)):
        ingest(odd, SilentProgress())
