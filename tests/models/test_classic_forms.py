"""The textbook forms of an LSTM: single, stacked, bidirectional, with additive attention; each against a naive twin."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from qts.config.problems import problems_of
from qts.models import load_architecture
from qts.models._architecture import Attentive

N, T, F = 7, 5, 3


def make(name: str, n_features: int = F, **keys: object) -> Any:
    architecture = load_architecture(name)
    torch.manual_seed(4)
    return architecture(architecture.Config.model_validate(keys), n_features).eval()


def windows(step_len: int = T) -> Tensor:
    return torch.randn(N, step_len, F, generator=torch.Generator().manual_seed(8))


def twin(weights: dict[str, Tensor], prefix: str, suffix: str = "_l0") -> nn.LSTM:
    """A plain one-layer nn.LSTM with the weights that stand under a prefix and end in a suffix."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    found = {f"{kind}_l0": weights[f"{prefix}{kind}{suffix}"] for kind in kinds}
    rows, n_inputs = found["weight_ih_l0"].shape
    made = nn.LSTM(n_inputs, rows // 4, batch_first=True)
    made.load_state_dict(found)
    return made


SIZES = [  # features, hidden size -> parameters
    ("lstm", {"num_layers": 1}, {(10, 32): 5_665, (20, 64): 22_081, (6, 64): 18_497}),
    ("bilstm", {"closed_windows": True}, {(10, 32): 11_329, (20, 64): 44_161, (6, 64): 36_993}),
    ("attention_lstm", {"num_layers": 1}, {(10, 32): 7_809, (20, 64): 30_465, (6, 64): 26_881}),
    ("attention_lstm", {"num_layers": 2}, {(10, 32): 16_257, (20, 64): 63_745, (6, 64): 60_161}),
]


@pytest.mark.parametrize(("name", "keys", "counts"), SIZES)
def test_parameters_are_as_many_as_the_formulas_have(
    name: str, keys: dict[str, object], counts: dict[tuple[int, int], int]
) -> None:
    for (n_features, hidden_size), count in counts.items():
        made = make(name, n_features, hidden_size=hidden_size, **keys)
        assert sum(p.numel() for p in made.parameters()) == count


@pytest.mark.parametrize(("n_features", "count"), [(10, 32_033), (20, 34_593), (6, 31_009)])
def test_each_stacked_layer_has_its_own_width(n_features: int, count: int) -> None:
    made = make("stacked_lstm", n_features, hidden_sizes=[64, 32])
    shapes = {name: tuple(p.shape) for name, p in made.named_parameters()}
    assert shapes["layers.0.weight_ih_l0"] == (256, n_features)
    assert shapes["layers.1.weight_ih_l0"] == (128, 64)
    assert shapes["layers.1.weight_hh_l0"] == (128, 32)
    assert shapes["fc.weight"] == (1, 32)
    assert sum(p.numel() for p in made.parameters()) == count


def test_stacked_is_a_chain_of_single_layers() -> None:
    made, x = make("stacked_lstm", hidden_sizes=[6, 4, 2]), windows()
    states = x
    for layer in range(3):
        states, _ = twin(made.state_dict(), f"layers.{layer}.")(states)
    torch.testing.assert_close(made(x), made.fc(states[:, -1])[:, 0], rtol=0, atol=1e-6)


def test_stacked_layers_of_one_width_are_the_lstm() -> None:
    made, lstm, x = make("stacked_lstm", hidden_sizes=[4, 4]), make("lstm", hidden_size=4, num_layers=2), windows()
    for layer in (0, 1):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            lstm.rnn.get_parameter(f"{kind}_l{layer}").data = made.layers[layer].get_parameter(f"{kind}_l0").data
    lstm.head = made.fc
    torch.testing.assert_close(made(x), lstm(x), rtol=0, atol=1e-6)


def test_nothing_is_dropped_after_the_last_stacked_layer() -> None:
    made, x = make("stacked_lstm", hidden_sizes=[6, 4], dropout=0.5).train(), windows()
    seen: list[Tensor] = []
    made.fc.register_forward_pre_hook(lambda _fc, inputs: seen.append(inputs[0]))
    assert not torch.equal(made(x), made(x))  # something is dropped before it
    assert (seen[0] != 0).all()


@pytest.mark.parametrize("num_layers", [1, 2])
def test_bidirectional_is_two_lstms_of_which_one_reads_flipped(num_layers: int) -> None:
    made, x = make("bilstm", closed_windows=True, hidden_size=4, num_layers=num_layers), windows()
    states = x
    for layer in range(num_layers):
        forwards, _ = twin(made.state_dict(), "bilstm.", f"_l{layer}")(states)
        backwards, _ = twin(made.state_dict(), "bilstm.", f"_l{layer}_reverse")(states.flip(1))
        states = torch.cat([forwards, backwards.flip(1)], dim=2)
    ends = torch.cat([states[:, -1, :4], states[:, 0, 4:]], dim=1)
    torch.testing.assert_close(made(x), made.fc(ends)[:, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("step", range(T))
def test_each_half_of_the_bidirectional_has_read_every_step(num_layers: int, step: int) -> None:
    made, x = make("bilstm", closed_windows=True, hidden_size=4, num_layers=num_layers), windows()
    moved = x.clone()
    moved[:, step] += 1
    for half in (slice(4), slice(4, 8)):  # the head sees one half alone
        with torch.no_grad():
            made.fc.weight.zero_()
            made.fc.weight[:, half] = 1.0
        assert (made(x) != made(moved)).all()


@pytest.mark.parametrize("keys", [{}, {"closed_windows": False}, {"hidden_size": 4}])
def test_bidirectional_without_closed_windows_is_refused_with_the_three_leaks(keys: dict[str, object]) -> None:
    config = load_architecture("bilstm").Config
    with pytest.raises(ValidationError) as caught:
        config.model_validate(keys)
    (problem,) = problems_of(caught.value, config, lambda _path: None, ("model",))
    for words in ("closed_windows = true", "read at every day", "filled from later days", "label's period overlaps"):
        assert words in problem.message


def test_bidirectional_warns_of_the_three_leaks() -> None:
    caution = load_architecture("bilstm").caution or ""
    assert all(words in caution for words in ("read at every day", "filled from later days", "label's period overlaps"))


def additive_attention(weights: dict[str, Tensor], states: Tensor) -> Tensor:
    """The formula, a sample and a step at a time."""
    alpha = torch.zeros(states.shape[:2])
    for sample in range(len(states)):
        energies = []
        for step in range(states.shape[1]):
            pair = torch.cat([states[sample, -1], states[sample, step]])
            answer = torch.tanh(weights["pooling.attn.weight"] @ pair + weights["pooling.attn.bias"])
            energies.append(weights["pooling.v.weight"][0] @ answer)
        alpha[sample] = torch.stack(energies).exp() / torch.stack(energies).exp().sum()
    return alpha


def test_additive_attention_is_its_formula() -> None:
    made, x = make("attention_lstm", hidden_size=4, num_layers=1), windows()
    weights = made.state_dict()
    states, _ = twin(weights, "lstm.")(x)
    alpha = additive_attention(weights, states)
    torch.testing.assert_close(made.attention(x), alpha, rtol=0, atol=1e-6)
    context = torch.stack([sum(alpha[n, t] * states[n, t] for t in range(T)) for n in range(N)])
    scores = torch.cat([states[:, -1], context], dim=1) @ weights["fc.weight"][0] + weights["fc.bias"]
    torch.testing.assert_close(made(x), scores, rtol=0, atol=1e-6)


def test_who_asks_and_who_is_asked_are_told_apart() -> None:
    made, x = make("attention_lstm", hidden_size=4), windows()
    before = made.attention(x)
    with torch.no_grad():
        made.pooling.attn.weight.copy_(made.pooling.attn.weight.roll(4, dims=1))
    assert (made.attention(x) - before).abs().max() > 1e-4


def test_names_of_the_textbook_attention_are_mapped() -> None:
    made = make("attention_lstm", 20)
    theirs = {f"lstm.{kind}_l{layer}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh") for layer in (0, 1)}
    theirs |= {"attention.attn.weight", "attention.attn.bias", "attention.v.weight", "fc.weight", "fc.bias"}
    for part, our_part in made.reference_names.items():
        theirs = {name.replace(part, our_part) for name in theirs}
    assert theirs == set(made.state_dict())


ATTENTIVE = pytest.mark.parametrize("name", ["alstm", "attention_lstm"])


@ATTENTIVE
def test_weights_of_a_window_are_positive_and_sum_to_one(name: str) -> None:
    made = make(name, hidden_size=4)
    assert isinstance(made, Attentive)
    alpha = made.attention(windows())
    assert alpha.shape == (N, T)
    assert (alpha > 0).all()
    torch.testing.assert_close(alpha.sum(dim=1), torch.ones(N))


@ATTENTIVE
def test_weights_are_the_window_s_own(name: str) -> None:
    made, x = make(name, hidden_size=4), windows()
    torch.testing.assert_close(made.attention(x)[2:3], made.attention(x[2:3]))
    assert not torch.allclose(made.attention(x)[2], made.attention(x)[3])


@ATTENTIVE
def test_a_single_step_has_all_the_weight(name: str) -> None:
    made, x = make(name, hidden_size=4), windows(step_len=1)
    assert torch.equal(made.attention(x), torch.ones(N, 1))
    assert made(x).shape == (N,)


@ATTENTIVE
def test_what_is_attended_to_reaches_the_score(name: str) -> None:
    made, x = make(name, hidden_size=4), windows()
    head = made.get_submodule("fc" if name == "attention_lstm" else "head")
    with torch.no_grad():
        head.weight[:, :4] = 0  # the last state alone
        head.weight[:, 4:] = 1
        moved = x.clone()
        moved[:, 0] += 1
        assert (made(x) != made(moved)).all()


REFUSED = [
    ("stacked_lstm", {"hidden_sizes": [8], "dropout": 0.2}, "one hidden size leaves nothing between"),
    ("stacked_lstm", {"hidden_sizes": []}, "at least 1 item"),
    ("stacked_lstm", {"hidden_sizes": [8, 0]}, "greater than 0"),
    ("stacked_lstm", {"hidden_sizes": [8, "4"]}, "valid integer"),
    ("bilstm", {"closed_windows": True, "dropout": 0.2}, "num_layers = 1 leaves nothing between"),
    ("attention_lstm", {"num_layers": 1, "dropout": 0.2}, "num_layers = 1 leaves nothing between"),
    ("alstm", {"num_layers": 1, "dropout": 0.2}, "num_layers = 1 leaves nothing between"),
    ("alstm", {"hidden_size": 1}, "greater than or equal to 2"),
    ("gats", {"num_layers": 1}, "num_layers = 1 leaves nothing between"),
    ("gats", {"cell": "rnn"}, "'gru' or 'lstm'"),
]


@pytest.mark.parametrize(("name", "keys", "words"), REFUSED)
def test_keys_that_make_no_sense_are_refused(name: str, keys: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        load_architecture(name).Config.model_validate(keys)
