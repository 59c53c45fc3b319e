"""The recurrent stacks against torch's layers with the same weights."""

import copy
import io
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from qts.models._recurrent import GRUStack, LSTMStack

Pair = tuple[nn.Module, GRUStack | LSTMStack]
KINDS = {"gru": (nn.GRU, GRUStack), "lstm": (nn.LSTM, LSTMStack)}


def pair(kind: str, dropout: float = 0.0, dtype: torch.dtype = torch.float32) -> Pair:
    """Return torch's layers (3 inputs, 4 units, 2 layers) and ours with their weights."""
    torch.manual_seed(1)
    theirs, ours = KINDS[kind]
    reference = theirs(3, 4, 2, batch_first=True, dropout=dropout).to(dtype)
    stack = ours(3, 4, 2, dropout).to(dtype)
    stack.load_state_dict(reference.state_dict())
    return reference, stack


def windows(batch: int = 7, step_len: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(batch, step_len, 3, dtype=dtype, generator=torch.Generator().manual_seed(2))


def gradients(states: Tensor, x: Tensor, module: nn.Module) -> list[Tensor]:
    by_states = torch.randn(states.shape, generator=torch.Generator().manual_seed(3))
    return list(torch.autograd.grad((states * by_states).sum(), [x, *module.parameters()]))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True, params=[1, 3], ids=["1-thread", "3-threads"])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A batch in one part, and in three that are worked on by threads."""
    monkeypatch.setattr("qts.models._threads.LEAST_SAMPLES", 2)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def test_the_initial_draws_are_torchs(kind: str) -> None:
    theirs, ours = KINDS[kind]
    torch.manual_seed(4)
    reference = theirs(3, 4, 2, batch_first=True).state_dict()
    torch.manual_seed(4)
    drawn = ours(3, 4, 2).state_dict()
    assert list(drawn) == list(reference)
    assert all(torch.equal(drawn[name], reference[name]) for name in reference)


@pytest.mark.parametrize(("batch", "step_len"), [(7, 5), (1, 5), (7, 1), (0, 5)])
def test_states_and_gradients_are_torchs(kind: str, batch: int, step_len: int) -> None:
    reference, stack = pair(kind)
    x = windows(batch, step_len).requires_grad_()
    truth, states = reference(x)[0], stack(x)
    torch.testing.assert_close(states, truth, atol=1e-6, rtol=0)
    for ours, theirs in zip(gradients(states, x, stack), gradients(truth, x, reference), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_the_last_state_and_its_gradients_are_torchs(kind: str) -> None:
    reference, stack = pair(kind)
    x = windows().requires_grad_()
    truth, state = reference(x)[0][:, -1], stack(x, last=True)
    torch.testing.assert_close(state, truth, atol=1e-6, rtol=0)
    for ours, theirs in zip(gradients(state, x, stack), gradients(truth, x, reference), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_gradients_are_those_of_differences() -> None:
    _, stack = pair("gru", dtype=torch.float64)
    names, values = zip(*stack.named_parameters(), strict=True)

    def states(x: Tensor, *parameters: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(stack, dict(zip(names, parameters, strict=True)), (x,))
        return out

    assert torch.autograd.gradcheck(states, (windows(2, 3, torch.float64).requires_grad_(), *values))


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_scoring_gives_what_training_gives(kind: str, guard: Callable[[], torch.no_grad]) -> None:
    reference, stack = pair(kind)
    with guard():
        states, state = stack(windows()), stack(windows(), last=True)
    assert not states.requires_grad
    torch.testing.assert_close(states, reference(windows())[0].detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(state, states[:, -1], atol=1e-6, rtol=0)


def test_scores_of_more_samples_than_fit_at_once_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qts.models._gru_cpu.CACHED", 3)
    reference, stack = pair("gru")
    with torch.no_grad():
        torch.testing.assert_close(stack(windows()), reference(windows())[0], atol=1e-6, rtol=0)
        torch.testing.assert_close(stack(windows(), last=True), reference(windows())[0][:, -1], atol=1e-6, rtol=0)


def test_windows_may_lie_in_memory_in_any_order(kind: str) -> None:
    _, stack = pair(kind)
    turned = windows().permute(2, 0, 1).contiguous().permute(1, 2, 0)
    torch.testing.assert_close(stack(turned), stack(windows()), atol=1e-6, rtol=0)


def test_same_windows_give_same_bits(kind: str) -> None:
    _, stack = pair(kind)
    assert torch.equal(stack(windows()), stack(windows()))


@pytest.mark.parametrize("training", [True, False])
def test_nan_stays_in_its_own_sample(kind: str, training: bool) -> None:
    _, stack = pair(kind)
    x = windows()
    x[2, 1, 0] = torch.nan
    with torch.set_grad_enabled(training):
        lost = stack(x).isnan().flatten(1).any(1)
    assert lost.tolist() == [False, False, True, False, False, False, False]


def test_one_graph_may_use_a_stack_twice(kind: str) -> None:
    reference, stack = pair(kind)
    x = windows().requires_grad_()
    twice = gradients(stack(x) + stack(x.flip(1)), x, stack)
    truth = gradients(reference(x)[0] + reference(x.flip(1))[0], x, reference)
    for ours, theirs in zip(twice, truth, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_a_graph_that_is_retained_gives_the_same_gradients_again(kind: str) -> None:
    _, stack = pair(kind)
    loss = stack(windows()).square().sum()
    first = torch.autograd.grad(loss, list(stack.parameters()), retain_graph=True)
    again = torch.autograd.grad(loss, list(stack.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_a_stack_in_use_can_be_copied_and_saved(kind: str) -> None:
    _, stack = pair(kind)
    states = stack(windows())
    held = io.BytesIO()
    torch.save(stack, held)
    held.seek(0)
    for copied in (copy.deepcopy(stack), torch.load(held, weights_only=False)):
        assert torch.equal(copied(windows()), states)


def test_dropout_acts_between_layers_while_training(kind: str) -> None:
    reference, stack = pair(kind, dropout=0.5)
    x = windows(200)
    torch.manual_seed(5)
    assert not torch.equal(stack(x), stack(x))
    drawn = torch.stack([stack(x) for _ in range(40)]).detach()
    truth = torch.stack([reference(x)[0] for _ in range(40)]).detach()
    torch.testing.assert_close(drawn.mean((0, 1)), truth.mean((0, 1)), atol=0.01, rtol=0)
    torch.testing.assert_close(drawn.std(0).mean((0, 1)), truth.std(0).mean((0, 1)), atol=0.003, rtol=0)
    assert torch.equal(stack.eval()(x), stack(x))


def test_bfloat16_products_stay_close_to_float32() -> None:
    _, stack = pair("gru")
    x = windows().requires_grad_()
    truth = stack(x)
    with torch.autocast("cpu", torch.bfloat16):
        states = stack(x)
    assert states.dtype == torch.float32
    assert not torch.equal(states, truth)
    torch.testing.assert_close(states, truth, atol=0.01, rtol=0)
    for low, full in zip(gradients(states, x, stack), gradients(truth, x, stack), strict=True):
        assert (low - full).norm() < 0.03 * full.norm()
