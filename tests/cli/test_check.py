"""`qts check`: every finding is told, on stdout, as JSON and as a page, and bars that the gate refuses are exit code 3."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from qts.cli.main import run
from qts.errors import ExitCode
from tests.market import bars_table, write_market

SOUND_ROWS = bars_table().num_rows


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_market(tmp_path / "market").parent)
    return tmp_path / "market"


def spoil(market: Path, column: str, value: Any, instrument: str = "I3", day: str = "2024-02-01") -> None:
    """Put a value in one cell of the bars."""
    bars = pq.read_table(market / "bars.parquet")
    here = pc.and_(pc.equal(bars["instrument"], instrument), pc.equal(bars["datetime"], date.fromisoformat(day)))
    changed = pc.if_else(here, pa.scalar(value, bars[column].type), bars[column])
    pq.write_table(bars.set_column(bars.column_names.index(column), column, changed), market / "bars.parquet")


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["check", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("market")
def test_sound_bars_have_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = checked(capsys)
    assert code == ExitCode.DONE
    assert (told["schema"], told["passes"], told["n_bars"]) == ("qts.check/1", True, SOUND_ROWS)
    assert (told["findings"], told["n_quarantined"]) == ([], 0)
    assert "error" not in told


def test_an_impossible_row_is_told_and_passes(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(market, "low", -1.0)
    assert run(["check"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "bars pass, with findings" in out
    assert re.search(r"non_positive +quarantine +1 row of 1 instrument +I3 on 2024-02-01:", out)
    assert out.splitlines()[-1] == "rows that an ingest puts aside: 1"


def test_bars_that_do_not_pass_are_told_whole_and_exit_3(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(market, "datetime", date(2999, 1, 4))
    spoil(market, "volume", -1, instrument="I4")
    assert run(["check", "--html", "gate.html"]) == ExitCode.DATA_CHECK
    out, err = capsys.readouterr()
    for rule in ("future", "negative_volume", "unordered"):
        assert rule in out
    assert err.splitlines()[-2].startswith("error: the bars do not pass the data gate: future: 1 row of 1 instrument")
    assert err.splitlines()[-1].startswith("hint: mend the data")
    assert "do not pass the data gate: future" in (market / "gate.html").read_text(encoding="utf-8")


def test_json_of_bars_that_do_not_pass_has_findings_and_the_error(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(market, "datetime", date(2999, 1, 4))
    code, told = checked(capsys)
    assert code == ExitCode.DATA_CHECK
    assert (told["passes"], told["error"]["code"], told["error"]["kind"]) == (False, 3, "DataCheckError")
    assert {finding["rule"] for finding in told["findings"]} >= {"future"}


def test_an_action_of_the_config_decides(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(market, "volume", -1)
    assert checked(capsys, "--set", "check.actions.negative_volume=fail")[0] == ExitCode.DATA_CHECK
    assert checked(capsys, "--set", "check.actions.negative_volume=warn")[0] == ExitCode.DONE


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize(
    ("setting", "says", "hint"),
    [
        ("check.actions.duplicates=warn", 'unknown key "duplicates" in [check.actions]', 'did you mean "duplicate"?'),
        ("check.actions.jump=drop", "must be one of 'fail', 'quarantine', 'warn' or 'ignore'", "jump: "),
        ("check.actions.thin_day=quarantine", "must be one of 'fail', 'warn' or 'ignore'", "thin_day: "),
    ],
)
def test_an_action_that_is_none_is_refused(
    setting: str, says: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "--set", setting]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert says in err
    assert hint in err


def test_the_page_is_whole_and_nothing_else_is_written(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(market, "low", -1.0, instrument="I3")
    before = set(market.rglob("*"))
    code, told = checked(capsys, "--html", "gate.html")
    page = market / "gate.html"
    text = page.read_text(encoding="utf-8")
    assert (code, told["html"]) == (ExitCode.DONE, "gate.html")
    assert set(market.rglob("*")) - before == {page}
    assert page.stat().st_size < 6e6
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", text)
    assert "I3 on 2024-02-01: low is -1.0" in text
    assert "I8" in text


@pytest.mark.usefixtures("market")
def test_a_page_needs_bars_and_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--config-only", "--html", "gate.html"]) == ExitCode.USAGE
    assert run(["check", "--html", "nowhere/gate.html"]) == ExitCode.FAILED
    assert "cannot write nowhere/gate.html" in capsys.readouterr().err
