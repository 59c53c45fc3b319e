"""The store: any reader's Parquet, one writer, all or nothing, up to date as a fact."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from qts.config import LoadedConfig, load_config
from qts.errors import InputError, LockHeldError, QtsError, StoreError
from qts.pipeline.ingest import ingest
from qts.progress import SilentProgress
from qts.store import StoreWriter, open_store
from qts.store.read import _places
from tests.market import write_market


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    return load_config(write_market(tmp_path))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock" and ".previous" not in p.parts
    }


def change(loaded: LoadedConfig, *assignments: str) -> LoadedConfig:
    return load_config(loaded.file, assignments=assignments)


def test_duckdb_polars_and_pandas_read_a_factor_set_by_glob(loaded: LoadedConfig) -> None:
    result = ingest(loaded, SilentProgress())
    pattern = str(result.store / "factors/mine/**/*.parquet")
    by_duckdb = duckdb.sql(f"select * from '{pattern}' order by instrument, datetime").df()
    by_polars = pl.read_parquet(pattern).sort("instrument", "datetime")
    by_pandas = pd.concat(map(pd.read_parquet, sorted((result.store / "factors/mine").rglob("*.parquet"))))
    assert (
        list(by_duckdb)
        == list(by_polars.columns)
        == list(by_pandas)
        == ["instrument", "datetime", "RET1", "RET5", "GAP", "VOL"]
    )
    assert len(by_duckdb) == len(by_polars) == len(by_pandas) == result.n_rows
    assert by_duckdb.dtypes["GAP"] == np.float32
    np.testing.assert_array_equal(by_duckdb["VOL"], by_polars["VOL"].to_numpy())


def test_rows_are_sorted_and_no_key_stands_twice(loaded: LoadedConfig) -> None:
    store = ingest(loaded, SilentProgress()).store
    table = pq.read_table(min((store / "factors/mine").rglob("*.parquet")))
    keys = list(zip(table["instrument"].to_pylist(), table["datetime"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))


def test_a_suspended_day_is_a_row_of_nulls_in_factors_and_no_row_in_bars(loaded: LoadedConfig) -> None:
    store = ingest(loaded, SilentProgress()).store
    where = "where instrument = 'I2' and datetime = '2024-01-22'"
    assert duckdb.sql(f"select GAP, RET1 from '{store}/factors/mine/*.parquet' {where}").fetchall() == [(None, None)]
    assert duckdb.sql(f"select * from '{store}/bars/*.parquet' {where}").fetchall() == []


def test_a_second_ingest_does_nothing(loaded: LoadedConfig) -> None:
    first = ingest(loaded, SilentProgress())
    before = contents(first.store)
    times = {path: path.stat().st_mtime_ns for path in first.store.rglob("*.parquet")}
    second = ingest(loaded, SilentProgress())
    assert second.is_up_to_date
    assert contents(first.store) == before
    assert {path: path.stat().st_mtime_ns for path in first.store.rglob("*.parquet")} == times


def test_a_new_factor_of_one_s_own_leaves_the_set_untouched(loaded: LoadedConfig) -> None:
    ingest(loaded, SilentProgress())
    added = ingest(change(loaded, 'factors.custom={MOM = "Ref($close, 2)/$close"}'), SilentProgress())
    assert added.written == ("factors/custom",)
    taken_out = ingest(loaded, SilentProgress())
    assert taken_out.written == ()
    assert not list((added.store / "factors/custom").glob("*.parquet"))


@pytest.mark.parametrize(
    ("assignment", "written"),
    [
        ('label.expr="Ref($close, -3)/Ref($close, -1) - 1"', ("labels",)),
        ('label.expr="Ref($close,-2) / Ref($close,-1)-1"', ()),
    ],
)
def test_only_what_depends_on_a_change_is_computed_anew(
    loaded: LoadedConfig, assignment: str, written: tuple[str, ...]
) -> None:
    ingest(loaded, SilentProgress())
    assert ingest(change(loaded, assignment), SilentProgress()).written == written


def test_a_corrected_price_is_noticed(loaded: LoadedConfig) -> None:
    ingest(loaded, SilentProgress())
    file = loaded.folder / "bars.parquet"
    table = pq.read_table(file).to_pandas()
    table.loc[40, "close"] *= 1.01
    table.to_parquet(file)
    result = ingest(loaded, SilentProgress())
    assert set(result.written) == {"bars", "calendar", "instruments", "factors/mine", "labels"}
    assert len(result.restated) == 1


def test_a_part_that_was_lost_is_written_again(loaded: LoadedConfig) -> None:
    store = ingest(loaded, SilentProgress()).store
    next((store / "labels").glob("*.parquet")).unlink()
    with pytest.raises(StoreError, match="the store lacks"):
        open_store(store).read(["label"])
    assert ingest(loaded, SilentProgress()).written == ("labels",)


def test_what_a_killed_writer_left_is_swept_by_the_next(loaded: LoadedConfig) -> None:
    store = ingest(loaded, SilentProgress()).store
    before = contents(store)
    (store / "factors/mine/part-00000-deadbeef.parquet").write_bytes(b"left over")
    (store / ".staging").mkdir(exist_ok=True)
    (store / ".staging/0.tmp").write_bytes(b"left over")
    ingest(change(loaded, "label.expr='Ref($close, -1)/$close - 1'"), SilentProgress())
    ingest(loaded, SilentProgress())
    assert contents(store).keys() == before.keys()


def hold_lock(folder: str, ready: str) -> None:
    with StoreWriter(Path(folder)):
        Path(ready).touch()
        time.sleep(60)


def test_a_second_writer_is_told_who_holds_the_lock_and_a_killed_holder_lets_go(
    loaded: LoadedConfig, tmp_path: Path
) -> None:
    store = ingest(loaded, SilentProgress()).store
    holder = multiprocessing.get_context("spawn").Process(target=hold_lock, args=(str(store), str(tmp_path / "ready")))
    holder.start()
    try:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        with pytest.raises(LockHeldError, match=f"process {holder.pid} ") as caught:
            ingest(loaded, SilentProgress())
        assert caught.value.hint is not None
        assert open_store(store).manifest.n_instruments == 9  # readers never wait
    finally:
        os.kill(holder.pid or 0, signal.SIGKILL)
        holder.join()
    assert ingest(loaded, SilentProgress()).is_up_to_date


def test_a_reader_keeps_its_snapshot_while_a_writer_commits(loaded: LoadedConfig) -> None:
    folder = ingest(loaded, SilentProgress()).store
    store = open_store(folder)
    ingest(change(loaded, "label.expr='$close'"), SilentProgress())
    assert store.manifest.label.expressions == {"label": "Ref($close, -2)/Ref($close, -1) - 1"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1}'])
def test_a_damaged_manifest_is_an_error_with_a_way_out_and_ingest_mends_it(loaded: LoadedConfig, text: str) -> None:
    store = ingest(loaded, SilentProgress()).store
    good = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(text)
    with pytest.raises(StoreError) as caught:
        open_store(store)
    assert caught.value.hint is not None
    assert "qts ingest" in caught.value.hint
    ingest(loaded, SilentProgress())
    assert json.loads((store / "manifest.json").read_text()) == good


def test_the_same_bars_give_the_same_bytes_in_another_store(loaded: LoadedConfig) -> None:
    first = contents(ingest(loaded, SilentProgress()).store)
    second = contents(ingest(change(loaded, "store.path=other", "limits.threads=1"), SilentProgress()).store)
    assert first == second


def test_reading_gives_columns_in_the_order_asked_for_between_two_days(loaded: LoadedConfig) -> None:
    store = open_store(ingest(loaded, SilentProgress()).store)
    panel = store.read(["VOL", "GAP"], pd.Timestamp("2024-02-01").date(), pd.Timestamp("2024-02-03").date())
    days = store.calendar()[panel.day]
    assert panel.columns == ("VOL", "GAP")
    assert set(days.astype(str)) == {"2024-02-01", "2024-02-02", "2024-02-03"}
    want = (
        pl.read_parquet(str(store.folder / "factors/mine/*.parquet"))
        .filter(pl.col("instrument") == "I3")
        .filter(pl.col("datetime") == pl.date(2024, 2, 2))
    )
    at = np.flatnonzero((panel.instruments[panel.instrument] == "I3") & (days == np.datetime64("2024-02-02")))
    assert panel.values[at].tolist() == [[want["VOL"][0], want["GAP"][0]]]


def test_membership_is_dated_and_both_ends_count(loaded: LoadedConfig) -> None:
    store = open_store(ingest(loaded, SilentProgress()).store)
    panel, calendar = store.read(["GAP"]), store.calendar()
    members = store.membership(panel.instruments, panel.instrument, panel.day, calendar)
    of_i0 = panel.instruments[panel.instrument] == "I0"
    out = calendar[panel.day[of_i0 & ~members]]
    assert (str(out.min()), str(out.max()), len(out)) == ("2024-02-01", "2024-02-14", 14)


def test_an_unknown_factor_is_refused_with_what_to_do(loaded: LoadedConfig) -> None:
    store = open_store(ingest(loaded, SilentProgress()).store)
    with pytest.raises(StoreError, match='the store has no factor "GAPP"') as caught:
        store.read(["GAPP"])
    assert caught.value.hint == 'did you mean "GAP"? Or run: qts ingest'


def test_a_reader_still_finds_its_parts_after_the_next_commit_and_a_glob_finds_only_the_new(
    loaded: LoadedConfig,
) -> None:
    folder = ingest(loaded, SilentProgress()).store
    store = open_store(folder)
    before = store.read(["label"]).values
    ingest(change(loaded, "label.expr='$close'"), SilentProgress())
    assert np.array_equal(store.read(["label"]).values, before, equal_nan=True)
    assert len(list((folder / "labels").glob("*.parquet"))) == 1


def test_a_folder_with_files_of_somebody_else_does_not_become_a_store(loaded: LoadedConfig) -> None:
    own = loaded.folder / "bars"
    own.mkdir()
    (loaded.folder / "bars.parquet").rename(own / "mine.parquet")
    with pytest.raises(QtsError, match="holds files that are no store's"):
        ingest(change(loaded, "bars.path=bars", "store.path=."), SilentProgress())
    assert (own / "mine.parquet").is_file()
    assert ingest(change(loaded, "bars.path=bars"), SilentProgress()).n_instruments == 9


def test_a_file_of_another_name_is_never_swept(loaded: LoadedConfig) -> None:
    folder = ingest(loaded, SilentProgress()).store
    notes = folder / "factors/mine/notes.parquet"
    notes.write_bytes(b"not ours")
    ingest(change(loaded, "label.expr='$close'"), SilentProgress())
    assert notes.read_bytes() == b"not ours"


def test_a_store_below_the_folder_of_the_bars_is_not_read_as_bars(loaded: LoadedConfig) -> None:
    bars = change(loaded, "bars.path=.")
    ingest(bars, SilentProgress())
    assert ingest(bars, SilentProgress()).is_up_to_date


def test_a_file_name_with_signs_of_a_glob_is_that_file_alone(loaded: LoadedConfig) -> None:
    (loaded.folder / "bars.parquet").rename(loaded.folder / "bars[1].parquet")
    (loaded.folder / "bars1.parquet").write_bytes(b"another file")
    assert ingest(change(loaded, "bars.path='bars[1].parquet'"), SilentProgress()).n_instruments == 9


def test_a_benchmark_of_many_instruments_needs_the_name_of_one(loaded: LoadedConfig) -> None:
    with pytest.raises(InputError, match="holds 9 instruments: I0, I1, I2"):
        ingest(change(loaded, "bars.benchmark=bars.parquet"), SilentProgress())
    named = change(loaded, "bars.benchmark=bars.parquet", "bars.benchmark_instrument=I4")
    store = ingest(named, SilentProgress()).store
    assert set(pq.ParquetDataset(store / "benchmark").read()["instrument"].to_pylist()) == {"I4"}


@pytest.mark.parametrize("day", ["2024-01-03", "2023-12-31", "2024-02-01"], ids=["between", "before", "after"])
def test_a_day_that_the_calendar_lacks_is_damage(day: str) -> None:
    calendar = np.array(["2024-01-02", "2024-01-04", "2024-01-05"], dtype="datetime64[D]")
    with pytest.raises(StoreError, match="days that its calendar lacks"):
        _places(calendar, np.array(["2024-01-04", day], dtype="datetime64[D]"))
