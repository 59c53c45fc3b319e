"""A report as a list of chapters with tables and plots; Markdown, HTML and JSON are three ways to write the same one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "integer", "number", "fixed", "percent", "bps", "ratio", "day"]
"""How a cell is written: number has 4 significant digits, fixed 4 decimals, percent is 100 times as much with 2 decimals,
ratio has 2 decimals, bps is in basis points already and has 1 decimal; qts.rendering.cells writes them."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    key: str
    """Its name in JSON and CSV."""
    head: str
    """Its name for people."""
    kind: Kind = "number"
    """How its cells are written."""


@dataclass(frozen=True)
class Sheet:
    """A table; a cell that is None or NaN is shown as nothing."""

    key: str
    """Its name in JSON; no other table or plot of the document has it."""
    columns: tuple[Column, ...]
    """Columns."""
    rows: Sequence[Mapping[str, Any]]
    """Rows: column key → value. The key "kind" of a row overrides the kind of its cells, "about" explains the row."""
    title: str = ""
    """What it shows."""
    about: str = ""
    """How to read it."""


@dataclass(frozen=True)
class Trace:
    """One thing drawn in a plot."""

    name: str
    """For the legend."""
    y: str
    """Column of the plot's data."""
    kind: Literal["line", "bar", "area", "band", "histogram"] = "line"
    """A band lies between the columns y and `to`."""
    to: str = ""
    """Of a band: the other column."""
    error: str = ""
    """Of a bar: the column of its standard error, drawn as 1.96 of them."""
    colour: int | None = None
    """Which colour of the theme; None: the next."""


@dataclass(frozen=True)
class Plot:
    """A plot and its data; whoever reads the report can take the data along."""

    key: str
    """Its name in JSON and its file's name."""
    title: str
    """What it shows."""
    data: Mapping[str, Sequence[Any]]
    """Column → values, all of one length; None where there is none."""
    x: str
    """The column along the axis."""
    traces: tuple[Trace, ...] = ()
    """What is drawn; none for a heat map."""
    z: str = ""
    """Of a heat map: the column of colours; `x` and `rows` are its axes."""
    rows: str = ""
    """Of a heat map: the column that names the rows."""
    kind: Kind = "number"
    """How values are written."""
    x_title: str = ""
    """Of the axis."""
    about: str = ""
    """How to read it."""
    is_log: bool = False
    """Whether the axis of values is logarithmic."""
    is_ordered: bool = False
    """Whether the traces are steps of one scale, as score groups are; they are drawn in a ramp of colours, the first in blue."""


@dataclass(frozen=True)
class Chapter:
    """A part of a document."""

    title: str
    """Its heading."""
    blocks: tuple[Sheet | Plot | str, ...]
    """Tables, plots and paragraphs."""
    about: str = ""
    """The first paragraph."""


@dataclass(frozen=True)
class Figure:
    """A figure that is shown large."""

    name: str
    """For people."""
    value: float
    """Itself."""
    kind: Kind = "fixed"
    """How it is written."""
    note: str = ""
    """A few words under it, as "t 4.2, 95 % 0.031 to 0.052"."""


@dataclass(frozen=True)
class Document:
    """A whole report."""

    schema: str
    """Name and version, as "qts.report/2"."""
    title: str
    """What was judged."""
    chapters: tuple[Chapter, ...]
    """Chapters."""
    warnings: tuple[str, ...] = ()
    """What a reader must know first."""
    verdicts: tuple[str, ...] = ()
    """What the figures say, in sentences."""
    timeline: str = ""
    """Which bars a score and its return belong to."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from: run, config, data hashes, seeds, versions."""
    summary: Mapping[str, float] = field(default_factory=dict)
    """The figures that programs ask for most, by name."""
    headline: tuple[Figure, ...] = ()
    """The figures that people look for first: cards on the page, the table of the terminal; 4 to 10 of them."""

    def blocks(self) -> Iterator[Sheet | Plot]:
        """Return every table and plot, in order."""
        for chapter in self.chapters:
            yield from (block for block in chapter.blocks if not isinstance(block, str))
