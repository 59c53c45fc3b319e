"""Config → the folds of a walk along the calendar: where each learns, where it stops early, where it is tested."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from qts.config import SegmentsConfig, WalkConfig
from qts.errors import ConfigError

DaySpan = tuple[date, date]
"""First and last day, both included and both days of the calendar."""


@dataclass(frozen=True)
class Fold:
    """One training of a walk, and the days it is tested on."""

    number: int
    """From 1 on, in the order of the calendar."""
    train: DaySpan
    valid: DaySpan
    test: DaySpan
    n_train: int
    """Trading days of each part."""
    n_valid: int
    n_test: int
    left_out: tuple[int, int]
    """Trading days between train and valid, and between valid and test, that no part has."""

    def segments(self) -> dict[str, list[str]]:
        """Return the dotted keys that make the config of this fold."""
        return {f"segments.{name}": [str(day) for day in getattr(self, name)] for name in ("train", "valid", "test")}

    def row(self, *, brief: bool = False) -> dict[str, Any]:
        """Return the fold as a row of a table; a brief one has no more than fits a terminal."""
        row: dict[str, Any] = {"fold": self.number}
        for name in ("train", "valid", "test"):
            first, last = getattr(self, name)
            row |= {name: f"{first} {last}"} if brief else {f"{name}_first": first, f"{name}_last": last}
            row[f"n_{name}"] = getattr(self, f"n_{name}")
        if brief:
            return row | {"left_out": "{}, {}".format(*self.left_out)}
        return row | {"left_out_before_valid": self.left_out[0], "left_out_before_test": self.left_out[1]}


def make_folds(
    calendar: np.ndarray, segments: SegmentsConfig, walk: WalkConfig, ahead: int, where: str = "[walk]"
) -> tuple[Fold, ...]:
    """Return the folds whose test parts lie end to end; the last one is cut where the walk or the calendar ends.

    calendar (n_days,) datetime64[D], ascending; `ahead` is how many of its days the label looks ahead. The first fold is
    `segments`, moved along the calendar if another first day is to be tested, and each one after it lies `step_days`
    further. Between two parts as many days are left out as `embargo_days` says, or as the label looks ahead, so that
    no label of a part reads a bar of the next one; a gap that the segments have counts toward it.

    Raises ConfigError, with dates, if a part has no day or the calendar is too short.
    """
    embargo = _embargo(walk, ahead, where)
    parts = {name: _aligned(calendar, name, span) for name, span in segments.model_dump().items()}
    first, last = _tested(calendar, segments, walk, where)
    is_rolling = walk.train == "rolling"
    return tuple(
        _fold(calendar, parts, number, (start, min(start + walk.step_days - 1, last)), embargo, is_rolling=is_rolling)
        for number, start in enumerate(range(first, last + 1, walk.step_days), start=1)
    )


def _embargo(walk: WalkConfig, ahead: int, where: str) -> int:
    if walk.embargo_days is None:
        return ahead
    if walk.embargo_days < ahead:
        raise ConfigError(
            f"embargo_days = {walk.embargo_days} is too few: the label looks {ahead} days ahead, into the next part",
            where=where, hint=f"leave embargo_days out, or set it to {ahead} or more",
        )  # fmt: skip
    return walk.embargo_days


def _aligned(calendar: np.ndarray, name: str, span: DaySpan) -> tuple[int, int]:
    """Return the first and the last position of a segment's trading days."""
    low, high = _positions(calendar, span)
    if low > high:
        raise ConfigError(
            f"the {name} segment ({span[0]} to {span[1]}) has no day of the calendar ({calendar[0]} to {calendar[-1]})",
            where=f"[segments] {name}", hint="choose days that the bars cover",
        )  # fmt: skip
    return low, high


def _positions(calendar: np.ndarray, span: DaySpan) -> tuple[int, int]:
    first, last = (np.datetime64(day, "D") for day in span)
    return int(np.searchsorted(calendar, first)), int(np.searchsorted(calendar, last, side="right")) - 1


def _tested(calendar: np.ndarray, segments: SegmentsConfig, walk: WalkConfig, where: str) -> tuple[int, int]:
    """Return the first and the last position that is tested."""
    span = walk.first or segments.test[0], walk.last or segments.test[1]
    first, last = _positions(calendar, span)
    if first > last:
        raise ConfigError(
            f"nothing to test from {span[0]} to {span[1]}: the calendar ({calendar[0]} to {calendar[-1]}) has no such day",
            where=where, hint="choose other [walk] first and last",
        )  # fmt: skip
    n_days = last - first + 1
    if walk.step_days > n_days:
        raise ConfigError(
            f"step_days = {walk.step_days} is more than the {n_days} trading days from {calendar[first]} to {calendar[last]} "
            "that are to be tested",
            where=where, hint=f"set step_days to {n_days} or less, or move [walk] first and last",
        )  # fmt: skip
    return first, last


def _fold(
    calendar: np.ndarray,
    parts: dict[str, tuple[int, int]],
    number: int,
    test: tuple[int, int],
    embargo: int,
    *,
    is_rolling: bool,
) -> Fold:
    moved = test[0] - parts["test"][0]
    valid = parts["valid"][0] + moved, min(parts["valid"][1] + moved, test[0] - 1 - embargo)
    start = parts["train"][0] + (moved if is_rolling else 0)
    train = start, min(parts["train"][1] + moved, valid[0] - 1 - embargo)
    asked = f"fold {number}, tested from {calendar[test[0]]} on,"
    if valid[0] > valid[1]:
        n_valid = parts["valid"][1] - parts["valid"][0] + 1
        raise ConfigError(
            f"{asked} has no valid part: {embargo} days before the test part are left out, and valid has {n_valid}",
            where="[walk] embargo_days", hint="choose fewer embargo_days or a longer valid segment",
        )  # fmt: skip
    if start < 0 or start > train[1]:
        n_needed = test[0] - min(start, train[1])
        raise ConfigError(
            f"{asked} needs {n_needed} trading days before that to learn from; "
            f"there are {test[0] - max(start, 0)} from {calendar[max(start, 0)]} on",
            where="[walk] first", hint="choose a later [walk] first, or an earlier train segment",
        )  # fmt: skip
    (train_days, n_train), (valid_days, n_valid), (test_days, n_test) = (
        (_days(calendar, span), span[1] - span[0] + 1) for span in (train, valid, test)
    )
    left_out = valid[0] - train[1] - 1, test[0] - valid[1] - 1
    return Fold(number, train_days, valid_days, test_days, n_train, n_valid, n_test, left_out)


def _days(calendar: np.ndarray, span: tuple[int, int]) -> DaySpan:
    first, last = (calendar[at].astype("datetime64[D]").item() for at in span)
    return first, last
