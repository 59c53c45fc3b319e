"""What stands beside the bars: the universe and the benchmark."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from qts.bars.door import clean_bars
from qts.bars.sources import make_raw
from qts.bars.universe import read_universe
from qts.columns import DATETIME, END, INSTRUMENT, START
from qts.config import LoadedConfig
from qts.errors import InputError
from qts.expr.quote import quote_text
from qts.plain_file import is_file
from qts.store import fingerprint
from qts.store.engine import connect


@dataclass(frozen=True)
class Companions:
    """Reads universe and benchmark into the connection of an ingest."""

    connection: duckdb.DuckDBPyConnection
    loaded: LoadedConfig

    def read_universe(self) -> bool:
        """Make the table `universe`, if there is one, and say whether; the data gate looks at it too."""
        if self.loaded.config.bars.universe is None:
            return False
        read_universe(self.connection, self.loaded.path(self.loaded.config.bars.universe))
        return True

    def universe_rows(self) -> tuple[str, str]:
        """Return the hash and the SELECT of the members."""
        select = f'SELECT {INSTRUMENT}, "{START}", "{END}" FROM universe ORDER BY ALL'
        return fingerprint(self.connection.execute(select).fetchall()), select

    def refuse_strangers(self, instruments: str) -> None:
        """Refuse a universe of which no member is in a relation of instruments."""
        first, n_members = self.connection.execute(
            f"SELECT any_value({INSTRUMENT}), count(*) FILTER ({INSTRUMENT} IN (SELECT {INSTRUMENT} FROM {instruments})) "
            f"FROM universe"
        ).fetchall()[0]
        if not n_members and self.loaded.config.bars.universe is not None:
            raise InputError(
                f"no member of the universe {self.loaded.path(self.loaded.config.bars.universe)} has bars (as {first})",
                hint="do both use the same names?",
            )

    def benchmark_file(self) -> Path | None:
        """Return the benchmark's own file; None if it is an instrument of the bars, or if there is none."""
        named = self.loaded.config.bars.benchmark
        path = self.loaded.path(Path(named)) if named else None
        return path if path and is_file(path) else None

    def benchmark_rows(self, bars: str) -> tuple[str, str]:
        """Return the hash and the SELECT of the benchmark's bars: of its own file, or of a relation of the bars."""
        config = self.loaded.config.bars
        path = self.benchmark_file()
        relation = "benchmark_rows" if path else bars
        instrument = self._read_benchmark(path) if path else str(config.benchmark)
        select = f"SELECT * FROM {relation} WHERE {INSTRUMENT} = {quote_text(instrument)} ORDER BY {DATETIME}"
        content = self.connection.execute(f"SELECT count(*), bit_xor(hash(b)) FROM ({select}) AS b").fetchall()[0]
        if not content[0]:
            raise InputError(
                f'the benchmark "{path or config.benchmark}" is no instrument of the bars and no file',
                hint="check [bars] benchmark",
            )
        return fingerprint(content, duckdb.__version__), select

    def _read_benchmark(self, path: Path) -> str:
        """Register the bars of the benchmark's file; return which instrument it is."""
        bars = self.loaded.config.bars
        engine = connect(self.loaded.config.limits)
        source = "csv" if path.name.endswith((".csv", ".csv.gz")) else "parquet"
        config = bars.model_copy(update={"source": source, "table": None, "query": None, "groups": ()})
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
        return str(wanted)
