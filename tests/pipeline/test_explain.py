"""`qts explain` on a small market: days, streams, files, and agreement with the scores of `qts predict`."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from qts.cli.main import run
from qts.config import LoadedConfig, load_config
from qts.errors import ExitCode
from qts.pipeline.evaluate import evaluate
from qts.pipeline.explain import explain_run
from qts.pipeline.ingest import ingest
from qts.pipeline.predict import predict_run
from qts.pipeline.train import train_run
from qts.progress import SilentProgress
from qts.store.atomic import write_table
from tests.market import CONFIG, write_market

Captured = pytest.CaptureFixture[str]
QUIET = SilentProgress()
FEATURES = ["GAP", "RET1", "RET5", "VOL"]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    """A market with two runs: alstm, which has attention, and the latest, gru, which has none."""
    loaded = load_config(write_market(tmp_path_factory.mktemp("explain"), CONFIG))
    ingest(loaded, QUIET)
    for name in ("alstm", "gru"):
        train_run(loaded.changed({"model.name": name, "model.hidden_size": 4, "model.num_layers": 1}, "test"), QUIET)
    return loaded


@pytest.fixture(autouse=True)
def _here(market: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(market.folder)


def name_of(market: LoadedConfig, model: str) -> str:
    return next((market.folder / "runs").glob(f"*-{model}-*")).name


def test_what_there_is_to_lose_is_what_the_scores_of_predict_have(market: LoadedConfig, tmp_path: Path) -> None:
    scores = predict_run(market, QUIET, segment="valid").scores
    write_table(scores, tmp_path / "valid.parquet")
    judged = evaluate(market, QUIET, scores=tmp_path / "valid.parquet", out=tmp_path).report
    report = explain_run(market, QUIET).report
    assert [str(day) for day in report.days] == [str(day) for day in judged.days]
    np.testing.assert_allclose(report.rank_ic, judged.rank_ic, atol=1e-6)
    np.testing.assert_allclose(report.ic, judged.ic, atol=1e-5)
    # I8 is delisted within the segment: no label knows the two days after its last
    assert report.coverage == {"samples": len(scores), "with_label": len(scores) - 2, "days": 16, "days_in_segment": 16}


def test_the_factor_that_is_the_label_is_worth_all_of_it(tmp_path: Path) -> None:
    plain = CONFIG[: CONFIG.index("[model]")] + '[model]\nname = "linear"\n' + CONFIG[CONFIG.index("[train]") :]
    loaded = load_config(write_market(tmp_path, plain)).changed({"label.expr": "$close/Ref($close, 1) - 1"}, "test")
    ingest(loaded, QUIET)
    train_run(loaded, QUIET)
    report = explain_run(loaded, QUIET, n_repeats=5).report
    drops = dict(zip(report.names, report.figures["rank_ic_drop"], strict=True))
    assert report.base()["rank_ic"] > 0.99
    assert drops.pop("RET1") == pytest.approx(1, abs=0.15)
    assert max(map(abs, drops.values())) < 0.15


def test_fewer_days_are_evenly_spread_and_fare_as_they_do_among_all(market: LoadedConfig) -> None:
    whole, some = explain_run(market, QUIET).report, explain_run(market, QUIET, n_days=4).report
    at = [0, 5, 10, 15]
    assert some.days.tolist() == whole.days[at].tolist()
    np.testing.assert_allclose(some.rank_ic_drop, whole.rank_ic_drop[at], atol=1e-6)


def test_a_family_is_permuted_as_one(market: LoadedConfig) -> None:
    alone, families = explain_run(market, QUIET).report, explain_run(market, QUIET, families=True).report
    assert sorted(alone.names) == FEATURES
    assert dict(zip(families.names, families.members, strict=True)) == {
        "RET": ("RET1", "RET5"), "GAP": ("GAP",), "VOL": ("VOL",),
    }  # fmt: skip
    gap = [report.rank_ic_drop[..., report.names.index("GAP")] for report in (alone, families)]
    assert np.array_equal(*gap)


def test_files_are_left_with_the_run_or_where_they_are_wanted(market: LoadedConfig, tmp_path: Path) -> None:
    names = ["explain.json", "explain.md", "explain.html"]
    beside = explain_run(market, QUIET)
    assert list(beside.files) == [beside.run.folder / name for name in names]
    apart = explain_run(market, QUIET, out=tmp_path / "there")
    assert list(apart.files) == [tmp_path / "there" / name for name in names]
    assert all(file.is_file() for file in (*beside.files, *apart.files))
    assert beside.report.attention is None


def test_attention_is_a_profile_and_one_window_with_the_dates_of_its_steps(market: LoadedConfig) -> None:
    found = explain_run(market, QUIET, run=name_of(market, "alstm"), instrument="I3", day=date(2024, 3, 1)).report
    assert found.attention is not None
    assert found.window is not None
    assert found.attention.mean.sum() == pytest.approx(1)
    assert (found.attention.low <= found.attention.mean).all()
    assert found.window.weights.sum() == pytest.approx(1)
    assert found.window.dates == ("2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01")
    last = explain_run(market, QUIET, run=name_of(market, "alstm"), instrument="I8", segment="train").report
    assert last.window is not None
    assert last.window.day == last.window.dates[-1] == "2024-02-18"


def test_a_step_has_the_date_of_the_row_that_stands_in(tmp_path: Path) -> None:
    """I0 is no member from 1 to 14 February: a universe's history has no row then, and the next one stands in."""
    seen = CONFIG.replace("step_len = 4", 'step_len = 4\nhistory = "universe"\nfill = "ffill+bfill"')
    loaded = load_config(write_market(tmp_path, seen)).changed({"model.name": "attention_lstm"}, "test")
    ingest(loaded, QUIET)
    train_run(loaded, QUIET)
    found = explain_run(loaded, QUIET, segment="train", instrument="I0", day=date(2024, 2, 16)).report.window
    assert found is not None
    assert found.dates == ("2024-02-15", "2024-02-15", "2024-02-15", "2024-02-16")


def test_rows_go_to_stdout_and_the_rest_to_stderr(capsys: Captured) -> None:
    assert run(["explain", "--format", "csv", "--repeats", "2"]) == 0
    streams = capsys.readouterr()
    head, *lines = streams.out.splitlines()
    assert head == "feature,rank_ic_drop,rank_ic_error,repeat_error,ic_drop,ic_error"
    assert sorted(line.partition(",")[0].strip('"') for line in lines) == FEATURES
    drops = [float(line.split(",")[1]) for line in lines]
    assert drops == sorted(drops, reverse=True)
    assert "gru, run " in streams.err
    assert "on 16 of 16 days; 2 repeats" in streams.err
    assert "explain.html" in streams.err


def test_json_is_the_rows_and_what_stands_beside_them(market: LoadedConfig, capsys: Captured) -> None:
    assert run(["explain", name_of(market, "alstm"), "--instrument", "I3", "--json", "--segment", "test"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["schema"] == "qts.explain/1"
    assert sorted(row["feature"] for row in found["rows"]) == FEATURES
    assert found["context"]["segment"] == "test"
    assert len(found["attention"]["mean"]) == len(found["window"]["weight"]) == 4
    assert found["warnings"][-1] == "these are days of the test segment: do not choose features by them"


def test_an_ensemble_is_refused_by_the_names_of_its_members(market: LoadedConfig, capsys: Captured) -> None:
    folder = market.folder / "runs" / "both"
    folder.mkdir()
    record = json.loads((market.folder / "runs" / name_of(market, "gru") / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"members": ["one", "other"]}))
    assert run(["explain", "both"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "the mean of one, other" in told
    assert "qts explain one" in told


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--instrument", "I3"], ExitCode.USAGE, 'the model "gru" has no attention'),
        (["--day", "2024-03-01"], ExitCode.USAGE, "add --instrument"),
        (["ALSTM", "--instrument", "I33"], ExitCode.INPUT, 'no instrument "I33"'),
        (["ALSTM", "--instrument", "I3", "--day", "2024-03-20"], ExitCode.INPUT, "I3 has no sample on 2024-03-20"),
        (["ALSTM", "--instrument", "I3", "--day", "tomorrow"], ExitCode.USAGE, '"tomorrow" is not a day'),
        (["--segment", "vlaid"], ExitCode.USAGE, 'did you mean "valid"?'),
        (["--days", "0"], ExitCode.USAGE, "--days 0 asks for nothing"),
        (["--repeats", "0"], ExitCode.USAGE, "--repeats 0 asks for nothing"),
        (["--set", "eval.min_names=50"], ExitCode.INPUT, "no day can be judged"),
        (["nosuch"], ExitCode.INPUT, 'no run "nosuch"'),
    ],
)
def test_what_cannot_be_explained_is_refused_with_its_code(
    arguments: list[str], code: ExitCode, told: str, market: LoadedConfig, capsys: Captured
) -> None:
    named = [name_of(market, "alstm") if argument == "ALSTM" else argument for argument in arguments]
    assert run(["explain", *named]) == code
    assert told in capsys.readouterr().err
