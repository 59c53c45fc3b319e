"""Models ranked by their runs, as a document in the form of published benchmark tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qts.rendering.cells import cell
from qts.rendering.document import Chapter, Column, Document, Kind, Plot, Sheet, Trace
from qts.rendering.series import Data, rounded
from qts.rendering.verdicts import MANY_TESTS

SCHEMA = "qts.leaderboard/1"
"""Name and version of its JSON."""

LEADING: dict[str, tuple[str, Kind]] = {
    "ic": ("IC", "fixed"),
    "icir": ("ICIR", "fixed"),
    "rank_ic": ("RankIC", "fixed"),
    "rank_icir": ("RankICIR", "fixed"),
    "annual_excess": ("Annual excess return", "percent"),
    "information_ratio": ("Information ratio", "ratio"),
    "max_drawdown": ("Max drawdown", "percent"),
    "deflated_sharpe": ("Deflated Sharpe", "ratio"),
}
"""Key of a row → name and kind; the deviation over seeds has the same key with `_sd`."""


def leaderboard_document(rows: Sequence[Mapping[str, Any]], warnings: tuple[str, ...] = ()) -> Document:
    """Return a table with a row a model, the rows in the order given.

    A row has model, features, n_seeds and figures of LEADING with their deviations over seeds (`rank_ic_sd`); what it lacks
    is shown as nothing.
    """
    about = "Mean ± standard deviation over seeds, of the test segment; the deviation of a single seed is unknown."
    board = Chapter("Leaderboard", (_table(rows), _plot(rows)), about)
    return Document(
        schema=SCHEMA,
        title=f"{len(rows)} models" if len(rows) != 1 else "1 model",
        chapters=(board,),
        warnings=warnings,
        verdicts=_caveat(rows),
        summary={
            f"{row['model']} {row.get('features', '')}".strip() + f".{key}": row[key]
            for row in rows
            for key in LEADING
            if key in row
        },
    )


def table_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows as people read them, each figure as mean ± deviation under its name."""
    sheet = _table(rows)
    return [{column.head: row.get(column.key) for column in sheet.columns} for row in sheet.rows]


def _table(rows: Sequence[Mapping[str, Any]]) -> Sheet:
    known = {key: told for key, told in LEADING.items() if any(_has(row, key) for row in rows)}
    columns = (
        Column("model", "model", "text"),
        Column("features", "features", "text"),
        Column("n_seeds", "seeds", "integer"),
        *(Column(key, name, "text") for key, (name, _) in known.items()),
    )
    shown = [
        {
            **{key: row.get(key) for key in ("model", "features", "n_seeds")},
            **{key: spread_text(row, key) for key in known},
        }
        for row in rows
    ]
    return Sheet("leaderboard", columns, shown)


def _has(row: Mapping[str, Any], key: str) -> bool:
    value = row.get(key)
    return value is not None and math.isfinite(value)


def spread_text(row: Mapping[str, Any], key: str) -> str:
    """Return a figure as mean ± deviation; the mean alone where one seed was trained, nothing where there is none."""
    if not _has(row, key):
        return ""
    kind = LEADING[key][1]
    mean = cell(float(row[key]), kind)
    return f"{mean} ± {cell(float(row[f'{key}_sd']), kind)}" if _has(row, f"{key}_sd") else mean


def _plot(rows: Sequence[Mapping[str, Any]]) -> Plot:
    known = [row for row in rows if _has(row, "rank_ic")]
    errors = [_error(row) for row in known]
    names = [f"{row['model']} {row.get('features', '')}".strip() for row in known]
    data: Data = {
        "model": names,
        "rank_ic": rounded([float(row["rank_ic"]) for row in known]),
        "error": rounded(errors),
    }
    about = "Whiskers are 1.96 errors of the mean over seeds; they hold what seeds change, not what other years would."
    return Plot(
        "rank_ic_by_model",
        "RankIC",
        data,
        "model",
        (Trace("RankIC", "rank_ic", "bar", error="error"),),
        kind="fixed",
        about=about,
    )


def _error(row: Mapping[str, Any]) -> float:
    n_seeds = int(row.get("n_seeds") or 1)
    return float(row["rank_ic_sd"]) / math.sqrt(n_seeds) if _has(row, "rank_ic_sd") and n_seeds > 1 else math.nan


def _caveat(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    if len(rows) < MANY_TESTS:
        return ()
    return (
        f"The best of {len(rows)} models is partly the luckiest: expect less of it from now on. Deflated Sharpe allows for that.",
    )
