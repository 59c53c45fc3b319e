"""A search on disk: a folder beside the runs with its trials, its best config and what it was asked."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from qts.config import LoadedConfig
from qts.config.dump import dump_toml
from qts.errors import StoreError
from qts.json_text import to_json
from qts.pipeline.features import make_recipe
from qts.pipeline.run_record import runs_folder
from qts.pipeline.start import weights_hash
from qts.store import fingerprint, open_store
from qts.store.atomic import replace_file
from qts.store.confined import is_name

SCHEMA = "qts.study/1"
STUDY, TRIALS, BEST = "study.json", "trials.jsonl", "best.toml"
FIGURES = {"loss": "valid loss", "ic": "valid IC", "rank_ic": "valid RankIC"}
"""Metric → what people are told."""
FREE_TO_CHANGE = {"trials", "minutes"}
"""Keys of `[tune]` that a search taken up again may have otherwise."""


@dataclass(frozen=True)
class Trial:
    """One point and what came of it; a line of trials.jsonl. Figures are those of the valid segment."""

    number: int
    state: str
    """done; pruned: stopped early; failed: the training broke off; invalid: the values do not go together."""
    values: dict[str, Any]
    name: str = ""
    """Of a preset."""
    valid_loss: float | None = None
    valid_ic: float | None = None
    valid_rank_ic: float | None = None
    best_epoch: int | None = None
    """The epoch that the training chose, to which the figures belong."""
    n_epochs: int | None = None
    n_parameters: int | None = None
    seconds: float = 0.0
    run: str | None = None
    reason: str = ""
    """Why it is not done."""

    def figure(self, metric: str) -> float | None:
        """Return the figure trials are compared by, larger being better; None: there is none."""
        found = {"loss": self.valid_loss, "ic": self.valid_ic, "rank_ic": self.valid_rank_ic}[metric]
        return found if found is None or metric != "loss" else -found


def by_merit(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Return the trials, the best first; those that are not done come last, and of equals the earlier is better."""
    order = ("done", "pruned", "failed", "invalid")
    return sorted(trials, key=lambda t: (order.index(t.state), -(t.figure(metric) or 0.0), t.number))


@dataclass(frozen=True)
class Study:
    """The folder of a search."""

    folder: Path
    asked: dict[str, Any]
    """What study.json says besides the state."""

    @classmethod
    def of(cls, loaded: LoadedConfig) -> "Study":
        """Return the study of a config and of the data its trials see; another of either is another study."""
        tune = loaded.config.tune
        config = loaded.config
        key = fingerprint(
            make_recipe(loaded).fingerprint(open_store(loaded.path(config.store.path))),
            config.model.model_dump(mode="json"),
            config.window.model_dump(mode="json"),
            config.train.model_dump(mode="json", exclude={"device", "log"}),
            tune.model_dump(mode="json", exclude={*FREE_TO_CHANGE, "space"}),
            list(tune.model_dump(mode="json")["space"].items()),
            weights_hash(loaded),
        )
        asked = {"schema": SCHEMA, "key": key, "config": loaded.resolved().model_dump(mode="json", exclude_none=True)}
        return cls(runs_folder(loaded) / f"tune-{key[:8]}", asked)

    def trials(self) -> list[Trial]:
        """Return the trials that ended, in order; raises StoreError if they cannot be read."""
        try:
            lines = (self.folder / TRIALS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        names = {entry.name for entry in fields(Trial)}
        try:
            found = [Trial(**{k: v for k, v in json.loads(line).items() if k in names}) for line in lines]
            if strange := [trial.run for trial in found if trial.run is not None and not is_name(trial.run)]:
                raise ValueError(f"{strange[0]!r} is no name of a run")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            message = f"{self.folder / TRIALS} is damaged: {error}"
            raise StoreError(message, hint=f"delete {self.folder}; finished runs are found again") from error
        return sorted(found, key=lambda trial: trial.number)

    def write_trials(self, trials: Sequence[Trial]) -> None:
        """Write all trials in one atomic step."""
        lines = [to_json(asdict(trial)) for trial in sorted(trials, key=lambda trial: trial.number)]
        replace_file(self.folder / TRIALS, "".join(f"{line}\n" for line in lines).encode())

    def write_state(self, state: str, trials: Sequence[Trial], best: Trial | None) -> None:
        """Write study.json: running, stopped or done, with how many trials ended how, and which is the best."""
        counts = {
            name: sum(trial.state == name for trial in trials) for name in ("done", "pruned", "failed", "invalid")
        }
        found = {"state": state, "trials": counts, "best": asdict(best) if best else None}
        replace_file(self.folder / STUDY, to_json({**self.asked, **found}, indent=1).encode())

    def write_best(self, loaded: LoadedConfig) -> None:
        """Write the whole config of the best trial, unless it stands there."""
        file, text = self.folder / BEST, dump_toml(loaded.resolved()).encode()
        if not file.is_file() or file.read_bytes() != text:
            replace_file(file, text)
