"""Columns and rows of tables whose lines are SeriesStats, and how much a mean of one may err."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from qts.daily_series import SeriesStats
from qts.rendering.document import Column, Sheet

STATS = (
    Column("mean", "mean"),
    Column("std", "sd"),
    Column("ratio", "mean / sd"),
    Column("t", "t", "ratio"),
    Column("lag", "lag", "integer"),
    Column("p", "p"),
    Column("low", "95 % from"),
    Column("high", "to"),
    Column("positive", "above 0", "percent"),
    Column("skew", "skew", "ratio"),
    Column("kurtosis", "kurtosis", "ratio"),
    Column("n", "days", "integer"),
)
"""What is told of a daily series."""

ABOUT_STATS = (
    "t is the mean over its Newey-West error of the lag beside it, p is two-sided, the 95 % interval of the mean comes from "
    "a block bootstrap; the kurtosis of a normal is 0. Nothing is annualised."
)
"""What the columns of STATS mean."""


def stats_sheet(key: str, rows: Iterable[tuple[str, SeriesStats]], *, title: str = "", about: str = "") -> Sheet:
    """Return a table with a line a daily series."""
    lines = [{"series": name, **asdict(stats)} for name, stats in rows]
    return Sheet(key, (Column("series", "", "text"), *STATS), lines, title, f"{about} {ABOUT_STATS}".strip())


def stats_cells(stats: SeriesStats, names: Mapping[str, str]) -> dict[str, Any]:
    """Return figures of a series under other names: column → figure."""
    figures = asdict(stats)
    return {column: figures[name] for column, name in names.items()}


def standard_error(stats: SeriesStats) -> float:
    """Return the Newey-West error of the mean; the plain one where t says nothing."""
    if math.isfinite(stats.t) and stats.t != 0 and stats.mean != 0:
        return abs(stats.mean / stats.t)
    return stats.std / math.sqrt(stats.n) if stats.n else math.nan
