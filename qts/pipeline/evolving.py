"""Datasets of a store: each stays as it is, grows by what is new, or is made anew."""

from collections.abc import Sequence

import duckdb

from qts.bars.survey import Survey, listed
from qts.columns import DATETIME, INSTRUMENT
from qts.expr.lookback import crosses
from qts.expr.nodes import Node
from qts.pipeline.arrivals import Arrivals
from qts.pipeline.compute import HISTORY_PANEL, NEWS_PANEL, WHOLE_PANEL, read_parts, rows_back, without
from qts.progress import Progress
from qts.store import Dataset, Manifest, Part, StoreWriter, fingerprint
from qts.store.compact import parts_to_merge


def next_number(parts: Sequence[Part]) -> int:
    """Return a number that no name of a dataset's parts has."""
    return 1 + max((int(part.path.rpartition("/")[2][5:10]) for part in parts), default=-1)


class Evolving:
    """A store's datasets, and what arrived: which parts are kept, merged and written."""

    def __init__(self, writer: StoreWriter, connection: duckdb.DuckDBPyConnection, progress: Progress) -> None:
        self.writer = writer
        self.connection = connection
        self.progress = progress
        self.old = writer.current()
        self.written: list[str] = []
        self.arrivals = Arrivals(is_fresh=False, survey=Survey(), report=None)

    def replaced(self) -> tuple[str, ...]:
        """Return known instruments whose rows so far no longer count."""
        survey = self.arrivals.survey
        return (*survey.restated, *survey.gone)

    def count_replaced(self, part: Part) -> int:
        """Return how many rows of a part are of replaced instruments."""
        names = self.replaced()
        if not names:
            return 0
        rows = read_parts(self.writer, [part])
        found = self.connection.execute(f"SELECT count(*) FROM {rows} WHERE {INSTRUMENT} IN ({listed(names)})")
        return int(found.fetchall()[0][0])

    def unchanged(self, folder: str, fresh: str) -> Dataset | None:
        """Return a dataset of the store if it is what it would be made anew."""
        old = self.old.datasets().get(folder) if self.old else None
        return old if old and old.fingerprint == fresh and self.writer.is_whole(old) else None

    def panel_of(self, nodes: Sequence[Node], recipe: str, old: Dataset | None, also: int = 0) -> str:
        """Return the panel that stale expressions are computed over; all but WHOLE_PANEL ask only for new rows."""
        survey = self.arrivals.survey
        can_grow = (
            not self.arrivals.is_fresh
            and not self.arrivals.is_nothing
            and old is not None
            and old.recipe == recipe
            and self.old is not None
            and old.fingerprint == fingerprint(self.old.bars.fingerprint, recipe)
            and self.writer.is_whole(old)
        )
        if can_grow and any(crosses(node) for node in nodes):
            # a day of the past with one more instrument is another day for all of them
            can_grow = not (survey.changed or survey.gone) and self._news_are_later(self.old)
        if not can_grow:
            return WHOLE_PANEL
        return NEWS_PANEL if rows_back(nodes, also) is not None else HISTORY_PANEL

    def _news_are_later(self, old: Manifest | None) -> bool:
        """Return whether every new row lies behind the last known day of all."""
        earliest = self.connection.execute(f"SELECT min({DATETIME}) FROM arrived WHERE is_new").fetchall()[0][0]
        return old is not None and (earliest is None or earliest > old.last)

    def _write(self, connection: duckdb.DuckDBPyConnection, select: str, folder: str, name: str) -> Part:
        part = self.writer.write_part(connection, select, folder, name)
        self.progress.count(rows=part.n_rows, n_bytes=part.n_bytes)
        return part

    def _rewritten(self, folder: str, fresh: str, select: str) -> Dataset:
        """Return a small dataset written anew, unless it is the one it was."""
        if old := self.unchanged(folder, fresh):
            return old
        name = folder.rpartition("/")[2]
        part = self._write(self.connection, select, folder, f"{name}-{fresh[:8]}")
        self.written.append(folder)
        return Dataset(fingerprint=fresh, parts=(part,))

    def _evolved(self, folder: str, fresh: str, recipe: str, news: str) -> Dataset:
        """Return a dataset with the rows of a SELECT: all there are, or what comes on top of those it has."""
        old = self.old.datasets().get(folder) if self.old else None
        if old is None or self.arrivals.is_fresh:
            part = self._write(
                self.connection, f"{news} ORDER BY {INSTRUMENT}, {DATETIME}", folder, f"part-00000-{fresh[:8]}"
            )
            self.written.append(folder)
            return Dataset(fingerprint=fresh, parts=(part,), recipe=recipe)
        parts = self._kept_parts(folder, old.parts, fresh)
        part = self._write(
            self.connection, f"{news} ORDER BY {INSTRUMENT}, {DATETIME}", folder, f"{self._next(parts)}-{fresh[:8]}"
        )
        self.written.append(folder)
        parts = self._compacted(folder, [*parts, part] if part.n_rows else parts, fresh)
        return Dataset(fingerprint=fresh, parts=tuple(parts), recipe=recipe)

    @staticmethod
    def _next(parts: Sequence[Part]) -> str:
        """Return a name that no part of the dataset has."""
        return f"part-{next_number(parts):05d}"

    def _kept_parts(self, folder: str, parts: Sequence[Part], fresh: str) -> list[Part]:
        """Return parts without the rows of replaced instruments; parts that have none are left as they are."""
        kept = []
        for part in parts:
            touched = self.count_replaced(part)
            if not touched:
                kept.append(part)
            elif touched < part.n_rows:
                name = part.path.rpartition("/")[2][:10]
                rows = without(read_parts(self.writer, [part]), self.replaced())
                select = f"{rows} ORDER BY {INSTRUMENT}, {DATETIME}"
                kept.append(self._write(self.connection, select, folder, f"{name}-{fresh[:8]}"))
        return kept

    def _compacted(self, folder: str, parts: Sequence[Part], fresh: str) -> list[Part]:
        """Merge small parts as long as there are many of one size."""
        held = list(parts)
        while merged := parts_to_merge(held):
            self.progress.stage(f"compact {folder}")
            rows = f"SELECT * FROM {read_parts(self.writer, merged)} ORDER BY {INSTRUMENT}, {DATETIME}"
            whole = self._write(self.connection, rows, folder, f"{self._next(held)}-{fresh[:8]}")
            held = [part for part in held if part not in merged] + [whole]
        return held

    def kept_tail(self, tail: Part) -> str:
        """Return a SELECT of the unsettled labels that news leaves as they are."""
        names = (*self.arrivals.survey.grown, *self.replaced())
        # of a grown instrument whose new rows were all put aside nothing was computed
        asked = {row[0] for row in self.connection.execute(f"SELECT {INSTRUMENT} FROM spans").fetchall()}
        names = tuple(name for name in names if name in asked or name in self.replaced())
        return without(read_parts(self.writer, [tail]), names)
