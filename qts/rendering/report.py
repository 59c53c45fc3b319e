"""A document as report.json, report.md and report.html: the same content three times."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from qts.errors import QtsError
from qts.json_text import to_json
from qts.rendering.cells import ABOUT, plain
from qts.rendering.document import Chapter, Document, Plot, Sheet
from qts.rendering.html import render_html
from qts.rendering.markdown import render_markdown
from qts.rendering.report_schema import REPORT_SCHEMA
from qts.rendering.terminal import document_lines

__all__ = ["REPORT_SCHEMA", "document_lines", "document_to_json", "write_report", "write_texts"]


def document_to_json(document: Document) -> dict[str, Any]:
    """Return a document as JSON can say it, by REPORT_SCHEMA; NaN and infinities are null."""
    return {
        "schema": document.schema,
        "title": document.title,
        "warnings": list(document.warnings),
        "verdicts": list(document.verdicts),
        "timeline": document.timeline,
        "summary": _plain(document.summary),
        "headline": [_plain(asdict(figure)) for figure in document.headline],
        "context": _plain(document.context),
        "chapters": [_chapter(chapter) for chapter in document.chapters],
    }


def write_report(document: Document, folder: Path, name: str = "report") -> tuple[Path, Path, Path]:
    """Write the three files into a folder; return the paths of JSON, Markdown, HTML."""
    json, markdown, page = write_texts(
        {
            f"{name}.json": to_json(document_to_json(document), indent=1) + "\n",
            f"{name}.md": render_markdown(document),
            f"{name}.html": render_html(document),
        },
        folder,
    )
    return json, markdown, page


def write_texts(texts: dict[str, str], folder: Path) -> tuple[Path, ...]:
    """Write files by name, each in one atomic step; raises QtsError if the folder cannot be written."""
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            temporary = folder / f".{name}.tmp"
            temporary.write_text(text, encoding="utf-8")
            files.append(temporary.replace(folder / name))
    except OSError as error:
        raise QtsError(f"cannot write the report to {folder}: {error.strerror}", hint="choose another --out") from error
    return tuple(files)


def _chapter(chapter: Chapter) -> dict[str, Any]:
    return {"title": chapter.title, "about": chapter.about, "blocks": [_block(block) for block in chapter.blocks]}


def _block(block: Sheet | Plot | str) -> dict[str, Any]:
    if isinstance(block, str):
        return {"kind": "text", "text": block}
    face = {"key": block.key, "title": block.title, "about": block.about}
    if isinstance(block, Sheet):
        return {"kind": "table", **face, "columns": [asdict(column) for column in block.columns], "rows": _rows(block)}
    drawn = {name: getattr(block, name) for name in ("x", "z", "rows", "x_title", "is_log", "is_ordered")}
    traces = [asdict(trace) for trace in block.traces]
    return {"kind": "plot", **face, **drawn, "cells": block.kind, "traces": traces, "data": _plain(block.data)}


def _rows(sheet: Sheet) -> list[dict[str, Any]]:
    """Return the cells of each row, and of what is not a column how it is written and explained."""
    keys = [column.key for column in sheet.columns]
    extra = [key for key in ("kind", ABOUT) if key not in keys]
    return [
        {key: plain(row.get(key)) for key in keys} | {key: row[key] for key in extra if row.get(key)}
        for row in sheet.rows
    ]


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a document holds
    if hasattr(value, "items"):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return plain(value)
