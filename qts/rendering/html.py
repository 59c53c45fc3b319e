"""A document as one self-contained HTML page: opens from disk, no network, plots by plotly; page.css and page.js are its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

from plotly.offline import get_plotlyjs

from qts.json_text import to_json
from qts.rendering.cells import ABOUT, TEXTS, cell, flat, heads, texts
from qts.rendering.document import Chapter, Document, Figure, Kind, Plot, Sheet
from qts.rendering.plots import page_data, thinned

if TYPE_CHECKING:
    import plotly.graph_objects as go

_HEAD = (
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data: blob:\">"
)
"""The policy has browsers themselves refuse whatever would ask the network."""

WIDEST = 6
"""Cards in a row."""

LONG = 40
"""Rows of a table that has a box of its own to scroll in."""

HALF = 8
"""Columns of a heat map that half of the page's width can show."""

_THEME = (
    "document.documentElement.dataset.theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'"
)


def render_html(document: Document) -> str:
    """Return the whole page; of long plots it holds no more points than a screen can show."""
    document = thinned(document)
    top = [
        *_bulleted("warnings", document.warnings, "Warning" if len(document.warnings) == 1 else "Warnings"),
        f"<h1>{escape(document.title)}</h1>",
        *_bulleted("verdicts", document.verdicts),
        *([f'<p class="timeline">{escape(document.timeline)}</p>'] if document.timeline else []),
        _cards(document.headline),
    ]
    chapters = [
        *(_chapter(number, chapter) for number, chapter in enumerate(document.chapters)),
        _origin_chapter(len(document.chapters), document.context),
        _footer(document),
    ]
    frame = f"<div>{''.join(top)}</div>{_contents(document)}<div>{''.join(chapters)}</div>"
    return page(
        document.title, [f'<main class="frame">{frame}</main>', script_data("page-data", to_json(page_data(document)))]
    )


def page(heading: str, body: list[str]) -> str:
    """Return a page that holds all it needs to draw itself."""
    return (
        f'<!doctype html><html lang="en"><head>{_HEAD}<title>{escape(heading)}</title><style>{_text("page.css")}</style>'
        f"<script>{_THEME}</script></head><body>{''.join(body)}"
        '<button type="button" id="theme" aria-label="Switch between light and dark">light / dark</button>'
        f"<script>{get_plotlyjs()}</script><script>{_text('page.js')}</script></body></html>\n"
    )


def embed(plot: "go.Figure", name: str, height_rem: float = 22) -> str:
    """Return a ready-made plot as a part of a page; `name` is its own there."""
    plot.update_layout(margin={"l": 60, "r": 20, "t": 10, "b": 40}, legend={"orientation": "h"}, template="none")
    return f'<div id="{name}" class="plot" style="height: {height_rem:g}rem"></div>' + script_data(
        f"{name}-figure", str(plot.to_json())
    )


def script_data(name: str, json: str) -> str:
    """Return JSON as a part of a page that runs nothing, whatever its texts hold."""
    return f'<script type="application/json" id="{name}">{json.replace("<", chr(92) + "u003c")}</script>'


def origin(context: Mapping[str, Any]) -> str:
    """Return where a report came from, as a table."""
    rows = "".join(f'<tr><th scope="row">{escape(key)}</th><td>{escape(text)}</td></tr>' for key, text in flat(context))
    return f'<table class="origin">{rows}</table>'


def _text(name: str) -> str:
    return files("qts.rendering").joinpath(name).read_text(encoding="utf-8")


def _bulleted(name: str, sentences: Iterable[str], heading: str = "") -> list[str]:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    if not items:
        return []
    return [
        f'<aside class="{name}"><h2>{heading}</h2><ul>{items}</ul></aside>'
        if heading
        else f'<ul class="{name}">{items}</ul>'
    ]


def _contents(document: Document) -> str:
    titles = [chapter.title for chapter in document.chapters] + (["Origin"] if document.context else [])
    items = "".join(f'<li><a href="#part-{number}">{escape(title)}</a></li>' for number, title in enumerate(titles))
    return f'<nav aria-label="Contents"><h2>Contents</h2><ul>{items}</ul></nav>'


def _cards(figures: Sequence[Figure]) -> str:
    n_rows = -(-len(figures) // WIDEST)
    cards = "".join(
        f'<div><dt>{escape(figure.name)}</dt><dd class="value">{escape(cell(figure.value, figure.kind)) or "none"}</dd>'
        f'<dd class="note">{escape(figure.note)}</dd></div>'
        for figure in figures
    )
    return f'<dl class="cards" style="--across: {-(-len(figures) // n_rows)}">{cards}</dl>' if cards else ""


def _chapter(number: int, chapter: Chapter) -> str:
    parts = [f'<section id="part-{number}"><h2>{escape(chapter.title)}</h2>', _about(chapter.about)]
    for _, run in groupby(chapter.blocks, key=type):
        blocks = list(run)
        plots = [block for block in blocks if isinstance(block, Plot)]
        drawn = "".join(_plots(plots) if plots else map(_block, blocks))
        parts.append(f'<div class="plots">{drawn}</div>' if plots else drawn)
    return "".join([*parts, "</section>"])


def _plots(plots: list[Plot]) -> Iterator[str]:
    """Yield plots, two beside each other where there is room; wide ones and those without a partner have a row of their own."""
    for is_broad, run in groupby(plots, key=_is_broad):
        same = list(run)
        for at, plot in enumerate(same):
            yield _plot(plot, is_alone=is_broad or (at == 0 and len(same) % 2 == 1))


def _is_broad(plot: Plot) -> bool:
    return bool(plot.z) and len(set(plot.data[plot.x])) > HALF


def _block(block: Sheet | Plot | str) -> str:
    return _sheet(block) if isinstance(block, Sheet) else f"<p>{escape(str(block))}</p>"


def _plot(plot: Plot, *, is_alone: bool) -> str:
    key, title = escape(plot.key), escape(plot.title)
    box, row = "across" if _is_broad(plot) else "drawn", ' class="alone"' if is_alone else ""
    return (
        f'<figure{row}><figcaption>{_bar(plot)}{_about(plot.about)}</figcaption><div class="{box}">'
        f'<div id="{key}" class="plot" role="img" aria-label="{title}"></div></div></figure>'
    )


def _sheet(sheet: Sheet) -> str:
    head = "".join(f'<th scope="col"{_class(kind)}>{escape(text)}</th>' for text, kind in heads(sheet))
    rows = "".join(f"<tr>{''.join(_cells(sheet, row))}</tr>" for row in texts(sheet))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else "<p>None.</p>"
    box = "wide long" if len(sheet.rows) > LONG else "wide"
    parts = [
        _bar(sheet),
        _about(sheet.about),
        f'<div class="{box}" tabindex="0" role="region" aria-label="{_name(sheet)}">{table}</div>',
    ]
    return f'<div class="sheet">{"".join(parts if sheet.title else [*parts[1:], parts[0]])}</div>'


def _cells(sheet: Sheet, row: list[tuple[str, Kind]]) -> Iterator[str]:
    keys, kinds = [*(column.key for column in sheet.columns), ABOUT], [kind for _, kind in heads(sheet)]
    for key, kind, (text, _) in zip(keys, kinds, row, strict=False):
        if key == keys[0] and kind in TEXTS:
            yield f'<th scope="row"{_class(kind)}>{escape(text)}</th>'
        else:
            yield f"<td{_class('about' if key == ABOUT else kind, text)}>{escape(text)}</td>"


def _class(kind: str, text: str = "") -> str:
    name = {"text": "", "day": "day", "about": "about"}.get(kind, "n minus" if text.startswith("-") else "n")
    return f' class="{name}"' if name else ""


def _bar(block: Sheet | Plot) -> str:
    takes = "".join(
        f'<button type="button" class="take" data-key="{escape(block.key)}" data-format="{form}" '
        f'aria-label="{form.upper()} of {_name(block)}">{form.upper()}</button> '
        for form in ("csv", "json")
    )
    heading = f"<h3>{escape(block.title)}</h3>" if block.title else ""
    return f'<div class="bar">{heading}<span class="takes">{takes}</span></div>'


def _name(block: Sheet | Plot) -> str:
    return escape(block.title or block.key)


def _about(text: str) -> str:
    return f'<p class="about">{escape(text)}</p>' if text else ""


def _origin_chapter(number: int, context: Mapping[str, Any]) -> str:
    if not context:
        return ""
    tables = {key: value for key, value in context.items() if isinstance(value, Mapping) and value}
    own = {key: value for key, value in context.items() if key not in tables}
    parts = {**({"run, data, seeds": own} if own else {}), **tables}
    told = (f"<details><summary>{escape(key)}</summary>{origin(value)}</details>" for key, value in parts.items())
    return f'<section id="part-{number}"><h2>Origin</h2>{"".join(told)}</section>'


def _footer(document: Document) -> str:
    versions = dict(flat(document.context))
    version = versions.get("versions.qts", versions.get("qts_version"))
    return f"<footer>{escape(document.schema)}{f' · qts {escape(version)}' if version else ''}</footer>"
