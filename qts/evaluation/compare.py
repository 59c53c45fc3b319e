"""Two runs beside each other: whether one is better by more than chance, and in what they were set differently."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qts.daily_series import block_length, interval, newey_west_error, paired_bootstrap, safe_ratio
from qts.errors import InputError
from qts.evaluation.ic import daily_correlation

MIN_DAYS = 20
"""Days that two series need in common."""
_MOST_SHOWN = 80
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Comparison:
    """Two daily series over the days on which both have a value; differences are B minus A."""

    n: int
    """Days in common."""
    first: np.datetime64
    """The first of them."""
    last: np.datetime64
    """The last."""
    mean_a: float
    """Mean of A over these days."""
    mean_b: float
    """Mean of B."""
    difference: float
    """Mean of B minus that of A."""
    error: float
    """Newey-West standard error of the difference."""
    t: float
    """Difference over its error."""
    low: float
    """Lower end of the 95 % interval of the difference, by paired block bootstrap."""
    high: float
    """Upper end."""
    b_is_better: float
    """Share of the draws in which B's mean is the larger one; a draw without a difference counts half."""
    effect_size: float
    """Mean of the daily differences over their standard deviation."""
    correlation: float
    """Pearson's correlation of the two series."""


def compare_series(
    days_a: np.ndarray,
    a: np.ndarray,
    days_b: np.ndarray,
    b: np.ndarray,
    *,
    lag: int,
    draws: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Return how series b (n_b,) on days_b compares with a (n_a,) on days_a; days are datetime64[D], ascending.

    Days that only one of them has, or with a value in only one, do not count. `lag` is how many days apart values are still
    alike, as in `describe`: a day that both series know but one lacks a value keeps its place. InputError where they have
    fewer than 20 days in common.
    """
    common, at_a, at_b = np.intersect1d(days_a, days_b, assume_unique=True, return_indices=True)
    left, right = a[at_a].astype(np.float64), b[at_b].astype(np.float64)
    both = np.isfinite(left) & np.isfinite(right)
    n = int(both.sum())
    if n < MIN_DAYS:
        raise InputError(
            f"the two series have {n} days with a value in common, and a comparison takes {MIN_DAYS}: "
            f"A has {_span(days_a, a)}, B has {_span(days_b, b)}",
            hint="compare runs whose test segments overlap",
        )
    left, right = (np.where(both, side, np.nan) for side in (left, right))
    away = right - left
    error = newey_west_error(away, lag)
    means = paired_bootstrap(left, right, draws, seed, block_length(len(away), lag))
    low, high = interval(means)
    difference = float(away[both].mean())
    return Comparison(
        n=n,
        first=common[both][0],
        last=common[both][-1],
        mean_a=float(left[both].mean()),
        mean_b=float(right[both].mean()),
        difference=difference,
        error=error,
        t=safe_ratio(difference, error),
        low=low,
        high=high,
        b_is_better=_share_above(means),
        effect_size=safe_ratio(difference, float(away[both].std(ddof=1))),
        correlation=float(daily_correlation(left[None], right[None], both[None])[0]),
    )


def differences(record_a: Mapping[str, Any], record_b: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return where two nested records differ as rows key, a, b: texts, cut to the part that differs; absent ones are empty.

    Keys are dotted, those of A first. Lists of tables are compared item by item, others as a whole; NaN equals NaN.
    """
    flat_a, flat_b = dict(_flat(record_a)), dict(_flat(record_b))
    keys = [*flat_a, *(key for key in flat_b if key not in flat_a)]
    found = []
    for key in keys:
        a, b = flat_a.get(key, _ABSENT), flat_b.get(key, _ABSENT)
        if not _is_same(a, b):
            shown_a, shown_b = _shown(a, b)
            found.append({"key": key, "a": shown_a, "b": shown_b})
    return found


def _span(days: np.ndarray, values: np.ndarray) -> str:
    known = days[np.isfinite(values)]
    return f"{len(known)} from {known[0]} to {known[-1]}" if len(known) else "none"


def _share_above(means: np.ndarray) -> float:
    known = means[np.isfinite(means)]
    return float((known > 0).mean() + (known == 0).mean() / 2) if len(known) else float("nan")


class _Absent:
    """What a record says of a key it does not have."""


_ABSENT = _Absent()


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - whatever JSON holds
    """Yield the leaves of a nested record with their dotted keys; an empty table is a leaf."""
    if isinstance(value, Mapping) and (value or not key):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        for at, item in enumerate(value):
            yield from _flat(item, f"{key}[{at}]")
    else:
        yield key, list(value) if isinstance(value, tuple) else value


def _is_same(a: object, b: object) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_is_same, a, b))
    return a == b or (a != a and b != b)  # noqa: PLR0124 - NaN alone differs from itself


def _shown(a: object, b: object) -> tuple[str, str]:
    """Return two values that differ as short texts that differ."""
    if isinstance(a, list) and isinstance(b, list) and max(len(_text(a)), len(_text(b))) > _MOST_SHOWN:
        return _only_in(a, b), _only_in(b, a)
    texts = _text(a), _text(b)
    if texts[0] == texts[1]:
        texts = repr(a), repr(b)
    differing = (at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other)
    start = max(next(differing, min(map(len, texts))) - 10, 0)
    return _cut(texts[0], start), _cut(texts[1], start)


def _cut(text: str, start: int) -> str:
    """Return a text, or if it is long the part of it from about `start` on."""
    if len(text) <= _MOST_SHOWN:
        return text
    start = start if start > _MOST_SHOWN // 2 else 0
    part = text[start : start + _MOST_SHOWN]
    return f"{'…' if start else ''}{part}{'…' if start + _MOST_SHOWN < len(text) else ''}"


def _only_in(items: list[Any], others: list[Any]) -> str:
    """Return how many items a long list has, and those that the other lacks."""
    own = [_text(item) for item in items if not any(_is_same(item, other) for other in others)]
    return f"{len(items)} items" + (_cut(f", only here: {', '.join(own)}", 0) if own else "")


def _text(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is _ABSENT else "none" if value is None else str(value) or '""'
