"""Architectures against the reference: initial weights, outputs, gradients, three optimiser steps."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from qts.models import load_architecture
from qts.models._architecture import Architecture

GOLDEN = Path(__file__).parents[1] / "golden/models"
RECORD: dict[str, Any] = json.loads((GOLDEN / "models.json").read_text())

CLONES = "the reference's layers start as copies of one, ours apart"
DISCARDS = "the reference draws numbers for weights that it then overwrites"

ROUNDING = 1e-7
"""A gradient below it is what rounding left of 0, and Adam makes whole steps of that, in any direction."""

Value = TypeVar("Value")


def as_stored(x: Tensor) -> Tensor:
    return x


def channels_first(x: Tensor) -> Tensor:
    return x.transpose(1, 2)


def time_major(x: Tensor) -> Tensor:
    """(N, T*F), read as KRNN of the reference reads it, though the columns were meant feature by feature."""
    return x.unflatten(1, (RECORD["T"], -1))


@dataclass(frozen=True)
class Case:
    """A network of the reference: our model and config for it, where it is recorded, how its x becomes (N, T, F)."""

    model: str
    config: dict[str, Any]
    files: str
    record: str
    windows: Callable[[Tensor], Tensor] = as_stored
    other_seed: str | None = None
    """Why the same seed does not give the same initial weights."""

    @property
    def recorded(self) -> dict[str, Any]:
        """What models.json has on it."""
        return RECORD["models"][f"{self.files}_{self.record}"]

    @property
    def architecture(self) -> type[Architecture]:
        """Our class."""
        return load_architecture(self.model)

    def load(self, what: str) -> dict[str, Tensor]:
        """Weights of the reference, under our names."""
        return ours(self.architecture, load_file(GOLDEN / f"{self.files}.{what}.safetensors"))

    def io(self) -> dict[str, Tensor]:
        """Inputs and outputs, x as (N, T, F)."""
        tensors = load_file(GOLDEN / f"{self.files}.{self.record}.io.safetensors")
        return tensors | {"x": self.windows(tensors["x"])}


RECURRENT = {"hidden_size": 16, "num_layers": 2}
ENCODER = {"d_model": 8, "n_heads": 2, "num_layers": 2}

CASES = {
    case.files: case
    for case in [
        Case("lstm", RECURRENT, "lstm", "ts"),
        Case("gru", RECURRENT, "gru", "ts"),
        Case("lstm", RECURRENT, "lstm_f20", "ts"),
        Case("gru", RECURRENT, "gru_f20", "ts"),
        Case("alstm", RECURRENT | {"cell": "gru"}, "alstm_gru", "ts"),
        Case("alstm", RECURRENT | {"cell": "lstm"}, "alstm_lstm", "ts"),
        Case("gats", RECURRENT | {"cell": "gru", "dropout": 0.0}, "gats_gru", "ts"),
        Case("gats", RECURRENT | {"cell": "lstm", "dropout": 0.0}, "gats_lstm", "ts"),
        Case("krnn", RECURRENT | {"n_channels": 8, "kernel_size": 3, "n_rnns": 3}, "krnn", "flat", time_major),
        Case("transformer", ENCODER, "transformer", "ts", other_seed=CLONES),
        Case("localformer", ENCODER, "localformer", "ts", other_seed=CLONES),
        Case(
            "tcn",
            {"n_channels": 16, "num_layers": 3, "kernel_size": 3, "dropout": 0.0},
            "tcn",
            "ts",
            channels_first,
            other_seed=DISCARDS,
        ),
    ]
}


def ours(architecture: type[Architecture], named: dict[str, Value]) -> dict[str, Value]:
    """Return what the reference has, under our names and without what stands for nothing."""
    renamed = {}
    for name, value in named.items():
        for theirs, our in architecture.reference_names.items():
            name = name.replace(theirs, our)  # noqa: PLW2901 - one part after the other
        renamed[name] = value
    return {name: value for name, value in renamed.items() if not name.startswith(architecture.reference_leftovers)}


def settled(name: str, tensor: Tensor) -> Tensor:
    """Leave out the keys' bias: softmax does not see it, so its gradient is rounding, which Adam scales up to a step."""
    if not name.endswith("qkv.bias"):
        return tensor
    query, _, value = tensor.chunk(3)
    return torch.cat([query, value])


def network(case: Case) -> Architecture:
    torch.manual_seed(RECORD["seed"])
    return case.architecture(case.architecture.Config.model_validate(case.config), case.io()["x"].shape[-1])


def loaded(case: Case) -> Architecture:
    made = network(case)
    made.load_state_dict(case.load("init"))
    return made


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.mark.parametrize("case", [case for case in CASES.values() if not case.other_seed], ids=lambda case: case.files)
def test_the_same_seed_gives_the_reference_s_initial_weights(case: Case) -> None:
    made, want = network(case).state_dict(), case.load("init")
    assert set(made) == set(want)
    assert all(torch.equal(made[name], want[name]) for name in want)


def test_initial_weights_are_spread_as_the_reference_s(case: Case) -> None:
    made, want = network(case).state_dict(), case.load("init")
    for name, theirs in want.items():
        if theirs.numel() == 1 or theirs.std() == 0:
            assert made[name].shape == theirs.shape, name
            assert theirs.numel() == 1 or torch.equal(made[name], theirs), name
        else:
            # Of n uniform values the standard deviation is uncertain by 0.45 / sqrt(n) of itself; normal ones, 0.71.
            bound = max(0.05, 4 / math.sqrt(theirs.numel()))
            assert made[name].std().item() == pytest.approx(theirs.std().item(), rel=bound), name


def test_outputs_and_parameter_count_are_the_reference_s(case: Case) -> None:
    made, io = loaded(case), case.io()
    with torch.no_grad():
        np.testing.assert_allclose(made.eval()(io["x"]), io["out_eval"], rtol=0, atol=1e-6)
    shapes = ours(case.architecture, case.recorded["state_dict"])
    assert sum(p.numel() for p in made.parameters()) == sum(math.prod(shape) for shape in shapes.values())


def test_gradients_and_three_adam_steps_are_the_reference_s(case: Case) -> None:
    made, io, record = loaded(case), case.io(), case.recorded
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-3)
    smallest = {name: torch.full_like(p, torch.inf) for name, p in made.named_parameters()}
    for step, want in enumerate(record["losses_train_steps"]):
        optimizer.zero_grad()
        loss = (made.train()(io["x"]) - io["y"]).square().mean()
        loss.backward()
        assert loss.item() == pytest.approx(want, rel=1e-5)
        if step == 0:
            norms = {name: p.grad.norm().item() for name, p in made.named_parameters() if p.grad is not None}
            wanted = ours(case.architecture, record["grad_norms_step1_before_clip"])
            assert norms == pytest.approx(wanted, rel=1e-4, abs=ROUNDING)
        for name, p in made.named_parameters():
            assert p.grad is not None
            smallest[name] = torch.minimum(smallest[name], p.grad.abs())
        torch.nn.utils.clip_grad_value_(made.parameters(), 3.0)
        optimizer.step()
    after = case.load("after3")
    for name, p in made.named_parameters():
        is_moved = smallest[name] >= ROUNDING
        np.testing.assert_allclose(p.detach()[is_moved], after[name][is_moved], rtol=0, atol=2e-5, err_msg=name)
    with torch.no_grad():
        np.testing.assert_allclose(made.eval()(io["x"]), io["out_after"], rtol=0, atol=1e-5)
