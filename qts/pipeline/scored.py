"""Scores laid beside the store: as a signal to be judged, and as a market to be traded in."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from qts.backtest.market import Market, positive
from qts.columns import ADJ_FACTOR, CLOSE, DATETIME, HIGH, INSTRUMENT, LABEL, LOW, OPEN, SCORE, VOLUME, VWAP
from qts.config import BacktestConfig, EvalConfig
from qts.errors import ConfigError, InputError
from qts.evaluation.ic import daily_ic
from qts.evaluation.signal import Prices, Signal
from qts.expr.lookback import begin_of
from qts.expr.parse import parse
from qts.registry import unknown_name_hint
from qts.store import Store
from qts.store.read import PanelRows

BEFORE, AFTER = 80, 1
"""Days of the calendar that exposures look back, and that a holding period needs beyond lag and horizon."""


@dataclass(frozen=True)
class ScoreRows:
    """Scores in the store's calendar, sorted by day, then instrument."""

    day: np.ndarray
    """(n_rows,) int, positions in the store's calendar."""
    instruments: np.ndarray
    """(n_names,) str, sorted, those that have a row."""
    instrument: np.ndarray
    """(n_rows,) int, positions in `instruments`."""
    score: np.ndarray
    """(n_rows,) float64."""
    n_other_days: int
    """Rows that were left out: their day is none of the calendar."""

    @cached_property
    def content_hash(self) -> str:
        """A hash of the rows: two reports of one hash are of the same scores."""
        found = hashlib.sha256("\n".join(self.instruments.tolist()).encode())
        for column in (self.day.astype(np.int64), self.instrument.astype(np.int64), self.score):
            found.update(np.ascontiguousarray(column).tobytes())
        return found.hexdigest()[:16]

    @property
    def first(self) -> int:
        """The first day."""
        return int(self.day[0])

    @property
    def last(self) -> int:
        """The last day."""
        return int(self.day[-1])


def sort_scores(table: pa.Table, store: Store) -> ScoreRows:
    """Return a table of instrument, datetime, score in the store's terms.

    Raises InputError if no row belongs to a day, or none to an instrument, that the store has.
    """
    calendar = store.calendar()
    days = table[DATETIME].to_numpy().astype("datetime64[D]")
    day = np.minimum(np.searchsorted(calendar, days), len(calendar) - 1)
    kept = calendar[day] == days
    if not kept.any():
        span = f"{days.min()} to {days.max()}" if len(days) else "no rows"
        message = (
            f"no score is on a day of the store's calendar: scores {span}, calendar {calendar[0]} to {calendar[-1]}"
        )
        raise InputError(message, hint="is this the store of that market? run: qts ingest")
    encoded = table[INSTRUMENT].combine_chunks().dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=str)
    ranks = np.argsort(names)
    code_of = np.empty(len(names), dtype=np.int32)
    code_of[ranks] = np.arange(len(names), dtype=np.int32)
    instrument = code_of[encoded.indices.to_numpy()]
    order = np.lexsort((instrument[kept], day[kept]))
    score = table[SCORE].to_numpy(zero_copy_only=False).astype(np.float64)
    return ScoreRows(
        day[kept][order], names[ranks], instrument[kept][order], score[kept][order], int((~kept).sum())
    )  # fmt: skip


class ScoredStore:
    """The store as far as scores reach into it; what several figures need is read once."""

    def __init__(self, store: Store, rows: ScoreRows) -> None:
        self.store = store
        self.rows = rows
        self.calendar = store.calendar()

    @cached_property
    def bars(self) -> PanelRows:
        """Every bar, the fields that prices and trades need."""
        wanted = (OPEN, HIGH, LOW, CLOSE, VOLUME, VWAP, ADJ_FACTOR)
        return self.store.read_bars([name for name in wanted if name in self.store.manifest.fields])

    @cached_property
    def members(self) -> np.ndarray:
        """(n_bars,) bool: whether a bar is one of a member of the universe."""
        bars = self.bars
        return self.store.membership(bars.instruments, bars.instrument, bars.day, self.calendar)

    @cached_property
    def traded(self) -> np.ndarray:
        """(n_bars,) bool: whether a bar has a close above 0 and a volume."""
        close, volume = self._field(CLOSE), self._field(VOLUME)
        return np.isfinite(close) & (close > 0) & (volume > 0)

    def _field(self, name: str) -> np.ndarray:
        return self.bars.values[:, self.bars.columns.index(name)]

    @cached_property
    def _column_of(self) -> np.ndarray:
        """(n_instruments of the bars,) the column of a scored name, -1 for others; raises InputError if none is scored."""
        names, known = self.rows.instruments, self.bars.instruments
        at = np.minimum(np.searchsorted(names, known), len(names) - 1)
        found = np.where(names[at] == known, at, -1)
        if (found < 0).all():
            raise InputError(
                f'no instrument of the scores is in the store: scores have "{names[0]}", the store "{known[0]}"',
                hint="write instruments as the bars do",
            )
        return found

    def _grid(self, column: np.ndarray, first: int, last: int, missing: object = np.nan) -> np.ndarray:
        """Return (n_days, n_names) of a column of the bars between two days of the calendar, the last one excluded."""
        bars = self.bars
        name = self._column_of[bars.instrument]
        rows = np.flatnonzero((name >= 0) & (bars.day >= first) & (bars.day < last))
        grid = np.full((last - first, len(self.rows.instruments)), missing, dtype=column.dtype)
        grid[bars.day[rows] - first, name[rows]] = column[rows]
        return grid

    def signal(self, config: EvalConfig) -> Signal:
        """Return the scores as what the evaluation takes."""
        rows = self.rows
        days, day = np.unique(rows.day, return_inverse=True)
        first = max(0, rows.first - BEFORE)
        last = min(len(self.calendar), rows.last + config.lag + max(config.horizons) + AFTER)
        close, volume = self._field(CLOSE), self._field(VOLUME)
        prices = Prices(
            self.calendar[first:last], self._grid(close, first, last), self._grid(close * volume, first, last)
        )
        groups = {
            name: self._grid(text, first, last, "")[rows.day - first, rows.instrument]
            for name, text in self.store.read_groups(config.group_by).items()
        }
        n_expected = n_missing = None
        if self.store.manifest.universe is not None:
            n_expected, n_missing = self._expected(days)
        return Signal(
            self.calendar[days], rows.instruments, day, rows.instrument, rows.score, self.labels(), prices, groups,
            n_expected, n_missing, self.store.manifest.label.ahead, self.label_begin,
        )  # fmt: skip

    @property
    def label_begin(self) -> int:
        """Days after the score on which the label's return begins."""
        return begin_of(parse(self.store.manifest.label.expressions[LABEL]))

    def daily_ics(self, min_names: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the days that have a row, and IC and RankIC of the scores and the raw label on each, (n_days,) all."""
        days, day = np.unique(self.rows.day, return_inverse=True)
        return self.calendar[days], *daily_ic(day, self.rows.score, self.labels(), len(days), min_names)

    def labels(self) -> np.ndarray:
        """Return (n_rows,) raw labels of the rows, NaN where the store has none."""
        rows = self.rows
        first, last = (self.calendar[day].item() for day in (rows.first, rows.last))
        panel = self.store.read([LABEL], first, last)
        at = np.minimum(np.searchsorted(panel.instruments, rows.instruments), len(panel.instruments) - 1)
        column_of = np.full(len(panel.instruments), -1)
        column_of[at[panel.instruments[at] == rows.instruments]] = np.flatnonzero(
            panel.instruments[at] == rows.instruments
        )
        name = column_of[panel.instrument]
        kept = name >= 0
        grid = np.full((rows.last - rows.first + 1, len(rows.instruments)), np.nan, dtype=np.float32)
        grid[panel.day[kept] - rows.first, name[kept]] = panel.values[kept, 0]
        return grid[rows.day - rows.first, rows.instrument].astype(np.float64)

    def _expected(self, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return of each score day the members that traded, and those of them without a row."""
        counted = self.members & self.traded
        n_all = np.bincount(self.bars.day[counted], minlength=len(self.calendar))
        first, last = self.rows.first, self.rows.last + 1
        has_row = self._grid(counted, first, last, missing=False)[self.rows.day - first, self.rows.instrument]
        n_there = np.bincount(self.rows.day[has_row], minlength=len(self.calendar))
        return n_all[days], (n_all - n_there)[days]

    def market(self, config: BacktestConfig) -> tuple[Market, np.ndarray]:
        """Return the market from the first score on, and (n_days, n_names) scores of each day, NaN where there is none.

        A close or an adj_factor of 0 or less is none. Raises ConfigError where the config names a column that the bars lack.
        """
        rows = self.rows
        first, last = rows.first, min(len(self.calendar), rows.last + config.lag + 1)
        whole = positive(self._grid(self._field(CLOSE), 0, last))
        has_bar = ~np.isnan(whole)
        place = np.maximum.accumulate(np.where(has_bar, np.arange(last)[:, None], -1), axis=0)[:-1]
        before = np.vstack([np.full((1, whole.shape[1]), -1), place])[first:]
        previous = np.where(before >= 0, np.take_along_axis(whole, np.maximum(before, 0), axis=0), np.nan)
        fields = {
            name: self._grid(self._field(name), first, last)
            for name in (OPEN, HIGH, LOW, VOLUME, VWAP, ADJ_FACTOR)
            if name in self.bars.columns
        }
        close = whole[first:]
        mean = (fields[OPEN] + fields[HIGH] + fields[LOW] + close) / 4
        scores = np.full(close.shape, np.nan)
        finite = np.isfinite(rows.score)  # an infinite score is none: the evaluation counts them
        scores[rows.day[finite] - first, rows.instrument[finite]] = rows.score[finite]
        market = Market(
            days=self.calendar[first:last], instruments=rows.instruments, open=fields[OPEN], high=fields[HIGH],
            low=fields[LOW], close=close, vwap=fields.get(VWAP, mean), volume=fields[VOLUME],
            adj_factor=positive(fields.get(ADJ_FACTOR, np.full(close.shape, np.nan))), previous_close=previous,
            n_before=(np.cumsum(has_bar, axis=0) - has_bar)[first:],
            up_limit=self._limit("up_limit", config, first, last),
            down_limit=self._limit("down_limit", config, first, last), special=self._special(config, first, last),
            benchmark=self._benchmark(first, last), universe=self._universe(first, last),
        )  # fmt: skip
        return market, scores

    def _limit(self, key: str, config: BacktestConfig, first: int, last: int) -> np.ndarray | None:
        """Return the limits of a column; that the bars lack it is no mistake only where it has the default's name."""
        name, fields = getattr(config, key), self.store.manifest.fields
        if name in fields:
            return positive(self._grid(self.store.read_bars([name]).values[:, 0], first, last))
        if name != BacktestConfig.model_fields[key].default:
            raise ConfigError(
                f'the bars have no column "{name}"',
                where=f"[backtest] {key}",
                hint=unknown_name_hint(name, list(fields)),
            )
        return None

    def _special(self, config: BacktestConfig, first: int, last: int) -> np.ndarray | None:
        if config.special_treatment is None:
            return None
        text = self.store.read_groups([config.special_treatment])[config.special_treatment]
        return self._grid(~np.isin(np.char.lower(text), NOT_SPECIAL), first, last, missing=False)

    def _benchmark(self, first: int, last: int) -> np.ndarray | None:
        """Return (n_days,) returns of the index from its day before, NaN on days that it lacks."""
        found = self.store.benchmark_close()
        if found is None:
            return None
        days, close = found
        returns = np.concatenate([[np.nan], close[1:] / close[:-1] - 1])
        at = np.minimum(np.searchsorted(days, self.calendar[first:last]), len(days) - 1)
        return np.where(days[at] == self.calendar[first:last], returns[at], np.nan)

    def _universe(self, first: int, last: int) -> np.ndarray:
        """Return (n_days,) mean returns of members that traded on the day and on the one before."""
        bars, close = self.bars, self._field(CLOSE)
        follows = (bars.instrument[1:] == bars.instrument[:-1]) & (bars.day[1:] == bars.day[:-1] + 1)
        rows = 1 + np.flatnonzero(follows & self.traded[1:] & self.traded[:-1] & self.members[1:])
        returns = close[rows] / close[rows - 1] - 1
        n_days = len(self.calendar)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(bars.day[rows], returns, n_days) / np.bincount(bars.day[rows], minlength=n_days)
        return mean[first:last]


NOT_SPECIAL = np.array(["", "0", "false", "no", "n", "none", "normal"])
"""Texts that say a name is under no special treatment."""
