"""Alpha158 and Alpha360 against the reference: selected rows cell by cell, all rows by their statistics."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from qts.expr.plan import padding_rows
from qts.factors import load_factor_set, parse_label
from tests.golden_market import GoldenMarket, column, disagreements, open_golden_market
from tests.small_panel import LOWERINGS

GOLDEN = Path(__file__).parents[1] / "golden"
LABELS = {
    "LABEL0": "Ref($close, -2)/Ref($close, -1) - 1",
    "LABEL0_VWAP": "Ref($vwap, -2)/Ref($vwap, -1) - 1",
}
LOGARITHMS = ("CORR", "CORD")
"""Families with a 32-bit logarithm: numpy's differs by one unit from the rounded 64-bit one, and near-flat windows show it."""


@pytest.fixture(scope="module", params=LOWERINGS)
def market(request: pytest.FixtureRequest) -> Iterator[GoldenMarket]:
    made = open_golden_market(GOLDEN, padding=60)
    labels = {name: parse_label(text, "label")[0] for name, text in LABELS.items()}
    for name in ("alpha158", "alpha360"):
        factors = {factor.name: factor.node for factor in load_factor_set(name, Path()).factors}
        assert padding_rows(factors.values()) <= 60
        made.compute(factors | labels, name, request.param)
        made.connection.execute(f"CREATE TABLE want_{name} AS SELECT * FROM '{GOLDEN}/factors/{name}.parquet'")
    made.connection.execute(f"CREATE TABLE unstable AS SELECT * FROM '{GOLDEN}/factors/alpha158_unstable.parquet'")
    yield made
    made.connection.close()


def factor_columns(name: str) -> list[str]:
    names = pq.read_schema(GOLDEN / f"factors/{name}.parquet").names
    return [n for n in names if n not in ("instrument", "datetime")]


@pytest.mark.parametrize("name", ["alpha158", "alpha360"])
def test_a_set_has_the_reference_s_factors_in_its_order(name: str) -> None:
    ours = load_factor_set(name, Path()).names
    assert list(ours) == [n for n in factor_columns(name) if not n.startswith("LABEL")]


@pytest.mark.parametrize("name", ["alpha158", "alpha360"])
def test_every_cell_of_the_selected_rows_agrees(market: GoldenMarket, name: str) -> None:
    columns = factor_columns(name)
    cells = ", ".join(f'w."{c}" AS "want {c}", c."{c}" AS "got {c}"' for c in columns)
    rows = market.connection.execute(
        f"SELECT instrument, datetime, {cells} FROM want_{name} AS w JOIN {name} AS c USING (instrument, datetime)"
    ).fetchnumpy()
    keys = np.array(
        [f"{i} {d}"[:19] for i, d in zip(rows["instrument"], rows["datetime"].astype("datetime64[D]"), strict=True)]
    )
    assert len(keys) == pq.read_metadata(GOLDEN / f"factors/{name}.parquet").num_rows
    unstable = market.connection.execute('SELECT instrument, datetime, "column" FROM unstable').fetchall()
    left_out: dict[str, list[str]] = {}
    for instrument, day, factor in unstable if name == "alpha158" else []:
        left_out.setdefault(factor, []).append(f"{instrument} {day}"[:19])
    wrong = {}
    for factor in columns:
        absolute = 2e-5 if factor.startswith(LOGARITHMS) else 1e-7
        bad = disagreements(column(rows, f"want {factor}"), column(rows, f"got {factor}"), absolute=absolute)
        bad &= ~np.isin(keys, left_out.get(factor, []))
        if bad.any():
            wrong[factor] = keys[bad][:3].tolist()
    assert wrong == {}


@pytest.mark.parametrize("name", ["alpha158", "alpha360"])
def test_every_instrument_has_the_reference_s_rows_missing_cells_and_extremes(market: GoldenMarket, name: str) -> None:
    """All rows, not only the selected ones; what an unstable cell touches is left out."""
    stats = pq.read_table(GOLDEN / f"factors/{name}_stats.parquet").to_pylist()
    unstable = {row[:2] for row in market.connection.execute('SELECT instrument, "column" FROM unstable').fetchall()}
    found = {}
    for factor in {row["column"] for row in stats}:
        for row in market.connection.execute(
            f'SELECT instrument, count(*), count(*) - count("{factor}"), '
            f'min("{factor}"), max("{factor}") FROM {name} GROUP BY instrument'
        ).fetchall():
            found[row[0], factor] = row[1:]
    wrong = []
    for row in stats:
        n_rows, n_missing, low, high = found[row["instrument"], row["column"]]
        if (row["instrument"], row["column"]) in unstable:
            continue
        same = n_rows == row["rows"] and n_missing == row["n_nan"]
        absolute = 2e-5 if row["column"].startswith(LOGARITHMS) else 1e-7
        if row["n_nan"] < row["rows"] and row["n_inf"] == 0:
            same &= not disagreements(
                np.array([row["min"], row["max"]]), np.array([low, high]), absolute=absolute
            ).any()
        if not same:
            wrong.append((row["instrument"], row["column"]))
    assert wrong == []
