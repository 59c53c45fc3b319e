"""One place says how a value is written."""

from datetime import date
from typing import Any, get_args

import numpy as np
import pytest

from qts.rendering.cells import WRITERS, cell, flat, heads, plain, texts
from qts.rendering.document import Column, Kind, Sheet


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.0312345, "number", "0.03123"),
        (9876.5, "number", "9876"),
        (-1234567.8, "number", "-1,234,568"),
        (0.00000123, "number", "1.23e-06"),
        (0.0312345, "fixed", "0.0312"),
        (-0.00001, "fixed", "0.0000"),
        (0.21344, "percent", "21.34 %"),
        (-0.00001, "percent", "0.00 %"),
        (12.34, "bps", "12.3"),
        (1234.567, "ratio", "1,234.57"),
        (12345.0, "integer", "12,345"),
        (np.int64(-3), "integer", "-3"),
        (np.float32(0.5), "fixed", "0.5000"),
        (np.datetime64("2024-02-29"), "day", "2024-02-29"),
        (date(2024, 2, 29), "day", "2024-02-29"),
        ("SH600000", "text", "SH600000"),
        ("none", "percent", "none"),
        (True, "text", "yes"),
        (np.bool_(False), "text", "no"),
        ([1, 2], "integer", "1, 2"),
        (None, "fixed", ""),
        (np.nan, "percent", ""),
        (np.datetime64("NaT"), "day", ""),
        (np.inf, "ratio", "inf"),
        (-np.inf, "ratio", "-inf"),
    ],
)
def test_a_value_is_written_by_its_kind(value: Any, kind: Kind, text: str) -> None:
    assert cell(value, kind) == text


def test_every_kind_is_written() -> None:
    assert set(WRITERS) == set(get_args(Kind))


def test_a_plus_is_written_if_asked_for_and_never_before_nothing() -> None:
    values = (0.01, -0.01, 0.0, 0.000001, np.nan)
    assert [cell(value, "percent", signed=True) for value in values] == ["+1.00 %", "-1.00 %", "0.00 %", "0.00 %", ""]


def test_json_gets_python_s_own_values_and_null_for_what_is_not_finite() -> None:
    values = (
        np.float32(0.5),
        np.int64(3),
        np.bool_(True),
        np.nan,
        np.inf,
        np.datetime64("2024-01-02"),
        np.datetime64("NaT"),
    )
    assert [plain(value) for value in values] == [0.5, 3, True, None, None, "2024-01-02", None]
    assert [type(plain(value)) for value in values[:3]] == [float, int, bool]


def test_a_row_s_kind_wins_over_that_of_numbers_but_text_stays_text() -> None:
    sheet = Sheet(
        "s",
        (Column("a", "A", "text"), Column("b", "B")),
        [{"a": "x", "b": 0.5, "kind": "percent"}, {"a": "y", "b": 0.5}],
    )
    assert list(texts(sheet)) == [[("x", "text"), ("50.00 %", "percent")], [("y", "text"), ("0.5", "number")]]


def test_explained_rows_have_a_column_more_unless_the_explanation_is_one_already() -> None:
    rows = [{"a": 1, "about": "why"}, {"a": 2}]
    explained = Sheet("s", (Column("a", "A", "integer"),), rows)
    assert [text for text, _ in heads(explained)] == ["A", "what it is"]
    assert [row[-1][0] for row in texts(explained)] == ["why", ""]
    own = Sheet("s", (Column("a", "A", "integer"), Column("about", "Why", "text")), rows)
    assert [text for text, _ in heads(own)] == ["A", "Why"]


def test_nested_tables_are_told_by_dotted_names() -> None:
    context = {"run": "r", "model": {"gru": {"hidden": 64}, "none": {}}, "seeds": [1, 2], "gone": None}
    assert dict(flat(context)) == {
        "run": "r",
        "model.gru.hidden": "64",
        "model.none": "none",
        "seeds": "1, 2",
        "gone": "",
    }
