"""Losses against loops over samples: values, gradients, invariances, and what is missing, constant or not finite."""

from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from qts.config import TrainConfig
from qts.errors import QtsError
from qts.training.losses import LOSSES, ic, listwise, loss_of, mse, rank_ic

NAN = float("nan")
SCORE = torch.tensor([0.3, -1.2, 0.7, 2.0, -0.4, 0.1, -0.9], dtype=torch.float64)
TARGET = torch.tensor([0.5, -0.2, NAN, 1.0, 0.5, NAN, -1.8], dtype=torch.float64)
WEIGHT = torch.tensor([1.0, 0.5, 2.0, 1.5, 0.25, 0.75, 1.25], dtype=torch.float64)
BY_DAY = [name for name, row in LOSSES.items() if row.by_day]
every_loss = pytest.mark.parametrize("name", LOSSES)


def loss(name: str, score: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    return loss_of(TrainConfig.model_validate({"loss": name, "huber_delta": 0.6}))(score, target, weight)


def gradient(name: str, score: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    leaf = score.clone().requires_grad_()
    loss(name, leaf, target, weight).backward()
    assert leaf.grad is not None
    return leaf.grad


def correlation(x: list[float], y: list[float], w: list[float]) -> float:
    """Weighted Pearson, sum by sum."""
    mx, my = (sum(a * b for a, b in zip(w, v, strict=True)) / sum(w) for v in (x, y))
    cov, vx, vy = (
        sum(c * (a - ma) * (b - mb) for c, a, b in zip(w, p, q, strict=True))
        for p, ma, q, mb in ((x, mx, y, my), (x, mx, x, mx), (y, my, y, my))
    )
    return cov / (vx * vy) ** 0.5


def standardised(x: list[float], w: list[float]) -> list[float]:
    mean = np.average(x, weights=w)
    return list((np.array(x) - mean) / np.sqrt(np.average((np.array(x) - mean) ** 2, weights=w)))


def naive(name: str, s: list[float], t: list[float], w: list[float]) -> float:
    """The formula over samples that have a target."""
    n, mean_weight = len(s), sum(w) / len(w)
    if name in ("mse", "mae", "huber"):
        each = {
            "mse": lambda e: e * e,
            "mae": abs,
            "huber": lambda e: e * e / 2 if abs(e) <= 0.6 else 0.6 * (abs(e) - 0.3),
        }[name]
        return sum(c * each(a - b) for a, b, c in zip(s, t, w, strict=True)) / n
    if name == "ic":
        return mean_weight * (1 - correlation(s, t, w))
    if name == "rank_ic":
        z = standardised(s, w)
        soft = [sum(1 / (1 + np.exp(-(a - b) / 0.1)) for b in z) for a in z]
        return mean_weight * (1 - correlation(soft, pd.Series(t).rank().tolist(), w))
    w = [c / mean_weight for c in w]
    goal, total = standardised(t, w), sum(c * np.exp(a) for a, c in zip(s, w, strict=True))
    of_goal = sum(c * np.exp(a) for a, c in zip(goal, w, strict=True))
    return mean_weight * -sum(
        c * np.exp(g) / of_goal * np.log(np.exp(a) / total) for a, g, c in zip(s, goal, w, strict=True)
    )


def test_the_table_holds_what_the_config_offers_and_says_what_each_is() -> None:
    assert set(LOSSES) == set(get_args(TrainConfig.model_fields["loss"].annotation))
    assert BY_DAY == ["ic", "rank_ic", "listwise"]
    assert all(row.name == name and row.about for name, row in LOSSES.items())


@every_loss
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_loss_is_its_formula_over_the_samples_with_a_target(name: str, weight: Tensor | None) -> None:
    known = ~TARGET.isnan()
    w = torch.ones(7, dtype=torch.float64) if weight is None else weight
    want = naive(name, SCORE[known].tolist(), TARGET[known].tolist(), w[known].tolist())
    assert loss(name, SCORE, TARGET, weight).item() == pytest.approx(want, rel=1e-12)


@every_loss
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_gradients_are_those_of_finite_differences(name: str, weight: Tensor | None) -> None:
    leaf = SCORE.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda score: loss(name, score, TARGET, weight), (leaf,))


@every_loss
def test_a_sample_without_a_target_pulls_at_nothing_whatever_its_score(name: str) -> None:
    other = torch.where(TARGET.isnan(), NAN, SCORE)
    assert loss(name, other, TARGET, WEIGHT).item() == loss(name, SCORE, TARGET, WEIGHT).item()
    pull = gradient(name, other, TARGET, WEIGHT)
    assert pull[TARGET.isnan()].tolist() == [0.0, 0.0]
    assert pull[~TARGET.isnan()].all()


@every_loss
def test_a_batch_without_targets_is_worth_nothing_and_moves_nothing(name: str) -> None:
    none = torch.full((7,), NAN)
    assert loss(name, SCORE.float(), none).item() == 0.0
    assert gradient(name, SCORE.float(), none).tolist() == [0.0] * 7


@every_loss
@pytest.mark.parametrize(
    ("score", "target", "weight"), [((5,), (5, 1), None), ((5, 1), (5, 1), None), ((5,), (5,), (1,))]
)
def test_shapes_that_would_be_broadcast_are_refused(name: str, score: Any, target: Any, weight: Any) -> None:
    with pytest.raises(QtsError, match=r"must all be \(batch,\), not \(5"):
        loss(name, torch.ones(score), torch.ones(target), None if weight is None else torch.ones(weight))


@every_loss
def test_no_loss_asks_for_a_value_before_its_end(name: str) -> None:
    nowhere = torch.empty(7, device="meta")  # has a shape and no values, as a GPU's before it is waited for
    assert loss(name, nowhere, nowhere, nowhere).shape == ()


@every_loss
@pytest.mark.parametrize("bad", [NAN, float("inf")])
def test_a_score_that_is_not_finite_shows_in_the_loss(name: str, bad: float) -> None:
    score = SCORE.clone()
    score[3] = bad
    assert not loss(name, score, TARGET, WEIGHT).isfinite()


@every_loss
def test_targets_and_weights_of_64_bits_do_not_widen_the_loss_nor_scores_of_16_narrow_it(name: str) -> None:
    assert loss(name, SCORE.float(), TARGET, WEIGHT).dtype == torch.float32
    assert loss(name, SCORE.bfloat16(), TARGET.float(), None).dtype == torch.float32


@every_loss
def test_a_day_of_twice_the_weight_counts_twice(name: str) -> None:
    once = loss(name, SCORE, TARGET, WEIGHT).item()
    assert loss(name, SCORE, TARGET, 2 * WEIGHT).item() == pytest.approx(2 * once)


@pytest.mark.parametrize("name", ["ic", "listwise"])
def test_a_sample_of_twice_the_weight_pulls_as_two_would(name: str) -> None:
    times = torch.tensor([1, 2, 1, 3, 1, 1, 0])
    owner = torch.arange(7).repeat_interleave(times)
    of_two = torch.zeros(7, dtype=torch.float64).index_add(0, owner, gradient(name, SCORE[owner], TARGET[owner]))
    mean_weight = times[~TARGET.isnan()].double().mean()
    torch.testing.assert_close(gradient(name, SCORE, TARGET, times.double()), mean_weight * of_two)


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_errors_of_zero_cost_nothing(name: str) -> None:
    assert loss(name, TARGET, TARGET, WEIGHT).item() == 0.0
    assert loss(name, TARGET + 0.1, TARGET, WEIGHT).item() > 0.0


def test_mse_is_the_plain_mean_over_known_targets() -> None:
    assert mse(torch.tensor([1.0, 5.0, 2.0]), torch.tensor([0.0, NAN, 4.0])).item() == pytest.approx(2.5)


def test_huber_takes_its_delta_from_the_config() -> None:
    score, target = torch.tensor([3.0]), torch.tensor([0.0])
    for delta, want in ((0.25, 0.25 * (3 - 0.125)), (4.0, 4.5)):
        made = loss_of(TrainConfig.model_validate({"loss": "huber", "huber_delta": delta}))
        assert made(score, target, None).item() == pytest.approx(want)


@pytest.mark.parametrize(("scale", "shift"), [(3.0, -7.0), (1e-20, 0.0), (1e25, 0.0)])
def test_ic_is_0_at_any_rising_line_of_the_targets_and_2_at_a_falling_one(scale: float, shift: float) -> None:
    target = TARGET.float()
    assert ic(scale * target + shift, target).item() == pytest.approx(0.0, abs=1e-6)
    assert ic(-scale * target + shift, target).item() == pytest.approx(2.0, abs=1e-6)
    assert gradient("ic", scale * SCORE.float(), target).isfinite().all()


@pytest.mark.parametrize("name", ["ic", "rank_ic"])
def test_losses_of_order_do_not_know_the_scores_scale_and_shift(name: str) -> None:
    assert loss(name, 40 * SCORE - 3, TARGET, WEIGHT).item() == pytest.approx(loss(name, SCORE, TARGET, WEIGHT).item())


@pytest.mark.parametrize("name", ["ic", "rank_ic"])
@pytest.mark.parametrize("jitter", [0.0, 1.0, 2.0])
def test_constant_scores_or_targets_have_no_correlation_and_no_gradient(name: str, jitter: float) -> None:
    """However sums are rounded, and even if equal scores came out unequal by a rounding."""
    constant, other = torch.full((301,), 0.1), torch.sin(torch.arange(301.0))
    flat = constant + jitter * 2**-27 * (torch.arange(301) % 3)
    for score, target in ((flat, other), (other, constant), (flat, constant)):
        assert loss(name, score, target).item() == 1.0
        assert gradient(name, score, target).tolist() == [0.0] * 301


def test_one_sample_or_no_weight_has_nothing_to_correlate() -> None:
    only = torch.where(torch.arange(7) == 3, TARGET, NAN)
    for name, want in (("ic", 1.0), ("rank_ic", 1.0), ("listwise", 0.0)):
        assert loss(name, SCORE, only).item() == want
        assert loss(name, SCORE, TARGET, torch.zeros(7)).item() == 0.0
        assert gradient(name, SCORE, TARGET, torch.zeros(7)).tolist() == [0.0] * 7


def test_rank_ic_goes_to_one_minus_spearman_as_it_cools() -> None:
    known = ~TARGET.isnan().numpy()
    ranks = [pd.Series(x.numpy()[known]).rank() for x in (SCORE, TARGET)]  # the targets have a tie
    want = 1 - ranks[0].corr(ranks[1])
    assert rank_ic(SCORE, TARGET, temperature=1e-4).item() == pytest.approx(want, abs=1e-9)
    assert rank_ic(SCORE, TARGET).item() == pytest.approx(want, abs=0.05)


def test_rank_ic_takes_an_infinite_target_for_the_last_in_order() -> None:
    target = TARGET.clone()
    target[3] = float("inf")
    assert rank_ic(SCORE, target).item() == rank_ic(SCORE, TARGET).item()


@pytest.mark.parametrize("name", BY_DAY)
def test_going_downhill_puts_scores_in_the_targets_order(name: str) -> None:
    rng = np.random.default_rng(3)
    target, score = torch.from_numpy(rng.normal(size=41)), torch.from_numpy(rng.normal(size=41))
    for _ in range(300):
        score -= 2.0 * gradient(name, score, target)
    assert pd.Series(score.numpy()).corr(pd.Series(target.numpy()), method="spearman") > 0.98


def test_listwise_is_least_at_the_standardised_targets_whatever_their_shift() -> None:
    known = ~TARGET.isnan()
    best = SCORE.clone()
    best[known] = torch.tensor(standardised(TARGET[known].tolist(), WEIGHT[known].tolist()), dtype=torch.float64)
    least = listwise(best, TARGET, WEIGHT).item()
    assert listwise(best + 5.0, TARGET, WEIGHT).item() == pytest.approx(least)
    assert gradient("listwise", best, TARGET, WEIGHT).abs().max() < 1e-12
    for step in torch.eye(7, dtype=torch.float64)[known]:
        assert listwise(best + 0.1 * step, TARGET, WEIGHT).item() > least + 1e-5


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@every_loss
def test_a_gpu_is_not_waited_for_and_gives_the_cpu_s_loss(name: str) -> None:
    on_gpu = [tensor.float().cuda() for tensor in (SCORE, TARGET, WEIGHT)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = loss(name, *on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert found.item() == pytest.approx(loss(name, SCORE, TARGET, WEIGHT).item(), rel=1e-5)
