"""The tabular baselines against numpy, and against the library of trees called by itself."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm as library
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from qts.errors import ConfigError, QtsError, StoreError
from qts.models import load_architecture
from qts.models._architecture import Architecture, WholeFit
from qts.models._tabular import flatten_newest

N, T, F = 7, 5, 3
BASELINES = ["linear", "mlp", "lightgbm"]
SMALL_TREES = {"n_rounds": 30, "num_leaves": 7, "lambda_l1": 0.0, "lambda_l2": 0.0}


class Whole:
    """All samples of a segment in batches of a length that divides nothing."""

    def __init__(self, x: Tensor, y: Tensor, weight: Tensor | None = None) -> None:
        self.parts = (x, y, torch.ones(len(y)) if weight is None else weight / weight.mean())
        self.n_samples = len(y)
        self.n_passes = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        self.n_passes += 1
        yield from zip(*(part.split(23) for part in self.parts), strict=True)


def draw(n_samples: int, seed: int = 0) -> Whole:
    """Draw samples whose target hangs on the newest bar and the one before it, bent and with noise."""
    made = torch.Generator().manual_seed(seed)
    x = torch.randn(n_samples, T, F, generator=made)
    y = x[:, -1, 0] - 2 * x[:, -2, 2] + x[:, -1, 1].abs() + torch.randn(n_samples, generator=made)
    return Whole(x, y, torch.rand(n_samples, generator=made) + 0.1)


def make(name: str, n_features: int = F, **keys: object) -> Architecture:
    architecture = load_architecture(name)
    torch.manual_seed(4)
    return architecture(architecture.Config.model_validate(keys), n_features)


def fitted(name: str, train: Whole, valid: Whole | None = None, seed: int = 0, **keys: object) -> WholeFit:
    network = make(name, train.parts[0].shape[2], **keys)
    assert isinstance(network, WholeFit)
    network.fit(train, valid or train, seed, lambda _line: None)
    return network.eval()


def scores(network: Architecture, samples: Whole) -> np.ndarray:
    with torch.inference_mode():
        return network(samples.parts[0]).numpy()


def rows(samples: Whole, n_steps: int) -> np.ndarray:
    x = samples.parts[0].double().numpy()
    return np.concatenate([x[:, step] for step in range(T - n_steps, T)], axis=1)


def least_squares(samples: Whole, n_steps: int, alpha: float = 0.0) -> np.ndarray:
    """Return scores from the whole matrix: samples scaled by the roots of their weights, the penalty as more rows."""
    _, y, weight = (part.double().numpy() for part in samples.parts)
    inputs = np.column_stack([rows(samples, n_steps), np.ones(len(y))])
    penalty = np.sqrt(alpha) * np.eye(inputs.shape[1])[:-1]
    left = np.vstack([inputs * np.sqrt(weight)[:, None], penalty])
    right = np.concatenate([y * np.sqrt(weight), np.zeros(len(penalty))])
    return inputs @ np.linalg.lstsq(left, right)[0]


def test_bars_are_read_oldest_first() -> None:
    x = torch.arange(1 * T * F, dtype=torch.float32).view(1, T, F)
    assert flatten_newest(x, 2).tolist() == [[9, 10, 11, 12, 13, 14]]
    assert flatten_newest(x, 1).tolist() == [[12, 13, 14]]


@pytest.mark.parametrize("name", BASELINES)
def test_a_window_shorter_than_n_steps_is_refused(name: str) -> None:
    network = make(name, n_steps=6)
    with pytest.raises(ConfigError, match="n_steps = 6 bars are to be read, but a window has 5") as caught:
        network(torch.zeros(N, T, F))
    assert caught.value.hint == "set [model] n_steps to 5 or less, or [window] step_len to 6 or more"
    if isinstance(network, WholeFit):
        with pytest.raises(ConfigError, match="n_steps = 6"):
            network.fit(draw(N), draw(N), 0, print)


@pytest.mark.parametrize("name", BASELINES)
def test_only_the_newest_n_steps_count(name: str) -> None:
    samples, keys = draw(300), SMALL_TREES if name == "lightgbm" else {}
    network = fitted(name, samples, n_steps=2, **keys) if name != "mlp" else make(name, n_steps=2)
    before = scores(network, samples)
    for step, is_read in ((-3, False), (-2, True)):
        moved = samples.parts[0].clone()
        moved[:, step] += 1
        assert np.array_equal(before, scores(network, Whole(moved, *samples.parts[1:]))) == (not is_read)


@pytest.mark.parametrize("alpha", [0.0, 2.5])
@pytest.mark.parametrize("n_steps", [1, 2, T])
def test_linear_is_weighted_least_squares_on_the_whole_matrix(n_steps: int, alpha: float) -> None:
    samples = draw(100)
    found = scores(fitted("linear", samples, n_steps=n_steps, alpha=alpha), samples)
    np.testing.assert_allclose(found, least_squares(samples, n_steps, alpha), rtol=0, atol=2e-6)


def test_linear_goes_through_train_once_and_never_through_valid() -> None:
    train, valid = draw(100), draw(50, seed=1)
    fitted("linear", train, valid)
    assert (train.n_passes, valid.n_passes) == (1, 0)


def test_linear_bears_inputs_far_from_zero_and_of_unlike_size() -> None:
    plain = draw(100)
    x = (plain.parts[0] + 50) * torch.tensor([1e-8, 1.0, 1e8])
    found = scores(fitted("linear", Whole(x, *plain.parts[1:])), Whole(x, *plain.parts[1:]))
    np.testing.assert_allclose(found, least_squares(plain, 1), rtol=0, atol=1e-4)


def test_linear_leaves_out_what_is_constant_or_said_twice() -> None:
    plain = draw(100)
    x = plain.parts[0]
    more = torch.cat([x, torch.full((100, T, 1), 0.1), x[..., :1] + x[..., 1:2]], dim=2)
    lines: list[str] = []
    network = make("linear", 5)
    assert isinstance(network, WholeFit)
    network.fit(Whole(more, *plain.parts[1:]), plain, 0, lines.append)
    assert lines == ["solved for 5 inputs on 100 samples; 2 directions left out as collinear"]
    assert network.state_dict()["head.weight"][0, 3] == 0
    assert network.state_dict()["head.weight"].abs().max() < 3
    np.testing.assert_allclose(scores(network, Whole(more, *plain.parts[1:])), least_squares(plain, 1), atol=2e-6)


def test_linear_penalises_no_intercept() -> None:
    samples = draw(100)
    lifted = Whole(samples.parts[0], samples.parts[1] + 1000, samples.parts[2])
    network = fitted("linear", lifted, alpha=1e12)
    mean = np.average(lifted.parts[1].double(), weights=lifted.parts[2].double())
    np.testing.assert_allclose(scores(network, lifted), mean, rtol=1e-6)


def test_linear_names_the_input_that_is_not_a_number() -> None:
    samples = draw(100)
    samples.parts[0][60, -2, 1] = torch.nan
    with pytest.raises(QtsError, match="feature 1 of a train window is nan, 1 bars before its newest") as caught:
        fitted("linear", samples, n_steps=3)
    assert caught.value.hint == "add a fillna to [[processors.features]]"
    fitted("linear", samples, n_steps=1)  # does not read that bar


@pytest.mark.parametrize("name", ["linear", "lightgbm"])
def test_a_segment_without_samples_is_refused(name: str) -> None:
    with pytest.raises(QtsError, match="there are no train samples"):
        fitted(name, draw(0))


@pytest.mark.parametrize("layer_norm", [False, True])
def test_mlp_is_what_its_weights_say(layer_norm: bool) -> None:
    network = make("mlp", hidden_sizes=[6, 4], n_steps=2, layer_norm=layer_norm, dropout=0.5).eval()
    weights = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    samples = draw(N)
    values = rows(samples, 2)
    for layer in ("hidden.0", "hidden.1"):
        values = values @ weights[f"{layer}.0.weight"].T + weights[f"{layer}.0.bias"]
        if layer_norm:
            spread = np.sqrt(values.var(axis=1, keepdims=True) + 1e-5)
            values = (values - values.mean(axis=1, keepdims=True)) / spread
        values = np.maximum(values, 0)
    expected = values @ weights["head.weight"][0] + weights["head.bias"]
    np.testing.assert_allclose(scores(network, samples), expected, rtol=0, atol=1e-6)


def test_mlp_drops_only_while_training() -> None:
    network, x = make("mlp", dropout=0.5), draw(N).parts[0]
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize("sizes", [[], [0], ["4"], [2.5]])
def test_mlp_refuses_widths_that_are_none(sizes: list[object]) -> None:
    with pytest.raises(ValidationError):
        make("mlp", hidden_sizes=sizes)


BENCHMARK = {
    "objective": "mse", "colsample_bytree": 0.8879, "learning_rate": 0.2, "subsample": 0.8789, "lambda_l1": 205.6999,
    "lambda_l2": 580.9768, "max_depth": 8, "num_leaves": 210, "num_threads": 1,
}  # fmt: skip
"""The reference's parameters for Alpha158, by their names there; subsample, without a frequency, does nothing."""


@pytest.mark.parametrize(
    ("keys", "parameters"),
    [
        ({}, BENCHMARK),
        ({"max_depth": 3, "lambda_l1": 0.0, "lambda_l2": 9.0, "lr": 0.1},
         {**BENCHMARK, "max_depth": 3, "lambda_l1": 0, "lambda_l2": 9, "learning_rate": 0.1}),
        ({"num_leaves": 4, "lambda_l1": 9.0, "lambda_l2": 0.0, "colsample": 0.5},
         {**BENCHMARK, "num_leaves": 4, "lambda_l1": 9, "lambda_l2": 0, "colsample_bytree": 0.5}),
    ],
)  # fmt: skip
def test_lightgbm_scores_as_the_library_does_by_itself(keys: dict[str, Any], parameters: dict[str, Any]) -> None:
    train, valid = draw(3000), draw(1000, seed=1)
    sets = [library.Dataset(rows(s, T), s.parts[1].numpy(), weight=s.parts[2].numpy()) for s in (train, valid)]
    sets[1].set_reference(sets[0])
    stop = library.early_stopping(50, verbose=False)
    grown = library.train({**parameters, "seed": 3}, sets[0], 1000, valid_sets=sets[1:], callbacks=[stop])
    found = scores(fitted("lightgbm", train, valid, seed=3, n_steps=T, **keys), valid)
    assert found.std() > 0.5
    np.testing.assert_allclose(found, grown.predict(rows(valid, T)), rtol=0, atol=1e-6)


def test_lightgbm_keeps_the_trees_up_to_the_best_round() -> None:
    train, valid = draw(200), draw(150, seed=1)
    lines: list[str] = []
    network = make("lightgbm", patience_rounds=5, **SMALL_TREES)
    assert isinstance(network, WholeFit)
    network.fit(train, valid, 0, lines.append)
    losses = []
    for n_rounds in range(1, 12):
        cut = fitted("lightgbm", train, valid, patience_rounds=99, **{**SMALL_TREES, "n_rounds": n_rounds})
        error = scores(cut, valid) - valid.parts[1].numpy()
        losses.append(np.average(error**2, weights=valid.parts[2].numpy()))
    best = int(np.argmin(losses))
    assert 0 < best < 10
    assert lines == [f"best round {best + 1}: valid mse {losses[best]:.5f}"]
    error = scores(network, valid) - valid.parts[1].numpy()
    assert np.average(error**2, weights=valid.parts[2].numpy()) == pytest.approx(losses[best], rel=1e-6)


@pytest.mark.parametrize("subsample", [1.0, 0.5])
def test_lightgbm_of_the_same_seed_scores_the_same_on_any_threads(subsample: float) -> None:
    train, keys = draw(500), {**SMALL_TREES, "n_rounds": 10, "n_steps": T, "subsample": subsample}
    once = scores(fitted("lightgbm", train, seed=3, **keys), train)
    held = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = scores(fitted("lightgbm", train, seed=3, **keys), train)
    finally:
        torch.set_num_threads(held)
    assert np.array_equal(once, again)
    assert not np.array_equal(once, scores(fitted("lightgbm", train, seed=2**40, **keys), train))


def test_lightgbm_draws_samples_when_it_is_told_to() -> None:
    train = draw(500)
    whole, half = (scores(fitted("lightgbm", train, **SMALL_TREES, subsample=s), train) for s in (1.0, 0.5))
    assert not np.array_equal(whole, half)


def test_lightgbm_is_saved_loaded_and_copied_as_any_weights(tmp_path: Path) -> None:
    train, other = draw(300), draw(200, seed=1)
    network = fitted("lightgbm", train, **SMALL_TREES)
    expected = scores(network, train)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    for loaded in (make("lightgbm"), fitted("lightgbm", other, **SMALL_TREES), copy.deepcopy(make("lightgbm"))):
        assert not np.array_equal(scores(loaded, train), expected)
        loaded.load_state_dict(load_file(tmp_path / "model.safetensors"))
        assert np.array_equal(scores(loaded, train), expected)
    copied = copy.deepcopy(network)
    network.fit(other, other, 0, lambda _line: None)
    assert np.array_equal(scores(copied, train), expected)
    assert not np.array_equal(scores(network, train), expected)


def test_lightgbm_takes_inputs_that_are_missing() -> None:
    train = draw(300)
    train.parts[0][::3, -1, 0] = torch.nan
    found = scores(fitted("lightgbm", train, **SMALL_TREES), train)
    assert np.isfinite(found).all()
    assert np.corrcoef(found, train.parts[1].numpy())[0, 1] > 0.5


def test_lightgbm_scores_zero_before_it_is_fitted() -> None:
    assert make("lightgbm")(torch.randn(N, T, F)).tolist() == [0] * N


def test_lightgbm_writes_nothing_to_the_output(capfd: pytest.CaptureFixture[str]) -> None:
    scores(copy.deepcopy(fitted("lightgbm", draw(30))), draw(N))  # too few samples for a split, which it warns of
    assert capfd.readouterr() == ("", "")


def test_lightgbm_that_is_damaged_is_told_and_ends_no_process() -> None:
    network = fitted("lightgbm", draw(300), **SMALL_TREES)
    whole = network.state_dict()
    network.load_state_dict({**whole, "trees": whole["trees"][:500]})
    with pytest.raises(StoreError, match="the trees are not as they were written"):
        network(torch.zeros(N, T, F))


def test_lightgbm_without_its_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = load_architecture("lightgbm")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ConfigError, match="needs its library") as caught:
        architecture(architecture.Config(), F)
    assert caught.value.hint == 'pip install "qts[lightgbm]"'
