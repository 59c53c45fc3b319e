"""A network layer by layer: rows add up, products are those that the layers' sizes make, and nothing is left changed."""

import pytest
import torch
from torch import nn

from qts.models import model_names
from qts.models._architecture import Architecture, ModelConfig
from qts.training.checkpoint import build_network
from qts.training.summary import DAY, Summary, score_shapes, summarise_network
from tests.models.configs import minimal

T, F, H = 20, 20, 64


def network_of(name: str, n_features: int = F, **options: object) -> Architecture:
    return build_network(name, minimal(name) | options, n_features)


def summary_of(name: str, n_features: int = F, step_len: int = T, **options: object) -> Summary:
    return summarise_network(network_of(name, n_features, **options), n_features, step_len)


@pytest.mark.parametrize("name", model_names())
def test_rows_add_up_to_the_totals(name: str) -> None:
    network = network_of(name)
    made = summarise_network(network, F, T)
    assert sum(layer.n_parameters for layer in made.layers) == made.n_parameters
    assert made.n_parameters == made.n_trainable == sum(p.numel() for p in network.parameters())
    assert sum(layer.n_bytes for layer in made.layers) == made.n_bytes
    assert sum(layer.flops for layer in made.layers) == pytest.approx(made.flops, abs=len(made.layers))
    assert {name: shape for name, shape, _ in made.weights} == {
        n: tuple(p.shape) for n, p in network.named_parameters()
    }


@pytest.mark.parametrize("name", model_names())
def test_a_network_is_left_as_it_was(name: str) -> None:
    network = network_of(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for is_training in (True, False):
        network.train(is_training)
        summarise_network(network, F, T)
        assert network.training is is_training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())  # noqa: SLF001 - not told otherwise


@pytest.mark.parametrize(
    ("name", "n_features", "step_len", "options", "products"),
    [
        ("lstm", 20, 20, {}, 1_085_504),
        ("gru", 20, 20, {}, 814_144),
        ("alstm", 20, 20, {}, 1_051_648),
        ("localformer", 20, 20, {}, 12_743_744),
        ("lstm", 6, 60, {}, 3_041_344),
        ("gru", 6, 60, {}, 2_281_024),
        ("krnn", 6, 60, {"n_channels": 8, "hidden_size": 8, "n_rnns": 2, "num_layers": 2}, 100_808),
    ],
    ids=str,
)
def test_products_are_those_of_the_published_benchmarks(
    name: str, n_features: int, step_len: int, options: dict[str, object], products: int
) -> None:
    assert summary_of(name, n_features, step_len, **options).flops == 2 * products


def test_a_transformer_s_last_layer_costs_one_step() -> None:
    width, hidden = 64, 2048
    a_step = width * width + 2 * width * hidden  # mixing and the feed-forward
    whole = T * (3 * width * width + a_step) + 2 * T * T * width
    last = T * 2 * width * width + width * width + a_step + 2 * T * width
    assert summary_of("transformer").flops == 2 * (T * F * width + whole + last + width)


def test_a_backward_pass_costs_as_much_again_and_the_next_layer_reads_both() -> None:
    first, second = (2 * T * 4 * H * (n_inputs + H) for n_inputs in (F, 2 * H))
    head = 2 * 2 * H
    assert summary_of("bilstm", num_layers=1).flops == 2 * first + head
    assert summary_of("bilstm", num_layers=2).flops == 2 * first + 2 * second + head


def test_scores_of_a_day_are_counted_on_a_day() -> None:
    made = summary_of("gats")
    pairs = DAY * H  # each score is a mixture of the day's states
    encoder = T * 4 * H * ((F + H) + 2 * H)
    assert made.n_windows == DAY
    assert made.flops == 2 * (encoder + H * H + 2 * H + pairs + H * H + H)


def test_a_row_says_what_a_layer_gives_for_one_window() -> None:
    rows = {layer.name: layer for layer in summary_of("attention_lstm", 3, 5, hidden_size=4, num_layers=1).layers}
    assert rows["lstm"].output == (5, 4)
    assert rows["lstm"].counted == "formula"
    assert rows["pooling"].output == (5,)
    assert rows["pooling.attn"].output is None  # its weight is used, itself is not called
    assert rows["fc"].output == (1,)
    assert rows["fc"].n_bytes == 4 * (2 * 4 + 1)


def test_buffers_and_weights_that_stay_are_counted_apart() -> None:
    class Fixed(Architecture):
        def __init__(self) -> None:
            super().__init__(ModelConfig(), 3)
            self.head = nn.Linear(3, 1)
            self.head.bias.requires_grad_(False)
            self.register_buffer("mean", torch.zeros(3, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400
            return self.head(x[:, -1]).squeeze(-1)

    made = summarise_network(Fixed(), 3, 5)
    assert (made.n_parameters, made.n_trainable, made.n_buffers, made.n_bytes) == (4, 3, 3, 4 * 4 + 3 * 8)


@pytest.mark.parametrize("name", model_names())
def test_batches_of_every_size_have_a_score_a_window(name: str) -> None:
    assert score_shapes(network_of(name), torch.zeros(7, T, F)) == {7: (7,), 3: (3,), 1: (1,)}
