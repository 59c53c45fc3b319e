"""A run's scores as what is judged: those of its test segment, and those of the days after it."""

from datetime import timedelta
from typing import Any

import numpy as np

from qts.config import LoadedConfig
from qts.evaluation import EvalReport, find_drift
from qts.evaluation.results import Drift
from qts.pipeline.predict import data_print, score_span, scores_of
from qts.pipeline.run_record import runs_folder, seeds_of
from qts.pipeline.scored import ScoredStore, sort_scores
from qts.pipeline.subject import Subject, made_of, subject_of
from qts.progress import Progress
from qts.store import Store, open_store
from qts.training.checkpoint import Run, open_run


def run_subject(loaded: LoadedConfig, progress: Progress, name: str | None) -> Subject:
    """Return the test scores of a run, the latest unless named."""
    store = open_store(loaded.path(loaded.config.store.path))
    run = open_run(runs_folder(loaded), name)
    table = scores_of(run, store, loaded, progress)
    return subject_of(loaded, store, table, _origin(run), run.folder, run, data_print(run, store).decode())


def run_made_of(loaded: LoadedConfig, store: Store, run: Run) -> str:
    """Return the hash of all that a run's report would be made of now."""
    return made_of(loaded, store, data_print(run, store).decode())


def _origin(run: Run) -> dict[str, Any]:
    record = run.record
    return {
        "run": run.name, "model": record["model"]["name"], "seed": seeds_of(record),
        "step_len": record["window"]["step_len"], "n_features": len(record["features"]),
        "segments": record["segments"], "best_epoch": record["best_epoch"], "n_parameters": record["n_parameters"],
    }  # fmt: skip


def drift_of(subject: Subject, loaded: LoadedConfig, report: EvalReport, progress: Progress) -> Drift | None:
    """Return how a run does after its test segment; None, with a warning, if there is no run or no labelled day follows."""
    store, calendar = subject.store, subject.scored.calendar
    if subject.run is None or report.days[-1] >= calendar[-1]:
        progress.warn("no day follows the test segment: nothing to compare with it")
        return None
    span = (report.days[-1].item() + timedelta(days=1), calendar[-1].item())
    table, _, _ = score_span(subject.run, store, span, loaded, progress)
    days, _, rank_ic = ScoredStore(store, sort_scores(table, store)).daily_ics(loaded.config.eval.min_names)
    if np.isnan(rank_ic).all():
        progress.warn(f"no day after {report.days[-1]} has labels yet: nothing to compare with the test segment")
        return None
    return find_drift(report.rank_ic, days, rank_ic, loaded.config.eval, lag=report.held_days - 1)
