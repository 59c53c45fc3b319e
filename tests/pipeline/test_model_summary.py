"""`qts models NAME --summary`: the network that this config would build, tried on its windows."""

import json
from pathlib import Path

import pytest
import torch

from qts.cli.main import run
from qts.config import load_config
from qts.errors import ExitCode
from qts.pipeline.ingest import ingest
from qts.pipeline.summary import summarise_model
from qts.pipeline.window import build_windows
from qts.progress import SilentProgress
from tests.market import CONFIG, write_market

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(tmp_path_factory.mktemp("summary")).parent


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def asked(capsys: Captured, *arguments: str) -> dict[str, object]:
    assert run(["models", *arguments, "--summary", "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert isinstance(found, dict)
    return found


def test_the_config_s_model_has_the_config_s_keys_and_another_its_defaults(capsys: Captured) -> None:
    own, other = asked(capsys, "gru"), asked(capsys, "lstm")
    assert own["config"] == {"hidden_size": 4, "num_layers": 1, "dropout": 0.0}
    assert other["config"] == {"hidden_size": 64, "num_layers": 2, "dropout": 0.0}
    assert own["totals"]["n_parameters"] == 3 * 4 * (4 + 4 + 2) + 4 + 1  # type: ignore[index]
    assert [row["layer"] for row in own["rows"]] == ["rnn", "head"]  # type: ignore[attr-defined]
    assert own["rows"][0]["output"] == "4"  # type: ignore[index]  # the last state alone


def test_keys_and_step_len_can_be_set(capsys: Captured) -> None:
    found = asked(capsys, "lstm", "--set", "model.hidden_size=5", "--step-len", "7", "--set", "model.num_layers=1")
    assert found["takes"] == [7, 4]
    assert found["totals"]["flops"] == 2 * (7 * 4 * 5 * (4 + 5) + 5)  # type: ignore[index]
    assert found["weights"][0] == {"name": "rnn.weight_ih_l0", "shape": [20, 4], "trainable": True}  # type: ignore[index]


def test_without_windows_the_config_tells_their_shape_and_with_them_they_do(tmp_path: Path) -> None:
    loaded = load_config(
        write_market(tmp_path, CONFIG.replace('"mine.toml"', '"mine.toml"\nselect = ["GAP", "RET5", "VOL"]'))
    )
    before = summarise_model(loaded)
    assert (before.takes, before.windows_give) == ((4, 3), None)
    assert "there are no windows of this config yet" in before.lines()[0]
    ingest(loaded, SilentProgress())
    assert summarise_model(loaded).windows_give is None
    build_windows(loaded, SilentProgress())
    after = summarise_model(loaded)
    assert after.lines()[0] == "windows give (4, 3), the model takes (4, 3)"
    assert after.scores == before.scores == {7: (7,), 3: (3,), 1: (1,)}
    assert after.summary == before.summary


def test_looking_draws_nothing_from_the_generator() -> None:
    state = torch.get_rng_state()
    summarise_model(load_config())
    assert torch.equal(torch.get_rng_state(), state)


def test_totals_are_told_beside_the_rows(capsys: Captured) -> None:
    assert run(["models", "gats", "--summary", "--format", "csv"]) == 0
    streams = capsys.readouterr()
    assert streams.out.splitlines()[0] == "layer,type,output,parameters,bytes,flops,counted"
    assert "batches of 7, 3, 1 windows give scores of (7,), (3,), (1,)" in streams.err
    assert "MFLOP a score on a day of 300 names, forward" in streams.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gruu"], 'did you mean "gru"?'),
        (["bilstm"], "closed_windows = true is required"),
        (["mlp", "--set", "model.n_steps=9"], "a window has 4"),
        (["gru", "--set", "model.hidden=9"], 'did you mean "hidden_size"?'),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: list[str], told: str, capsys: Captured) -> None:
    assert run(["models", *arguments, "--summary"]) == ExitCode.USAGE
    assert told in capsys.readouterr().err
