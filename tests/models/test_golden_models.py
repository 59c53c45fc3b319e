"""LSTM and GRU against the reference: initial weights, outputs, gradients, three optimiser steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from qts.models import load_architecture
from qts.models._architecture import Architecture

GOLDEN = Path(__file__).parents[1] / "golden/models"
RECORD: dict[str, Any] = json.loads((GOLDEN / "models.json").read_text())
CASES = ["lstm", "gru", "lstm_f20", "gru_f20"]
N, T = RECORD["N"], RECORD["T"]


def ours(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the reference's weights under our names."""
    return {name.replace("fc_out.", "head."): tensor for name, tensor in weights.items()}


def network(case: str) -> Architecture:
    architecture = load_architecture(case.partition("_")[0])
    kwargs = RECORD["models"][f"{case}_ts"]["kwargs"]
    config = architecture.Config.model_validate(
        {"hidden_size": kwargs["hidden_size"], "num_layers": kwargs["num_layers"]}
    )
    torch.manual_seed(RECORD["seed"])
    return architecture(config, kwargs["d_feat"])


def inputs(case: str) -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / f"{case}.ts.io.safetensors")


@pytest.mark.parametrize("case", CASES)
def test_the_same_seed_gives_the_reference_s_initial_weights(case: str) -> None:
    made = network(case).state_dict()
    want = ours(load_file(GOLDEN / f"{case}.init.safetensors"))
    assert set(made) == set(want)
    assert all(torch.equal(made[name], want[name]) for name in want)


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_parameter_count_are_the_reference_s(case: str) -> None:
    made, io = network(case), inputs(case)
    made.load_state_dict(ours(load_file(GOLDEN / f"{case}.init.safetensors")))
    with torch.no_grad():
        np.testing.assert_allclose(made.eval()(io["x"]), io["out_eval"], rtol=0, atol=1e-6)
    assert sum(p.numel() for p in made.parameters()) == RECORD["models"][f"{case}_ts"]["parameters"]


@pytest.mark.parametrize("case", CASES)
def test_gradients_and_three_adam_steps_are_the_reference_s(case: str) -> None:
    made, io, record = network(case), inputs(case), RECORD["models"][f"{case}_ts"]
    made.load_state_dict(ours(load_file(GOLDEN / f"{case}.init.safetensors")))
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-3)
    for step, want in enumerate(record["losses_train_steps"]):
        optimizer.zero_grad()
        loss = (made.train()(io["x"]) - io["y"]).square().mean()
        loss.backward()
        assert loss.item() == pytest.approx(want, rel=1e-5)
        if step == 0:
            norms = {name: p.grad.norm().item() for name, p in made.named_parameters() if p.grad is not None}
            wanted = {name.replace("fc_out.", "head."): n for name, n in record["grad_norms_step1_before_clip"].items()}
            assert norms == pytest.approx(wanted, rel=1e-4)
        torch.nn.utils.clip_grad_value_(made.parameters(), 3.0)
        optimizer.step()
    after = ours(load_file(GOLDEN / f"{case}.after3.safetensors"))
    for name, tensor in made.state_dict().items():
        np.testing.assert_allclose(tensor, after[name], rtol=0, atol=2e-5)
    with torch.no_grad():
        np.testing.assert_allclose(made.eval()(io["x"]), io["out_after"], rtol=0, atol=1e-5)
