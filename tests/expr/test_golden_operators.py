"""Every operator against what the reference computes, cell by cell."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qts.errors import ExpressionError
from qts.expr.lookback import span_of
from qts.expr.nodes import Call, walk
from qts.expr.operators import OPERATORS
from qts.expr.parse import parse
from qts.expr.plan import padding_rows
from tests.golden_market import GoldenMarket, column, disagreements, open_golden_market
from tests.small_panel import LOWERINGS

GOLDEN = Path(__file__).parents[1] / "golden"
OPS = json.loads((GOLDEN / "ops/ops.json").read_text())
EXPRESSIONS = {entry["id"]: entry["expr"] for entry in OPS["expressions"]}
REFUSED_FIELD = "e004"
"""It reads $missing_field; the reference answers NaN in silence, qts refuses the name at ingest."""

LOOSER = {"e129": 1e-6}
"""Absolute tolerance where numpy's 32-bit logarithm differs by one unit from the rounded 64-bit one."""

FROM_THE_START = {"e103", "e104", "e143"}
"""Delta: the reference fetches a row too few before a range and loses its first values; qts never does."""


@pytest.fixture(scope="module", params=LOWERINGS)
def market(request: pytest.FixtureRequest) -> Iterator[GoldenMarket]:
    nodes = {key: parse(text) for key, text in EXPRESSIONS.items()}
    made = open_golden_market(GOLDEN, padding_rows(nodes.values()))
    made.compute(nodes, "computed", request.param)
    for name in ("ops_full", "ops_mid", "ops_unstable"):
        made.connection.execute(f"CREATE TABLE {name} AS SELECT * FROM '{GOLDEN}/ops/{name}.parquet'")
    yield made
    made.connection.close()


REDEFINED = {"e135"}
"""`sem`: pandas 3 and 2 differ in every cell; qts has pandas 3's definition, std/sqrt(n)."""


def compare(market: GoldenMarket, key: str, table: str) -> tuple[np.ndarray, np.ndarray]:
    """Return wanted and computed cells on rows both sides have, unstable ones left out."""
    rows = market.connection.execute(
        f"SELECT w.{key} AS want, c.{key} AS got FROM {table} AS w JOIN computed AS c USING (instrument, datetime) "
        f"ANTI JOIN (FROM ops_unstable WHERE id = '{'' if key in REDEFINED else key}') AS u USING (instrument, datetime)"
    ).fetchnumpy()
    return column(rows, "want"), column(rows, "got")


@pytest.mark.parametrize("key", EXPRESSIONS, ids=EXPRESSIONS.get)
def test_an_expression_has_the_reference_s_values_over_the_whole_history(market: GoldenMarket, key: str) -> None:
    want, got = compare(market, key, "ops_full")
    assert len(want) > 1500
    assert not disagreements(want, got, absolute=LOOSER.get(key, 1e-7)).any()


FINITE = [key for key in EXPRESSIONS if key not in FROM_THE_START and span_of(parse(EXPRESSIONS[key])).back is not None]
"""What does not read every row since the first: there the reference's answer does not depend on the range asked."""


@pytest.mark.parametrize("key", FINITE, ids=EXPRESSIONS.get)
def test_a_finite_lookback_has_the_reference_s_values_from_mid_history(market: GoldenMarket, key: str) -> None:
    want, got = compare(market, key, "ops_mid")
    assert len(want) > 150
    assert not disagreements(want, got, absolute=LOOSER.get(key, 1e-7)).any()


OWN = {"CSRank", "CSZScore", "CSDemean"}
"""Operators the reference has not; `test_cross_sections` has their truth."""


def test_every_operator_of_the_reference_stands_in_some_golden_expression() -> None:
    used = {node.operator for text in EXPRESSIONS.values() for node in walk(parse(text)) if isinstance(node, Call)}
    assert used == set(OPERATORS) - OWN


MORE_THAN_THE_REFERENCE = {"-$close", "~($close>$open)"}
"""qts reads a leading minus and ~ as anyone would; the reference refuses both."""

REFUSED_LATER = {"Corr($missing_field,$close,5)", "$missing_field>$close", "If($missing_field>1,$close,0)"}
"""The text is right; the field is missed when the bars are known."""


@pytest.mark.parametrize(
    "text", [e["expr"] for e in OPS["errors"] if e["expr"] not in MORE_THAN_THE_REFERENCE | REFUSED_LATER]
)
def test_what_the_reference_cannot_compute_is_refused_when_it_is_read(text: str) -> None:
    if text == "Kurt($close,3)":
        assert OPERATORS["Kurt"].least_rows == 4
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.position <= len(text)
