"""The shared blocks against torch's own encoder layer and plain sums."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from qts.models import _layers
from qts.models._layers import EncoderConfig, EncoderLayer, StepConv, positional_table

N, T, F = 7, 5, 3
CONFIG = EncoderConfig(d_model=6, n_heads=2, feedforward=11)
NAMES = {"qkv.": "self_attn.in_proj_", "mix.": "self_attn.out_proj."}


def layer_and_twin() -> tuple[EncoderLayer, nn.TransformerEncoderLayer]:
    torch.manual_seed(6)
    ours = EncoderLayer(CONFIG).double()
    twin = nn.TransformerEncoderLayer(6, 2, 11, dropout=0.0, batch_first=True, dtype=torch.float64)
    weights = ours.state_dict()
    for our, theirs in NAMES.items():
        weights = {name.replace(our, theirs): tensor for name, tensor in weights.items()}
    twin.load_state_dict(weights)
    return ours, twin


@pytest.mark.parametrize("hidden_bytes", [1, 3 * 11 * 8, 2**20], ids=["row by row", "in pieces", "at once"])
def test_an_encoder_layer_is_torch_s(hidden_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_layers, "HIDDEN_BYTES", hidden_bytes)
    (ours, twin), x = layer_and_twin(), torch.randn(N, T, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), twin(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_last", [1, 2])
def test_the_last_steps_alone_are_those_of_the_whole(n_last: int) -> None:
    (ours, twin), x = layer_and_twin(), torch.randn(N, T, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x, n_last), twin(x)[:, -n_last:], rtol=0, atol=1e-12)


def test_dropout_acts_while_training_only() -> None:
    layer, x = EncoderLayer(CONFIG.model_copy(update={"dropout": 0.5})), torch.randn(N, T, 6)
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))


@pytest.mark.parametrize("width", [1, 4, 5])
def test_positions_are_sines_and_cosines_of_falling_frequency(width: int) -> None:
    table = positional_table(1200, width)
    assert table.shape == (1200, width)
    for step in (0, 1, 59, 1199):
        for column in range(width):
            angle = step / 10000 ** ((column - column % 2) / width)
            want = math.cos(angle) if column % 2 else math.sin(angle)
            assert table[step, column].item() == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 9])
def test_a_convolution_along_the_steps_keeps_their_number(kernel_size: int) -> None:
    conv, x = StepConv(F, 2, kernel_size).double(), torch.randn(N, T, F, dtype=torch.float64)
    made = conv(x)
    assert made.shape == (N, T, 2)
    for step in range(T):
        want = conv.bias.expand(N, 2)
        for tap in range(kernel_size):
            read = step - kernel_size // 2 + tap
            if 0 <= read < T:
                want = want + x[:, read] @ conv.weight[:, :, tap].T
        torch.testing.assert_close(made[:, step], want, rtol=0, atol=1e-12)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="n_heads = 3 does not divide d_model = 64"):
        EncoderConfig(n_heads=3)
