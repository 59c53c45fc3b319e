"""What programs may rely on in a report's JSON, as a JSON Schema."""

from typing import Any

from qts.rendering.cells import WRITERS

_TEXT = {"type": "string"}
_CELL = {"type": ["number", "string", "boolean", "null", "array"]}
_FLAG = {"type": "boolean"}


def _closed(about: str, optional: tuple[str, ...] = (), /, **properties: dict[str, Any]) -> dict[str, Any]:
    """Return an object that has these properties, all but the optional ones always, and no other."""
    return {
        "description": about,
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(of: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/$defs/{of}"}}


REPORT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {
        "cells": {
            "description": "how values are written for people: percent is 100 times as much, bps is in basis points already",
            "enum": list(WRITERS),
        },
        "figure": _closed(
            "a figure that is shown large",
            name=_TEXT, value={"type": ["number", "null"]}, kind={"$ref": "#/$defs/cells"}, note=_TEXT,
        ),
        "column": _closed("a column of a table", key=_TEXT, head=_TEXT, kind={"$ref": "#/$defs/cells"}),
        "row": {
            "description": "column → value; kind: how its cells are written, if not as their columns say; about: what it is",
            "type": "object",
            "additionalProperties": _CELL,
        },
        "trace": _closed(
            "one thing drawn: y, to and error name columns of the data; a band lies between y and to, bars have error bars of "
            "1.96 errors",
            name=_TEXT, y=_TEXT, kind={"enum": ["line", "bar", "area", "band", "histogram"]}, to=_TEXT, error=_TEXT,
            colour={"type": ["integer", "null"]},
        ),
        "text": _closed("a paragraph", kind={"const": "text"}, text=_TEXT),
        "table": _closed(
            "a table", kind={"const": "table"}, key=_TEXT, title=_TEXT, about=_TEXT, columns=_list("column"), rows=_list("row")
        ),
        "plot": _closed(
            "a plot: x names the column along the axis; a heat map has no traces but z, the column of colours, and rows, the "
            "column that names its rows; data: column → values, all of one length",
            kind={"const": "plot"}, key=_TEXT, title=_TEXT, about=_TEXT, x=_TEXT, z=_TEXT, rows=_TEXT, x_title=_TEXT,
            is_log=_FLAG, is_ordered=_FLAG, cells={"$ref": "#/$defs/cells"}, traces=_list("trace"),
            data={"type": "object", "additionalProperties": {"type": "array", "items": _CELL}},
        ),
        "chapter": _closed(
            "a part of the report",
            title=_TEXT, about=_TEXT,
            blocks={"type": "array", "items": {"anyOf": [{"$ref": f"#/$defs/{kind}"} for kind in ("text", "table", "plot")]}},
        ),
    },
    **_closed(
        "a report; numbers of plots have 5 digits, others are not rounded; null stands for what is missing or not finite",
        schema={"description": "kind of report and its version", "type": "string", "pattern": r"^qts\.[a-z_]+/[0-9]+$"},
        title=_TEXT,
        warnings={"description": "what a reader must know first", "type": "array", "items": _TEXT},
        verdicts={"description": "what the figures say", "type": "array", "items": _TEXT},
        timeline={"description": "which bars a score and its return belong to", "type": "string"},
        summary={"type": "object", "additionalProperties": {"type": ["number", "null"]}},
        headline=_list("figure"),
        context={"description": "run, config, data, seeds, versions", "type": "object"},
        chapters=_list("chapter"),
    ),
}  # fmt: skip
"""Of document_to_json; a change that breaks a reader raises the version in `schema`."""
