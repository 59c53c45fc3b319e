"""Who is right where qts and Qlib differ: each such cell is computed anew, from its definition, and given a reason.

Sums run over deviations: values are shifted by the window's largest, an exact subtraction for the 32-bit values of one
window, then centred by their mean. What cancels in running sums or sums of squares does not cancel here.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ABS_TOLERANCE = 1e-6
REL_TOLERANCE = 1e-4
STD_FLOOR = 2e-5
"""At or below it Qlib's own rule makes Rsquare and Corr missing."""
CHUNK_CELLS = 50_000

EQUAL_VALUES = "the window's values are all equal: exactly 0 or missing, where Qlib keeps a residue of its running sums"
STD_RULE = "Qlib's rule of missing at std <= 2e-5, decided by a running std that has lost its digits"
RUNNING_SUMS = "Qlib's running sums have lost digits; qts has the value of the definition"
LOGARITHM = (
    "numpy's 32-bit logarithm: with it the definition gives Qlib's value, with the rounded 64-bit one that of qts"
)
QLIB_RIGHT = "Qlib has the value of the definition, qts has not"
UNEXPLAINED = "unexplained"


def agrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return where two arrays are within tolerance, or both missing."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= ABS_TOLERANCE + REL_TOLERANCE * np.maximum(np.abs(a), np.abs(b))
    return near | (a == b) | (np.isnan(a) & np.isnan(b))


@dataclass(frozen=True)
class Series:
    """Bars as float32 arrays, and the series that factors take windows of, each step rounded to float32 as in Qlib."""

    close: np.ndarray
    volume: np.ndarray
    start: np.ndarray
    """The first row of each row's instrument."""

    def before(self, x: np.ndarray) -> np.ndarray:
        """Return the value of the row before, missing on an instrument's first row."""
        shifted = np.roll(x, 1)
        shifted[self.start == np.arange(len(x))] = np.nan
        return shifted

    def change(self) -> np.ndarray:
        """Return today's close over yesterday's."""
        return self.close / self.before(self.close)

    def weighted(self) -> np.ndarray:
        """Return the size of the day's return times its volume."""
        return np.abs(self.change() - np.float32(1)) * self.volume

    def windows(self, x: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
        """Return (n_rows, n) float64: the window that ends in each row; missing before the first row, and for infinity."""
        at = rows[:, None] + np.arange(1 - n, 1)
        values = x[np.maximum(at, 0)].astype(np.float64)
        values[(at < self.start[rows][:, None]) | np.isinf(values)] = np.nan
        return values


@dataclass(frozen=True)
class Moments:
    """What the definitions need of a block of windows, missing values left out."""

    count: np.ndarray
    mean: np.ndarray
    deviations: np.ndarray
    """(n_rows, n), missing where the value is."""

    @property
    def square(self) -> np.ndarray:
        """Sum of squared deviations."""
        return np.nansum(self.deviations**2, axis=1)

    @property
    def std(self) -> np.ndarray:
        """Sample standard deviation; missing for fewer than two values."""
        return np.sqrt(self.square / np.where(self.count > 1, self.count - 1, np.nan))


def moments(values: np.ndarray) -> Moments:
    """Return the moments of each row."""
    count = (~np.isnan(values)).sum(axis=1)
    shift = np.fmax.reduce(values, axis=1)
    shifted = values - shift[:, None]
    mean = np.nansum(shifted, axis=1) / count
    return Moments(count, shift + mean, shifted - mean[:, None])


def rounded_log(x: np.ndarray) -> np.ndarray:
    """Return the logarithm in 64 bits, rounded to 32."""
    return np.log(x.astype(np.float64)).astype(np.float32)


def _std(series: Series, rows: np.ndarray, n: int) -> np.ndarray:
    return moments(series.windows(series.close, rows, n)).std / series.close[rows]


def _volume_std(series: Series, rows: np.ndarray, n: int) -> np.ndarray:
    return moments(series.windows(series.volume, rows, n)).std / (series.volume[rows] + np.float32(1e-12))


def _weighted_std(series: Series, rows: np.ndarray, n: int) -> np.ndarray:
    found = moments(series.windows(series.weighted(), rows, n))
    return found.std / (found.mean + 1e-12)


def _line(series: Series, rows: np.ndarray, n: int) -> tuple[Moments, Moments, np.ndarray]:
    """Return the moments of position and close, and the sum of their products."""
    values = series.windows(series.close, rows, n)
    position = moments(np.where(np.isnan(values), np.nan, np.arange(1.0, n + 1)))
    close = moments(values)
    return position, close, np.nansum(position.deviations * close.deviations, axis=1)


def _slope(series: Series, rows: np.ndarray, n: int) -> np.ndarray:
    position, _, product = _line(series, rows, n)
    return product / position.square / series.close[rows]


def _residual(series: Series, rows: np.ndarray, n: int) -> np.ndarray:
    position, close, product = _line(series, rows, n)
    slope = product / position.square
    return (close.deviations[:, -1] - slope * position.deviations[:, -1]) / series.close[rows]


def _rsquare(series: Series, rows: np.ndarray, n: int) -> np.ndarray:
    position, close, product = _line(series, rows, n)
    return np.where(close.std <= STD_FLOOR, np.nan, product**2 / (position.square * close.square))


def _correlation(series: Series, rows: np.ndarray, n: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, b = series.windows(x, rows, n), series.windows(y, rows, n)
    is_flat = (moments(a).std <= STD_FLOOR) | (moments(b).std <= STD_FLOOR)
    either = np.isnan(a) | np.isnan(b)
    a, b = moments(np.where(either, np.nan, a)), moments(np.where(either, np.nan, b))
    found = np.nansum(a.deviations * b.deviations, axis=1) / np.sqrt(a.square * b.square)
    return np.where(is_flat | (a.count < 2), np.nan, found)


Log = Callable[[np.ndarray], np.ndarray]


def _close_volume(series: Series, rows: np.ndarray, n: int, log: Log) -> np.ndarray:
    return _correlation(series, rows, n, series.close, log(series.volume + np.float32(1)))


def _change_volume(series: Series, rows: np.ndarray, n: int, log: Log) -> np.ndarray:
    ratio = series.volume / series.before(series.volume)
    return _correlation(series, rows, n, series.change(), log(ratio + np.float32(1)))


PLAIN = {
    "STD": _std,
    "BETA": _slope,
    "RSQR": _rsquare,
    "RESI": _residual,
    "VSTD": _volume_std,
    "WVMA": _weighted_std,
}
"""Family → its definition at some rows."""
WITH_LOG = {"CORR": _close_volume, "CORD": _change_volume}
"""The same, given a logarithm."""
SPREAD_OF: dict[str, Callable[[Series], np.ndarray]] = {
    "VSTD": lambda series: series.volume,
    "WVMA": Series.weighted,
    "CORD": Series.change,
}
"""Family → the series whose spread decides; the close for every other."""


def explain(
    series: Series, family: str, n: int, rows: np.ndarray, ours: np.ndarray, theirs: np.ndarray
) -> Counter[str]:
    """Count the reasons of cells in which a factor of this family differs; `ours` and `theirs` are its values at `rows`."""
    if family not in PLAIN and family not in WITH_LOG:
        return Counter({UNEXPLAINED: len(rows)})
    found: Counter[str] = Counter()
    with np.errstate(all="ignore"):
        for low in range(0, len(rows), CHUNK_CELLS):
            part = slice(low, low + CHUNK_CELLS)
            found += _explain(series, family, n, rows[part], ours[part], theirs[part])
    return found


def _explain(
    series: Series, family: str, n: int, rows: np.ndarray, ours: np.ndarray, theirs: np.ndarray
) -> Counter[str]:
    if family in PLAIN:
        exact = with_numpy_log = PLAIN[family](series, rows, n)
    else:
        exact, with_numpy_log = (WITH_LOG[family](series, rows, n, log) for log in (rounded_log, np.log))
    spread = series.windows(SPREAD_OF.get(family, lambda of: of.close)(series), rows, n)
    is_equal = np.fmax.reduce(spread, axis=1) == np.fmin.reduce(spread, axis=1)
    ours_right, theirs_right = agrees(ours, exact), agrees(theirs, exact)
    reasons = {
        EQUAL_VALUES: ours_right & is_equal,
        LOGARITHM: ours_right & ~theirs_right & agrees(theirs, with_numpy_log),
        STD_RULE: ours_right & (np.isnan(ours) != np.isnan(theirs)),
        RUNNING_SUMS: ours_right & ~theirs_right,
        QLIB_RIGHT: ~ours_right & theirs_right,
    }
    which = np.select(list(reasons.values()), list(range(len(reasons))), len(reasons))
    return Counter(np.array([*reasons, UNEXPLAINED], dtype=object)[which].tolist())
