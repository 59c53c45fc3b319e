"""What a network heeds: features are permuted within their day, window by window, and nothing else is changed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from qts.evaluation import daily_ic
from qts.models._architecture import Architecture, ModelConfig
from qts.training.batches import DeviceWindows
from qts.training.checkpoint import build_network
from qts.training.explain import PermutedICs, attention_weights, permuted_ics, whole_days
from qts.training.predictor import predict_scores
from qts.windows import Samples, View, WindowDataset

N, T, F, N_DAYS = 7, 5, 3, 24
DATES = np.arange("2024-01-01", N_DAYS, dtype="datetime64[D]")
EACH = [[0], [1], [2]]


def dataset() -> WindowDataset:
    """The label is feature 2 of the sample's own day and some noise; I6 is listed on day 9."""
    rng = np.random.default_rng(5)
    instrument, day = (grid.ravel() for grid in np.meshgrid(np.arange(N), np.arange(N_DAYS), indexing="ij"))
    is_there = (instrument < 6) | (day >= 9)
    instrument, day = instrument[is_there], day[is_there]
    matrix = rng.normal(size=(len(day), F)).astype(np.float32)
    label = (matrix[:, 2] + 0.5 * rng.normal(size=len(day))).astype(np.float32)
    rows = np.flatnonzero((day >= T) & ((instrument < 6) | (day >= 9 + T)))
    view = View.of_rows(np.arange(len(day)), instrument, day)
    samples = Samples(rows, instrument[rows], day[rows])
    return WindowDataset(matrix, label, label, samples, view, T, "none")


DATA = dataset()


def held(data: WindowDataset = DATA) -> DeviceWindows:
    return DeviceWindows(data, torch.device("cpu"))


def gru(seed: int = 1) -> Architecture:
    torch.manual_seed(seed)
    return build_network("gru", {"hidden_size": 4, "num_layers": 1}, F)


def permuted(
    network: Architecture, data: WindowDataset = DATA, groups: list[list[int]] = EACH, **more: int
) -> PermutedICs:
    return permuted_ics(network, held(data), groups, dates=DATES, **more)


class Watched(Architecture):
    """Scores by the sum of a window, and keeps every batch it is given."""

    def __init__(self, batches: str = "shuffled") -> None:
        super().__init__(ModelConfig(), F)
        self.batches = batches  # type: ignore[misc, assignment]
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400
        self.seen.append(x.clone())
        return x.sum(dim=(1, 2))


def drops(found: PermutedICs) -> np.ndarray:
    """Return (n_groups,) mean drops of RankIC."""
    return (found.plain[1][:, None, None] - found.permuted[1]).mean(axis=(0, 1))


def test_scores_with_nothing_permuted_are_those_of_predict() -> None:
    network = gru()
    found = permuted(network)
    np.testing.assert_allclose(found.scores, predict_scores(network, held()), rtol=1e-5, atol=1e-7)
    ic, rank_ic = daily_ic(DATA.samples.day, found.scores, DATA.labels(), N_DAYS)
    np.testing.assert_allclose(found.plain, np.stack([ic, rank_ic])[:, T:], rtol=1e-12)
    assert found.day.tolist() == list(range(T, N_DAYS))


def test_a_feature_the_network_ignores_is_worth_exactly_nothing() -> None:
    network = gru()
    with torch.no_grad():
        network.get_parameter("rnn.weight_ih_l0")[:, 1] = 0.0
    found = permuted(network, n_repeats=2)
    lost = found.plain[:, :, None, None] - found.permuted
    assert (lost[..., 1] == 0.0).all()
    assert (lost[..., [0, 2]] != 0.0).any(axis=(0, 1, 2)).all()


def test_a_planted_signal_is_worth_the_most() -> None:
    network = build_network("linear", {}, F)
    with torch.no_grad():
        network.get_parameter("head.weight").copy_(torch.tensor([[0.3, 0.3, 1.0]]))
    lost = drops(permuted(network, n_repeats=5))
    assert lost.argmax() == 2
    assert lost[2] > 0.4
    assert np.abs(lost[:2]).max() < 0.1


@pytest.mark.parametrize("batch_size", [1, 8, 13, 1000])
def test_the_batch_size_does_not_tell(batch_size: int) -> None:
    network = gru()
    one, other = permuted(network, n_repeats=2), permuted(network, n_repeats=2, batch_size=batch_size)
    np.testing.assert_allclose(one.permuted, other.permuted, atol=1e-6)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("batches", ["by_day", "shuffled"])
def test_whole_windows_change_hands_within_their_day_and_other_features_stay(batches: str) -> None:
    network = Watched(batches)
    permuted(network, groups=[[0, 2]])
    plain, given = torch.cat(network.seen[::2]), torch.cat(network.seen[1::2])
    assert torch.equal(plain[..., 1], given[..., 1])
    day = np.sort(DATA.samples.day)
    for one in np.unique(day):
        before, after = (x[day == one][..., [0, 2]].flatten(1).tolist() for x in (plain, given))
        assert sorted(before) == sorted(after)  # the same windows, both features of one donor
    assert (plain[..., 0] != given[..., 0]).any(dim=1).float().mean() > 0.5


@pytest.mark.parametrize("batch_size", [2, 1024])
def test_a_by_day_network_is_given_one_whole_day_at_a_time(batch_size: int) -> None:
    network = Watched("by_day")
    found = permuted(network, batch_size=batch_size)
    assert [len(x) for x in network.seen[:: 1 + F]] == [6] * 9 + [7] * (N_DAYS - 9 - T)
    assert np.array_equal(found.scores, predict_scores(Watched("by_day"), held()))


def test_days_of_one_size_have_donors_of_their_own() -> None:
    network = Watched("by_day")
    permuted(network, groups=[[0]])
    pairs = zip(network.seen[:18:2], network.seen[1:18:2], strict=True)  # nine days of six
    donors = {tuple((after[:, None, -1, 0] == before[:, -1, 0]).nonzero()[:, 1].tolist()) for before, after in pairs}
    assert len(donors) > 5


def test_donors_depend_on_the_date_alone_not_on_what_is_asked_beside() -> None:
    network, day = gru(), DATA.samples.day
    some = replace(DATA, samples=DATA.samples.take(np.isin(day, [8, 15, 16])))
    whole, part = permuted(network), permuted(network, some, [[2]])
    np.testing.assert_allclose(part.permuted[..., 0], whole.permuted[:, [3, 10, 11]][..., 2], atol=1e-6)


def test_seed_and_repeat_draw_other_donors() -> None:
    network = gru()
    found = permuted(network, n_repeats=2, seed=4)
    assert np.array_equal(found.permuted, permuted(network, n_repeats=2, seed=4).permuted)
    assert not np.array_equal(found.permuted[:, :, 0], found.permuted[:, :, 1])
    assert not np.array_equal(found.permuted[:, :, 0], permuted(network).permuted[:, :, 0])


def test_rows_without_a_label_give_and_take_but_are_not_judged() -> None:
    network, label = gru(), DATA.label.copy()
    label[DATA.samples.row[DATA.samples.instrument == 3]] = np.nan
    found = permuted(network, replace(DATA, label=label))
    assert len(found.scores) == len(DATA)
    assert np.array_equal(found.scores, permuted(network).scores)
    assert not np.array_equal(found.plain, permuted(network).plain)


@pytest.mark.parametrize(
    ("n_most", "sizes"), [(1, [2, 4, 1]), (4, [2, 4, 1]), (5, [2, 5]), (6, [6, 1]), (7, [7]), (99, [7])]
)
def test_batches_are_as_many_whole_days_as_fit(n_most: int, sizes: list[int]) -> None:
    day = np.array([3, 1, 3, 3, 1, 8, 3])
    batches = whole_days(day, n_most)
    assert np.diff(batches.edges).tolist() == sizes
    assert batches.order.tolist() == [1, 4, 0, 2, 3, 6, 5]


@pytest.mark.parametrize("batch_size", [4, 1024])
def test_attention_is_the_network_s_own_for_every_sample(batch_size: int) -> None:
    network = build_network("alstm", {"hidden_size": 4, "num_layers": 2, "dropout": 0.5}, F)
    weights = attention_weights(network, held(), batch_size)
    assert weights is not None
    assert weights.shape == (len(DATA), T)
    window = torch.from_numpy(DATA.matrix[DATA.rows(np.array([11]))])
    np.testing.assert_allclose(weights[11], network.attention(window).detach()[0], rtol=1e-5)  # type: ignore[operator]


@pytest.mark.parametrize("make", [gru, Watched])
def test_a_network_without_attention_has_none(make: Callable[[], Architecture]) -> None:
    assert attention_weights(make(), held()) is None
