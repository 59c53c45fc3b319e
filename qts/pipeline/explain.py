"""A run and the store → what its scores lose without each feature, and where in a window it looks."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qts import __version__
from qts.config import LoadedConfig
from qts.errors import ConfigError, InputError
from qts.evaluation.importance import AttendedWindow, Attention, ExplainReport
from qts.models._architecture import Architecture, Attentive
from qts.pipeline.held import device_of, hold, scale_of
from qts.pipeline.run_record import runs_folder
from qts.pipeline.span_windows import SpanWindows, read_span
from qts.progress import Progress
from qts.registry import unknown_name_hint
from qts.rendering.explain import write_explain_report
from qts.store import Store, open_store
from qts.training.batches import DeviceWindows
from qts.training.checkpoint import Run, open_run
from qts.training.explain import PermutedICs, attention_weights, permuted_ics
from qts.windows import WindowDataset
from qts.windows.view import ABSENT

Groups = dict[str, list[int]]
"""Name → positions of the features that are permuted together."""


@dataclass(frozen=True)
class ExplainResult:
    """A report and where it was written."""

    run: Run
    report: ExplainReport
    files: tuple[Path, ...]
    seconds: float


def explain_run(
    loaded: LoadedConfig,
    progress: Progress,
    *,
    run: str | None = None,
    segment: str = "valid",
    n_days: int | None = None,
    n_repeats: int = 1,
    families: bool = False,
    instrument: str | None = None,
    day: date | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> ExplainResult:
    """Explain a run on a segment, or on `n_days` evenly spread days of it; report into `out`, else the run's folder.

    With an instrument the report also holds the attention of its window on `day`, or on its last day of the segment.
    """
    started = time.perf_counter()
    _check_counts(n_days, n_repeats)
    opened = open_run(runs_folder(loaded), run)
    _refuse_ensemble(opened)
    network = opened.network()
    _check_window_asked(network, opened, instrument, day)
    store = open_store(loaded.path(loaded.config.store.path))
    progress.stage("read features")
    held = read_span(opened.record, store, _span(opened, segment))
    progress.count(rows=len(held.windows.day), n_bytes=held.windows.matrix.nbytes)
    device = device_of(loaded)
    network = network.to(device)
    hold_on = partial(hold, device=device, scale=scale_of(opened.record))
    window = None if instrument is None else _window_of(network, held, instrument, day, hold_on)
    chosen = replace(held.dataset, samples=held.dataset.samples.take(_spread(held.dataset.samples.day, n_days)))
    windows = hold_on(chosen)
    groups = _groups(opened.record["features"], families=families)
    progress.stage("permute features", total=len(np.unique(chosen.samples.day)))
    progress.count(rows=len(chosen.samples.day))
    found = permuted_ics(
        network, windows, list(groups.values()), dates=held.windows.calendar, n_repeats=n_repeats, seed=seed,
        min_names=loaded.config.eval.min_names, precision=opened.record["train"].get("precision", "fp32"),
        tell=progress.advance,
    )  # fmt: skip
    if np.isnan(found.plain[1]).all():
        raise InputError(
            f"no day can be judged: none has {loaded.config.eval.min_names} scores with labels that differ",
            hint="choose a segment whose labels are known, or a smaller [eval] min_names",
        )
    weights = attention_weights(network, windows)
    context = _context_of(opened, store, segment, held, found, n_repeats, seed)
    report = _report(found, held, chosen, groups, opened.record["features"], weights, window, context)
    files = write_explain_report(report, out or opened.folder)
    return ExplainResult(opened, report, files, time.perf_counter() - started)


def _check_counts(n_days: int | None, n_repeats: int) -> None:
    for flag, count in (("--days", n_days), ("--repeats", n_repeats)):
        if count is not None and count < 1:
            raise ConfigError(f"{flag} {count} asks for nothing", where=flag, hint="ask for 1 or more")


def _refuse_ensemble(run: Run) -> None:
    members = run.record.get("members")
    if members:
        raise ConfigError(
            f"the run {run.name} has no network of its own: its scores are the mean of {', '.join(members)}",
            hint=f"explain one of them: qts explain {members[0]}",
        )


def _check_window_asked(network: Architecture, run: Run, instrument: str | None, day: date | None) -> None:
    if day is not None and instrument is None:
        raise ConfigError("--day says when, but not whose window is meant", hint="add --instrument")
    if instrument is not None and not isinstance(network, Attentive):
        raise ConfigError(
            f'the model "{run.record["model"]["name"]}" has no attention to the steps of a window',
            where="--instrument", hint="leave it out; alstm and attention_lstm have one",
        )  # fmt: skip


def _span(run: Run, segment: str) -> tuple[date, date]:
    spans = run.record["segments"]
    if segment not in spans:
        raise ConfigError(f'unknown segment "{segment}"', where="--segment", hint=unknown_name_hint(segment, spans))
    return date.fromisoformat(spans[segment][0]), date.fromisoformat(spans[segment][1])


def _spread(day: np.ndarray, n_days: int | None) -> np.ndarray:
    """Return (n,) bool: the samples of so many evenly spread days, the first and the last among them."""
    days = np.unique(day)
    if n_days is None or n_days >= len(days):
        return np.ones(len(day), dtype=bool)
    return np.isin(day, days[np.linspace(0, len(days) - 1, n_days).round().astype(int)])


def _groups(features: Sequence[str], *, families: bool) -> Groups:
    """Return each feature alone, or those together whose names differ in nothing but a number at the end."""
    groups: Groups = {}
    for at, name in enumerate(features):
        groups.setdefault(re.sub(r"\d+$", "", name) or name if families else name, []).append(at)
    return groups


def _window_of(
    network: Architecture,
    held: SpanWindows,
    instrument: str,
    day: date | None,
    hold_on: Callable[[WindowDataset], DeviceWindows],
) -> AttendedWindow:
    """Return the attention within one window; raises InputError if there is no such sample."""
    windows, samples = held.windows, held.dataset.samples
    if instrument not in windows.instruments:
        hint = unknown_name_hint(instrument, map(str, windows.instruments))
        raise InputError(f'no instrument "{instrument}"', where="--instrument", hint=hint)
    is_wanted = windows.instruments[samples.instrument] == instrument
    if day is not None:
        is_wanted &= windows.calendar[samples.day] == np.datetime64(day, "D")
    if not is_wanted.any():
        when = "in the segment" if day is None else f"on {day}"
        raise InputError(
            f"{instrument} has no sample {when}", where="--instrument", hint="choose another --segment or --day"
        )
    at = int(np.flatnonzero(is_wanted)[-1])
    one: WindowDataset = replace(held.dataset, samples=samples.take(np.array([at])))
    weights = attention_weights(network, hold_on(one))
    if weights is None:
        raise ConfigError("the model has no attention", where="--instrument")
    rows = one.rows(np.array([0]))[0]  # (step_len,)
    dates = tuple(None if row == ABSENT else str(windows.calendar[windows.day[row]]) for row in rows)
    return AttendedWindow(instrument, str(windows.calendar[samples.day[at]]), dates, weights[0].astype(np.float64))


def _context_of(
    run: Run, store: Store, segment: str, held: SpanWindows, found: PermutedICs, n_repeats: int, seed: int
) -> dict[str, Any]:
    record, days = run.record, held.windows.calendar[found.day]
    return {
        "run": run.name, "model": record["model"]["name"], "seed": record["train"]["seed"],
        "step_len": record["window"]["step_len"], "n_features": len(record["features"]), "segment": segment,
        "first": str(days[0]), "last": str(days[-1]), "repeats": n_repeats, "seed_of_permutations": seed,
        "label": record["label"]["expr"], "label_ahead": record["label"]["ahead"], "qts_version": __version__,
        "bars_fingerprint": store.manifest.bars.fingerprint,
    }  # fmt: skip


def _report(
    found: PermutedICs,
    held: SpanWindows,
    chosen: WindowDataset,
    groups: Groups,
    features: Sequence[str],
    weights: np.ndarray | None,
    window: AttendedWindow | None,
    context: dict[str, Any],
) -> ExplainReport:
    ic, rank_ic = found.plain
    drops = found.plain[:, :, None, None] - found.permuted
    n_days = len(np.unique(held.dataset.samples.day))
    coverage = {
        "samples": len(chosen), "with_label": int(np.isfinite(chosen.labels()).sum()), "days": len(found.day),
        "days_in_segment": n_days,
    }  # fmt: skip
    report = ExplainReport(
        names=tuple(groups), members=tuple(tuple(features[at] for at in group) for group in groups.values()),
        days=held.windows.calendar[found.day], ic=ic, rank_ic=rank_ic, ic_drop=drops[0], rank_ic_drop=drops[1],
        attention=None if weights is None else Attention.of(weights), window=window, coverage=coverage, context=context,
    )  # fmt: skip
    return replace(report, warnings=_warnings(report))


def _warnings(report: ExplainReport) -> tuple[str, ...]:
    rank_ic, known = report.base()["rank_ic"], report.rank_ic[~np.isnan(report.rank_ic)]
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.inf
    found = []
    if rank_ic < 2 * error:
        found.append(
            f"the scores' RankIC on these days is {rank_ic:.4f}, within two standard errors of 0 or below it: there is "
            "little for a feature to be worth"
        )
    if report.context["segment"] == "test":
        found.append("these are days of the test segment: do not choose features by them")
    return tuple(found)
