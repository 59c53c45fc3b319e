"""What every architecture must do; a new one inherits all of it by existing."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError

from qts.errors import ConfigError
from qts.models import load_architecture, model_names
from qts.models._architecture import Architecture
from tests.models.configs import minimal

N, T, F = 7, 5, 3


def batched(*kinds: str) -> list[str]:
    """Names of the models trained on such batches; those fitted whole have no scores before, so none are asked here."""
    return [name for name in model_names() if load_architecture(name).batches in kinds]


TRAINED = batched("shuffled", "by_day")
REORDERED = [name for name in TRAINED if load_architecture(name).feature_weights]


def network(name: str, seed: int = 4) -> Architecture:
    architecture = load_architecture(name)
    torch.manual_seed(seed)
    return architecture(architecture.Config.model_validate(minimal(name)), F)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("training", [True, False], ids=["training", "scoring"])
@pytest.mark.parametrize("n_samples", [N, 1])
def test_a_batch_of_windows_gives_one_score_each(name: str, n_samples: int, training: bool) -> None:
    scores = network(name).train(training)(torch.randn(n_samples, T, F))
    assert scores.shape == (n_samples,)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("step_len", [1, 2, 61])
def test_windows_of_any_length_are_scored(name: str, step_len: int) -> None:
    assert network(name).eval()(torch.randn(N, step_len, F)).isfinite().all()


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_receives_a_gradient(name: str) -> None:
    made = network(name)
    made(torch.randn(N, T, F)).square().sum().backward()
    idle = [name for name, p in made.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


@pytest.mark.parametrize("name", batched("shuffled"))
def test_a_sample_s_score_does_not_depend_on_its_batch_mates(name: str) -> None:
    made, x = network(name).eval(), torch.randn(N, T, F)
    alone = torch.cat([made(x[at : at + 1]) for at in range(N)])
    torch.testing.assert_close(made(x), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", batched("by_day"))
def test_instruments_in_another_order_have_the_same_scores(name: str) -> None:
    made, x = network(name).eval(), torch.randn(N, T, F)
    order = torch.tensor([4, 0, 6, 2, 5, 1, 3])
    torch.testing.assert_close(made(x[order]), made(x)[order], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_seed_gives_the_same_scores(name: str) -> None:
    x = torch.randn(N, T, F)
    assert torch.equal(network(name).eval()(x), network(name).eval()(x))
    assert not torch.equal(network(name).eval()(x), network(name, seed=5).eval()(x))


@pytest.mark.parametrize("name", TRAINED)
def test_a_zero_window_has_a_finite_score(name: str) -> None:
    assert network(name)(torch.zeros(N, T, F)).isfinite().all()


@pytest.mark.parametrize("name", TRAINED)
def test_the_last_step_matters(name: str) -> None:
    made, x = network(name).eval(), torch.randn(N, T, F)
    moved = x.clone()
    moved[:, -1] += 1
    assert (made(x) != made(moved)).all()


def pickled(made: Architecture) -> Architecture:
    return pickle.loads(pickle.dumps(made))  # noqa: S301 - its own bytes


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_made_after_training_scores_the_same(name: str, copied: Callable[[Architecture], Architecture]) -> None:
    made, x = network(name), torch.randn(N, T, F)
    made(x).sum().backward()
    assert torch.equal(copied(made).eval()(x), made.eval()(x))


@pytest.mark.parametrize("name", REORDERED)
def test_features_in_another_order_give_the_same_scores_once_the_weights_follow(name: str) -> None:
    made, x, order = network(name).eval(), torch.randn(N, T, F), torch.tensor([2, 0, 1])
    moved = copy.deepcopy(made)
    weights = dict(moved.named_parameters())
    with torch.no_grad():
        for weight, axis in moved.feature_weights.items():
            weights[weight].copy_(weights[weight].index_select(axis, order))
    torch.testing.assert_close(moved(x[..., order]), made(x), rtol=0, atol=1e-6)


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_architecture("grru")
    assert caught.value.hint == 'did you mean "gru"?'


def test_dropout_that_could_do_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="num_layers = 1 leaves nothing between"):
        load_architecture("gru").Config.model_validate({"num_layers": 1, "dropout": 0.5})


def test_listing_the_models_loads_none_of_them() -> None:
    code = "import sys; from qts.models import model_names; assert 'gru' in model_names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


KRNN_ALPHA360 = {"n_channels": 8, "hidden_size": 8, "n_rnns": 2}
TCN_ALPHA360 = {"n_channels": 128, "kernel_size": 3}


@pytest.mark.parametrize(
    ("name", "config", "n_features", "n_parameters"),
    [
        ("lstm", {}, 20, 55_361),
        ("gru", {}, 20, 41_537),
        ("krnn", {}, 6, 151_041),
        ("krnn", KRNN_ALPHA360, 6, 1_889),
        ("transformer", {}, 20, 844_865 - 281_152),  # less the encoder layer that the reference never uses
        ("transformer", {}, 6, 843_969 - 281_152),
        ("localformer", {}, 20, 919_489 - 281_152),
        ("localformer", {}, 6, 918_593 - 281_152),
        ("tcn", {}, 20, 70_337),
        ("tcn", TCN_ALPHA360, 6, 448_257),
    ],
)
def test_the_benchmark_sizes_have_the_reference_s_parameter_count(
    name: str, config: dict[str, object], n_features: int, n_parameters: int
) -> None:
    architecture = load_architecture(name)
    made = architecture(architecture.Config.model_validate(minimal(name) | config), n_features)
    assert sum(p.numel() for p in made.parameters()) == n_parameters
