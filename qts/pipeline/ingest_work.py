"""One ingest at work: which dataset stays, which grows by what is new, and which is made anew."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import duckdb

from qts import __version__, clock
from qts.bars.door import BarsSelect, bars_select
from qts.bars.panel import make_calendar
from qts.bars.sources import FILE_COLUMN, make_raw, named_file, stamps
from qts.bars.survey import listed
from qts.columns import DATETIME, INSTRUMENT, LABEL
from qts.config import LoadedConfig
from qts.errors import ConfigError, InputError
from qts.expr.lookback import crosses
from qts.expr.nodes import Node, fields_of, render
from qts.expr.plan import padding_rows
from qts.expr.quote import quote_text
from qts.expr.sql import ROWS_LEFT, compile_select
from qts.factors import FactorSet
from qts.pipeline.arrivals import Arrivals, take_in_all, take_in_news
from qts.pipeline.companions import Companions
from qts.pipeline.compute import HISTORY_PANEL, NEWS_PANEL, WHOLE_PANEL, Computer, read_parts, rows_back, without
from qts.pipeline.evolving import Evolving, next_number
from qts.pipeline.forecast import Forecast, foresee, plan_rewritten, refusal_of
from qts.pipeline.recipes import check_fields, factors_recipe, label_recipe
from qts.progress import Progress
from qts.store import Dataset, Manifest, StoreWriter, fingerprint
from qts.store.engine import connect

MOST_STATES = 1000
"""Former states of the bars that a store can tell the changes since."""


def _of_bars(manifest: Manifest) -> list[Dataset]:
    """Return the datasets that an ingest of news goes on from."""
    datasets = (manifest.bars, manifest.calendar, manifest.instruments, manifest.quarantine)
    return [dataset for dataset in datasets if dataset]


class Ingest(Evolving):
    """One ingest at work: the engine's connection, and the lists its summary is made of."""

    def __init__(
        self, writer: StoreWriter, loaded: LoadedConfig, progress: Progress, spill: Path, *, rescan: bool
    ) -> None:
        super().__init__(writer, connect(loaded.config.limits, spill), progress)
        self.loaded = loaded
        self.rescan = rescan
        self.warnings: list[str] = []
        self.columns: tuple[str, ...] = ()
        """Of the bars, besides their keys: fields and groups."""
        self.n_source_rows = 0
        """Rows of the source that were read."""
        self.companions = Companions(self.connection, loaded)

    def run(self, sets: list[FactorSet], label: Node, ahead: int) -> Manifest:
        """Read what is new, compute what is stale, commit."""
        config = self.loaded.config
        files = stamps(config.bars, self.loaded.path(config.bars.path))
        fields, groups = self.arrive(sets, label, ahead, files)
        nodes = [factor.node for factors in sets for factor in factors.factors]
        if refusal := refusal_of(foresee(self, sets, label, ahead), self.loaded):
            raise refusal
        bars, calendar, instruments, quarantine = self._bars_datasets()
        revisions = self._revisions(bars)
        universe = self._universe(instruments)
        self.computer = Computer(
            self.connection, self.writer, self.progress, config.limits, (*fields, *groups), fields,
            padding=padding_rows([*nodes, label]), least=max(ahead, 1),
            used=frozenset().union(*map(fields_of, nodes)) & {*fields},
        )  # fmt: skip
        self.bars = bars
        label_set, datasets = self._computed(sets, label, ahead)
        benchmark = self._benchmark()
        first, last = self._span(calendar)
        history, revision, revised = revisions
        states = {} if self.old is None or self.arrivals.is_fresh else self.old.states
        manifest = Manifest(
            qts_version=__version__, bars=bars, fields=fields, groups=groups, calendar=calendar, label=label_set,
            factor_sets=datasets, universe=universe, benchmark=benchmark, instruments=instruments,
            quarantine=quarantine, arrival=self._arrival(fields, groups), files=files,
            history=history, revision=revision, revised=revised,
            states=dict([*states.items(), (bars.fingerprint, revision)][-MOST_STATES:]),
            n_instruments=self._count_instruments(instruments), first=first, last=last,
        )  # fmt: skip
        if manifest != self.old or self.written:
            self.progress.stage("commit")
            self.writer.commit(manifest)
        return manifest

    # Bars

    def arrive(
        self, sets: list[FactorSet], label: Node, ahead: int, files: dict[str, tuple[int, int]]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Take in what is new, which writes nothing; return the bars' fields and groups."""
        config = self.loaded.config
        path = self.loaded.path(config.bars.path)
        self.companions.read_universe()
        old = self.old
        if old is None or not self._is_untouched(old, files):
            self.progress.stage("read bars")
            make_raw(self.connection, config.bars, path)
            select = bars_select(self.connection, config.bars, str(path))
            for text in check_fields(sets, label, select.fields, select.groups):
                self._warn(text)
            backs = [rows_back([factor.node for factor in factors.factors]) for factors in sets]
            lookback = max([back for back in (*backs, rows_back([label], ahead)) if back is not None], default=0)
            self.arrivals = self._take_in(select, path, files, lookback)
            self.n_source_rows = self._count_source_rows()
            self.progress.count(rows=self.n_source_rows)
            if files and stamps(config.bars, path) != files:
                message = f"{path} changed while it was read"
                raise InputError(message, hint="run it again when whoever writes it is done; the store is as it was")
            fields, groups = select.fields, select.groups
        else:
            fields, groups = old.fields, old.groups
            for text in check_fields(sets, label, fields, groups):
                self._warn(text)
        for text in self.arrivals.report.warnings() if self.arrivals.report else ():
            self._warn(text)
        self.columns = (*fields, *groups)
        return fields, groups

    def _count_source_rows(self) -> int:
        """Return how many rows of the source were read: those of new files, or all."""
        is_surveyed = self.connection.execute("FROM duckdb_tables() WHERE table_name = 'seen_parts'").fetchall()
        is_all = is_surveyed or self.arrivals.is_fresh
        rows = "SELECT sum(n_rows) FROM seen" if is_all else "SELECT count(*) FROM arrived WHERE is_new"
        return int(self.connection.execute(rows).fetchall()[0][0] or 0)

    def _arrival(self, fields: tuple[str, ...], groups: tuple[str, ...]) -> str:
        """Return the hash of how rows are read and judged: another one makes every row a new one."""
        config = self.loaded.config
        reading = config.bars.model_dump(exclude={"path", "universe", "benchmark", "benchmark_instrument"})
        return fingerprint(reading, config.check.model_dump(), fields, groups, duckdb.__version__)

    def _is_untouched(self, old: Manifest, files: dict[str, tuple[int, int]]) -> bool:
        """Return whether the source's files are those the store was made from, by name, size and time."""
        return (
            not self.rescan
            and bool(files)
            and old.files == files
            and old.arrival == self._arrival(old.fields, old.groups)
            and all(self.writer.is_whole(dataset) for dataset in _of_bars(old))
        )

    def _take_in(self, select: BarsSelect, path: Path, files: dict[str, tuple[int, int]], lookback: int) -> Arrivals:
        check, today = self.loaded.config.check, clock.today_somewhere()
        old = self.old
        if (
            old is not None
            and old.arrival == self._arrival(select.fields, select.groups)
            and all(self.writer.is_whole(dataset) for dataset in _of_bars(old))
        ):
            known = read_parts(self.writer, old.instruments.parts)
            self.connection.execute(f"CREATE TABLE known AS FROM {known}")
            found = take_in_news(
                self.connection, select, check, today, str(path),
                known_bars=read_parts(self.writer, old.bars.parts),
                known_days=read_parts(self.writer, old.calendar.parts),
                lookback=lookback, news=self._news(select, path, files),
            )  # fmt: skip
            if found is not None:
                return found
        return take_in_all(self.connection, select, check, today, str(path))

    def _news(self, select: BarsSelect, path: Path, files: dict[str, tuple[int, int]]) -> str | None:
        """Return a SELECT of the rows of new files, if the files known before are all there as they were."""
        known = self.old.files if self.old and not self.rescan else {}
        new = [name for name in files if name not in known]
        if not known or not new or any(files.get(name) != stamp for name, stamp in known.items()):
            return None
        paths = [str(named_file(name, path)) for name in new]
        return f"{select.sql} WHERE {FILE_COLUMN} IN ({listed(paths)})"

    def _bars_datasets(self) -> tuple[Dataset, Dataset, Dataset, Dataset | None]:
        """Return bars, calendar, instruments and quarantine, brought up to date with what arrived."""
        old = self.old
        if self.arrivals.is_nothing and old is not None:
            return old.bars, old.calendar, old.instruments, old.quarantine
        fresh = self.bars_print()
        bars = self._evolved("bars", fresh, "", "SELECT * EXCLUDE (is_new) FROM arrived WHERE is_new")
        calendar = self._rewritten("calendar", fresh, f"SELECT {DATETIME} FROM calendar ORDER BY 1")
        instruments = self._rewritten("instruments", fresh, f"{self.state()} ORDER BY {INSTRUMENT}")
        return bars, calendar, instruments, self._quarantine(fresh)

    def bars_print(self) -> str:
        """Return the hash of the bars with what arrived."""
        if self.arrivals.is_nothing and self.old is not None:
            return self.old.bars.fingerprint
        content = self.connection.execute(
            f"SELECT count(*), sum(n_rows), bit_xor(hash({INSTRUMENT}, n_rows, mixed, total)) FROM seen"
        ).fetchall()[0]
        return fingerprint(content, self.loaded.config.check.model_dump(), duckdb.__version__)

    def state(self) -> str:
        """Return a SELECT of each instrument's first and last bar and the sums of its rows in the source."""
        if self.arrivals.is_nothing and self.old is not None:
            return f"SELECT * FROM {read_parts(self.writer, self.old.instruments.parts)}"
        changed = self.arrivals.survey.changed
        known = (
            ""
            if self.arrivals.is_fresh
            else f"LEFT JOIN (FROM known WHERE {INSTRUMENT} NOT IN ({listed(changed)})) AS k USING ({INSTRUMENT})"
        )
        bar = "c.{0}" if self.arrivals.is_fresh else "coalesce(c.{0}, k.{0})"
        days = ", ".join(f"{bar.format(name)} AS {name}" for name in ("first_bar", "last_bar"))
        spans = (
            f"SELECT {INSTRUMENT}, f.{DATETIME} AS first_bar, l.{DATETIME} AS last_bar FROM spans "
            f"JOIN calendar AS f ON f.position = spans.first JOIN calendar AS l ON l.position = spans.last"
        )
        return f"SELECT s.*, {days} FROM seen AS s LEFT JOIN ({spans}) AS c USING ({INSTRUMENT}) {known}"

    def _quarantine(self, fresh: str) -> Dataset | None:
        """Keep what was put aside, but for instruments that were taken in anew."""
        select = self.put_aside()
        if not self.connection.execute(f"SELECT count(*) FROM ({select})").fetchall()[0][0]:
            return None
        return self._rewritten("quarantine", fresh, f"{select} ORDER BY {INSTRUMENT}, {DATETIME}")

    def put_aside(self) -> str:
        """Return a SELECT of the rows in quarantine, with those that arrived."""
        select = "SELECT * FROM quarantined"
        old = self.old.quarantine if self.old and not self.arrivals.is_fresh else None
        if old:
            kept = without(read_parts(self.writer, old.parts), self.replaced())
            select = f"{kept} UNION ALL BY NAME {select}"
        return select

    def _revisions(self, bars: Dataset) -> tuple[str, int, dict[str, int]]:
        """Return since when, how often, and of which instruments the known past has changed."""
        old = self.old
        if old is None or self.arrivals.is_fresh:
            return bars.fingerprint, 0, {}
        if self.arrivals.is_nothing:
            return old.history, old.revision, old.revised
        number = old.revision + 1
        known = f"is_new AND {DATETIME} <= DATE {quote_text(str(old.last))}"
        found = self.connection.execute(f"SELECT DISTINCT {INSTRUMENT} FROM arrived WHERE {known}").fetchall()
        names = {*(name for (name,) in found), *self.replaced()}
        return old.history, number, {**old.revised, **dict.fromkeys(sorted(names), number)}

    def _span(self, calendar: Dataset) -> tuple[date, date]:
        days = read_parts(self.writer, calendar.parts)
        first, last = self.connection.execute(f"SELECT min({DATETIME}), max({DATETIME}) FROM {days}").fetchall()[0]
        return first, last

    def _count_instruments(self, instruments: Dataset) -> int:
        state = read_parts(self.writer, instruments.parts)
        return int(self.connection.execute(f"SELECT count(first_bar) FROM {state}").fetchall()[0][0])

    # Datasets

    def _computed(self, sets: list[FactorSet], label: Node, ahead: int) -> tuple[Dataset, dict[str, Dataset]]:
        """Return label and factor sets; where all is computed, the label in the pauses of the factors."""
        if not self.arrivals.is_fresh:
            label_set = self._labels(self.connection, label, ahead)
            return label_set, {factors.name: self._factors(factors) for factors in sets}
        self._lay_out(WHOLE_PANEL)
        with (
            self.connection.cursor() as cursor,
            ThreadPoolExecutor(1) as aside,
        ):  # which is done before the cursor closes
            labels = aside.submit(self._labels, cursor, label, ahead)
            datasets = {factors.name: self._factors(factors) for factors in sets}
            return labels.result(), datasets

    def _labels(self, connection: duckdb.DuckDBPyConnection, label: Node, ahead: int) -> Dataset:
        """Return the label: settled rows in parts, and those that later bars will settle in a tail of their own."""
        recipe = label_recipe(label, ahead)
        fresh = fingerprint(self.bars.fingerprint, recipe)
        old = self.old.label if self.old else None
        if kept := self.unchanged("labels", fresh):
            return kept
        panel = self.panel_of([label], recipe, old, also=ahead)
        is_news = panel != WHOLE_PANEL
        self._lay_out(panel)
        self.computer.label_rows(connection, panel, label, ahead)
        settled = f"SELECT * EXCLUDE ({ROWS_LEFT}) FROM label_rows WHERE {ROWS_LEFT} >= {ahead}"
        tail = f"SELECT * EXCLUDE ({ROWS_LEFT}) FROM label_rows WHERE {ROWS_LEFT} < {ahead}"
        by_key = f"ORDER BY {INSTRUMENT}, {DATETIME}"
        if is_news and old is not None:
            parts = self._kept_parts("labels", old.parts, fresh)
            if old.tail:
                tail = f"{tail} UNION ALL {self.kept_tail(old.tail)}"
        else:
            parts = []
        new = self._write(connection, f"{settled} {by_key}", "labels", f"{self._next(parts)}-{fresh[:8]}")
        parts = self._compacted("labels", [*parts, new] if new.n_rows else parts, fresh)
        unsettled = f"SELECT * FROM ({tail}) {by_key}"
        tail_part = self._write(connection, unsettled, "labels", f"tail-{fresh[:8]}")
        connection.execute("DROP TABLE label_rows")
        self.written.append("labels")
        return Dataset(
            fingerprint=fresh, parts=tuple(parts), recipe=recipe, tail=tail_part if tail_part.n_rows else None,
            expressions={LABEL: render(label)}, ahead=ahead,
        )  # fmt: skip

    def _factors(self, factors: FactorSet) -> Dataset:
        """Return a factor set's dataset: as it is, with new rows, or computed anew."""
        nodes = {factor.name: factor.node for factor in factors.factors}
        spelled = {name: render(node) for name, node in nodes.items()}
        folder = f"factors/{factors.name}"
        recipe = factors_recipe(factors)
        fresh = fingerprint(self.bars.fingerprint, recipe)
        old = self.old.factor_sets.get(factors.name) if self.old else None
        if kept := self.unchanged(folder, fresh):
            return kept
        self._check_instruments(nodes)
        panel = self.panel_of(list(nodes.values()), recipe, old)
        is_news = panel != WHOLE_PANEL
        self._lay_out(panel)
        parts = self._kept_parts(folder, old.parts, fresh) if is_news and old else []
        first = next_number(parts)
        made = self.computer.factor_parts(panel, nodes, folder, lambda at: f"part-{first + at:05d}-{fresh[:8]}")
        parts = [*parts, *(part for part in made if part.n_rows or not parts)]
        if is_news:
            parts = self._compacted(folder, parts, fresh)
        self.written.append(folder)
        return Dataset(fingerprint=fresh, parts=tuple(parts), recipe=recipe, expressions=spelled)

    def _lay_out(self, panel: str) -> None:
        """Lay out a panel, unless it was before."""
        if self.computer.has(panel):
            return
        bars = read_parts(self.writer, self.bars.parts)
        if panel == NEWS_PANEL:
            self.computer.lay_out("arrived", panel)
        elif panel == HISTORY_PANEL:
            self.computer.lay_out_history(bars)
        elif self.arrivals.is_fresh:
            self.computer.lay_out("arrived", panel)
            self.connection.execute("DROP TABLE arrived")
        else:
            if self.old is not None and self.arrivals.is_nothing:
                make_calendar(self.connection, f"FROM {read_parts(self.writer, self.old.calendar.parts)}")
            self.computer.lay_out_everything(bars)

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        self.progress.warn(text)

    def _check_instruments(self, nodes: Mapping[str, Node]) -> None:
        crossing = {name: node for name, node in nodes.items() if crosses(node)}
        for name in sorted(compile_select(crossing, self.computer.fields, "panel").instruments):
            found = self.connection.execute(
                f"SELECT 1 FROM {read_parts(self.writer, self.bars.parts)} WHERE {INSTRUMENT} = {quote_text(name)} LIMIT 1"
            ).fetchone()
            if not found:
                raise ConfigError(
                    f'an expression names the instrument "{name}", which has no bars', hint="add its bars"
                )

    def _universe(self, instruments: Dataset) -> Dataset | None:
        if self.loaded.config.bars.universe is None:
            return None
        rows = read_parts(self.writer, instruments.parts)
        self.companions.refuse_strangers(f"(SELECT * FROM {rows} WHERE first_bar IS NOT NULL)")
        return self._rewritten("universes", *self.companions.universe_rows())

    def _benchmark(self) -> Dataset | None:
        """Keep the benchmark's bars: an instrument of the bars, or a file of its own."""
        if self.loaded.config.bars.benchmark is None:
            return None
        return self._rewritten("benchmark", *self.companions.benchmark_rows(read_parts(self.writer, self.bars.parts)))

    # What is going to be done

    def forecast(self, sets: list[FactorSet], label: Node, ahead: int) -> Forecast:
        """Return what a run would do; writes nothing."""
        config = self.loaded.config.bars
        self.arrive(sets, label, ahead, stamps(config, self.loaded.path(config.path)))
        small = []
        if config.universe is not None:
            small.append(plan_rewritten(self, "universes", *self.companions.universe_rows(), 3))
        if config.benchmark is not None:
            rows = self.companions.benchmark_rows(self._bars_to_be(config.benchmark))
            small.append(plan_rewritten(self, "benchmark", *rows, len(self.columns)))
        return foresee(self, sets, label, ahead, small)

    def _bars_to_be(self, instrument: str) -> str:
        """Return a relation of the bars that an instrument will have."""
        if self.companions.benchmark_file():
            return ""
        own = f"{INSTRUMENT} = {quote_text(instrument)}"
        known = read_parts(self.writer, self.old.bars.parts) if self.old and not self.arrivals.is_fresh else None
        kept = f"SELECT * FROM {known} WHERE {own}" if known and instrument not in self.replaced() else None
        news = f"SELECT * EXCLUDE (is_new) FROM arrived WHERE is_new AND {own}"
        rows = [select for select in (kept, None if self.arrivals.is_nothing else news) if select]
        return f"({' UNION ALL BY NAME '.join(rows)})"
