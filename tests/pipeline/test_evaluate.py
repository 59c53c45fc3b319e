"""Scores from any tool, whole and broken: the right report, or a clear refusal and nothing lost."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from qts.cli.main import run
from qts.config import LoadedConfig, load_config
from qts.errors import ExitCode
from qts.pipeline.evaluate import evaluate
from qts.pipeline.ingest import ingest
from qts.progress import SilentProgress
from tests.market import CONFIG, bars_table, write_market

QUIET = SilentProgress()
Captured = pytest.CaptureFixture[str]
FIRST, LAST = "2024-02-12", "2024-03-20"
"""I8 has its last bar on 1 March."""
TRADING = "\n[backtest]\ntop_k = 3\nn_drop = 1\naccount = 100000\nwrite_off_days = 5\n"


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    loaded = load_config(write_market(tmp_path_factory.mktemp("market"), CONFIG + TRADING))
    ingest(loaded, QUIET)
    return loaded


@pytest.fixture
def _here(market: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(market.path(Path()))


def scores(change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows) -> pd.DataFrame:
    """Return a score a bar: the return of the coming days, well blurred."""
    bars = bars_table().to_pandas().sort_values(["instrument", "datetime"])
    bars["datetime"] = bars["datetime"].astype(str)
    close = bars.groupby("instrument")["close"]
    ahead = (close.shift(-2) / close.shift(-1) - 1).fillna(0)
    bars["score"] = ahead + np.random.default_rng(8).normal(0, 0.01, len(bars))
    rows = bars[(bars["datetime"] >= FIRST) & (bars["datetime"] <= LAST)][["instrument", "datetime", "score"]]
    return change(rows.reset_index(drop=True))


def some_missing(share: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        lost = np.random.default_rng(5).random(len(rows)) < share
        return rows.assign(score=rows["score"].where(~lost))

    return change


def test_a_csv_of_another_tool_gets_the_whole_report(market: LoadedConfig, tmp_path: Path) -> None:
    scores().to_csv(tmp_path / "other.csv", index=False)
    found = evaluate(market, QUIET, scores=tmp_path / "other.csv", out=tmp_path / "report", trades=True)
    assert found.report.summary["rank_ic"] > 0.2  # the future is in it
    content = json.loads((tmp_path / "report/report.json").read_text())
    assert content["schema"] == "qts.report/2"
    assert content["context"]["scores"] == str(tmp_path / "other.csv")
    accounts = pq.read_table(tmp_path / "report/backtest/accounts.parquet").to_pandas()
    assert str(accounts["datetime"].iloc[0]) == "2024-02-13"
    assert (1 + accounts["net_return"]).prod() == pytest.approx(accounts["account"].iloc[-1] / 100_000)


@pytest.mark.usefixtures("_here")
def test_too_many_missing_scores_fail_once_the_report_is_written(tmp_path: Path, capsys: Captured) -> None:
    scores(some_missing(0.4)).to_csv(tmp_path / "holes.csv", index=False)
    arguments = ["eval", "--scores", str(tmp_path / "holes.csv"), "--out", str(tmp_path / "report")]
    assert run(arguments) == ExitCode.DATA_CHECK
    told = capsys.readouterr().err
    assert "of the rows with a label have no score; at most 35 % may" in told
    content = json.loads((tmp_path / "report/report.json").read_text())
    assert 0.36 < content["summary"]["lost"] < 0.48
    assert any("score" in warning for warning in content["warnings"])
    assert run([*arguments, "--set", "eval.max_lost=0.5"]) == ExitCode.DONE


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.assign(score=0.1), "all scores are equal"),
        (lambda rows: rows.groupby("datetime").head(2), "no day can be judged"),
        (lambda rows: rows[rows["datetime"] > "2024-03-18"].assign(datetime="2024-03-30"), "no day can be judged"),
        (lambda rows: rows.assign(score=np.inf), "no day can be judged"),
    ],
    ids=["constant", "two names a day", "no label yet", "infinite"],
)
def test_scores_that_cannot_be_judged_are_refused_and_no_report_is_left(
    change: Callable[[pd.DataFrame], pd.DataFrame], told: str, tmp_path: Path, capsys: Captured
) -> None:
    rows = scores(change).drop_duplicates(["instrument", "datetime"])
    rows.to_csv(tmp_path / "bad.csv", index=False)
    arguments = ["backtest", "--scores", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "report")]
    assert run(arguments) == ExitCode.INPUT
    assert told in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_scores_keep_their_64_bits_and_infinite_ones_are_counted(
    market: LoadedConfig, tmp_path: Path, form: str
) -> None:
    def write(name: str, rows: pd.DataFrame) -> Path:
        file = tmp_path / f"{name}.{form}"
        if form == "csv":
            rows.to_csv(file, index=False)
        else:
            rows.to_parquet(file, index=False)
        return file

    plain = evaluate(market, QUIET, scores=write("plain", scores()), out=tmp_path).report
    near = scores(lambda rows: rows.assign(score=1 + 1e-9 * rows["score"]))
    assert evaluate(market, QUIET, scores=write("near", near), out=tmp_path).report.summary["rank_ic"] == pytest.approx(
        plain.summary["rank_ic"], abs=1e-3
    )
    whole = scores(lambda rows: rows.assign(score=(rows["score"].rank() + 1e12).astype("int64")))
    found = evaluate(market, QUIET, scores=write("whole", whole), out=tmp_path).report
    np.testing.assert_allclose(found.rank_ic, plain.rank_ic)
    some = scores(lambda rows: rows.assign(score=rows["score"].where(rows.index % 50 > 0, -np.inf)))
    counts = evaluate(market, QUIET, scores=write("some", some), out=tmp_path).report.coverage.counts
    assert counts["infinite score"] == len(some[some.index % 50 == 0])


def test_constant_days_among_others_have_no_ic_and_change_no_other_day(market: LoadedConfig, tmp_path: Path) -> None:
    flat = ["2024-02-14", "2024-03-05"]
    whole, dull = tmp_path / "whole.csv", tmp_path / "dull.csv"
    scores().to_csv(whole, index=False)
    scores(lambda rows: rows.assign(score=rows["score"].where(~rows["datetime"].isin(flat), 0.1))).to_csv(
        dull, index=False
    )
    a, b = (evaluate(market, QUIET, scores=file, out=tmp_path / file.stem).report for file in (whole, dull))
    is_flat = np.isin(a.days.astype(str), flat)
    assert np.isnan(b.rank_ic[is_flat]).all()
    np.testing.assert_array_equal(a.rank_ic[~is_flat], b.rank_ic[~is_flat])


def test_a_delisting_in_the_book_is_written_off_and_told(market: LoadedConfig, tmp_path: Path) -> None:
    best = scores(lambda rows: rows.assign(score=rows["score"] + 9.0 * (rows["instrument"] == "I8")))
    best.to_csv(tmp_path / "best.csv", index=False)
    found = evaluate(market, QUIET, scores=tmp_path / "best.csv", out=tmp_path, trades=True).backtest
    assert found is not None
    trades = found.records.trades
    (at,) = np.flatnonzero(trades["instrument"] == "I8")
    assert trades["reason"][at] == "written_off"
    assert str(trades["closed"][at]) == "2024-03-06"  # its fifth day without a quote
    assert any("without a quote" in warning for warning in found.warnings), found.warnings
    assert (found.records.accounts["account"] > 0).all()
    names = found.records.accounts["n_positions"]
    assert names[-1] == 3  # its place was taken


def test_without_a_benchmark_the_universe_is_what_remains(market: LoadedConfig, tmp_path: Path) -> None:
    scores().to_csv(tmp_path / "s.csv", index=False)
    found = evaluate(market, QUIET, scores=tmp_path / "s.csv", out=tmp_path, trades=True)
    assert found.backtest is not None
    assert np.isnan(found.backtest.statistics["index_annual_excess"])
    assert np.isfinite(found.backtest.statistics["universe_annual_excess"])
    assert not any("index" in verdict for verdict in found.document.verdicts)


def test_a_backtest_stays_in_the_report_when_the_scores_are_judged_again(market: LoadedConfig, tmp_path: Path) -> None:
    scores().to_csv(tmp_path / "s.csv", index=False)
    assert evaluate(market, QUIET, scores=tmp_path / "s.csv", out=tmp_path).backtest is None
    evaluate(market, QUIET, scores=tmp_path / "s.csv", out=tmp_path, trades=True)
    first = (tmp_path / "report.json").read_bytes()
    assert evaluate(market, QUIET, scores=tmp_path / "s.csv", out=tmp_path).backtest is not None
    assert (tmp_path / "report.json").read_bytes() == first


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("grid", "told"),
    [
        (["topk=2,3"], 'unknown key "topk"'),
        (["top_k"], '"top_k" is no key with values'),
        (["top_k=2,x"], "top_k"),
        (["top_k=2", "n_drop=3"], "n_drop: Names at most"),
        (["top_k=2", "lag=1,2", "backtest.top_k=3"], '"top_k" is given twice'),
        (["fees=[{since=2020}, {since=x}]"], 'cannot read the values of "fees=[{since=2020}, {since=x}]"'),
        (["top_k=[2,3]"], '"top_k" in [backtest] must be a whole number, not [2, 3]'),
        (["top_k=2,3", "--out=there"], "--out belongs to one backtest"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(grid: list[str], told: str, tmp_path: Path, capsys: Captured) -> None:
    scores().to_csv(tmp_path / "s.csv", index=False)
    arguments = [argument for one in grid for argument in ([one] if one.startswith("--") else ["--grid", one])]
    assert run(["backtest", "--scores", str(tmp_path / "s.csv"), *arguments]) == ExitCode.USAGE
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("_here")
def test_a_grid_is_what_each_of_its_points_gives_alone(tmp_path: Path, capsys: Captured) -> None:
    scores().to_csv(tmp_path / "s.csv", index=False)
    base = ["backtest", "--json", "--scores", str(tmp_path / "s.csv")]
    assert run([*base, "--grid", "top_k=2,4", "--grid", "commission=0,0.01"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["top_k"], row["commission"]) for row in rows] == [(2, 0), (2, 0.01), (4, 0), (4, 0.01)]
    assert run([*base, "--out", str(tmp_path), "--top-k", "4", "--set", "backtest.commission=0.01"]) == 0
    alone = json.loads(capsys.readouterr().out)["summary"]
    assert rows[-1]["annual_return"] == pytest.approx(alone["portfolio_annual_return"])
    assert rows[0]["annual_return"] > rows[1]["annual_return"]


@pytest.mark.usefixtures("_here")
def test_a_point_of_a_grid_does_not_depend_on_the_other_points(tmp_path: Path, capsys: Captured) -> None:
    scores().to_csv(tmp_path / "s.csv", index=False)
    found = []
    for lags in ("1", "3,1"):
        assert run(["backtest", "--json", "--scores", str(tmp_path / "s.csv"), "--grid", f"lag={lags}"]) == 0
        found.append(json.loads(capsys.readouterr().out)["rows"])
    assert found[0][0] == found[1][1]
    assert found[1][0] != found[1][1] | {"lag": 3}


@pytest.mark.usefixtures("_here")
def test_a_row_of_a_grid_says_which_days_it_spans(tmp_path: Path, capsys: Captured) -> None:
    """Scores are on 12 February to 20 March; the bars go on for days."""
    scores().to_csv(tmp_path / "s.csv", index=False)
    assert run(["backtest", "--json", "--scores", str(tmp_path / "s.csv"), "--grid", "lag=1,3"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["first"], row["last"], row["n_days"]) for row in rows] == [
        ("2024-02-13", "2024-03-21", 38),
        ("2024-02-15", "2024-03-23", 38),
    ]


@pytest.mark.usefixtures("_here")
def test_a_grid_takes_words_texts_and_tables_of_toml(tmp_path: Path, capsys: Captured) -> None:
    scores().to_csv(tmp_path / "s.csv", index=False)
    base = ["backtest", "--json", "--scores", str(tmp_path / "s.csv")]
    dear, free = (f'[{{since="2024-01-01",buy={cost},sell={cost}}}]' for cost in (0.01, 0))
    assert run([*base, "--grid", f"fees={dear},{free}", "--grid", 'deal_price=close,"open"']) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(json.loads(row["fees"])[0]["buy"], row["deal_price"]) for row in rows] == [
        (0.01, "close"), (0.01, "open"), (0, "close"), (0, "open"),
    ]  # fmt: skip
    assert rows[0]["annual_return"] < rows[2]["annual_return"]
