"""When a value is missing, in words; the numbers in them are those of the data."""

import pytest

from qts.expr.null_rule import LEAST_VALID, RULES, null_rule
from qts.expr.operators import OPERATORS
from qts.expr.parse import parse
from tests.small_panel import bars_table, cells


def test_every_operator_has_a_rule() -> None:
    assert set(RULES) == set(OPERATORS)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("$close", "missing if $close is missing"),
        ("($close-$open)/$open", "missing if $close is missing, or if $open is missing, or if 0 is divided by 0"),
        ("Ref($close, 5) - 1", "missing if there is no $close 5 rows ago"),
        ("Delta($close, 1)", "missing if $close is missing, or if there is no $close 1 row ago"),
        ("Mean($close, 5)", "missing if $close has no valid value in the last 5 rows"),
        ("Std($close, 20)", "missing if $close has fewer than 2 valid values in the last 20 rows"),
        ("Mean($close, 0)", "missing if $close has no valid value so far"),
        ("Mean($close > Ref($close, 1), 5)", "never missing"),
        ("Rank($close, 5)", "missing if $close has no valid value in the last 5 rows, or if $close is missing"),
        ("If($close > 1, $open, 2)", "missing if $close > 1 holds and $open is missing"),
        ('CSRank($close, by="industry")', "missing if $close is missing, or if $industry is missing"),
        ("CSZScore($close)", "missing if $close is missing, or if the valid $close of its day are all equal"),
        ('Mask($close, "SH1")', "missing if $close is missing for SH1 that day"),
        ('Rolling($close, 5, "sem")', "missing if $close has fewer than 2 valid values in the last 5 rows"),
        ("Corr($close, $open, 5)", "missing if $close with $open has fewer than 2 valid values in the last 5 rows, "
                                   "or if $close or $open is flat in the last 5 rows"),
    ],
)  # fmt: skip
def test_a_rule_is_a_sentence_of_the_tree(text: str, rule: str) -> None:
    assert null_rule(parse(text)) == rule


N_ROWS = 5
VALUES = [3, 1, 4, 2, 9]
BARS = bars_table({
    "instrument": [f"{n_valid} valid" for n_valid in range(N_ROWS + 1) for _ in VALUES],
    "day": [*range(N_ROWS)] * (N_ROWS + 1),
    "close": [v if at >= N_ROWS - n_valid else None for n_valid in range(N_ROWS + 1) for at, v in enumerate(VALUES)],
    "open": [-v * v if at >= N_ROWS - n_valid else None for n_valid in range(N_ROWS + 1) for at, v in enumerate(VALUES)],
})  # fmt: skip


@pytest.mark.parametrize("operator", LEAST_VALID)
def test_a_window_has_a_value_from_as_many_valid_values_as_its_rule_says(operator: str) -> None:
    given = {"x": "$close", "y": "$open", "q": "0.2"}
    arguments = ", ".join(given.get(parameter.name, str(N_ROWS)) for parameter in OPERATORS[operator].parameters)
    found = cells(BARS, f"{operator}({arguments})")
    has_value = [found[f"{n_valid} valid", N_ROWS - 1] is not None for n_valid in range(N_ROWS + 1)]
    assert has_value == [n_valid >= LEAST_VALID[operator] for n_valid in range(N_ROWS + 1)]
