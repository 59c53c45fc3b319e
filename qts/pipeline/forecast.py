"""What an ingest is going to do and to take: rows, files, bytes, memory, seconds; told, or refused, before it is done.

Rows and files follow from what arrived and from the store. Bytes, memory and seconds are estimates from `costs.py`:
expect the truth within 40 %.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qts.bars.survey import listed
from qts.columns import DATETIME, INSTRUMENT
from qts.config import LoadedConfig
from qts.errors import ConfigError, QtsError
from qts.expr.lookback import crosses
from qts.expr.nodes import Call, Node, walk
from qts.expr.plan import is_row_by_row, is_streamable, padding_rows
from qts.expr.quote import quote_text
from qts.factors import FactorSet
from qts.pipeline import compute
from qts.pipeline.compute import HISTORY_PANEL, WHOLE_PANEL, bucket_rows, cut, held_bytes, read_parts, rows_back
from qts.pipeline.costs import COSTS, LEAST_MEMORY, ROW_GROUP_ROWS, VALUE_BYTES
from qts.pipeline.recipes import factors_recipe, label_recipe
from qts.store import Dataset, Manifest, Part, fingerprint
from qts.store.compact import parts_to_merge
from qts.store.engine import n_threads

if TYPE_CHECKING:
    from qts.pipeline.ingest_work import Ingest


@dataclass(frozen=True)
class Planned:
    """What becomes of one dataset."""

    dataset: str
    """The folder it lives in."""
    n_read: int = 0
    """Rows of the panel, or of the source, that are read for it."""
    n_new: int = 0
    """Rows that the store does not have."""
    n_recomputed: int = 0
    """Rows that the store has and that are made anew."""
    n_rows: int = 0
    """Rows it has in the end."""
    n_files: int = 0
    """Parts to be written, those for good."""
    n_bytes: int = 0
    """Their size, about."""
    is_compacted: bool = False
    """Whether small parts become larger ones."""
    is_up_to_date: bool = False
    """Whether it stays as it is."""


@dataclass(frozen=True)
class Forecast:
    """What an ingest is going to do and to take."""

    store: Path
    datasets: tuple[Planned, ...]
    n_source_rows: int
    """Rows of the source that are read; 0: its files are those the store was made from."""
    is_fresh: bool
    """Whether every row is taken in: there is no store to go on from, or too much has changed."""
    grown: tuple[str, ...]
    restated: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    bucket_rows: int
    """Rows of the panel computed at a time, about."""
    memory: int
    """Bytes of memory at the peak, about."""
    least_memory: int
    """Bytes without which it cannot be done, about, whatever is spilled."""
    spills: bool
    """Whether the memory limit is under what it would like to have."""
    seconds: float
    """About, on as many cores as `[limits] threads` allows; what is spilled takes longer."""

    @property
    def written(self) -> tuple[str, ...]:
        """Datasets that get other rows."""
        return tuple(planned.dataset for planned in self.datasets if not planned.is_up_to_date)

    @property
    def n_files(self) -> int:
        """Parts to be written; the manifest comes on top."""
        return sum(planned.n_files for planned in self.datasets)

    @property
    def n_bytes(self) -> int:
        """Bytes to be written, about."""
        return sum(planned.n_bytes for planned in self.datasets)

    @property
    def stages(self) -> tuple[str, ...]:
        """What it does, in order."""
        names = ["read bars"] if self.n_source_rows else []
        computed = [
            p for p in self.datasets if not p.is_up_to_date and p.dataset.partition("/")[0] in ("labels", "factors")
        ]
        names += ["lay out the panel"] if computed else []
        for planned in self.datasets:
            names += [f"compute {planned.dataset}"] if planned in computed else []
            names += [f"compact {planned.dataset}"] if planned.is_compacted else []
        return (*names, "commit") if self.written else tuple(names)


@dataclass(frozen=True)
class _Span:
    """An instrument's rows in a panel that is not laid out yet."""

    before: int
    """Rows before its own."""
    length: int
    """Rows, padding included."""
    wanted: int
    """Rows asked for."""
    known: int
    """Of those, rows that the store has."""
    also: int
    """Rows before those asked for, as far as they are laid out."""


def refusal_of(forecast: Forecast, loaded: LoadedConfig) -> QtsError | None:
    """Return a ConfigError if `[limits] memory` cannot be kept, a QtsError if the disk is too full, or None."""
    limit = loaded.config.limits.n_bytes
    if forecast.written and limit is not None and forecast.least_memory > limit:
        return ConfigError(
            f"this needs about {forecast.least_memory / 1e9:.1f} GB at least; [limits] memory = "
            f'"{loaded.config.limits.memory}"',
            where=loaded.where("limits", "memory"),
            hint=f'set memory = "{-(-forecast.least_memory // 10**8) * 100}MB", fewer threads, or compute fewer factors',
        )
    place = next(folder for folder in (forecast.store, *forecast.store.parents) if folder.exists())
    disk = os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    if forecast.n_bytes > free:
        return QtsError(
            f"this writes about {forecast.n_bytes / 1e9:.1f} GB; the disk of {forecast.store} has {free / 1e9:.1f} GB left",
            hint="free some of it, or choose another [store] path",
        )
    return None


def foresee(
    work: "Ingest", sets: Sequence[FactorSet], label: Node, ahead: int, small: Sequence[Planned] = ()
) -> Forecast:
    """Return what an ingest is going to do with what has arrived; `small` are datasets that the caller has looked at."""
    arrivals = work.arrivals
    scene = _Scene(work, [label, *(factor.node for factors in sets for factor in factors.factors)], ahead)
    datasets = [*scene.of_bars(), scene.labels(label, ahead), *map(scene.factors, sets), *small]
    n_laid = sum(map(_length, scene.panels.values()))
    is_surveyed = not arrivals.is_fresh and work.n_source_rows > 0
    threads = n_threads(work.loaded.config.limits)
    shared = COSTS["survey"].nanoseconds * work.n_source_rows * is_surveyed
    shared += COSTS["read"].nanoseconds * scene.n_arrived + COSTS["panel"].nanoseconds * n_laid
    memory = COSTS["start"].n_bytes + scene.at_work
    memory += COSTS["read"].n_bytes * scene.n_arrived + COSTS["panel"].n_bytes * n_laid
    limit = work.loaded.config.limits.n_bytes
    return Forecast(
        store=work.writer.folder, datasets=tuple(datasets), n_source_rows=work.n_source_rows,
        is_fresh=arrivals.is_fresh, grown=arrivals.survey.grown, restated=arrivals.survey.restated,
        new=arrivals.survey.new, gone=arrivals.survey.gone, bucket_rows=scene.bucket_rows,
        memory=int(min(memory, limit or memory)), least_memory=int(LEAST_MEMORY + scene.least_at_work),
        spills=limit is not None and memory > limit,
        seconds=(COSTS["start"].nanoseconds + shared / threads + scene.nanoseconds) / 1e9,
    )  # fmt: skip


class _Scene:
    """What has arrived beside the store, and sums over what is going to be computed of it."""

    def __init__(self, work: "Ingest", nodes: Sequence[Node], ahead: int) -> None:
        self.work = work
        self.padding, self.least = padding_rows(nodes), max(ahead, 1)
        self.bars_print = work.bars_print()
        self.panels: dict[str, list[_Span]] = {}
        """Panels that are going to be laid out."""
        self.n_arrived = 0 if work.arrivals.is_nothing else self._count("arrived")
        self.limits = work.loaded.config.limits
        self.bucket_rows = compute.BUCKET_ROWS
        self.nanoseconds = 0.0
        """Of all factors, on the cores they keep busy."""
        self.at_work = 0.0
        """Bytes of the buckets at work, where they are most."""
        self.least_at_work = 0.0
        """The same, of the smallest buckets."""

    # Datasets

    def of_bars(self) -> list[Planned]:
        """Look at bars, calendar, instruments and quarantine."""
        work, old = self.work, self.work.old
        if work.arrivals.is_nothing and old is not None:
            kept = {"bars": old.bars, "calendar": old.calendar, "instruments": old.instruments}
            kept |= {"quarantine": old.quarantine} if old.quarantine else {}
            return [Planned(name, n_rows=dataset.n_rows, is_up_to_date=True) for name, dataset in kept.items()]
        n_new = self._count("arrived WHERE is_new")
        names = listed(work.arrivals.survey.restated)
        n_again = self._count(f"arrived WHERE is_new AND {INSTRUMENT} IN ({names})")
        if old is not None and work.arrivals.is_fresh:
            n_again = min(old.bars.n_rows, n_new)
        parts, is_compacted = self._parts_after(old.bars if old and not work.arrivals.is_fresh else None, [n_new])
        bars = self._planned("bars", parts, n_new - n_again, n_again, len(work.columns), n_read=work.n_source_rows)
        return [
            replace(bars, is_compacted=is_compacted),
            plan_rewritten(work, "calendar", self.bars_print, "FROM calendar", 1),
            plan_rewritten(work, "instruments", self.bars_print, work.state(), 7),
            *self._quarantine(),
        ]

    def _quarantine(self) -> list[Planned]:
        select = self.work.put_aside()
        planned = plan_rewritten(self.work, "quarantine", self.bars_print, select, len(self.work.columns))
        return [planned] if planned.n_rows else []

    def labels(self, label: Node, ahead: int) -> Planned:
        """Look at the label."""
        work, old = self.work, self.work.old.label if self.work.old else None
        recipe = label_recipe(label, ahead)
        if kept := work.unchanged("labels", fingerprint(self.bars_print, recipe)):
            return Planned("labels", n_rows=kept.n_rows, is_up_to_date=True)
        panel = work.panel_of([label], recipe, old, also=ahead)
        spans = self._spans(panel)
        asked = [span.wanted + min(span.also, ahead) for span in spans]
        n_open = sum(min(ahead, n) for n in asked)
        grows = old if panel != WHOLE_PANEL else None
        parts, is_compacted = self._parts_after(grows, [sum(asked) - n_open])
        n_tail = n_open + (self._count(f"({work.kept_tail(grows.tail)})") if grows and grows.tail else 0)
        parts += [Part(path=f"{_NEW}tail", n_rows=n_tail, n_bytes=0)] if n_tail else []
        n_new = sum(span.wanted - span.known for span in spans)
        if grows is None and old is not None:
            n_new = max(sum(asked) - old.n_rows, 0)
        planned = self._planned("labels", parts, n_new, sum(asked) - n_new, 2, n_read=_length(spans))
        return replace(planned, is_compacted=is_compacted)

    def factors(self, factors: FactorSet) -> Planned:
        """Look at a factor set."""
        folder, nodes = f"factors/{factors.name}", [factor.node for factor in factors.factors]
        work, old = self.work, self.work.old.factor_sets.get(factors.name) if self.work.old else None
        recipe = factors_recipe(factors)
        if kept := work.unchanged(folder, fingerprint(self.bars_print, recipe)):
            return Planned(folder, n_rows=kept.n_rows, is_up_to_date=True)
        panel = work.panel_of(nodes, recipe, old)
        spans = self._spans(panel)
        buckets = self._buckets(spans, nodes)
        grows = old if panel != WHOLE_PANEL else None
        made = [sum(span.wanted for span in spans if low <= span.before <= high) for low, high in buckets]
        parts, is_compacted = self._parts_after(grows, made)
        n_new = sum(span.wanted - span.known for span in spans)
        if grows is None and old is not None:
            n_new = max(sum(made) - old.n_rows, 0)
        planned = self._planned(folder, parts, n_new, sum(made) - n_new, len(nodes), n_read=_length(spans))
        n_files = planned.n_files + self._n_edge_files(spans, nodes)
        return replace(planned, n_files=n_files, is_compacted=is_compacted)

    # Their rows and parts

    def _spans(self, panel: str) -> list[_Span]:
        """Return the instruments of a panel as it is going to be laid out."""
        if panel not in self.panels:
            work, old = self.work, self.work.old
            until = self._known_days(old) if old and panel != WHOLE_PANEL else -1
            rows = work.connection.execute(
                f"SELECT {INSTRUMENT}, first, start, wanted_from, last FROM {self._spans_of(panel)} ORDER BY 1"
            ).fetchall()
            restated, before, spans = {*work.arrivals.survey.restated}, 0, []
            for instrument, first, start, wanted_from, last in rows:
                length = max(self.least, self.padding - (start - first)) + last - start + 1
                known = max(min(last + 1, until) - wanted_from, 0) if instrument in restated else 0
                spans.append(_Span(before, length, last - wanted_from + 1, known, wanted_from - start))
                before += length
            self.panels[panel] = spans
        return self.panels[panel]

    def _spans_of(self, panel: str) -> str:
        """Return the relation of spans that a panel is laid out from."""
        work = self.work
        if panel == HISTORY_PANEL:
            return "(SELECT * REPLACE (first AS start) FROM spans)"
        if panel != WHOLE_PANEL or work.arrivals.is_fresh:
            return "spans"
        days = "calendar"
        if work.arrivals.is_nothing and work.old is not None:
            known = read_parts(work.writer, work.old.calendar.parts)
            days = f"(SELECT {DATETIME}, row_number() OVER (ORDER BY {DATETIME}) - 1 AS position FROM {known})"
        return (
            f"(SELECT {INSTRUMENT}, f.position AS first, f.position AS start, f.position AS wanted_from, l.position AS last "
            f"FROM ({work.state()}) JOIN {days} AS f ON f.{DATETIME} = first_bar JOIN {days} AS l ON l.{DATETIME} = last_bar)"
        )

    def _known_days(self, old: Manifest) -> int:
        return self._count(f"calendar WHERE {DATETIME} <= DATE {quote_text(str(old.last))}")

    def _buckets(self, spans: list[_Span], nodes: Sequence[Node]) -> list[tuple[int, int]]:
        """Return the buckets of a factor set; adds what they take to the sums."""
        n_rows, starts, threads = _length(spans), [span.before for span in spans], n_threads(self.limits)
        held = held_bytes(nodes)
        whole = any(map(crosses, nodes))
        fitting = bucket_rows(self.limits, nodes)
        self.bucket_rows = min(self.bucket_rows, fitting)
        buckets = cut(starts[:1] if whole else starts, n_rows, fitting)
        n_workers = max(min(threads, len(buckets)), 1)
        n_at_work = min(n_rows, n_workers * max((high - low + 1 for low, high in buckets), default=0))
        self.nanoseconds += _row_nanoseconds(nodes) * n_rows / n_workers
        self.at_work = max(self.at_work, n_at_work * held)
        least = min(n_at_work, n_workers * compute.LEAST_BUCKET_ROWS) * held
        least += min(n_at_work, n_workers * ROW_GROUP_ROWS) * len(nodes) * 4
        self.least_at_work = max(self.least_at_work, least)
        return buckets

    def _n_edge_files(self, spans: list[_Span], nodes: Sequence[Node]) -> int:
        """Return the parts of rows near gaps, which come apart; of the gaps only each instrument's start is known yet."""
        back = rows_back(nodes)
        if not back or _length(spans) < compute.EDGE_ROWS or not all(map(is_streamable, nodes)):
            return 0
        starts = [at * (self.padding + back) for at in range(len(spans))]
        return len(cut(starts, len(spans) * (self.padding + back), bucket_rows(self.limits, nodes)))

    def _parts_after(self, grows: Dataset | None, made: Sequence[int]) -> tuple[list[Part], bool]:
        """Return the parts of a dataset once `made` rows were added, and whether some were compacted."""
        parts = []
        for part in grows.parts if grows else ():
            touched = self.work.count_replaced(part)
            left = part.n_rows - touched
            if left:
                parts.append(
                    part.model_copy(update={"n_rows": left, "path": f"{_NEW}{part.path}"}) if touched else part
                )
        for at, n_rows in enumerate(made):
            if n_rows or not parts:
                parts.append(Part(path=f"{_NEW}{at}", n_rows=n_rows, n_bytes=0))
        return _compacted(parts) if grows else (parts, False)

    def _planned(
        self, folder: str, parts: Sequence[Part], n_new: int, n_recomputed: int, n_columns: int, *, n_read: int
    ) -> Planned:
        written = [part for part in parts if part.path.startswith(_NEW)]
        n_bytes = sum(part.n_rows for part in written) * (n_columns + 1) * VALUE_BYTES
        n_rows = sum(part.n_rows for part in parts)
        return Planned(folder, n_read, n_new, n_recomputed, n_rows, len(written), int(n_bytes))

    def _count(self, relation: str) -> int:
        return int(self.work.connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])


_NEW = "new: "
"""How the paths of parts begin that are not there yet."""


def plan_rewritten(work: "Ingest", folder: str, fresh: str, select: str, n_columns: int) -> Planned:
    """Return what becomes of a small dataset that is written whole if it is another one."""
    n_rows = int(work.connection.execute(f"SELECT count(*) FROM ({select})").fetchall()[0][0])
    if work.unchanged(folder, fresh):
        return Planned(folder, n_rows=n_rows, is_up_to_date=True)
    old = work.old.datasets().get(folder) if work.old else None
    n_again = min(old.n_rows, n_rows) if old else 0
    n_bytes = int(n_rows * (n_columns + 1) * VALUE_BYTES)
    return Planned(folder, n_rows, n_rows - n_again, n_again, n_rows, 1, n_bytes)


def _compacted(parts: list[Part]) -> tuple[list[Part], bool]:
    """Return parts as they are once small ones were merged, and whether some were."""
    held = list(parts)
    while merged := parts_to_merge(held):
        n_rows = sum(part.n_rows for part in merged)
        whole = Part(path=f"{_NEW}of {len(merged)} from {merged[0].path}", n_rows=n_rows, n_bytes=0)
        held = [part for part in held if part not in merged] + [whole]
    return held, len(held) < len(parts)


def _length(spans: Sequence[_Span]) -> int:
    return sum(span.length for span in spans)


def _row_nanoseconds(nodes: Sequence[Node]) -> float:
    """Return what a row of the panel takes of one core."""
    streamable = [node for node in nodes if is_streamable(node)]
    rolling = {
        inner
        for node in streamable
        for inner in walk(node)
        if isinstance(inner, Call) and inner.operator != "Ref" and not is_row_by_row(inner)
    }
    return (
        COSTS["factor"].nanoseconds * len(streamable)
        + COSTS["rolling"].nanoseconds * len(rolling)
        + COSTS["windowed"].nanoseconds * (len(nodes) - len(streamable))
    )
