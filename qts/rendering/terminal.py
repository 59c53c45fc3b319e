"""A document as a few lines for a terminal."""

from qts.rendering.cells import ABOUT, TEXTS, cell, heads, texts
from qts.rendering.document import Document, Kind, Sheet

Line = list[tuple[str, Kind]]


def document_lines(document: Document) -> list[str]:
    """Return title, warnings, verdicts and the headline; without one, the first table."""
    lines = [document.title, *(f"warning: {text}" for text in document.warnings), *document.verdicts]
    first = next((block for block in document.blocks() if isinstance(block, Sheet)), None)
    if document.headline:
        return [
            *lines,
            *_aligned(
                [_figure(figure.name, cell(figure.value, figure.kind), figure.note) for figure in document.headline]
            ),
        ]
    return [*lines, *(_aligned(_told(first)) if first else [])]


def _told(sheet: Sheet) -> list[Line]:
    """Return a table's lines without what explains them, which is too long for a terminal."""
    shown = [at for at, column in enumerate(sheet.columns) if column.key != ABOUT]
    return [[line[at] for at in shown] for line in (heads(sheet), *texts(sheet))]


def _figure(name: str, value: str, note: str) -> Line:
    return [(name, "text"), (value or "none", "number"), (note, "text")]


def _aligned(rows: list[Line]) -> list[str]:
    widths = [max(len(text) for text, _ in column) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(
            text.ljust(width) if kind in TEXTS else text.rjust(width)
            for (text, kind), width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]  # fmt: skip
