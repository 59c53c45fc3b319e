"""Windows → the samples of a segment, and how many rows were lost on the way to each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from qts.config import WindowConfig
from qts.errors import ConfigError, DataCheckError
from qts.registry import unknown_name_hint
from qts.windows import Samples, View, WindowDataset, WindowStore
from qts.windows.dataset import complete
from qts.windows.view import ABSENT


@dataclass(frozen=True)
class SampleCounts:
    """Where rows of a segment went."""

    rows: int
    """Member rows in the segment."""
    no_label: int
    """Left out: no label."""
    purged: int
    """Left out: the label looks into the next segment."""
    short_history: int
    """Left out: fewer than step_len days of history, and nothing to fill with."""
    samples: int
    """What remains."""


def make_dataset(
    windows: WindowStore, config: WindowConfig, span: tuple[date, date], next_start: date | None, *, needs_label: bool
) -> tuple[WindowDataset, SampleCounts]:
    """Return the samples of a segment.

    `next_start` is the first day of the segment after it: samples whose label looks at or beyond that day are left
    out. With history = "universe" a window sees what Qlib's would: member rows, and while learning only those with a
    label.
    """
    calendar = windows.calendar
    if config.step_len > len(calendar):
        raise DataCheckError(
            f"a window of {config.step_len} days is longer than the history of {len(calendar)} days",
            hint="choose a smaller [window] step_len",
        )
    low, high = _positions(calendar, span)
    inside = (windows.day >= low) & (windows.day < high) & windows.members
    has_target = ~np.isnan(windows.target)
    chosen = inside & has_target if needs_label else inside
    is_purged = np.zeros(len(inside), dtype=bool)
    if next_start is not None:
        start_of_next = int(np.searchsorted(calendar, np.datetime64(next_start, "D")))
        is_purged = windows.day + windows.meta["label"]["ahead"] >= start_of_next
    view = View.of_rows(_seen(windows, config, has_target if needs_label else None), windows.instrument, windows.day)
    rows = np.flatnonzero(chosen & ~is_purged)
    samples = Samples(rows, windows.instrument[rows], windows.day[rows])
    whole = complete(view, samples, config.step_len, config.fill)
    counts = SampleCounts(
        rows=int(inside.sum()), no_label=int(inside.sum() - chosen.sum()), purged=int((chosen & is_purged).sum()),
        short_history=int((~whole).sum()), samples=int(whole.sum()),
    )  # fmt: skip
    dataset = WindowDataset(
        windows.matrix, windows.target, windows.label, samples.take(whole), view, config.step_len, config.fill,
        divisors_of(windows.features, config.relative_to) if config.relative_to else None,
    )  # fmt: skip
    return dataset, counts


def divisors_of(features: tuple[str, ...], relative_to: Mapping[str, str]) -> np.ndarray:
    """Return (n_features,) positions of the features that others are divided by; ABSENT for those that stay.

    Raises ConfigError for a name that is no feature.
    """
    for name in (*relative_to, *relative_to.values()):
        if name not in features:
            hint = unknown_name_hint(name, features)
            raise ConfigError(f'"{name}" is no feature of the windows', where="[window] relative_to", hint=hint)
    return np.array([features.index(relative_to[name]) if name in relative_to else ABSENT for name in features])


def _positions(calendar: np.ndarray, span: tuple[date, date]) -> tuple[int, int]:
    first, last = (np.datetime64(day, "D") for day in span)
    return int(np.searchsorted(calendar, first)), int(np.searchsorted(calendar, last, side="right"))


def _seen(windows: WindowStore, config: WindowConfig, has_target: np.ndarray | None) -> np.ndarray:
    if config.history == "instrument":
        return np.arange(len(windows.day))
    seen = windows.members if has_target is None else windows.members & has_target
    return np.flatnonzero(seen)


def refuse_no_samples(name: str, counts: SampleCounts, step_len: int) -> None:
    """Refuse a segment without samples, saying where its rows went."""
    if counts.samples:
        return
    if counts.short_history:
        raise DataCheckError(
            f"the {name} segment has no sample: no instrument has {step_len} days of history",
            hint='choose a smaller [window] step_len, or fill = "ffill+bfill"',
        )
    lost = f"{counts.rows} member rows, {counts.no_label} without label, {counts.purged} purged"
    raise DataCheckError(
        f"the {name} segment has no sample: {lost}", hint="check [segments], the universe and the label"
    )
