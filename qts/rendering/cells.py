"""How values are written, in one place for every renderer; and what JSON holds of them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from qts.rendering.document import Kind, Sheet

ABOUT = "about"
"""Key of a row that explains it; a column of its own in tables for people."""


def _significant(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


WRITERS: dict[Kind, Callable[[Any], str]] = {
    "text": str,
    "day": str,
    "integer": lambda value: f"{value:,.0f}",
    "number": _significant,
    "fixed": lambda value: f"{value:.4f}",
    "percent": lambda value: f"{100 * value:.2f} %",
    "bps": lambda value: f"{value:,.1f}",
    "ratio": lambda value: f"{value:,.2f}",
}
"""Kind → how a value of it is written."""

TEXTS = frozenset[Kind]({"text", "day"})
"""Kinds that stand at the left of their column."""


def plain(value: object) -> Any:  # noqa: ANN401 - whatever a cell holds
    """Return a value as JSON has it: numpy's numbers as Python's, days as text, None for NaN, NaT and infinities."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def cell(value: object, kind: Kind, *, signed: bool = False) -> str:
    """Return a value as people read it: nothing for what is missing; `signed` puts a plus before what is above 0."""
    if isinstance(value, np.floating | float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    value = plain(value)
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(cell(one, kind) for one in value)
    if kind in TEXTS or not isinstance(value, int | float):
        return str(value)
    text = WRITERS[kind](value)
    is_zero = not any(digit in text for digit in "123456789")
    return text.removeprefix("-") if is_zero else f"+{text}" if signed and value > 0 else text


def texts(sheet: Sheet) -> Iterator[list[tuple[str, Kind]]]:
    """Return each row's cells as text, with their kinds; rows that are explained end with the explanation."""
    for row in sheet.rows:
        kinds = [row.get("kind") if column.kind not in TEXTS else None for column in sheet.columns]
        cells: list[tuple[str, Kind]] = [
            (cell(row.get(column.key), kind or column.kind), kind or column.kind)
            for column, kind in zip(sheet.columns, kinds, strict=True)
        ]
        yield [*cells, (str(row.get(ABOUT) or ""), "text")] if has_about(sheet) else cells


def heads(sheet: Sheet) -> list[tuple[str, Kind]]:
    """Return the heads of a table's columns, with their kinds."""
    own: list[tuple[str, Kind]] = [(column.head, column.kind) for column in sheet.columns]
    return [*own, ("what it is", "text")] if has_about(sheet) else own


def has_about(sheet: Sheet) -> bool:
    """Return whether rows of a table are explained beside its own columns."""
    return all(column.key != ABOUT for column in sheet.columns) and any(row.get(ABOUT) for row in sheet.rows)


def flat(context: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Return every value of nested tables with its dotted name, as text."""
    for key, value in context.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", cell(value, "text") if value != {} else "none"
