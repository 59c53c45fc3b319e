"""What is judged: a run's scores or a file from any tool, with where they came from and where their report goes."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from qts import __version__
from qts.bars.door import Wanted, clean_rows
from qts.bars.sources import make_raw
from qts.columns import LABEL, SCORE
from qts.config import BarsConfig, LoadedConfig
from qts.errors import InputError
from qts.pipeline.scored import ScoredStore, sort_scores
from qts.plain_file import is_file
from qts.progress import Progress
from qts.store import Store, fingerprint, open_store
from qts.store.engine import connect

if TYPE_CHECKING:
    from qts.training.checkpoint import Run


@dataclass(frozen=True)
class Subject:
    """Scores to be judged against a store."""

    store: Store
    scored: ScoredStore
    context: dict[str, Any]
    """Where they came from, for the report."""
    folder: Path
    """Where the report goes unless told otherwise."""
    run: "Run | None" = None
    """The run that made them; None: they came from a file."""
    warnings: tuple[str, ...] = ()
    """What a reader must know of where they came from."""

    @property
    def name(self) -> str:
        """What they are called beside others."""
        return self.run.name if self.run else str(self.context["scores"])


def find_subject(
    loaded: LoadedConfig, progress: Progress, run: str | None = None, scores: Path | None = None
) -> Subject:
    """Return a run's test scores (the latest run's unless told otherwise), or those of a file."""
    if scores is None:
        from qts.pipeline.run_subject import run_subject  # noqa: PLC0415 - scores of a file need no torch

        return run_subject(loaded, progress, run)
    store = open_store(loaded.path(loaded.config.store.path))
    return subject_of(
        loaded, store, read_scores(loaded, scores), {"scores": str(scores)}, Path(f"{scores.stem}-report")
    )


def subject_of(
    loaded: LoadedConfig,
    store: Store,
    table: pa.Table,
    origin: dict[str, Any],
    folder: Path,
    run: "Run | None" = None,
    scores_print: str | None = None,
) -> Subject:
    """Return scores, as instrument, datetime, score, with all that a report says of where they came from.

    `scores_print` is the hash of what they were made of, where that is known; else that of the scores themselves.
    """
    rows = sort_scores(table, store)
    scored = ScoredStore(store, rows)
    calendar, config, manifest = scored.calendar, loaded.config, store.manifest
    context = {
        **origin, "first": str(calendar[rows.first]), "last": str(calendar[rows.last]),
        "label": manifest.label.expressions[LABEL], "label_ahead": manifest.label.ahead,
        "label_begin": scored.label_begin,
        "lag": config.eval.lag, "days_per_year": config.eval.days_per_year, "min_names": config.eval.min_names,
        "scores_hash": rows.content_hash, "made_of": made_of(loaded, store, scores_print or rows.content_hash),
        "bars_fingerprint": manifest.bars.fingerprint, "label_fingerprint": manifest.label.fingerprint,
        "universe_fingerprint": manifest.universe.fingerprint if manifest.universe else None,
        "versions": _versions(), "config": loaded.resolved().model_dump(mode="json", exclude_none=True),
    }  # fmt: skip
    return Subject(store, scored, context, folder, run, _warnings(scored, run))


def made_of(loaded: LoadedConfig, store: Store, scores: str) -> str:
    """Return the hash of all that a report is made of: scores, the store's tables, and how they are judged and traded."""
    manifest = store.manifest
    tables = (manifest.bars, manifest.label, manifest.universe, manifest.benchmark)
    return fingerprint(
        scores, [table.fingerprint if table else None for table in tables], loaded.config.eval.model_dump(mode="json"),
        loaded.config.backtest.model_dump(mode="json"), __version__,
    )  # fmt: skip


def _warnings(scored: ScoredStore, run: "Run | None") -> tuple[str, ...]:
    found = []
    if n_other := scored.rows.n_other_days:
        found.append(f"{n_other} rows are on days that are none of the market's calendar, and were left out")
    label = scored.store.manifest.label.expressions[LABEL]
    if run is not None and run.record["label"]["expr"] != label:
        found.append(f"the run learned {run.record['label']['expr']}, and is judged by {label}")
    return tuple(found)


def _versions() -> dict[str, str]:
    return {
        "qts": __version__, "python": platform.python_version(), "numpy": np.__version__, "duckdb": duckdb.__version__,
        "pyarrow": pa.__version__,
    }  # fmt: skip


def read_scores(loaded: LoadedConfig, file: Path) -> pa.Table:
    """Return instrument, datetime, score of a Parquet or CSV file from any tool."""
    if not is_file(file):
        raise InputError(f"no scores file {file}", hint="check --scores")
    source: Literal["parquet", "csv"] = "parquet" if file.suffix in (".parquet", ".pq") else "csv"
    connection = connect(loaded.config.limits)
    make_raw(connection, BarsConfig(source=source), file)
    clean_rows(connection, Wanted((SCORE,), doubles=(SCORE,)), "scores", str(file))
    return connection.sql("SELECT * FROM scores").to_arrow_table()
