"""A walk on disk: a folder beside the runs with what became of each fold, their configs, and the scores of all."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from math import nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qts.columns import DATETIME, INSTRUMENT, SCORE
from qts.config import LoadedConfig
from qts.config.dump import dump_toml
from qts.errors import QtsError, StoreError
from qts.json_text import to_json
from qts.pipeline.features import make_recipe
from qts.pipeline.figures import Figures
from qts.pipeline.folds import Fold
from qts.pipeline.predict import PREDICTIONS
from qts.pipeline.run_record import runs_folder
from qts.pipeline.start import weights_hash
from qts.store import Store, fingerprint
from qts.store.atomic import replace_file, write_table
from qts.store.confined import is_name

SCHEMA = "qts.walk/1"
WALK = "walk.json"
FOLD, RUN = "fold", "run"
"""Columns of the scores besides instrument, datetime and score."""
MADE_OF = b"qts_walk"
"""In the metadata of the scores: the runs and the data they were made of."""


@dataclass(frozen=True)
class Outcome:
    """What became of one fold."""

    fold: int
    state: str = "waiting"
    """waiting, running, done; stopped: goes on where it was; failed: the reason says why."""
    run: str | None = None
    valid_loss: float | None = None
    valid_ic: float | None = None
    valid_rank_ic: float | None = None
    test: Figures = field(default_factory=Figures)
    """Of the days it is tested on, which no choice has seen."""
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class WalkFolder:
    """The folder of a walk."""

    folder: Path
    folds: tuple[Fold, ...]
    configs: tuple[LoadedConfig, ...]
    """Of each fold."""
    asked: dict[str, Any]
    """What walk.json says besides what became of the folds."""

    @classmethod
    def of(cls, loaded: LoadedConfig, folds: tuple[Fold, ...], store: Store) -> "WalkFolder":
        """Return the folder of a config, its folds and the data; another of them is another walk."""
        configs = tuple(loaded.changed(fold.segments(), "[walk]") for fold in folds)
        config = loaded.config
        key = fingerprint(
            make_recipe(configs[0]).fingerprint(store),
            config.model.model_dump(mode="json"),
            config.window.model_dump(mode="json"),
            config.train.model_dump(mode="json", exclude={"device", "log"}),
            [fold.segments() for fold in folds],
            config.eval.min_names,
            weights_hash(loaded),
        )
        asked = {"schema": SCHEMA, "key": key, "label_ahead": store.manifest.label.ahead,
                 "config": loaded.resolved().model_dump(mode="json", exclude_none=True)}  # fmt: skip
        return cls(runs_folder(loaded) / f"walk-{key[:8]}", folds, configs, asked)

    @property
    def scores(self) -> Path:
        """The scores of all folds."""
        return self.folder / PREDICTIONS

    def config_file(self, fold: Fold) -> Path:
        """Return the whole config of a fold."""
        return self.folder / f"fold-{fold.number}.toml"

    def of_other_data(self) -> str | None:
        """Return the name of a walk of the same config, if this one is not begun: then other data alone tell them apart."""
        if (self.folder / WALK).is_file():
            return None
        wanted = json.loads(to_json(self.asked["config"]))
        found = sorted(self.folder.parent.glob(f"walk-*/{WALK}"), key=lambda file: file.stat().st_mtime)
        return next((file.parent.name for file in found[::-1] if _config_in(file) == wanted), None)

    def write_configs(self) -> None:
        """Write each fold's config; raises QtsError if that cannot be."""
        try:
            for fold, loaded in zip(self.folds, self.configs, strict=True):
                file, text = self.config_file(fold), dump_toml(loaded.resolved()).encode()
                if not file.is_file() or file.read_bytes() != text:
                    replace_file(file, text)
        except OSError as error:
            message = f"cannot write the walk to {self.folder}: {error.strerror}"
            raise QtsError(message, hint="check [store] runs") from error

    def outcomes(self) -> list[Outcome]:
        """Return what became of each fold, in order; raises StoreError if that cannot be read."""
        found = [Outcome(fold.number) for fold in self.folds]
        try:
            lines = json.loads((self.folder / WALK).read_text(encoding="utf-8"))["folds"]
            read = [_read(line) for line in lines]
        except FileNotFoundError:
            return found
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            message = f"{self.folder / WALK} is damaged: {error}"
            raise StoreError(message, hint=f"delete {self.folder}; finished runs are found again") from error
        known = {outcome.fold: outcome for outcome in read}
        return [known.get(outcome.fold, outcome) for outcome in found]

    def write(self, state: str, outcomes: Sequence[Outcome], overall: Figures | None) -> None:
        """Write walk.json in one atomic step."""
        lines = [{**fold.row(), **asdict(outcome)} for fold, outcome in zip(self.folds, outcomes, strict=True)]
        content = {**self.asked, "state": state, "overall": overall and asdict(overall), "folds": lines}
        replace_file(self.folder / WALK, to_json(content, indent=1).encode())

    def made_of(self) -> bytes | None:
        """Return what the scores were made of, or None if there are none that can be read."""
        try:
            return (pq.read_schema(self.scores).metadata or {}).get(MADE_OF)
        except (OSError, pa.ArrowInvalid):
            return None

    def stitch(self, parts: Sequence[pa.Table], outcomes: Sequence[Outcome], made_of: bytes) -> pa.Table:
        """Write the scores of all folds as one table, sorted by datetime, then instrument; return it."""
        tables = [
            part.select([INSTRUMENT, DATETIME, SCORE])
            .append_column(FOLD, pa.array([outcome.fold] * part.num_rows, pa.int32()))
            .append_column(RUN, pa.array([outcome.run] * part.num_rows, pa.string()))
            for part, outcome in zip(parts, outcomes, strict=True)
        ]
        table = pa.concat_tables([table.replace_schema_metadata() for table in tables])  # folds lie in order
        write_table(table.replace_schema_metadata({MADE_OF: made_of}), self.scores)
        return table


def _config_in(file: Path) -> object:
    """Return the config that a walk was asked for with, or None if the file is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("config")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _read(line: dict[str, Any]) -> Outcome:
    """Return a line of walk.json; figures that are not finite were written as null."""
    if line.get("run") is not None and not is_name(line["run"]):
        raise ValueError(f"{line['run']!r} is no name of a run")
    names = {entry.name for entry in fields(Outcome)}
    known: dict[str, Any] = {name: value for name, value in line.items() if name in names}
    test: dict[str, Any] = {name: nan if value is None else value for name, value in line["test"].items()}
    return Outcome(**known | {"test": Figures(**test)})
