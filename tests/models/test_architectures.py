"""What every architecture must do; a new one inherits all of it by existing."""

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from qts.errors import ConfigError
from qts.models import load_architecture, model_names
from qts.models._architecture import Architecture

N, T, F = 7, 5, 3


def network(name: str, seed: int = 4) -> Architecture:
    architecture = load_architecture(name)
    torch.manual_seed(seed)
    return architecture(architecture.Config(), F)


@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize("n_samples", [N, 1])
def test_a_batch_of_windows_gives_one_score_each(name: str, n_samples: int) -> None:
    assert network(name)(torch.randn(n_samples, T, F)).shape == (n_samples,)


@pytest.mark.parametrize("name", model_names())
def test_every_parameter_receives_a_gradient(name: str) -> None:
    made = network(name)
    made(torch.randn(N, T, F)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


@pytest.mark.parametrize("name", [n for n in model_names() if load_architecture(n).batches == "shuffled"])
def test_a_sample_s_score_does_not_depend_on_its_batch_mates(name: str) -> None:
    made, x = network(name).eval(), torch.randn(N, T, F)
    alone = torch.cat([made(x[at : at + 1]) for at in range(N)])
    torch.testing.assert_close(made(x), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", model_names())
def test_the_same_seed_gives_the_same_scores(name: str) -> None:
    x = torch.randn(N, T, F)
    assert torch.equal(network(name).eval()(x), network(name).eval()(x))
    assert not torch.equal(network(name).eval()(x), network(name, seed=5).eval()(x))


@pytest.mark.parametrize("name", model_names())
def test_a_zero_window_has_a_finite_score(name: str) -> None:
    assert network(name)(torch.zeros(N, T, F)).isfinite().all()


@pytest.mark.parametrize("name", model_names())
def test_the_last_step_matters(name: str) -> None:
    made, x = network(name).eval(), torch.randn(N, T, F)
    moved = x.clone()
    moved[:, -1] += 1
    assert (made(x) != made(moved)).all()


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


@pytest.mark.parametrize(("name", "n_parameters"), [("lstm", 55_361), ("gru", 41_537)])
def test_the_benchmark_sizes_have_the_reference_s_parameter_count(name: str, n_parameters: int) -> None:
    architecture = load_architecture(name)
    assert sum(p.numel() for p in architecture(architecture.Config(), 20).parameters()) == n_parameters
