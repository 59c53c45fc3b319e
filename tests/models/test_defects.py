"""Known defects of the reference's attention networks, and that ours do not have them."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qts.models import load_architecture

N, T, F = 7, 5, 3
GAP = [1, 4]
"""Instruments with a hole in their window."""
REST = [0, 2, 3, 5, 6]


def make(name: str, **keys: object) -> Any:
    architecture = load_architecture(name)
    torch.manual_seed(4)
    return architecture(architecture.Config.model_validate(keys), F).eval()


def day() -> Tensor:
    return torch.randn(N, T, F, generator=torch.Generator().manual_seed(8))


def day_with_gaps() -> Tensor:
    x = day()
    x[GAP[0], 0, 2] = torch.nan
    x[GAP[1], 3, 0] = torch.inf
    return x


def test_gats_asks_for_one_cross_section_a_batch() -> None:
    assert load_architecture("gats").batches == "by_day"


def test_gats_scores_do_not_depend_on_the_order_of_a_day_s_instruments() -> None:
    made, x, order = make("gats"), day(), torch.tensor([3, 0, 6, 2, 5, 1, 4])
    torch.testing.assert_close(made(x[order]), made(x)[order], rtol=0, atol=1e-6)


def test_gats_scores_depend_on_the_day_s_other_instruments() -> None:
    made, x = make("gats"), day()
    assert (made(x)[:3] != made(x[:3])).all()


@pytest.mark.parametrize(("cell", "kind", "n_parameters"), [("gru", nn.GRU, 53_505), ("lstm", nn.LSTM, 70_145)])
def test_alstm_has_the_cell_it_is_told(cell: str, kind: type[nn.Module], n_parameters: int) -> None:
    architecture = load_architecture("alstm")
    made = architecture(architecture.Config.model_validate({"cell": cell}), 20)
    assert isinstance(made.get_submodule("rnn"), kind)
    assert sum(p.numel() for p in made.parameters()) == n_parameters


@pytest.mark.parametrize(("cell", "kind", "n_parameters"), [("gru", nn.GRU, 49_985), ("lstm", nn.LSTM, 63_809)])
def test_gats_has_the_cell_it_is_told(cell: str, kind: type[nn.Module], n_parameters: int) -> None:
    architecture = load_architecture("gats")
    made = architecture(architecture.Config.model_validate({"cell": cell}), 20)
    assert isinstance(made.get_submodule("rnn"), kind)
    assert sum(p.numel() for p in made.parameters()) == n_parameters


@pytest.mark.parametrize("name", ["alstm", "gats"])
def test_keys_of_the_reference_are_refused_not_swallowed(name: str) -> None:
    for key, value in (("rnn_type", "LSTM"), ("base_model", "LSTM"), ("d_feat", 20)):
        with pytest.raises(ValueError, match="Extra inputs are not permitted"):
            load_architecture(name).Config.model_validate({key: value})


@pytest.mark.parametrize("name", ["alstm", "gats", "stacked_lstm", "attention_lstm"])
def test_one_instrument_has_one_score(name: str) -> None:
    made, x = make(name), day()[:1]
    assert made(x).shape == (1,)
    assert made(x).isfinite().all()


def test_gats_alone_on_its_day_attends_to_itself() -> None:
    made, x = make("gats"), day()[:1]
    state = made.rnn(x)[:, -1]
    want = made.head(nn.functional.leaky_relu(made.readout(2 * state), 0.01))[:, 0]
    torch.testing.assert_close(made(x), want, rtol=0, atol=1e-6)
    assert torch.equal(made.neighbours(x), torch.ones(1, 1))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gats_encoder_starts_as_the_seed_says(cell: str) -> None:
    made = make("gats", cell=cell, hidden_size=4)
    torch.manual_seed(4)
    fresh = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](F, 4, 2, batch_first=True)
    assert all(torch.equal(made.rnn.state_dict()[name], value) for name, value in fresh.state_dict().items())


def attention_of_pairs(made: Any, state: Tensor) -> Tensor:
    """Weights by the definition: every pair of transformed states laid out side by side."""
    z = state @ made.transformation.weight.T + made.transformation.bias
    energy = torch.zeros(len(state), len(state))
    for itself in range(len(state)):
        for neighbour in range(len(state)):
            pair = torch.cat([z[neighbour], z[itself]])
            value = (pair @ made.a)[0]
            energy[itself, neighbour] = value if value > 0 else 0.01 * value
    return energy.exp() / energy.exp().sum(dim=1, keepdim=True)


def test_gats_weights_are_those_of_pairs_laid_out() -> None:
    made, x = make("gats", hidden_size=4), day()
    state = made.rnn(x)[:, -1].detach()
    want = attention_of_pairs(made, state)
    torch.testing.assert_close(made.neighbours(x), want, rtol=0, atol=1e-6)
    score = made.head(nn.functional.leaky_relu(made.readout(want @ state + state), 0.01))[:, 0]
    torch.testing.assert_close(made(x), score, rtol=0, atol=1e-6)


class Largest(torch.utils._python_dispatch.TorchDispatchMode):  # noqa: SLF001 - there is no public way to see every result
    """Watches the largest tensor that any operation makes."""

    n_elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, Tensor):
                self.n_elements = max(self.n_elements, one.untyped_storage().nbytes() // one.element_size())
        return made


def test_gats_never_holds_more_than_a_number_a_pair() -> None:
    n_instruments = 400
    made, x = make("gats", cell="gru", hidden_size=8).train(), torch.randn(n_instruments, 2, F)
    with Largest() as largest:
        made(x).sum().backward()
    assert n_instruments**2 <= largest.n_elements < 2 * n_instruments**2


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_an_instrument_with_a_gap_has_no_score_and_changes_no_other(cell: str) -> None:
    made, x = make("gats", cell=cell), day_with_gaps()
    scores = made(x)
    assert scores[GAP].isnan().all()
    torch.testing.assert_close(scores[REST], made(x[REST]), rtol=0, atol=1e-6)


def test_a_gap_poisons_no_gradient() -> None:
    with_gaps, without = make("gats"), make("gats")
    x = day_with_gaps()
    with_gaps(x)[REST].square().sum().backward()
    without(x[REST]).square().sum().backward()
    for (name, got), want in zip(with_gaps.named_parameters(), without.parameters(), strict=True):
        assert got.grad.isfinite().all(), name
        torch.testing.assert_close(got.grad, want.grad, rtol=1e-4, atol=1e-6)


def test_a_day_of_nothing_but_gaps_has_no_scores_and_poisons_no_gradient() -> None:
    made, x = make("gats"), torch.full((N, T, F), torch.nan)
    scores = made(x)
    assert scores.isnan().all()
    assert torch.equal(made.neighbours(x), torch.zeros(N, N))
    scores.nan_to_num().sum().backward()
    assert all((p.grad == 0).all() for p in made.parameters())


def test_an_instrument_with_a_gap_is_nobody_s_neighbour() -> None:
    made, x = make("gats"), day_with_gaps()
    weights = made.neighbours(x)
    assert (weights[GAP] == 0).all()
    assert (weights[:, GAP] == 0).all()
    torch.testing.assert_close(weights[REST][:, REST], made.neighbours(x[REST]))
    torch.testing.assert_close(weights[REST].sum(dim=1), torch.ones(len(REST)))


@pytest.mark.parametrize("name", ["alstm", "gats", "attention_lstm"])
def test_a_network_that_has_been_used_can_be_copied(name: str) -> None:
    made, x = make(name), day()
    made(x).sum().backward()
    assert torch.equal(copy.deepcopy(made)(x), made(x))
