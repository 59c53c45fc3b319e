"""Weights trained elsewhere become a run: scores are theirs, and what does not fit is refused with the key to set."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from qts.cli.main import run
from qts.config import load_config
from qts.errors import ExitCode
from qts.pipeline.window import build_windows
from qts.progress import SilentProgress
from tests.market import write_market

FACTORS = ["RET1", "RET5", "GAP", "VOL"]
HIDDEN = 6
IMPORT = [
    "import-checkpoint",
    "w.pt",
    "--model",
    "lstm",
    "--set",
    "model.num_layers=1",
    "--set",
    f"model.hidden_size={HIDDEN}",
]


class Foreign(nn.Module):
    """A network of another project, with the reference's names."""

    def __init__(self, n_features: int = len(FACTORS)) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.rnn = nn.LSTM(n_features, HIDDEN, 1, batch_first=True)
        self.fc_out = nn.Linear(HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        score: Tensor = self.fc_out(self.rnn(x)[0][:, -1]).squeeze(-1)
        return score


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market that was ingested, with windows."""
    file = write_market(tmp_path_factory.mktemp("market"))
    assert run(["ingest", "-q", "--config", str(file)]) == 0
    build_windows(load_config(file), SilentProgress())
    return file.parent


@pytest.fixture(autouse=True)
def _here(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(market)


def imported(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def predicted(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], float]:
    rows: Any = imported(capsys, "predict", "--segment", "valid")["rows"]
    return {(row["instrument"], row["datetime"]): row["score"] for row in rows}


def by_hand(network: Foreign) -> tuple[dict[tuple[str, str], float], float]:
    """Scores of the valid segment's samples, and their mean squared error."""
    windows = build_windows(load_config(), SilentProgress())
    dataset, names, calendar = windows.datasets["valid"], windows.windows.instruments, windows.windows.calendar
    rows = dataset.rows(np.arange(len(dataset)))
    with torch.no_grad():
        scores = network(torch.from_numpy(dataset.matrix[rows])).numpy()
    keys = zip(names[dataset.samples.instrument], calendar[dataset.samples.day], strict=True)
    return {(str(name), str(day)): float(score) for (name, day), score in zip(keys, scores, strict=True)}, float(
        np.mean((scores - dataset.targets()) ** 2)
    )


def test_an_imported_run_gives_the_scores_of_the_network_it_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    foreign = Foreign()
    torch.save({"model_state_dict": foreign.state_dict(), "epoch": 7}, "w.pt")
    answer = imported(capsys, *IMPORT)
    want, loss = by_hand(foreign)
    have = predicted(capsys)
    assert len(want) > 100
    assert {key: have[key] for key in want} == pytest.approx(want, abs=1e-6)
    assert answer["best"]["valid_loss"] == pytest.approx(loss, rel=1e-5)
    assert answer["schema"] == "qts.import-checkpoint/1"
    record = json.loads(Path(str(answer["run"]), "run.json").read_text())
    assert (record["state"], record["n_epochs"], record["best_epoch"]) == ("done", 0, 0)
    assert record["imported_from"]["file"] == "w.pt"
    assert record["imported_from"]["n_copied"] == 6
    assert len(record["imported_from"]["sha256"]) == 64
    assert run(["eval", "-q"]) == 0
    assert run(["status"]) == 0


def test_the_same_file_is_imported_once_and_another_anew(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Foreign().state_dict(), "w.pt")
    first, again = imported(capsys, *IMPORT), imported(capsys, *IMPORT)
    assert (first["run"], again["up_to_date"]) == (again["run"], True)
    other = {name: tensor + 0.01 for name, tensor in Foreign().state_dict().items()}
    torch.save(other, "w.pt")
    third = imported(capsys, *IMPORT)
    assert third["run"] != first["run"]
    assert Path("runs/latest").read_text().strip() == Path(str(third["run"])).name
    held = load_file(Path(str(third["run"])) / "model.safetensors")
    assert torch.equal(held["head.weight"], other["fc_out.weight"])
    assert not Path(str(third["run"]), "last.safetensors").exists()


def test_the_weights_of_a_run_can_be_imported_under_our_own_names(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Foreign().state_dict(), "w.pt")
    first = imported(capsys, *IMPORT)
    scores = predicted(capsys)
    again = imported(capsys, IMPORT[0], str(Path(str(first["run"])) / "model.safetensors"), *IMPORT[2:])
    assert again["run"] != first["run"]
    assert predicted(capsys) == scores


def test_columns_in_another_order_are_put_in_ours_and_the_scores_are_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    foreign = Foreign()
    torch.save(foreign.state_dict(), "w.pt")
    plain = imported(capsys, *IMPORT)
    scores = predicted(capsys)
    theirs = ["VOL", "RET1", "GAP", "RET5"]
    state = foreign.state_dict()
    state["rnn.weight_ih_l0"] = state["rnn.weight_ih_l0"][:, [FACTORS.index(name) for name in theirs]]
    torch.save(state, "w.pt")
    answer = imported(capsys, *IMPORT, "--factors", ", ".join(theirs))
    assert answer["run"] != plain["run"]
    assert answer["imported_from"]["factors"] == theirs
    assert predicted(capsys) == pytest.approx(scores, abs=1e-6)


def refused(capsys: pytest.CaptureFixture[str], code: ExitCode, *arguments: str) -> tuple[str, str]:
    """Return message and hint of a refused import, which must leave no run."""
    before = sorted(Path("runs").glob("*"))
    assert run([*arguments, "--json"]) == code
    told = json.loads(capsys.readouterr().out)["error"]
    assert sorted(Path("runs").glob("*")) == before
    return told["message"], told["hint"]


def test_other_sizes_are_refused_with_both_shapes_and_the_key_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Foreign().state_dict(), "w.pt")
    message, hint = refused(capsys, ExitCode.USAGE, *IMPORT[:-1], "model.hidden_size=5")
    assert "rnn.weight_hh_l0: 24x6 in the file, 20x5 in the network" in message
    assert hint == "set model.hidden_size = 6"
    message, hint = refused(capsys, ExitCode.USAGE, *IMPORT, "--model", "gru")
    assert "rnn.weight_hh_l0: 24x6 in the file, 18x6 in the network" in message
    assert hint.startswith('set model.name = "lstm"')
    torch.save(Foreign(n_features=20).state_dict(), "w.pt")
    message, hint = refused(capsys, ExitCode.USAGE, *IMPORT)
    assert "rnn.weight_ih_l0: 24x20 in the file, 24x4 in the network" in message
    assert "made for 20 features and the windows have 4" in hint


@pytest.mark.parametrize(
    ("factors", "message"), [("RET1,RET5,GAP", "not among them: VOL"), ("RET1,RET5,GAPP,VOL", '"GAPP" is no feature')]
)
def test_factors_that_are_not_the_features_are_refused(
    factors: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(Foreign().state_dict(), "w.pt")
    assert message in refused(capsys, ExitCode.USAGE, *IMPORT, "--factors", factors)[0]


class Hostile:
    """Pickled, it asks whoever reads it to make a folder."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


def test_a_file_that_would_run_code_or_is_damaged_is_a_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model_state_dict": Foreign().state_dict(), "hook": Hostile()}, "w.pt")
    assert "more than tensors" in refused(capsys, ExitCode.INPUT, *IMPORT)[0]
    assert not Path("ran").exists()
    torch.save(Foreign().state_dict(), "w.pt")
    Path("w.pt").write_bytes(Path("w.pt").read_bytes()[:900])
    assert "a damaged one" in refused(capsys, ExitCode.INPUT, *IMPORT)[0]
    assert "no file" in refused(capsys, ExitCode.INPUT, "import-checkpoint", "nowhere.pt")[0]
    assert pq.read_table("bars.parquet").num_rows > 0  # the market is as it was
