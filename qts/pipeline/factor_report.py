"""A store's raw factors + its raw label → a FactorReport, a block of factors at a time."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from qts import __version__
from qts.columns import LABEL
from qts.config import LoadedConfig
from qts.errors import ConfigError, InputError
from qts.evaluation import FactorReport, MemberRows, evaluate_factors
from qts.pipeline.features import needed_segments, read_blocks
from qts.progress import Progress
from qts.registry import unknown_name_hint
from qts.rendering.factors import write_factor_report
from qts.store import Store, open_store

BLOCK = 16
"""Factors read at a time: what bounds the memory."""


@dataclass(frozen=True)
class FactorResult:
    """A report and where it was written."""

    report: FactorReport
    files: tuple[Path, ...]
    seconds: float


def report_factors(
    loaded: LoadedConfig,
    progress: Progress,
    *,
    segment: str | None = None,
    first: date | None = None,
    last: date | None = None,
    out: Path | None = None,
) -> FactorResult:
    """Judge every factor of the store on the member rows of a span: the valid segment unless told otherwise.

    Without segments it is every day of the store. Files are written only into an `out` folder.
    """
    started = time.perf_counter()
    store = open_store(loaded.path(loaded.config.store.path))
    span, name = _span(loaded, store, segment, first, last)
    # Members count as they do when scores are made: with the default history only on days they traded.
    needs_bar = loaded.config.window.history == "instrument"
    _, label, _ = read_blocks(store, (), *span, needs_bar=needs_bar)
    chosen = np.flatnonzero(label.members)
    if not len(chosen):
        raise InputError(
            f"no member of the universe has a row between {span[0]} and {span[1]} (the store holds {store.manifest.first} "
            f"to {store.manifest.last})",
            hint="ask for days that are there",
        )
    rows = MemberRows(label.calendar, label.instrument[chosen], label.day[chosen], label.values[chosen, 0])
    context = {
        "segment": name, "first": str(span[0]), "last": str(span[1]), "label": store.manifest.label.expressions[LABEL],
        "label_ahead": store.manifest.label.ahead, "min_names": loaded.config.eval.min_names,
        "quantiles": loaded.config.eval.quantiles, "qts_version": __version__,
        "bars_fingerprint": store.manifest.bars.fingerprint,
    }  # fmt: skip
    report = evaluate_factors(rows, _blocks(store, span, chosen, progress), loaded.config.eval, context=context)
    report = replace(report, warnings=(*report.warnings, *_spoiled(loaded, span)))
    files = () if out is None else write_factor_report(report, out)
    return FactorResult(report, files, time.perf_counter() - started)


def _blocks(
    store: Store, span: tuple[date, date], chosen: np.ndarray, progress: Progress
) -> Iterator[tuple[list[str], np.ndarray]]:
    names = [name for dataset in store.manifest.factor_sets.values() for name in dataset.expressions]
    progress.stage("judge factors", total=len(names))
    for start in range(0, len(names), BLOCK):
        block = names[start : start + BLOCK]
        values = store.read(block, *span).values[chosen]
        progress.count(rows=len(values), n_bytes=values.nbytes)
        yield block, values
        progress.advance(len(block))


def _spoiled(loaded: LoadedConfig, span: tuple[date, date]) -> tuple[str, ...]:
    """Return the warning that a choice of factors made on test days is tested by them no more."""
    segments = loaded.config.segments
    if segments is None or span[1] < segments.test[0] or span[0] > segments.test[1]:
        return ()
    return (
        f"days of the test segment ({segments.test[0]} to {segments.test[1]}) are among these: do not choose factors by them",
    )


def _span(
    loaded: LoadedConfig, store: Store, segment: str | None, first: date | None, last: date | None
) -> tuple[tuple[date, date], str | None]:
    """Return the days to judge, and the segment they are, if they are one."""
    if segment is not None and (first or last):
        raise ConfigError("--segment and --start/--end exclude each other")
    if segment is None and (first or last or loaded.config.segments is None):
        return (first or store.manifest.first, last or store.manifest.last), None
    spans = needed_segments(loaded).model_dump()
    if (segment or "valid") not in spans:
        raise ConfigError(
            f'unknown segment "{segment}"', where="--segment", hint=unknown_name_hint(str(segment), spans)
        )
    return spans[segment or "valid"], segment or "valid"
