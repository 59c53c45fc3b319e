"""Bars → checked → factors and label → store; does only what is not up to date."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from qts import __version__
from qts.bars.door import clean_bars
from qts.bars.panel import make_panel
from qts.bars.sources import make_raw
from qts.bars.universe import read_universe
from qts.columns import CLOSE, DATETIME, END, FIELDS, HAS_BAR, INSTRUMENT, LABEL, START
from qts.config import BarsConfig, LoadedConfig
from qts.errors import ConfigError, ConfigProblems, InputError
from qts.expr.nodes import Call, Field, Node, fields_of, render
from qts.expr.sql import ROW_COLUMN, compile_select, quote_name, quote_text
from qts.factors import FactorSet, custom_set, load_factor_set, parse_label
from qts.progress import Progress
from qts.registry import unknown_name_hint
from qts.store import Dataset, Manifest, StoreWriter, fingerprint
from qts.store.engine import connect

COMPILER = 2
"""Goes up when compiled expressions give other values: factors of older stores are then computed anew."""

BUCKET_ROWS = 400_000
"""Panel rows computed at a time; what bounds the memory of an ingest."""


_HAS_CLOSE = Call("Ge", (Field(CLOSE), Field(CLOSE)))
"""True where there is a close: a comparison with a missing value is false."""


@dataclass(frozen=True)
class IngestResult:
    """What an ingest found and did."""

    store: Path
    n_rows: int
    """Rows of the panel, suspended days included."""
    n_bars: int
    n_instruments: int
    n_days: int
    first: str
    last: str
    written: tuple[str, ...]
    """Datasets written anew; empty: everything was up to date."""
    warnings: tuple[str, ...]
    n_bytes: int
    seconds: float

    @property
    def is_up_to_date(self) -> bool:
        """Whether there was nothing to do."""
        return not self.written


def expand_factors(loaded: LoadedConfig) -> list[FactorSet]:
    """Return the factor set of the config and the user's own, all expressions checked."""
    factors = loaded.config.factors
    main = load_factor_set(factors.set, loaded.folder, loaded.where("factors", "set"))
    own = custom_set(factors.custom, main.names, lambda name: loaded.where("factors", "custom", name))
    known = [*main.names, *own.names]
    where = loaded.where("factors", "select")
    problems = [
        ConfigError(f'unknown factor "{name}" in [factors] select', where=where, hint=unknown_name_hint(name, known))
        for name in factors.select or ()
        if name not in known
    ]
    if problems:
        raise ConfigProblems(problems)
    return [main, own] if own.factors else [main]


def read_label(loaded: LoadedConfig) -> tuple[Node, int]:
    """Return the label's tree and how many bars it looks ahead."""
    return parse_label(loaded.config.label.expr, loaded.where("label", "expr"))


def ingest(loaded: LoadedConfig, progress: Progress, *, wait_seconds: float = 0) -> IngestResult:
    """Bring the store up to date with the bars and the config."""
    started = time.perf_counter()
    config = loaded.config
    sets = expand_factors(loaded)
    label, ahead = read_label(loaded)
    with StoreWriter(loaded.path(config.store.path), wait_seconds=wait_seconds) as writer:
        work = _Ingest(writer, connect(config.limits, writer.spill), progress)
        manifest = work.run(loaded, sets, label, ahead)
    return IngestResult(
        store=writer.folder,
        n_rows=manifest.label.n_rows,
        n_bars=manifest.bars.n_rows,
        n_instruments=manifest.n_instruments,
        n_days=manifest.calendar.n_rows,
        first=str(manifest.first),
        last=str(manifest.last),
        written=tuple(work.written),
        warnings=tuple(work.warnings),
        n_bytes=sum(dataset.n_bytes for dataset in manifest.datasets().values()),
        seconds=time.perf_counter() - started,
    )


def check_fields(sets: list[FactorSet], label: Node, fields: tuple[str, ...]) -> list[str]:
    """Refuse a field that is no column of the bars; return warnings of optional ones that they lack."""
    known = {*fields, *FIELDS}
    readers = [(factor.name, factor.node) for factors in sets for factor in factors.factors] + [("the label", label)]
    absent: dict[str, list[str]] = {}
    for reader, node in readers:
        for name in sorted(fields_of(node)):
            if name not in known:
                hint = unknown_name_hint(name, fields)
                raise ConfigError(f"{reader} reads ${name}, but the bars have no such column", hint=hint)
            if name not in fields:
                absent.setdefault(name, []).append(reader)
    shown = {
        name: ", ".join(of[:3]) + (f" and {len(of) - 3} more" if len(of) > 3 else "") for name, of in absent.items()
    }
    return [f"the bars have no {name}: {readers} will be missing everywhere" for name, readers in shown.items()]


class _Ingest:
    """One ingest at work: the engine's connection, and the lists its summary is made of."""

    def __init__(self, writer: StoreWriter, connection: duckdb.DuckDBPyConnection, progress: Progress) -> None:
        self.writer = writer
        self.connection = connection
        self.progress = progress
        self.old = writer.current()
        self.written: list[str] = []
        self.warnings: list[str] = []
        self.has_panel = False

    def run(self, loaded: LoadedConfig, sets: list[FactorSet], label: Node, ahead: int) -> Manifest:
        """Read the bars, compute what is stale, commit."""
        config = loaded.config
        fields, bars_print = self._read_bars(loaded)
        for text in check_fields(sets, label, fields):
            self._warn(text)
        universe = self._universe(loaded)
        benchmark = self._benchmark(loaded, config.bars)
        bars = self._dataset(
            "bars", bars_print, lambda: [("bars", f"SELECT * FROM bars ORDER BY {INSTRUMENT}, {DATETIME}")]
        )
        days = f"SELECT DISTINCT {DATETIME} FROM bars ORDER BY 1"
        calendar = self._dataset("calendar", bars_print, lambda: [("calendar", days)])
        datasets = {
            factors.name: self._computed(
                f"factors/{factors.name}", {f.name: f.node for f in factors.factors}, fields, bars_print
            )
            for factors in sets
        }
        label_set = self._computed("labels", {LABEL: label}, fields, bars_print, ahead)
        n_instruments, first, last = self.connection.execute(
            f"SELECT count(DISTINCT {INSTRUMENT}), min({DATETIME}), max({DATETIME}) FROM bars"
        ).fetchall()[0]
        manifest = Manifest(
            qts_version=__version__, bars=bars, fields=fields, calendar=calendar, label=label_set, factor_sets=datasets,
            universe=universe, benchmark=benchmark, n_instruments=n_instruments, first=first, last=last,
        )  # fmt: skip
        if manifest != self.old or self.written:
            self.progress.stage("commit")
            self.writer.commit(manifest)
        return manifest

    def _read_bars(self, loaded: LoadedConfig) -> tuple[tuple[str, ...], str]:
        """Make the checked table `bars`; return its fields and the hash of its content."""
        config = loaded.config.bars
        path = loaded.path(config.path)
        self.progress.stage("read bars")
        make_raw(self.connection, config, path)
        fields = clean_bars(self.connection, config, str(path))
        self.connection.execute("DROP VIEW IF EXISTS raw" if config.source in ("parquet", "csv") else "DROP TABLE raw")
        columns = ", ".join(map(quote_name, (INSTRUMENT, DATETIME, *fields)))
        content = self.connection.execute(
            f"SELECT count(*), bit_xor(hash({columns})), sum(hash({columns})) FROM bars"
        ).fetchone()
        return fields, fingerprint(fields, content, duckdb.__version__)

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        self.progress.warn(text)

    def _dataset(
        self,
        folder: str,
        fresh: str,
        parts: Callable[[], Iterable[tuple[str, str]]],
        expressions: dict[str, str] | None = None,
        ahead: int = 0,
    ) -> Dataset:
        """Return a dataset as it is if it is fresh and whole, else written anew by `parts`."""
        old = self.old.datasets().get(folder) if self.old else None
        if old and old.fingerprint == fresh and self.writer.is_whole(old):
            return old
        made = [
            self.writer.write_part(self.connection, select, folder, f"{name}-{fresh[:8]}") for name, select in parts()
        ]
        self.written.append(folder)
        return Dataset(fingerprint=fresh, parts=tuple(made), expressions=expressions or {}, ahead=ahead)

    def _computed(
        self, folder: str, nodes: dict[str, Node], fields: tuple[str, ...], bars_print: str, ahead: int = 0
    ) -> Dataset:
        """Return a dataset of expressions over the panel."""
        spelled = {name: render(node) for name, node in nodes.items()}
        fresh = fingerprint(bars_print, list(spelled.items()), COMPILER)
        return self._dataset(folder, fresh, lambda: self._computed_parts(folder, nodes, fields), spelled, ahead)

    def _computed_parts(
        self, folder: str, nodes: dict[str, Node], fields: tuple[str, ...]
    ) -> Iterator[tuple[str, str]]:
        if not self.has_panel:
            self.progress.stage("lay out the panel")
            make_panel(self.connection, fields)
            self.has_panel = True
        whole = compile_select(nodes, fields, "panel")
        self._check_instruments(whole.instruments)
        buckets: list[tuple[str, str] | None] = [None] if whole.instruments else [*self._buckets()]
        self.progress.stage(f"compute {folder}", len(buckets))
        names = ", ".join(map(quote_name, nodes))
        if folder == "labels":
            nodes = {**nodes, HAS_BAR: _HAS_CLOSE}
            names += f", {quote_name(HAS_BAR)} = 1 AS {quote_name(HAS_BAR)}"
        for at, bucket in enumerate(buckets):
            source = "panel"
            if bucket:
                low, high = map(quote_text, bucket)
                source = f"(SELECT * FROM panel WHERE {INSTRUMENT} BETWEEN {low} AND {high})"
            sql = compile_select(nodes, fields, source).sql
            yield (
                f"part-{at:05d}",
                f"SELECT CAST({INSTRUMENT} AS VARCHAR) AS {INSTRUMENT}, {DATETIME}, {names} FROM ({sql}) AS computed "
                f"ORDER BY computed.{INSTRUMENT}, {ROW_COLUMN}",
            )
            self.progress.advance()

    def _check_instruments(self, named: frozenset[str]) -> None:
        for name in sorted(named):
            found = self.connection.execute(
                f"SELECT 1 FROM bars WHERE {INSTRUMENT} = {quote_text(name)} LIMIT 1"
            ).fetchone()
            if not found:
                raise ConfigError(
                    f'an expression names the instrument "{name}", which has no bars', hint="add its bars"
                )

    def _buckets(self) -> list[tuple[str, str]]:
        """Return first and last instrument of each bucket, by about equal rows."""
        rows = self.connection.execute(
            f"SELECT min(name), max(name) FROM (SELECT CAST({INSTRUMENT} AS VARCHAR) AS name, "
            f"(sum(count(*)) OVER (ORDER BY {INSTRUMENT}) - 1) // {BUCKET_ROWS} AS bucket FROM panel GROUP BY {INSTRUMENT}) "
            f"GROUP BY bucket ORDER BY bucket"
        ).fetchall()
        return [(low, high) for low, high in rows]

    def _universe(self, loaded: LoadedConfig) -> Dataset | None:
        if loaded.config.bars.universe is None:
            return None
        path = loaded.path(loaded.config.bars.universe)
        read_universe(self.connection, path)
        absent = self.connection.execute(
            f"SELECT count(DISTINCT {INSTRUMENT}), any_value({INSTRUMENT}) FROM universe ANTI JOIN bars USING ({INSTRUMENT})"
        ).fetchall()[0]
        listed = self.connection.execute(f"SELECT count(DISTINCT {INSTRUMENT}) FROM universe").fetchall()[0][0]
        if absent[0] == listed:
            raise InputError(
                f"no member of the universe {path} has bars (as {absent[1]})", hint="do both use the same names?"
            )
        if absent[0]:
            self._warn(f"{absent[0]} of {listed} members of the universe have no bars, as {absent[1]}")
        rows = self.connection.execute(f'SELECT {INSTRUMENT}, "{START}", "{END}" FROM universe ORDER BY ALL').fetchall()
        select = f'SELECT {INSTRUMENT}, "{START}", "{END}" FROM universe ORDER BY ALL'
        return self._dataset("universes", fingerprint(rows), lambda: [("universe", select)])

    def _benchmark(self, loaded: LoadedConfig, bars: BarsConfig) -> Dataset | None:
        """Keep the benchmark's bars: an instrument of the bars, or a file of its own."""
        if bars.benchmark is None:
            return None
        path = loaded.path(Path(bars.benchmark))
        if not path.is_file():
            return self._benchmark_part("bars", f"{INSTRUMENT} = {quote_text(bars.benchmark)}", bars.benchmark)
        engine = connect(loaded.config.limits)
        source = "csv" if path.name.endswith((".csv", ".csv.gz")) else "parquet"
        config = bars.model_copy(update={"source": source, "table": None, "query": None})
        make_raw(engine, config, path)
        clean_bars(engine, config, str(path))
        names = [row[0] for row in engine.execute(f"SELECT DISTINCT {INSTRUMENT} FROM bars ORDER BY 1").fetchall()]
        wanted = bars.benchmark_instrument or names[0]
        if wanted not in names or (len(names) > 1 and bars.benchmark_instrument is None):
            shown = ", ".join(names[:3])
            hint = f'set [bars] benchmark_instrument = "{names[0]}", or another of them'
            raise InputError(f"the benchmark {path} holds {len(names)} instruments: {shown}", hint=hint)
        rows = engine.sql(f"SELECT * FROM bars ORDER BY {INSTRUMENT}, {DATETIME}").to_arrow_table()
        self.connection.register("benchmark_rows", rows)
        return self._benchmark_part("benchmark_rows", f"{INSTRUMENT} = {quote_text(wanted)}", str(path))

    def _benchmark_part(self, relation: str, condition: str, name: str) -> Dataset:
        select = f"SELECT * FROM {relation} WHERE {condition} ORDER BY {DATETIME}"
        content = self.connection.execute(f"SELECT count(*), bit_xor(hash(b)) FROM ({select}) AS b").fetchall()[0]
        if not content[0]:
            raise InputError(
                f'the benchmark "{name}" is no instrument of the bars and no file', hint="check [bars] benchmark"
            )
        return self._dataset("benchmark", fingerprint(content, duckdb.__version__), lambda: [("benchmark", select)])
