"""Two processes that train together move the weights as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from qts.training.batches import day_batches, shuffled_batches
from qts.training.group import Group
from tests.market import write_market

CPU = torch.device("cpu")
N_PROCESSES = 2


def qts(folder: Path, *arguments: str, together: bool) -> dict[str, object]:
    """Run one command, alone or in two processes, and return its JSON."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(N_PROCESSES)] if together else []
    command = [sys.executable, *start, "-m", "qts", *arguments, "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def weights(found: dict[str, object]) -> torch.Tensor:
    state = load_file(Path(str(found["run"])) / "model.safetensors")
    return torch.cat([state[name].flatten() for name in sorted(state)])


@pytest.mark.parametrize(
    "keys",
    [
        ("model.name=gru", "train.batch_size=33"),
        ("model.name=gats", "model.dropout=0.0", "model.hidden_size=4", "train.days_per_step=3"),
    ],
    ids=["shuffled", "by-day"],
)
def test_two_processes_find_the_weights_that_one_finds(tmp_path: Path, keys: tuple[str, ...]) -> None:
    write_market(tmp_path)
    options = [argument for key in ("train.epochs=3", *keys) for argument in ("--set", key)]
    qts(tmp_path, "ingest", together=False)
    alone = qts(tmp_path, "train", *options, "--set", "store.runs=alone", together=False)
    together = qts(tmp_path, "train", *options, together=True)
    torch.testing.assert_close(weights(together), weights(alone), rtol=0, atol=1e-5)
    record = json.loads((Path(str(together["run"])) / "run.json").read_text())
    assert record["n_processes"] == N_PROCESSES
    assert [folder.name for folder in (tmp_path / "runs").iterdir() if folder.is_dir()] == [
        Path(str(together["run"])).name
    ]


STOP_AND_GO_ON = """
import atexit
import sys
from pathlib import Path

from torch import distributed

from qts.config import load_config
from qts.pipeline.ensemble import train_seeds
from qts.pipeline.train import train_run
from qts.progress import SilentProgress

atexit.register(lambda: sys.stderr.write("" if distributed.is_initialized() else "left the group\\n"))
quiet = SilentProgress()
keys = {"train.epochs": 4, "train.patience": 9, "model.num_layers": 2, "model.dropout": 0.5}
loaded = load_config(Path("qts.toml"), environment={}).changed(keys, "test")
train_run(loaded.changed({"store.runs": "whole"}, "test"), quiet)
short = train_run(loaded.changed({"train.epochs": 2}, "test"), quiet)
train_run(loaded, quiet, resume=short.run.name)
train_seeds(loaded.changed({"store.runs": "seeds", "train.epochs": 1}, "test"), quiet, 2)
"""


def test_two_processes_stop_and_go_on_each_with_its_own_dropout_and_leave_one_ensemble(tmp_path: Path) -> None:
    write_market(tmp_path)
    qts(tmp_path, "ingest", together=False)
    (tmp_path / "work.py").write_text(STOP_AND_GO_ON)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "work.py"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("left the group") == N_PROCESSES  # threads of a group still joined can abort at the end
    (whole,), (taken_up,) = (list(tmp_path.glob(f"{runs}/*/model.safetensors")) for runs in ("whole", "runs"))
    assert torch.equal(weights({"run": taken_up.parent}), weights({"run": whole.parent}))
    members = [json.loads(file.read_text()).get("members") for file in tmp_path.glob("seeds/*/run.json")]
    assert sorted(len(names) for names in members if names) == [2]


@pytest.mark.parametrize("n_processes", [2, 3])
def test_the_shares_of_all_processes_are_the_whole_batch(n_processes: int) -> None:
    whole = [set(piece.chosen.tolist()) for piece in shuffled_batches(23, 7, seed=1, epoch=1).pieces(CPU)]
    shares = [list(shuffled_batches(23, 7, 1, 1).pieces(CPU, Group(rank, n_processes))) for rank in range(n_processes)]
    for at, batch in enumerate(whole):
        parts = [share[at].chosen.tolist() for share in shares]
        assert sorted(chosen for part in parts for chosen in part) == sorted(batch)
        assert sum(share[at].share for share in shares) == pytest.approx(1)


def test_a_process_without_a_day_still_takes_the_step() -> None:
    day = np.repeat(np.arange(5), [3, 1, 4, 2, 6])
    pieces = [list(day_batches(day, per_step=2).pieces(CPU, Group(rank, 2))) for rank in range(2)]
    assert [[len(piece.chosen) for piece in mine] for mine in pieces] == [[3, 4, 6], [1, 2, 0]]
    assert [[piece.share for piece in mine] for mine in pieces] == [[0.5, 0.5, 1.0], [0.5, 0.5, 0.0]]
    assert all(piece.ends_step for mine in pieces for piece in mine)
