"""TCN computes a cone of positions; the twin here computes all of them, each block dilated as the paper draws it."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from qts.models.tcn import TCN, Block, CausalConv, TCNConfig

N, N_FEATURES = 7, 3


def dilated(conv: CausalConv, x: Tensor, dilation: int) -> Tensor:
    direction = conv.weight_v / conv.weight_v.square().sum(dim=(1, 2), keepdim=True).sqrt()
    reach = (conv.weight_v.shape[-1] - 1) * dilation
    return F.conv1d(F.pad(x, (reach, 0)), conv.weight_g * direction, conv.bias, dilation=dilation)


def whole(network: TCN, x: Tensor) -> Tensor:
    states = x.transpose(1, 2)
    for number, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        hidden = dilated(block.conv1, states, 2**number).relu()
        hidden = dilated(block.conv2, hidden, 2**number).relu()
        states = (hidden + block.residual(states)).relu()
    scores: Tensor = network.head(states[..., -1]).squeeze(-1)
    return scores


@pytest.mark.parametrize("step_len", [1, 2, 5, 20, 60])
@pytest.mark.parametrize(("num_layers", "kernel_size"), [(5, 7), (5, 3), (3, 2), (2, 3), (1, 4), (3, 1)])
@pytest.mark.parametrize("n_channels", [4, N_FEATURES])
def test_the_cone_gives_the_scores_and_gradients_of_the_whole(
    step_len: int, num_layers: int, kernel_size: int, n_channels: int
) -> None:
    torch.manual_seed(6)
    config = TCNConfig(n_channels=n_channels, num_layers=num_layers, kernel_size=kernel_size, dropout=0.0)
    network = TCN(config, N_FEATURES).double()
    x = torch.randn(N, step_len, N_FEATURES, dtype=torch.float64, requires_grad=True)
    tensors = [x, *network.parameters()]
    scores, wanted = network(x), whole(network, x)
    torch.testing.assert_close(scores, wanted, rtol=0, atol=1e-12)
    gradients = torch.autograd.grad(scores.square().sum(), tensors)
    torch.testing.assert_close(gradients, torch.autograd.grad(wanted.square().sum(), tensors), rtol=0, atol=1e-12)


def test_what_lies_beyond_the_reach_of_the_blocks_does_not_matter() -> None:
    network, x = TCN(TCNConfig(num_layers=2, kernel_size=3), N_FEATURES).eval(), torch.randn(N, 20, N_FEATURES)
    reach = 1 + 2 * (3 - 1) * (1 + 2)
    torch.testing.assert_close(network(x), network(x[:, -reach:]), rtol=0, atol=1e-6)
    assert not torch.allclose(network(x), network(x[:, 1 - reach :]), rtol=0, atol=1e-6)
