"""Forecasts: what a dry run tells is what the ingest then does, and what cannot fit is refused before anything is written."""

import os
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from qts.cli.main import run
from qts.config import LoadedConfig, load_config
from qts.errors import ConfigError, QtsError
from qts.pipeline.forecast import Forecast
from qts.pipeline.ingest import forecast_ingest, ingest
from qts.progress import SilentProgress
from qts.store import open_store
from tests.pipeline.test_increments import (
    N_DAYS,
    changed_at,
    make_bars,
    row_of,
    rows_of,
    study,
    take_in,
    without_instrument,
    without_row,
)

__all__ = ["study"]


def parts_of(study: LoadedConfig) -> dict[str, dict[str, int]]:
    """Return dataset → path → rows of its parts; empty without a store."""
    folder = study.folder / ".qts"
    if not folder.exists():
        return {}
    return {
        name: {p.path: p.n_rows for p in d.all_parts()} for name, d in open_store(folder).manifest.datasets().items()
    }


def assert_kept(study: LoadedConfig, bars: pa.Table) -> Forecast:
    """Forecast an ingest of bars, do it, and compare: datasets, rows, files."""
    pq.write_table(bars, study.folder / "bars.parquet")
    before = parts_of(study)
    told = forecast_ingest(study, SilentProgress(), rescan=True)
    assert parts_of(study) == before
    done = ingest(study, SilentProgress(), rescan=True)
    after = parts_of(study)
    assert sorted(told.written) == sorted(done.written)
    assert (len(told.grown), told.restated, told.new, told.gone) == (done.grown, done.restated, done.new, done.gone)
    files = {name: len(parts.keys() - before.get(name, {}).keys()) for name, parts in after.items()}
    assert {planned.dataset: planned.n_files for planned in told.datasets} == files
    assert {planned.dataset: planned.n_rows for planned in told.datasets} == {
        name: sum(parts.values()) for name, parts in after.items()
    }
    return told


def counts(told: Forecast, dataset: str) -> tuple[int, int]:
    """Return the rows that are new and those that are made anew."""
    return next((p.n_new, p.n_recomputed) for p in told.datasets if p.dataset == dataset)


def test_a_first_ingest_does_what_was_told(study: LoadedConfig) -> None:
    told = assert_kept(study, make_bars())
    n_rows = sum(N_DAYS - 3 * i for i in range(7))  # I0, I1, … start three days apart
    assert told.is_fresh
    assert told.stages == ("read bars", "lay out the panel", "compute labels", "compute factors/mine",
                           "compute factors/custom", "commit")  # fmt: skip
    assert counts(told, "bars") == (make_bars().num_rows, 0)
    assert abs(counts(told, "factors/mine")[0] - n_rows) <= 7  # unless an instrument's first or last day is a hole


def test_nothing_new_is_told_as_nothing(study: LoadedConfig) -> None:
    take_in(study, make_bars())
    told = assert_kept(study, make_bars())
    assert (told.written, told.n_files, told.n_bytes, told.stages) == ((), 0, 0, ("read bars",))


def test_a_new_day_is_told_with_its_rows(study: LoadedConfig) -> None:
    take_in(study, make_bars(N_DAYS))
    told = assert_kept(study, make_bars(N_DAYS + 1))
    assert len(told.grown) == 7
    assert counts(told, "bars") == (make_bars(N_DAYS + 1).num_rows - make_bars(N_DAYS).num_rows, 0)
    assert counts(told, "factors/mine")[1] == 0
    assert counts(told, "calendar") == (1, len(pc.unique(make_bars(N_DAYS)["datetime"])))


def test_the_night_on_which_parts_are_compacted_is_told(study: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qts.store.compact.FAN", 2)
    take_in(study, make_bars(N_DAYS))
    told = [assert_kept(study, make_bars(N_DAYS + n)) for n in (1, 2, 3)]
    assert any("compact factors/mine" in night.stages for night in told)


def test_a_restated_instrument_is_told_with_the_rows_made_anew(study: LoadedConfig) -> None:
    bars = make_bars()
    take_in(study, bars)
    n_rows = pc.sum(pc.equal(bars["instrument"], "I3")).as_py()
    told = assert_kept(study, changed_at(bars, row_of(bars, "I3", 11), "volume", 12.5))
    assert told.restated == ("I3",)
    assert counts(told, "bars") == (0, n_rows)
    assert counts(told, "factors/mine")[0] == 0
    assert next(p for p in told.datasets if p.dataset == "factors/mine").n_files == 2  # the part it was in, and its own


def test_a_restatement_with_new_days_a_newcomer_and_one_that_goes_are_told(study: LoadedConfig) -> None:
    take_in(study, without_instrument(make_bars(N_DAYS), "I2"))
    bars = without_instrument(make_bars(N_DAYS + 2), "I5")
    told = assert_kept(study, changed_at(bars, row_of(bars, "I1", 4), "volume", 7.0))
    assert (told.restated, told.new, told.gone) == (("I1",), ("I2",), ("I5",))


def test_a_row_that_comes_late_and_a_deleted_one_are_told(study: LoadedConfig) -> None:
    bars = make_bars()
    take_in(study, without_row(bars, row_of(bars, "I1", -1)))
    assert_kept(study, without_row(bars, row_of(bars, "I4", 9)))


def test_another_factor_list_recomputes_that_set_alone(study: LoadedConfig) -> None:
    take_in(study, make_bars())
    (study.folder / "mine.toml").write_text('[factors]\nMA = "Mean($close, 3)"\n')
    n_rows = sum(parts_of(study)["factors/mine"].values())
    told = assert_kept(study, make_bars())
    assert told.written == ("factors/mine",)
    assert counts(told, "factors/mine") == (0, n_rows)


def test_another_factor_list_and_a_new_day_are_told_together(study: LoadedConfig) -> None:
    take_in(study, make_bars())
    (study.folder / "mine.toml").write_text('[factors]\nMA = "Mean($close, 3)"\nUP = "EMA($close, 5)"\n')
    assert_kept(study, make_bars(N_DAYS + 1))


def test_buckets_are_told(study: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qts.pipeline.compute.BUCKET_ROWS", 60)
    told = assert_kept(study, make_bars())
    assert next(p for p in told.datasets if p.dataset == "factors/mine").n_files > 3


def test_rows_in_quarantine_universe_and_benchmark_are_told(study: LoadedConfig) -> None:
    (study.folder / "universe.csv").write_text("instrument,start,end\nI1,2024-01-05,2024-02-01\n")
    text = study.file.read_text().replace("[factors]\n", 'universe = "universe.csv"\nbenchmark = "I4"\n[factors]\n', 1)
    study.file.write_text(text)
    other = load_config(study.file)
    bars = make_bars()
    told = assert_kept(other, changed_at(bars, row_of(bars, "I6", 5), "close", -1.0))
    assert {"quarantine", "universes", "benchmark"} <= set(told.written)
    day_later = make_bars(N_DAYS + 1)
    assert_kept(other, changed_at(day_later, row_of(day_later, "I6", 5), "close", -1.0))


def test_a_dry_run_writes_nothing(study: LoadedConfig, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(make_bars(), study.folder / "bars.parquet")
    before = sorted(study.folder.rglob("*"))
    assert run(["ingest", "--dry-run", "-c", str(study.file)]) == 0
    assert sorted(study.folder.rglob("*")) == before
    assert "would write bars, calendar, instruments, labels, factors/mine, factors/custom" in capsys.readouterr().out


def test_a_dry_run_beside_a_store_leaves_every_file_as_it_was(study: LoadedConfig) -> None:
    take_in(study, make_bars())
    pq.write_table(make_bars(N_DAYS + 1), study.folder / "bars.parquet")
    before = {file: file.stat().st_mtime_ns for file in study.folder.rglob("*")}
    assert run(["ingest", "--dry-run", "-c", str(study.file), "--json"]) == 0
    assert {file: file.stat().st_mtime_ns for file in study.folder.rglob("*")} == before


def limited(study: LoadedConfig, *assignments: str) -> LoadedConfig:
    return load_config(study.file, assignments=list(assignments))


def test_memory_that_cannot_be_kept_is_refused_and_the_hint_does(study: LoadedConfig) -> None:
    pq.write_table(make_bars(), study.folder / "bars.parquet")
    with pytest.raises(ConfigError, match=r'at least; \[limits\] memory = "100MB"') as caught:
        ingest(limited(study, "limits.memory=100MB"), SilentProgress())
    assert not list((study.folder / ".qts").rglob("*.parquet"))
    enough = str(caught.value.hint).split('"')[1]
    ingest(limited(study, f"limits.memory={enough}"), SilentProgress())


def test_a_dry_run_of_what_would_be_refused_fails_like_it(study: LoadedConfig) -> None:
    pq.write_table(make_bars(), study.folder / "bars.parquet")
    assert run(["ingest", "--dry-run", "-c", str(study.file), "--set", "limits.memory=100MB"]) == 2


def test_a_disk_that_is_too_full_is_refused(study: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(make_bars(), study.folder / "bars.parquet")
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=2, f_frsize=512))
    with pytest.raises(QtsError, match="GB left"):
        ingest(study, SilentProgress())
    assert not (study.folder / ".qts" / "manifest.json").exists()


def test_values_do_not_depend_on_limits(study: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(study, make_bars())
    monkeypatch.setattr("qts.pipeline.compute.LEAST_BUCKET_ROWS", 60)
    monkeypatch.setattr("qts.pipeline.compute.engine_memory", lambda _: 1)
    (study.folder / "spilled").mkdir()
    other = limited(study, "limits.memory=600MB", "limits.temp_folder=spilled", "store.path=other")
    ingest(other, SilentProgress())
    assert len(open_store(study.folder / "other").manifest.factor_sets["mine"].parts) >= 4
    assert not list((study.folder / "spilled").iterdir())
    want = rows_of(study.folder / ".qts")
    for name, values in rows_of(study.folder / "other").items():
        np.testing.assert_array_equal(values, want[name], err_msg=name)


def test_a_temp_folder_that_is_not_there_is_named(study: LoadedConfig) -> None:
    pq.write_table(make_bars(), study.folder / "bars.parquet")
    with pytest.raises(ConfigError, match=r"cannot write to .*nowhere"):
        ingest(limited(study, "limits.temp_folder=nowhere"), SilentProgress())


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("2GB", 2_000_000_000), ("1.5 GiB", 1_610_612_736), ("700MB", 700_000_000), ("64MiB", 67_108_864)],
)
def test_units_of_memory(study: LoadedConfig, text: str, n_bytes: int) -> None:
    assert limited(study, f'limits.memory="{text}"').config.limits.n_bytes == n_bytes
