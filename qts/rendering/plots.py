"""What a page knows of its plots and tables, for plotly to draw and for readers to take along; page.js has the drawers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from qts.json_text import to_json
from qts.rendering.cells import plain
from qts.rendering.document import Document, Plot, Sheet

DIGITS = 5
"""Significant digits of a number in a plot."""

MOST_POINTS = 2000
"""Points of a plot that a page holds at most, but for extremes: as many as a screen has columns."""

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


def has_values(plot: Plot) -> bool:
    """Return whether a plot has anything to draw."""
    columns = [plot.z] if plot.z else [trace.y for trace in plot.traces]
    return any(plain(value) is not None for name in columns for value in plot.data[name])


def thinned(document: Document) -> Document:
    """Return a document whose long plots have MOST_POINTS points evenly spread over their axis, and every extreme besides.

    Plots of one axis keep the same points, so that a page need hold a column they share but once. Heat maps and what is
    counted from points stay whole.
    """
    kept: dict[tuple[Any, ...], set[int]] = {}
    for plot in (block for block in document.blocks() if isinstance(block, Plot) and _is_long(block)):
        axis = tuple(plot.data[plot.x])
        kept.setdefault(axis, _spread_out(len(axis))).update(_extremes(plot))
    chapters = (
        replace(chapter, blocks=tuple(_thinned(block, kept) for block in chapter.blocks))
        for chapter in document.chapters
    )
    return replace(document, chapters=tuple(chapters))


def _is_long(plot: Plot) -> bool:
    is_whole = plot.z or not plot.x or any(trace.kind == "histogram" for trace in plot.traces)
    return not is_whole and len(plot.data[plot.x]) > MOST_POINTS


def _spread_out(n: int) -> set[int]:
    return {round(at * (n - 1) / (MOST_POINTS - 1)) for at in range(MOST_POINTS)}


def _extremes(plot: Plot) -> Iterator[int]:
    for name in sorted({name for trace in plot.traces for name in (trace.y, trace.to) if name}):
        known = [(value, at) for at, value in enumerate(map(plain, plot.data[name])) if isinstance(value, int | float)]
        yield from (min(known)[1], max(known)[1]) if known else ()


def _thinned(block: Sheet | Plot | str, kept: Mapping[tuple[Any, ...], set[int]]) -> Sheet | Plot | str:
    if not isinstance(block, Plot) or not _is_long(block):
        return block
    axis = tuple(block.data[block.x])
    rows = sorted(kept[axis])
    about = (
        f"{block.about} Drawn are {len(rows):,} of {len(axis):,} points, extremes among them; the JSON report has all."
    )
    data = {name: [values[at] for at in rows] for name, values in block.data.items()}
    return replace(block, data=data, about=about.strip())


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
