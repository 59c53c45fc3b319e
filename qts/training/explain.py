"""What a network heeds: its daily ICs when a feature is taken from it, and its attention to the steps of a window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qts.evaluation import daily_ic
from qts.models._architecture import Architecture, Attentive
from qts.training.batches import Batches, DeviceWindows, day_batches, ordered_batches
from qts.training.device import autocast
from qts.training.predictor import BATCH_SIZE


@dataclass(frozen=True)
class PermutedICs:
    """Daily IC and RankIC of the scores, and of scores made with some features permuted."""

    day: np.ndarray
    """(n_days,) positions in the calendar."""
    plain: np.ndarray
    """(2, n_days) IC, RankIC."""
    permuted: np.ndarray
    """(2, n_days, n_repeats, n_groups) the same, a group of features at a time."""
    scores: np.ndarray
    """(n_samples,) float32, nothing permuted."""


def permuted_ics(
    network: Architecture,
    windows: DeviceWindows,
    groups: Sequence[Sequence[int]],
    *,
    dates: np.ndarray,
    n_repeats: int = 1,
    seed: int = 0,
    min_names: int = 2,
    batch_size: int = BATCH_SIZE,
    precision: str = "fp32",
    tell: Callable[[int], None] = lambda _: None,
) -> PermutedICs:
    """Score every sample as it is, then with each group's features taken from another instrument of the same day.

    A sample is given the donor's feature over the whole window, so that its path stays one that occurs. Who is whose
    donor depends on seed, repeat and date alone: it is the same for all groups, and whatever is asked beside.

    groups hold positions of features; dates (n_calendar_days,); `tell` takes how many days were done.
    """
    day, label = windows.dataset.samples.day, windows.dataset.labels()
    by_day = network.batches == "by_day"
    batches = whole_days(day, 1 if by_day else batch_size)
    score = _Scorer(network.eval(), None if by_day else batch_size)
    columns = [torch.tensor(group, device=windows.device) for group in groups]
    scores, found = np.empty(len(day), dtype=np.float32), []
    with torch.inference_mode(), autocast(windows.device, precision):
        for piece, x in windows.gathered(batches):
            chosen = piece.chosen.cpu().numpy()
            days, local = np.unique(day[chosen], return_inverse=True)
            donors = [_donors(dates[days], local, seed, repeat) for repeat in range(n_repeats)]
            made = torch.stack([score(x), *score.permuted(x, donors, columns)]).cpu().numpy()
            scores[chosen] = made[0]
            found.append(_ics(local, made, label[chosen], len(days), min_names))
            tell(len(days))
    together = np.concatenate(found, axis=2)  # (2, 1 + n_repeats * n_groups, n_days)
    permuted = together[:, 1:].reshape(2, n_repeats, len(groups), -1)
    return PermutedICs(np.unique(day), together[:, 0], permuted.transpose(0, 3, 1, 2), scores)


def attention_weights(network: Architecture, windows: DeviceWindows, batch_size: int = BATCH_SIZE) -> np.ndarray | None:
    """Return (n_samples, step_len) float32 weights, or None if the network has no attention."""
    if not isinstance(network, Attentive):
        return None
    network.eval()
    weights = np.empty((len(windows), windows.dataset.step_len), dtype=np.float32)
    with torch.inference_mode():
        for piece, x in windows.gathered(ordered_batches(len(windows), batch_size)):
            weights[piece.chosen.cpu().numpy()] = network.attention(x).float().cpu().numpy()
    return weights


def whole_days(day: np.ndarray, n_most: int) -> Batches:
    """Return batches of whole days, as many as come to so few samples, and at least one; day (n,)."""
    single = day_batches(day)
    ends = single.edges[1:]
    edges = [0]
    while edges[-1] < len(day):
        n_fit = int(np.searchsorted(ends, edges[-1] + n_most, side="right"))
        edges.append(max(int(ends[n_fit - 1]) if n_fit else 0, int(ends[ends > edges[-1]][0])))
    return Batches(single.order, np.array(edges), are_whole=True)


@dataclass(frozen=True)
class _Scorer:
    """A network that scores a batch of whole days, in pieces if it may."""

    network: Architecture
    at_a_time: int | None

    def __call__(self, x: Tensor) -> Tensor:
        """(n, step_len, n_features) -> (n,)"""  # noqa: D400 - a shape, not a sentence
        pieces = (x,) if self.at_a_time is None else torch.split(x, self.at_a_time)
        return torch.cat([self.network(piece).float() for piece in pieces])

    def permuted(self, x: Tensor, donors: Sequence[np.ndarray], groups: Sequence[Tensor]) -> list[Tensor]:
        """Return (n,) scores for each donation and group; x is changed meanwhile, for a copy of it would cost more."""
        found = []
        for donor in donors:
            given = torch.from_numpy(donor).to(x.device)
            for columns in groups:
                own = x.index_select(2, columns)  # (n, step_len, n_columns)
                x.index_copy_(2, columns, own.index_select(0, given))
                found.append(self(x))
                x.index_copy_(2, columns, own)
        return found


def _donors(dates: np.ndarray, local: np.ndarray, seed: int, repeat: int) -> np.ndarray:
    """Return (n,) who gives to each sample; local (n,) says which of the dates each has, in order."""
    starts = np.searchsorted(local, np.arange(len(dates) + 1))
    numbers = dates.astype("datetime64[D]").astype(np.int64) % 2**32  # a seed is not negative
    parts = [
        first + np.random.default_rng([seed, repeat, int(number)]).permutation(last - first)
        for number, first, last in zip(numbers, starts[:-1], starts[1:], strict=True)
    ]
    return np.concatenate(parts)


def _ics(local: np.ndarray, scores: np.ndarray, label: np.ndarray, n_days: int, min_names: int) -> np.ndarray:
    """Return (2, n_variants, n_days) IC and RankIC; scores (n_variants, n) are judged at once, as if on days of their own."""
    n_variants = len(scores)
    day = (np.arange(n_variants)[:, None] * n_days + local).ravel()
    found = daily_ic(day, scores.ravel(), np.tile(label, n_variants), n_variants * n_days, min_names)
    return np.stack(found).reshape(2, n_variants, n_days)
