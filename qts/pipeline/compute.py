"""Expressions → parts of the store: the panel laid out, cut into buckets of whole instruments, worked off side by side."""

import math
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import duckdb

from qts.bars.panel import cut_out, lay_out, make_spans
from qts.bars.survey import listed
from qts.columns import CLOSE, DATETIME, HAS_BAR, INSTRUMENT, LABEL
from qts.config import LimitsConfig
from qts.expr.bounds import Interval
from qts.expr.lookback import crosses, span_of
from qts.expr.nodes import Call, Field, Node
from qts.expr.plan import compile_panel, is_streamable
from qts.expr.quote import quote_name, quote_text
from qts.expr.sql import FIELD_PREFIX, POSITION, ROWS_LEFT, ROWS_SINCE, ROWS_WHOLE
from qts.progress import Progress
from qts.store import Part, StoreWriter
from qts.store.engine import engine_memory, n_threads

BUCKET_ROWS = 1_400_000
"""Panel rows computed at a time, about; what bounds the memory of an ingest."""

LEAST_BUCKET_ROWS = 50_000
"""The same, however little memory there is."""

STREAMED_BYTES, WINDOWED_BYTES = 2.9, 9.0
"""Memory that a value takes while it is computed: its row waits for those of other streams, or is sorted."""

NEWS_PANEL, HISTORY_PANEL, WHOLE_PANEL = "news_panel", "history_panel", "panel"
"""Panels of new rows and as many before them as are looked back at; of the whole history of instruments with news, for
expressions that look back at all of it; of everything."""

EDGE_ROWS = 200_000
"""Panel rows from which rows with a gap behind them are computed apart."""

_HAS_CLOSE = Call("Ge", (Field(CLOSE), Field(CLOSE)))
"""True where there is a close: a comparison with a missing value is false."""

Made = TypeVar("Made")


def rows_back(nodes: Iterable[Node], also: int = 0) -> int | None:
    """Return the rows before its own that the expressions read, None if every one; `also` for rows asked for again."""
    spans = [span_of(node) for node in nodes]
    return None if any(s.back is None for s in spans) else max((s.back or 0 for s in spans), default=0) + also


def held_bytes(nodes: Iterable[Node]) -> float:
    """Return the bytes of memory that a row takes while expressions are computed, about."""
    return sum(STREAMED_BYTES if is_streamable(node) else WINDOWED_BYTES for node in nodes)


def bucket_rows(limits: LimitsConfig, nodes: Iterable[Node]) -> int:
    """Return the rows of a bucket: half the engine's memory must hold all that are at work."""
    n_bytes = n_threads(limits) * held_bytes(nodes)
    if limits.n_bytes is None or not n_bytes:
        return BUCKET_ROWS
    return min(max(int(engine_memory(limits.n_bytes) / 2 / n_bytes), LEAST_BUCKET_ROWS), BUCKET_ROWS)


@dataclass
class Computer:
    """Computes expressions over panels of a connection's bars and writes them as parts."""

    connection: duckdb.DuckDBPyConnection
    writer: StoreWriter
    progress: Progress
    limits: LimitsConfig
    fields: tuple[str, ...]
    """Columns of the panel: fields and groups."""
    numbers: tuple[str, ...]
    """Those of them that are numbers."""
    padding: int
    """Padding rows that the expressions need."""
    used: frozenset[str]
    """Fields that some expression reads."""
    least: int
    """Padding rows wanted even where known rows stand before: as many as any expression looks ahead."""
    _bounds: dict[str, dict[str, Interval]] = field(default_factory=dict)

    def lay_out(self, bars: str, table: str, spans: str = "spans") -> None:
        """Make a panel of the rows that spans ask for."""
        self.progress.stage("lay out the panel")
        lay_out(
            self.connection, self.fields, bars,
            padding=self.padding, least=self.least, table=table, used=self.used, spans=spans,
        )  # fmt: skip
        self._bounds[table] = self._find_bounds(table)

    def has(self, table: str) -> bool:
        """Return whether a panel was laid out."""
        return table in self._bounds

    def lay_out_everything(self, bars: str) -> None:
        """Make a panel of a relation's whole rows, all of them asked for."""
        make_spans(self.connection, bars, "whole_spans")
        self.lay_out(bars, WHOLE_PANEL, "whole_spans")

    def lay_out_history(self, bars: str) -> None:
        """Make a panel of what `spans` asks for, with the whole history of its instruments before it."""
        self.connection.execute("CREATE TABLE long_spans AS SELECT * REPLACE (first AS start) FROM spans")
        self.lay_out(bars, HISTORY_PANEL, "long_spans")

    def _find_bounds(self, table: str) -> dict[str, Interval]:
        names = [quote_name(FIELD_PREFIX + name) for name in self.numbers]
        asked = ", ".join(f"min({n}), max({n}), min(abs({n})) FILTER ({n} <> 0)" for n in names)
        row = self.connection.execute(f"SELECT {asked} FROM {table}").fetchall()[0]
        found = dict(zip(self.numbers, (row[at : at + 3] for at in range(0, len(row), 3)), strict=True))
        return {n: Interval(low, high, least or 0.0) for n, (low, high, least) in found.items() if low is not None}

    def factor_parts(
        self, panel: str, nodes: Mapping[str, Node], folder: str, name: Callable[[int], str]
    ) -> list[Part]:
        """Write what a panel asks for; a part a bucket."""
        self.progress.stage(f"compute {folder}")
        back = rows_back(nodes.values())
        tasks = []
        if back and all(is_streamable(node) for node in nodes.values()) and self._is_large(panel):
            edges = f"{panel}_edges"
            cut_out(self.connection, panel, edges, back)
            self._bounds[edges] = self._bounds[panel]
            tasks = self._tasks(panel, nodes, folder, f"{ROWS_SINCE} >= 0 AND {ROWS_WHOLE} > {back}", is_whole=True)
            tasks += self._tasks(edges, nodes, folder, f"{ROWS_SINCE} >= 0 AND {ROWS_WHOLE} <= {back}")
        else:
            tasks = self._tasks(panel, nodes, folder, f"{ROWS_SINCE} >= 0")
        self.progress.stage(f"compute {folder}", len(tasks))
        return self._work([partial(task, name(at)) for at, task in enumerate(tasks)])

    def _is_large(self, panel: str) -> bool:
        """Return whether a panel is worth being cut into what is whole and what is not."""
        return bool(self.connection.execute(f"SELECT count(*) >= {EDGE_ROWS} FROM {panel}").fetchall()[0][0])

    def _tasks(
        self, panel: str, nodes: Mapping[str, Node], folder: str, wanted: str, *, is_whole: bool = False
    ) -> list[Callable[[str, duckdb.DuckDBPyConnection], Part]]:
        """Return the tasks that write what a panel asks for; one a bucket."""
        names = ", ".join(map(quote_name, nodes))

        def write(bucket: tuple[int, int], name: str, cursor: duckdb.DuckDBPyConnection) -> Part:
            condition = f"{POSITION} BETWEEN {bucket[0]} AND {bucket[1]}"
            select = compile_panel(
                nodes, self.fields, self._bounds[panel], panel, condition, wanted=wanted, is_whole=is_whole
            ).sql
            rows = f"SELECT CAST({INSTRUMENT} AS VARCHAR) AS {INSTRUMENT}, {DATETIME}, {names} FROM ({select})"
            part = self.writer.write_part(cursor, rows, folder, name)
            self.progress.count(rows=part.n_rows, n_bytes=part.n_bytes)
            return part

        return [partial(write, bucket) for bucket in self._buckets(panel, nodes.values())]

    def label_rows(self, connection: duckdb.DuckDBPyConnection, panel: str, label: Node, ahead: int) -> None:
        """Make the table `label_rows`: label, `has_bar` and rows left, for what a panel asks for and `ahead` rows before."""
        nodes = {LABEL: label, HAS_BAR: _HAS_CLOSE}
        self.progress.stage("compute labels")
        wanted = f"{ROWS_SINCE} >= {-ahead}"
        select = compile_panel(nodes, self.fields, self._bounds[panel], panel, wanted=wanted).sql
        connection.execute(
            f"CREATE TABLE label_rows AS SELECT CAST({INSTRUMENT} AS VARCHAR) AS {INSTRUMENT}, {DATETIME}, "
            f"{quote_name(LABEL)}, {quote_name(HAS_BAR)} = 1 AS {quote_name(HAS_BAR)}, {ROWS_LEFT} FROM ({select})"
        )

    def _buckets(self, panel: str, nodes: Collection[Node]) -> list[tuple[int, int]]:
        """Return first and last position of each bucket: whole instruments, about equal rows, an even number of them."""
        whole = any(crosses(node) for node in nodes)
        starts = [
            row[0]
            for row in self.connection.execute(
                f"SELECT min({POSITION}) FROM {panel} GROUP BY {INSTRUMENT} ORDER BY 1"
            ).fetchall()
        ]
        n_rows = self.connection.execute(f"SELECT count(*) FROM {panel}").fetchall()[0][0]
        return cut(starts[:1] if whole else starts, n_rows, bucket_rows(self.limits, nodes))

    def _work(self, tasks: Sequence[Callable[[duckdb.DuckDBPyConnection], Made]]) -> list[Made]:
        """Do tasks side by side, each on a cursor of its own; a stream keeps one thread busy."""
        n_workers = min(n_threads(self.limits), len(tasks))
        cursors = [self.connection.cursor() for _ in range(len(tasks))]
        with ThreadPoolExecutor(max(n_workers, 1)) as pool:
            futures = [pool.submit(task, cursor) for task, cursor in zip(tasks, cursors, strict=True)]
            for future in futures:
                future.add_done_callback(lambda _: self.progress.advance())
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future.done():
                        future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for cursor in cursors:
                    cursor.interrupt()
                raise
            return [future.result() for future in futures]


def cut(starts: Sequence[int], n_rows: int, most: int) -> list[tuple[int, int]]:
    """Return first and last row of each bucket of about `most` rows; an instrument starts at each of `starts`, sorted."""
    if not starts:
        return []
    count = 1 if n_rows < most // 4 else 2 * math.ceil(n_rows / (2 * most))
    cuts = sorted({_nearest(starts, n_rows * at / count) for at in range(count)})
    return [(low, high - 1) for low, high in zip(cuts, [*cuts[1:], n_rows], strict=True)]


def _nearest(starts: Sequence[int], row: float) -> int:
    at = bisect(starts, row)
    return min(starts[max(at - 1, 0) : at + 1], key=lambda start: abs(start - row))


def without(relation: str, names: Sequence[str]) -> str:
    """Return a SELECT of a relation's rows but for some instruments."""
    return (
        f"SELECT * FROM {relation} WHERE {INSTRUMENT} NOT IN ({listed(names)})"
        if names
        else f"SELECT * FROM {relation}"
    )


def read_parts(writer: StoreWriter, parts: Iterable[Part]) -> str:
    """Return a relation of the rows of parts."""
    files = ", ".join(quote_text(str(writer.file_of(part))) for part in parts)
    return f"read_parquet([{files}])"
