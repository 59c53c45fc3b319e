"""Schedules against torch's own, and what a plateau remembers."""

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from qts.config import TrainConfig
from qts.training.schedules import SCHEDULES, Plateau, lr_factor

LR = 1e-3


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)


def test_the_table_holds_what_the_config_offers_and_says_what_each_is() -> None:
    assert set(SCHEDULES) == set(get_args(TrainConfig.model_fields["schedule"].annotation))
    assert all(row.name == name and row.about for name, row in SCHEDULES.items())
    assert [name for name, row in SCHEDULES.items() if row.watches_metric] == ["plateau"]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("constant", lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=11)),
        ("linear", lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=11)),
    ],
)
def test_a_schedule_without_warm_up_is_torch_s(name: str, make: Callable[..., lr_scheduler.LRScheduler]) -> None:
    stepped = optimizer()
    scheduler, want = make(stepped), []
    for _ in range(12):  # the last is past the end
        want.append(stepped.param_groups[0]["lr"] / LR)
        stepped.step()
        scheduler.step()
    assert [lr_factor(name, step, 11, 0) for step in range(12)] == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_climbs_in_equal_steps_to_the_top_and_the_rest_is_the_schedule_of_what_is_left(name: str) -> None:
    found = [lr_factor(name, step, 15, 4) for step in range(15)]
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[4:] == [lr_factor(name, step, 11, 0) for step in range(11)]


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(0, 40), st.integers(0, 30), st.integers(0, 50))
def test_a_factor_is_a_share_and_falls_only_after_the_warm_up(
    name: str, step: int, n_steps: int, n_warmup: int
) -> None:
    now, later = (lr_factor(name, at, n_steps, n_warmup) for at in (step, step + 1))
    assert 0.0 <= now <= 1.0
    if step + 1 < n_warmup:
        assert later > now > 0.0
    if step >= n_warmup:
        assert later <= now


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_plateau_is_torch_s_with_the_reference_s_figures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = np.abs(np.round(1.0 / np.arange(1, 201) ** 0.3 + rng.normal(size=200) * 0.03, 3))
    losses[::17] = np.nan
    stepped = optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(stepped, "min", factor=0.5, patience=5, threshold=1e-5, min_lr=1e-6)
    plateau, want, found = Plateau(LR), [], []
    for loss in losses:
        with warnings.catch_warnings(action="ignore"):
            scheduler.step(loss)
        plateau.judge(-loss)
        want.append(stepped.param_groups[0]["lr"])
        found.append(LR * plateau.factor)
    assert found == pytest.approx(want)
    assert len(set(want)) > 3
    assert want[-1] == pytest.approx(1e-6)


def test_a_plateau_bears_five_epochs_without_a_gain_and_halves_at_the_sixth() -> None:
    plateau = Plateau(LR)
    factors = []
    for figure in [-0.5, *[-0.5] * 6, -0.4, *[-0.4 + 1e-6] * 5, float("nan")]:
        plateau.judge(figure)
        factors.append(plateau.factor)
    assert factors == [1.0] * 6 + [0.5] * 7 + [0.25]


def test_a_plateau_never_raises_a_learning_rate_that_is_under_its_floor() -> None:
    plateau = Plateau(lr=1e-7)
    for _ in range(20):
        plateau.judge(0.0)
    assert plateau.factor == 1.0


def test_a_plateau_read_back_goes_on_as_if_nothing_had_been() -> None:
    figures = [float(x) for x in np.random.default_rng(5).normal(size=30)]
    whole = Plateau(LR)
    for at, figure in enumerate(figures):
        if at == 13:
            text = json.dumps(asdict(whole), allow_nan=False)
        whole.judge(figure)
    resumed = Plateau(**json.loads(text))
    for figure in figures[13:]:
        resumed.judge(figure)
    assert resumed == whole
    assert whole.factor < 1.0
    assert json.loads(json.dumps(asdict(Plateau(LR)), allow_nan=False)) == asdict(Plateau(LR))
