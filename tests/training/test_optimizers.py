"""Optimisers against their formulas in 64 bits; what decay spares, resuming bit by bit, clipping."""

import copy
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from qts.config import TrainConfig
from qts.training.optimizers import OPTIMIZERS, clip_gradients, make_optimizer

CPU = torch.device("cpu")
LR, DECAY, MOMENTUM = 0.05, 0.3, 0.6
N_STEPS = 4

Step = Callable[[np.ndarray, np.ndarray, dict[str, np.ndarray], int, bool], np.ndarray]


def config(name: str, **keys: object) -> TrainConfig:
    return TrainConfig.model_validate({"optimizer": name, "lr": LR, **keys})


def adam_move(g: np.ndarray, state: dict[str, np.ndarray], step: int) -> np.ndarray:
    """Kingma and Ba's update, without the learning rate."""
    state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0.0) + 0.001 * g * g
    return (state["m"] / (1 - 0.9**step)) / (np.sqrt(state["v"] / (1 - 0.999**step)) + 1e-8)


def naive_adam(p: np.ndarray, g: np.ndarray, state: dict[str, np.ndarray], step: int, _matrix: bool) -> np.ndarray:
    return p - LR * adam_move(g + DECAY * p, state, step)


def naive_adamw(p: np.ndarray, g: np.ndarray, state: dict[str, np.ndarray], step: int, matrix: bool) -> np.ndarray:
    return p * (1 - LR * DECAY * matrix) - LR * adam_move(g, state, step)


def naive_sgd(p: np.ndarray, g: np.ndarray, state: dict[str, np.ndarray], _step: int, _matrix: bool) -> np.ndarray:
    state["b"] = MOMENTUM * state.get("b", 0.0) + g + DECAY * p
    return p - LR * state["b"]


NAIVE: dict[str, Step] = {"adam": naive_adam, "adamw": naive_adamw, "sgd": naive_sgd}


def network() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(5, 3), nn.LayerNorm(3))


def set_gradients(of: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in of.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_the_table_holds_what_the_config_offers_and_says_what_each_is() -> None:
    assert set(OPTIMIZERS) == set(get_args(TrainConfig.model_fields["optimizer"].annotation)) == set(NAIVE)
    assert all(row.name == name and row.about for name, row in OPTIMIZERS.items())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_its_formula_decay_and_momentum_included(name: str) -> None:
    made = network()
    optimizer = make_optimizer(made, config(name, weight_decay=DECAY, momentum=MOMENTUM), CPU)
    want = [p.detach().double().numpy() for p in made.parameters()]
    states: list[dict[str, np.ndarray]] = [{} for _ in want]
    for step in range(1, N_STEPS + 1):
        set_gradients(made, step)
        for at, parameter in enumerate(made.parameters()):
            assert parameter.grad is not None
            want[at] = NAIVE[name](want[at], parameter.grad.double().numpy(), states[at], step, parameter.dim() > 1)
        optimizer.step()
    for parameter, expected in zip(made.parameters(), want, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_adam_in_one_kernel_is_torch_s_adam_but_for_rounding() -> None:
    fused, separate = network(), network()
    optimizers = [
        make_optimizer(fused, config("adam"), CPU),
        torch.optim.Adam(separate.parameters(), lr=LR, fused=False),
    ]
    assert optimizers[0].defaults["fused"]
    for step in range(20):
        for made, optimizer in zip((fused, separate), optimizers, strict=True):
            set_gradients(made, step)
            optimizer.step()
    for one, other in zip(fused.parameters(), separate.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_that_is_restored_goes_on_bit_by_bit(name: str) -> None:
    keys = config(name, weight_decay=DECAY, momentum=MOMENTUM)
    whole = network()
    optimizer = make_optimizer(whole, keys, CPU)
    for step in range(6):
        if step == 3:
            resumed, state = copy.deepcopy(whole), copy.deepcopy(optimizer.state_dict())
        set_gradients(whole, step)
        optimizer.step()
    again = make_optimizer(resumed, keys, CPU)
    again.load_state_dict(state)
    for step in range(3, 6):
        set_gradients(resumed, step)
        again.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_that_do_not_learn_are_left_out(name: str) -> None:
    made = network()
    frozen = next(made.parameters()).requires_grad_(requires_grad=False)
    held = [p for group in make_optimizer(made, config(name), CPU).param_groups for p in group["params"]]
    assert len(held) == 3
    assert all(p is not frozen for p in held)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_network_without_parameters_has_an_optimiser_that_does_nothing(name: str) -> None:
    optimizer = make_optimizer(nn.Identity(), config(name, weight_decay=DECAY), CPU)
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == LR


@pytest.mark.parametrize(
    ("value", "norm", "want"),
    [
        (0.0, 0.0, [3.0, -4.0, 12.0]),
        (5.0, 0.0, [3.0, -4.0, 5.0]),
        (0.0, 6.5, [1.5, -2.0, 6.0]),
        (3.5, 1.5, [3.0 * 1.5 / 33.5**0.5, -3.5 * 1.5 / 33.5**0.5, 3.5 * 1.5 / 33.5**0.5]),
        (0.0, 99.0, [3.0, -4.0, 12.0]),
    ],
)
def test_gradients_are_clipped_one_by_one_and_then_as_one_vector(value: float, norm: float, want: list[float]) -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(4))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, -4.0]), torch.tensor([12.0])
    clip_gradients((p for p in parameters), value, norm)
    assert [*parameters[0].grad.tolist(), *parameters[1].grad.tolist()] == pytest.approx(want, rel=1e-5)
    assert parameters[2].grad is None
