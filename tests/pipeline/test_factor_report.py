"""`qts eval --factors` on a small market: spans, streams, files, and agreement with `qts eval --scores`."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qts.cli.main import run
from qts.errors import ExitCode
from qts.store import open_store
from tests.market import CONFIG, write_market

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_market(tmp_path_factory.mktemp("factors")).parent
    assert run(["ingest", "--config", str(path / "qts.toml"), "-q"]) == 0
    return path


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def asked(capsys: Captured, *arguments: str) -> dict[str, object]:
    assert run(["eval", "--factors", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "segment", "first", "last"),
    [
        ([], "valid", "2024-02-19", "2024-03-05"),
        (["--segment", "train"], "train", "2024-01-08", "2024-02-18"),
        (["--start", "2024-02-01"], None, "2024-02-01", "2024-03-30"),
        (["--end", "2024-02-01"], None, "2024-01-01", "2024-02-01"),
    ],
)
def test_a_span_is_the_valid_segment_unless_told_otherwise(
    arguments: list[str], segment: str | None, first: str, last: str, capsys: Captured
) -> None:
    context = asked(capsys, *arguments)["context"]
    assert isinstance(context, dict)
    assert (context["segment"], context["first"], context["last"]) == (segment, first, last)


def test_without_segments_it_is_the_whole_store(folder: Path, capsys: Captured) -> None:
    bare = folder / "bare.toml"
    bare.write_text(CONFIG[: CONFIG.index("[segments]")] + CONFIG[CONFIG.index("[eval]") :])
    context = asked(capsys, "--config", str(bare))["context"]
    assert isinstance(context, dict)
    assert (context["first"], context["last"]) == ("2024-01-01", "2024-03-30")
    assert run(["eval", "--factors", "--segment", "train", "--config", str(bare)]) == ExitCode.USAGE


def test_a_factor_fares_as_its_values_do_when_they_are_judged_as_scores(tmp_path: Path, capsys: Captured) -> None:
    store = open_store(Path(".qts"))
    panel = store.read(["GAP"])
    calendar = store.calendar()
    members = store.membership(panel.instruments, panel.instrument, panel.day, calendar)
    day = calendar[panel.day]
    rows = members & (day >= np.datetime64("2024-01-08")) & (day <= np.datetime64("2024-02-18"))
    columns = {"instrument": panel.instruments[panel.instrument[rows]].tolist(), "datetime": day[rows]}
    pq.write_table(pa.table({**columns, "score": panel.values[rows, 0].astype(float)}), tmp_path / "s.parquet")
    assert run(["eval", "--json", "--scores", str(tmp_path / "s.parquet"), "--out", str(tmp_path / "r")]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    found = asked(capsys, "--segment", "train")["rows"]
    assert isinstance(found, list)
    row = next(row for row in found if row["factor"] == "GAP")
    for name in ("ic", "icir", "rank_ic", "rank_icir", "n_days"):
        assert row[name] == pytest.approx(summary[name], abs=1e-5)


def test_rows_go_to_stdout_sorted_and_the_rest_to_stderr(capsys: Captured) -> None:
    assert run(["eval", "--factors", "--format", "csv", "--sort", "turnover"]) == 0
    streams = capsys.readouterr()
    head, *lines = streams.out.splitlines()
    assert head.startswith("factor,cluster,leader,coverage,ic,icir,rank_ic,")
    assert len(lines) == 4
    turnover = [float(line.split(",")[head.split(",").index("turnover")]) for line in lines]
    assert turnover == sorted(turnover, reverse=True)
    assert "4 factors, valid segment: 2024-02-19 to 2024-03-05" in streams.err
    assert "the correlation is taken on 16 of 16 days" in streams.err


def test_out_writes_three_files_and_nothing_is_written_without(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    before = sorted(folder.iterdir())
    assert asked(capsys)["files"] == []
    assert sorted(folder.iterdir()) == before
    files = asked(capsys, "--out", str(tmp_path / "report"))["files"]
    assert files == [str(tmp_path / "report" / name) for name in ("factors.json", "factors.md", "factors.html")]
    assert all(Path(file).is_file() for file in files)


def test_the_test_segment_is_judged_with_a_warning(capsys: Captured) -> None:
    found = asked(capsys, "--segment", "test")["warnings"]
    assert isinstance(found, list)
    assert found[-1].startswith("days of the test segment (2024-03-06 to 2024-03-26) are among these")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--factors", "--run", "x"], ExitCode.USAGE, "--run, --scores and --live are about scores"),
        (["--factors", "--segment", "tset"], ExitCode.USAGE, 'unknown segment "tset"'),
        (["--factors", "--segment", "test", "--start", "2024-01-01"], ExitCode.USAGE, "exclude each other"),
        (["--factors", "--start", "2031-01-01"], ExitCode.INPUT, "no member of the universe has a row between"),
        (["--factors", "--sort", "icri"], ExitCode.USAGE, 'cannot be sorted by "icri"'),
        (["--factors", "--set", "eval.min_names=50"], ExitCode.INPUT, "no day can be judged"),
        (["--segment", "test"], ExitCode.USAGE, "--segment belongs to --factors"),
        (["--format", "csv"], ExitCode.USAGE, "--format belongs to --factors"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_its_code(
    arguments: list[str], code: ExitCode, told: str, capsys: Captured
) -> None:
    assert run(["eval", *arguments]) == code
    assert told in capsys.readouterr().err
