"""Models ranked by the test segments of their runs: runs that differ in their seed alone are one row."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np

from qts.config import LoadedConfig
from qts.daily_series import deflated_sharpe
from qts.errors import DataCheckError, InputError, StoreError
from qts.pipeline.evaluate import evaluate
from qts.pipeline.run_record import runs_folder, seeds_of
from qts.pipeline.run_subject import run_made_of
from qts.pipeline.runs import read_summary
from qts.progress import Progress
from qts.rendering.backtest_chapters import PREFIX
from qts.rendering.document import Document
from qts.rendering.leaderboard import leaderboard_document
from qts.store import Store, fingerprint, open_store
from qts.training.checkpoint import Run, list_runs

FIGURES = {
    "ic": "ic", "icir": "icir", "rank_ic": "rank_ic", "rank_icir": "rank_icir",
    "annual_excess": f"{PREFIX}index_annual_excess", "information_ratio": f"{PREFIX}index_information_ratio",
    "max_drawdown": f"{PREFIX}max_drawdown",
}  # fmt: skip
"""Column → figure of a run's report; without an index the excess is that over the universe."""
NEEDED = f"{PREFIX}sharpe"
"""What the summary of a report with a backtest holds."""


def make_leaderboard(loaded: LoadedConfig, progress: Progress) -> tuple[list[dict[str, Any]], Document]:
    """Return a row a model, the best mean RankIC first, and the same as a document.

    Reports that are not of this store, config and version are written anew. Raises InputError if no run is finished.
    """
    runs = runs_folder(loaded)
    done = [Run(runs / record["name"], record) for record in list_runs(runs) if record["state"] == "done"]
    if not done:
        raise InputError(f"no finished run in {runs}", hint="run: qts train")
    found = [(run, summary) for run in done if (summary := _summary(run, loaded, progress))]
    groups: dict[str, dict[str, tuple[Run, dict[str, Any]]]] = defaultdict(dict)
    for run, summary in found:  # the newest of those with the same seed
        groups[_kind(run)][seeds_of(run.record)] = (run, summary)
    members = [[by_seed[seed] for seed in sorted(by_seed, key=lambda s: (len(s), s))] for by_seed in groups.values()]
    sharpes = [_daily_sharpe(summary, loaded) for kind in members for _, summary in kind]
    names = _names([kind[0][0].record for kind in members])
    rows = [_row(name, kind, sharpes, loaded) for name, kind in zip(names, members, strict=True)]
    rows.sort(key=lambda row: -np.nan_to_num(row["rank_ic"], nan=-np.inf))
    segments = {tuple(run.record["segments"]["test"]) for run, _ in found}
    warnings = (
        (f"the runs have {len(segments)} test segments: their figures do not compare",) if len(segments) > 1 else ()
    )
    return rows, leaderboard_document(rows, warnings)


def _kind(run: Run) -> str:
    """Return the hash of what a run is besides its seed: model, training, windows and the data they were made of."""
    record = run.record
    return fingerprint(
        record["model"], _settings(record), record["windows_fingerprint"], len(record.get("members", ()))
    )  # fmt: skip


def _settings(record: dict[str, Any]) -> dict[str, Any]:
    train = {f"train.{key}": value for key, value in record["train"].items() if key not in ("seed", "device", "log")}
    model = {f"model.{key}": value for key, value in record["model"]["config"].items()}
    return model | train | {f"window.{key}": value for key, value in record["window"].items()}


def _names(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return what each kind of run is called: its model, and what it is set to where another of that name differs."""
    plain = [(_model(record), _features(record)) for record in records]
    names = []
    for record, name in zip(records, plain, strict=True):
        twins = [_settings(other) for other, its in zip(records, plain, strict=True) if its == name]
        own = _settings(record)
        differing = [key for key in own if any(twin.get(key) != own[key] for twin in twins)]
        told = (
            ", ".join(f"{key.partition('.')[2]} {own[key]}" for key in differing) or record["windows_fingerprint"][:8]
        )
        names.append(f"{name[0]} ({told})" if len(twins) > 1 else name[0])
    return names


def _model(record: dict[str, Any]) -> str:
    n_members = len(record.get("members", ()))
    return f"{record['model']['name']}, ensemble of {n_members}" if n_members else str(record["model"]["name"])


def _features(record: dict[str, Any]) -> str:
    return f"{record['window']['step_len']} x {len(record['features'])}"


def _summary(run: Run, loaded: LoadedConfig, progress: Progress) -> dict[str, Any]:
    """Return a run's figures, backtest included, from its report if that is of what is there now; none if it has no weights."""
    store = open_store(loaded.path(loaded.config.store.path))
    try:
        found = read_summary(run.folder, lambda: run_made_of(loaded, store, run))
        if NEEDED not in found:
            progress.note(f"report {run.name}")
            found = _judged(run, loaded, store, progress)
    except StoreError as error:
        progress.warn(f"{run.name} is left out: {error.message}")
        return {}
    return {key: np.nan if value is None else value for key, value in found.items()}


def _judged(run: Run, loaded: LoadedConfig, store: Store, progress: Progress) -> dict[str, Any]:
    try:
        return dict(evaluate(loaded, progress, run=str(run.folder), trades=True).document.summary)
    except DataCheckError as error:  # its report is written all the same
        progress.warn(f"{run.name}: {error.message}")
        return read_summary(run.folder, lambda: run_made_of(loaded, store, run))


def _daily_sharpe(summary: dict[str, Any], loaded: LoadedConfig) -> float:
    return float(summary[NEEDED] / np.sqrt(loaded.config.eval.days_per_year))


def _row(
    model: str, members: list[tuple[Run, dict[str, Any]]], sharpes: list[float], loaded: LoadedConfig
) -> dict[str, Any]:
    record = members[0][0].record
    summaries = [summary for _, summary in members]
    row: dict[str, Any] = {
        "model": model, "features": _features(record), "n_seeds": len(members),
        "n_parameters": record["n_parameters"], "runs": [run.name for run, _ in members],
    }  # fmt: skip
    for name, key in FIGURES.items():
        values = [summary.get(key, np.nan) for summary in summaries]
        if name in ("annual_excess", "information_ratio") and not any(map(np.isfinite, values)):
            values = [summary.get(key.replace("index_", "universe_"), np.nan) for summary in summaries]
        row[name], row[f"{name}_sd"] = _spread(values)
    return row | {"deflated_sharpe": _deflated(summaries, sharpes, loaded)}


def _spread(values: Iterable[float]) -> tuple[float, float]:
    known = [float(value) for value in values if np.isfinite(value)]
    return fmean(known) if known else np.nan, stdev(known) if len(known) > 1 else np.nan


def _deflated(summaries: list[dict[str, Any]], sharpes: list[float], loaded: LoadedConfig) -> float:
    """Return how likely the best seed's Sharpe ratio is more than the best of so many runs would be by luck."""
    known = [sharpe for sharpe in sharpes if np.isfinite(sharpe)]
    best = max(summaries, key=lambda summary: np.nan_to_num(summary[NEEDED], nan=-np.inf))
    variance = float(np.var(known, ddof=1)) if len(known) > 1 else 0.0
    shape = (best[f"{PREFIX}{name}"] for name in ("n_days", "skew", "kurtosis"))
    return deflated_sharpe(_daily_sharpe(best, loaded), *shape, n_trials=max(len(known), 1), variance=variance)
