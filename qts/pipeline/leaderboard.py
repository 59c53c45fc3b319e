"""Models ranked by the test segments of their runs: runs that differ in their seed alone are one row."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean, stdev
from typing import Any

import numpy as np

from qts.config import LoadedConfig
from qts.daily_series import deflated_sharpe
from qts.errors import InputError
from qts.pipeline.evaluate import evaluate
from qts.pipeline.run_record import runs_folder
from qts.pipeline.run_subject import run_made_of
from qts.pipeline.runs import read_summary
from qts.progress import Progress
from qts.rendering.backtest_chapters import PREFIX
from qts.rendering.document import Document
from qts.rendering.leaderboard import leaderboard_document
from qts.store import fingerprint, open_store
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
    groups: dict[str, list[tuple[Run, dict[str, Any]]]] = defaultdict(list)
    for run in done:
        groups[_kind(run)].append((run, _summary(run, loaded, progress)))
    sharpes = [_daily_sharpe(summary, loaded) for members in groups.values() for _, summary in members]
    rows = [_row(members, sharpes, loaded) for members in groups.values()]
    rows.sort(key=lambda row: -np.nan_to_num(row["rank_ic"], nan=-np.inf))
    segments = {tuple(run.record["segments"]["test"]) for run in done}
    warnings = (
        () if len(segments) == 1 else (f"the runs have {len(segments)} test segments: their figures do not compare",)
    )
    return rows, leaderboard_document(rows, warnings)


def _kind(run: Run) -> str:
    """Return the hash of what a run is besides its seed."""
    record = run.record
    train = {key: value for key, value in record["train"].items() if key not in ("seed", "device", "log")}
    shown = (record["model"], train, record["window"], record["features"], record["label"], record["segments"])
    return fingerprint(*shown, len(record.get("members", ())))


def _summary(run: Run, loaded: LoadedConfig, progress: Progress) -> dict[str, Any]:
    """Return a run's figures, backtest included, from its report if that is of today's store and config."""
    store = open_store(loaded.path(loaded.config.store.path))
    found = read_summary(run.folder, run_made_of(loaded, store, run))
    if NEEDED not in found:
        progress.note(f"report {run.name}")
        found = dict(evaluate(loaded, progress, run=str(run.folder), trades=True).document.summary)
    return {key: np.nan if value is None else value for key, value in found.items()}


def _daily_sharpe(summary: dict[str, Any], loaded: LoadedConfig) -> float:
    return float(summary[NEEDED] / np.sqrt(loaded.config.eval.days_per_year))


def _row(members: list[tuple[Run, dict[str, Any]]], sharpes: list[float], loaded: LoadedConfig) -> dict[str, Any]:
    record = members[0][0].record
    n_members = len(record.get("members", ()))
    summaries = [summary for _, summary in members]
    row: dict[str, Any] = {
        "model": record["model"]["name"] + (f", ensemble of {n_members}" if n_members else ""),
        "features": f"{record['window']['step_len']} x {len(record['features'])}", "n_seeds": len(members),
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
