"""What a page knows of its plots and tables, for plotly to draw and for readers to take along; page.js has the drawers."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from qts.json_text import to_json
from qts.rendering.cells import plain
from qts.rendering.document import Document, Plot, Sheet

DIGITS = 6
"""Significant digits of a number in a plot."""

_DAY = re.compile(r"\d{4}-\d{2}(-\d{2})?")


def page_data(document: Document) -> dict[str, Any]:
    """Return columns, each once; blocks: key → column's name → its place among the columns; plots: key → how it is drawn."""
    places: dict[str, int] = {}
    columns: list[list[Any]] = []
    blocks: dict[str, dict[str, int]] = {}
    for block in document.blocks():
        blocks[block.key] = {}
        for name, values in columns_of(block).items():
            blocks[block.key][name] = place = places.setdefault(to_json(values), len(columns))
            columns += [values] if place == len(columns) else []
    plots = {block.key: drawing(block) for block in document.blocks() if isinstance(block, Plot)}
    return {"columns": columns, "blocks": blocks, "plots": plots}


def columns_of(block: Sheet | Plot) -> dict[str, list[Any]]:
    """Return a block's columns as JSON can say them; the numbers of a plot are rounded."""
    if isinstance(block, Plot):
        return {name: [_rounded(plain(value)) for value in values] for name, values in block.data.items()}
    return {column.key: [plain(row.get(column.key)) for row in block.rows] for column in block.columns}


def drawing(plot: Plot) -> dict[str, Any]:
    """Return how a plot is drawn: all of it but its data."""
    about = {"key", "x", "z", "rows", "kind", "x_title", "is_log", "is_ordered"}
    drawn = {name: getattr(plot, name) for name in sorted(about)}
    return {**drawn, "traces": [asdict(trace) for trace in plot.traces], "x_type": axis_type(plot)}


def axis_type(plot: Plot) -> Literal["date", "category", "linear"]:
    """Return what kind of axis the x of a plot is: days, names, or numbers."""
    values = [value for value in map(plain, plot.data.get(plot.x, ())) if value is not None]
    has_bars = any(trace.kind == "bar" for trace in plot.traces)
    if all(isinstance(value, str) and _DAY.fullmatch(value) for value in values):
        return "date"
    if any(not isinstance(value, int | float) for value in values) or (has_bars and _are_names(values)):
        return "category"
    return "linear"


def _are_names(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int) for value in values)


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
