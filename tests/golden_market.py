"""The golden market as a panel that compiled expressions can run over, and how cells are compared."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from qts.bars.door import clean_bars
from qts.config import BarsConfig
from qts.expr.nodes import Node
from qts.expr.quote import quote_name
from tests.small_panel import bounds_of, lay_out_all, select_of

RELATIVE, ABSOLUTE = 1e-5, 1e-7


@dataclass(frozen=True)
class GoldenMarket:
    """The golden bars behind the door, laid out as a panel."""

    connection: duckdb.DuckDBPyConnection
    fields: tuple[str, ...]

    def compute(self, nodes: dict[str, Node], table: str, lowering: str) -> None:
        """Make `table` of instrument, datetime and one column a node."""
        sql = select_of(lowering, nodes, self.fields, bounds_of(self.connection))
        names = ", ".join(map(quote_name, nodes))
        self.connection.execute(
            f"CREATE TABLE {table} AS SELECT CAST(instrument AS VARCHAR) AS instrument, datetime, {names} FROM ({sql})"
        )


def open_golden_market(golden: Path, padding: int = 1) -> GoldenMarket:
    """Read bars and benchmark as one source; `padding` is what streamed expressions need."""
    connection = duckdb.connect(config={"threads": 2})
    listed = f"['{golden / 'bars/bars.parquet'}', '{golden / 'bars/benchmark.parquet'}']"
    connection.execute(
        f"CREATE VIEW raw AS SELECT * RENAME (filename AS qts_file) FROM read_parquet({listed}, filename=true)"
    )
    fields = clean_bars(connection, BarsConfig(), "golden bars")
    lay_out_all(connection, fields, padding)
    return GoldenMarket(connection, fields)


def disagreements(
    want: np.ndarray, got: np.ndarray, relative: float = RELATIVE, absolute: float = ABSOLUTE
) -> np.ndarray:
    """Return which cells differ: missing on one side alone, or further apart than the tolerance."""
    want, got = want.astype(np.float64), got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        near = (want == got) | (np.abs(want - got) <= np.maximum(absolute, relative * np.abs(want)))
    return ~(near | (np.isnan(want) & np.isnan(got)))


def column(table: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return a column of fetchnumpy() with NaN for NULL."""
    return np.ma.filled(np.ma.asarray(table[name]).astype(np.float64), np.nan)
