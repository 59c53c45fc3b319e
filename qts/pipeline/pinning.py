"""Pinning a run, and opening it again as it was pinned."""

from dataclasses import asdict

import numpy as np

from qts import clock
from qts.config import LoadedConfig
from qts.errors import StoreError
from qts.evaluation.signal import held_days
from qts.json_text import to_json
from qts.pipeline.pinned import SCHEMA, Pin, pin_file
from qts.pipeline.predict import scores_of, weights_print
from qts.pipeline.run_record import runs_folder
from qts.pipeline.scored import ScoredStore, sort_scores
from qts.progress import Progress
from qts.store import open_store
from qts.store.atomic import replace_file
from qts.training.checkpoint import Run, open_run


def pin_run(loaded: LoadedConfig, progress: Progress, name: str) -> Pin:
    """Pin a run: remember its weights, and the RankIC of each day of its test segment, which is scored if it was not."""
    store = open_store(loaded.path(loaded.config.store.path))
    run = open_run(runs_folder(loaded), name)
    scored = ScoredStore(store, sort_scores(scores_of(run, store, loaded, progress), store))
    days, _, rank_ic = scored.daily_ics(loaded.config.eval.min_names)
    known = np.flatnonzero(~np.isnan(rank_ic))
    if not len(known):
        progress.warn(f"no day of the test segment of {run.name} can be judged: drift will not be told")
    last = known[-1] + 1 if len(known) else 0
    pin = Pin(
        run.name, weights_print(run), clock.stamp(), tuple(map(str, days[:last])), tuple(rank_ic[:last].tolist()),
        held_days(store.manifest.label.ahead, scored.label_begin) - 1,
    )  # fmt: skip
    replace_file(pin_file(loaded), to_json({"schema": SCHEMA, **asdict(pin)}, indent=1).encode())
    return pin


def open_pinned(loaded: LoadedConfig, pin: Pin) -> Run:
    """Return the pinned run; raises StoreError if its weights are no longer those that were pinned."""
    folder = runs_folder(loaded)
    if not (folder / pin.run).is_dir():
        hint = "restore it, or pin another: qts runs pin RUN"
        raise StoreError(f"the pinned run {pin.run} is gone from {folder}", hint=hint)
    run = open_run(folder, pin.run)
    if weights_print(run) != pin.weights:
        raise StoreError(
            f"the weights of {pin.run} have changed since it was pinned, {pin.pinned}",
            hint=f"if that is what you want: qts runs pin {pin.run}",
        )
    return run
