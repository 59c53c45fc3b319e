"""PROCESSORS: every processor, one row each; definitions and edge cases are those of Qlib (pyqlib 0.9.7).

Statistics are accumulated in 64 bits, and whether a column is constant is asked of its extremes: a mean in 32 bits
would invent a spread of rounding errors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from qts.config import Day, Names, Span, Table
from qts.processors.block import Block
from qts.registry import Registry

Parameters = dict[str, list[float]]
"""What fitting found: name → one number a column."""

_MAD_TO_STD = 1.4826
_MAD_FLOOR = 1e-12
_RANK_TO_UNIT = 3.46
"""One over the standard deviation of a uniform share, as Qlib rounds it."""


class NoOptions(Table):
    """A processor without keys."""


class FittedOptions(Table):
    """A processor that learns its parameters."""

    fit: Span | None = None
    """First and last day to fit on. None: the train segment."""


class RobustZScoreOptions(FittedOptions):
    """Keys of robust_zscore."""

    clip: Annotated[float, Field(ge=0)] = 3.0
    """Results are clipped to ± this; 0: not at all."""


class FillnaOptions(Table):
    """Keys of fillna."""

    value: float = 0.0
    """What takes the place of missing values."""


class CsZScoreOptions(Table):
    """Keys of cs_zscore."""

    method: Literal["zscore", "robust"] = "zscore"
    """By mean and standard deviation, or by median and median deviation, clipped to ± 3."""


class ColumnsOptions(Table):
    """Keys of processors that choose columns."""

    columns: Names
    """Names; unknown ones are ignored."""


class TimeRangeOptions(Table):
    """Keys of time_range."""

    first: Day
    """An instrument's first row must not be later."""
    last: Day
    """An instrument's last row must not be earlier."""


Fit = Callable[[np.ndarray], tuple[float, ...]]
Apply = Callable[[Block, Table, Parameters], Block]


@dataclass(frozen=True)
class Processor:
    """A row of the table."""

    name: str
    options: type[Table]
    apply: Apply
    about: str
    parameters: tuple[str, ...] = ()
    """Names of what `fit` returns; empty: there is nothing to fit."""
    fit: Fit | None = None
    """One column of the fit range, NaN left out → one number a parameter."""
    reads_whole_history: bool = False
    """Whether which rows it keeps decides what other rows see, so that it must always see every one."""
    crosses: bool = False
    """Whether a row's value depends on other instruments' rows."""


def _per_column(formula: Callable[..., np.ndarray]) -> Apply:
    """Return an Apply from a formula of a column, the options and the column's own parameters."""

    def apply(block: Block, options: Table, parameters: Parameters) -> Block:
        def transform(column: np.ndarray, at: int) -> np.ndarray:
            own = {name: values[at] for name, values in parameters.items()}
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                return formula(column, options, **own)

        return block.with_columns(transform)

    return apply


def _fit_robust(known: np.ndarray) -> tuple[float, ...]:
    if not len(known):
        return float("nan"), float("nan")
    center = float(np.median(known))
    with np.errstate(invalid="ignore"):
        deviation = float(np.median(np.abs(known.astype(np.float64) - center)))
    return center, (deviation + _MAD_FLOOR) * _MAD_TO_STD


def _robust_zscore(x: np.ndarray, options: RobustZScoreOptions, center: float, scale: float) -> np.ndarray:
    scores = (x.astype(np.float64) - center) / scale
    return np.clip(scores, -options.clip, options.clip) if options.clip else scores


def _fit_zscore(known: np.ndarray) -> tuple[float, ...]:
    """A scale of 0 marks a constant column."""
    if not len(known):
        return float("nan"), float("nan")
    wide = known.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return float(wide.mean()), 0.0 if wide.max() == wide.min() else float(wide.std())


def _fit_minmax(known: np.ndarray) -> tuple[float, ...]:
    if not len(known):
        return float("nan"), float("nan")
    low, high = float(known.min()), float(known.max())
    return low, high - low


def _shift_and_scale(x: np.ndarray, _options: FittedOptions, center: float, scale: float) -> np.ndarray:
    """A column without spread in the fit range is left as it is."""
    return x if scale == 0 else (x.astype(np.float64) - center) / scale


def _tanh(x: np.ndarray, _options: NoOptions) -> np.ndarray:
    return np.tanh(x - 1)


def _fillna(x: np.ndarray, options: FillnaOptions) -> np.ndarray:
    return np.where(np.isnan(x), options.value, x)


def _by_day(formula: Callable[..., np.ndarray]) -> Apply:
    """Return an Apply from a formula of a block, a column of it and the options."""

    def apply(block: Block, options: Table, _parameters: Parameters) -> Block:
        with np.errstate(invalid="ignore", divide="ignore"):
            return block.with_columns(lambda column, _at: formula(block, column, options))

    return apply


def _cs_zscore(block: Block, x: np.ndarray, options: CsZScoreOptions) -> np.ndarray:
    sections = block.sections
    if options.method == "zscore":
        std = sections.std(x)
        return (x - sections.mean(x)) / np.where(std == 0, np.nan, std)
    centered = x - sections.median(x)
    return np.clip(centered / sections.median(np.abs(centered)) / _MAD_TO_STD, -3, 3)


def _cs_rank(block: Block, x: np.ndarray, _options: NoOptions) -> np.ndarray:
    return (block.sections.rank_share(x) - 0.5) * _RANK_TO_UNIT


def _cs_fillna(block: Block, x: np.ndarray, _options: NoOptions) -> np.ndarray:
    return np.where(np.isnan(x), block.sections.mean(x), x)


def _process_inf(block: Block, x: np.ndarray, _options: NoOptions) -> np.ndarray:
    finite = np.where(np.isinf(x), np.nan, x)
    return np.where(np.isinf(x), block.sections.mean(finite), x)


def _dropna(block: Block, _options: Table, _parameters: Parameters) -> Block:
    return block.keep(~np.isnan(block.values).any(axis=1))


def _select_columns(block: Block, options: Table, _parameters: Parameters) -> Block:
    assert isinstance(options, ColumnsOptions)  # noqa: S101 - the table pairs them
    return block.choose(list(options.columns))


def _drop_columns(block: Block, options: Table, _parameters: Parameters) -> Block:
    assert isinstance(options, ColumnsOptions)  # noqa: S101 - the table pairs them
    return block.choose([name for name in block.columns if name not in options.columns])


def _time_range(block: Block, options: Table, _parameters: Parameters) -> Block:
    assert isinstance(options, TimeRangeOptions)  # noqa: S101 - the table pairs them
    low = np.searchsorted(block.calendar, np.datetime64(options.first, "D"))
    high = np.searchsorted(block.calendar, np.datetime64(options.last, "D"), side="right") - 1
    n_instruments = int(block.instrument.max(initial=-1)) + 1
    first, last = np.full(n_instruments, len(block.calendar)), np.full(n_instruments, -1)
    np.minimum.at(first, block.instrument, block.day)
    np.maximum.at(last, block.instrument, block.day)
    return block.keep(((first <= low) & (last >= high))[block.instrument])


PROCESSORS: Registry[Processor] = Registry("processor")

_CENTERED = ("center", "scale")

for _row in (
    Processor("robust_zscore", RobustZScoreOptions, _per_column(_robust_zscore),
              "(x - median) / (1.4826 median deviation), clipped", _CENTERED, _fit_robust),
    Processor("zscore", FittedOptions, _per_column(_shift_and_scale),
              "(x - mean) / standard deviation; a constant column stays", _CENTERED, _fit_zscore),
    Processor("minmax", FittedOptions, _per_column(_shift_and_scale),
              "(x - least) / (greatest - least); a constant column stays", _CENTERED, _fit_minmax),
    Processor("fillna", FillnaOptions, _per_column(_fillna), "missing values become `value`"),
    Processor("tanh", NoOptions, _per_column(_tanh), "tanh(x - 1)"),
    Processor("process_inf", NoOptions, _by_day(_process_inf), "infinities become the day's mean", crosses=True),
    Processor("cs_zscore", CsZScoreOptions, _by_day(_cs_zscore), "z-score within the cross-section", crosses=True),
    Processor("cs_rank", NoOptions, _by_day(_cs_rank), "3.46 (rank share - 0.5) within the cross-section", crosses=True),
    Processor("cs_fillna", NoOptions, _by_day(_cs_fillna), "missing values become the cross-section's mean", crosses=True),
    Processor("dropna", NoOptions, _dropna, "rows with a missing value are dropped", reads_whole_history=True),
    Processor("select_columns", ColumnsOptions, _select_columns, "only these columns, in factor-set order"),
    Processor("drop_columns", ColumnsOptions, _drop_columns, "all but these columns"),
    Processor("time_range", TimeRangeOptions, _time_range,
              "only instruments with rows from `first` to `last`; it knows who survives: for studies, not for scores",
              reads_whole_history=True),
):  # fmt: skip
    PROCESSORS.enter(_row.name, _row)
