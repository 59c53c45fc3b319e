"""A document as Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qts.rendering.cells import TEXTS, cell, flat, heads, plain, texts
from qts.rendering.document import Chapter, Document, Figure, Kind, Plot, Sheet

FEW = 30
"""Points of a plot that are written out."""


def render_markdown(document: Document) -> str:
    """Return the document as Markdown: plots of few points as tables, of the others what their traces come to."""
    parts = [f"# {_escaped(document.title)}", *(f"> **Warning:** {_escaped(text)}" for text in document.warnings)]
    parts += ["\n".join(f"- {_escaped(text)}" for text in document.verdicts), _escaped(document.timeline)]
    parts += [_headline(document.headline), *(_chapter(chapter) for chapter in document.chapters)]
    return finish([part for part in parts if part], document.context)


def finish(parts: list[str], context: Mapping[str, Any]) -> str:
    """Return a page of these parts, with where it came from at its end."""
    origin = "\n".join(f"- {_escaped(f'{key}: {text}')}" for key, text in flat(context))
    return "\n\n".join([*parts, *([f"## Origin\n\n{origin}"] if origin else [])]) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"([\\|<*`[])", r"\\\1", " ".join(text.split()))


def _table(heads_: Sequence[tuple[str, Kind]], rows: Iterable[Sequence[tuple[str, Kind]]]) -> str:
    rule = "|".join("---" if kind in TEXTS else "---:" for _, kind in heads_)
    lines = [" | ".join(_escaped(text) for text, _ in row) for row in (heads_, *rows)]
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def _headline(figures: Sequence[Figure]) -> str:
    rows: list[list[tuple[str, Kind]]] = [
        [(figure.name, "text"), (cell(figure.value, figure.kind) or "none", "number"), (figure.note, "text")]
        for figure in figures
    ]
    return _table([("figure", "text"), ("value", "number"), ("", "text")], rows) if rows else ""


def _chapter(chapter: Chapter) -> str:
    parts = [f"## {_escaped(chapter.title)}", _escaped(chapter.about)]
    for block in chapter.blocks:
        if isinstance(block, str):
            parts.append(_escaped(block))
            continue
        parts += [f"### {_escaped(block.title)}" if block.title else "", _escaped(block.about)]
        parts.append(_sheet(block) if isinstance(block, Sheet) else _plot(block))
    return "\n\n".join(part for part in parts if part)


def _sheet(sheet: Sheet) -> str:
    return _table(heads(sheet), texts(sheet)) if sheet.rows else "None."


def _plot(plot: Plot) -> str:
    if plot.z:
        return _grid(plot)
    n_points = len(plot.data[plot.x]) if plot.x else max(len(plot.data[trace.y]) for trace in plot.traces)
    is_written = n_points <= FEW and all(trace.kind != "histogram" for trace in plot.traces)
    return _points(plot) if is_written else f"{_extent(plot)}\n\n{_span(plot)}in the JSON report: `{plot.key}`."


def _grid(plot: Plot) -> str:
    across = list(dict.fromkeys(plain(value) for value in plot.data[plot.x]))
    down: dict[str, dict[Any, str]] = {}
    for row, column, value in zip(plot.data[plot.rows], plot.data[plot.x], plot.data[plot.z], strict=True):
        down.setdefault(cell(row, "text"), {})[plain(column)] = cell(value, plot.kind)
    heads_: list[tuple[str, Kind]] = [("", "text"), *((str(value), plot.kind) for value in across)]
    return _table(
        heads_, ([(row, "text"), *((cells.get(x, ""), plot.kind) for x in across)] for row, cells in down.items())
    )


def _points(plot: Plot) -> str:
    columns: dict[str, tuple[str, Kind]] = {plot.x: (plot.x_title or plot.x, "text")}
    for trace in plot.traces:
        columns[trace.y] = (f"{trace.name}, from" if trace.to else trace.name, plot.kind)
        columns |= {trace.to: (f"{trace.name}, to", plot.kind)} if trace.to else {}
        columns |= {trace.error: (f"{trace.name}, standard error", plot.kind)} if trace.error else {}
    rows = zip(*(plot.data[name] for name in columns), strict=True)
    kinds = [kind for _, kind in columns.values()]
    return _table(
        list(columns.values()),
        ([(cell(value, kind), kind) for value, kind in zip(row, kinds, strict=True)] for row in rows),
    )


def _extent(plot: Plot) -> str:
    heads_: list[tuple[str, Kind]] = [("", "text"), ("points", "integer")]
    heads_ += [(name, plot.kind) for name in ("first", "last", "least", "mean", "greatest")]
    traces = [(trace.name, trace.y) for trace in plot.traces] + [(f"{t.name}, to", t.to) for t in plot.traces if t.to]
    return _table(heads_, ([(name, "text"), *_told(plot, column)] for name, column in traces))


def _told(plot: Plot, column: str) -> list[tuple[str, Kind]]:
    known = [value for value in map(plain, plot.data[column]) if isinstance(value, int | float)]
    figures = (known[0], known[-1], min(known), sum(known) / len(known), max(known)) if known else (None,) * 5
    return [(cell(len(known), "integer"), "integer"), *((cell(figure, plot.kind), plot.kind) for figure in figures)]


def _span(plot: Plot) -> str:
    along = plot.data.get(plot.x, ())
    if not len(along):
        return "All points are "
    first, last = (
        cell(value, "number" if isinstance(plain(value), float) else "text") for value in (along[0], along[-1])
    )
    return f"From {first} to {last}; all points are "
