"""Lookback is derived from the tree; look-ahead cannot hide in one."""

import pytest

from qts.expr.lookback import begin_of, find_look_ahead, span_of
from qts.expr.nodes import render
from qts.expr.operators import Span
from qts.expr.parse import parse


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("$close/$open", Span(0, 0)),
        ("Ref($close, -2)/Ref($close, -1) - 1", Span(0, 2)),
        ("Mean($close, 5)", Span(4, 0)),
        ("Ref($close, 60)/$close", Span(60, 0)),
        ("Corr($close/Ref($close, 1), Log($volume/Ref($volume, 1)+1), 60)", Span(60, 0)),
        ("Mean(Ref(Mean($close, 5), 5), 5)", Span(13, 0)),
        ("Delta($close, 5)", Span(5, 0)),
        ("EMA($close, 12)", Span(None, 0)),
        ("Mean($close, 0)", Span(None, 0)),
        ("Mean($close, 0.2)", Span(None, 0)),
        ("Ref($close, 0)", Span(None, 0)),
        ("Mean(Ref($close, -3), 5)", Span(4, 3)),
        ("If($close > 1, Ref($open, 3), $close)", Span(3, 0)),
    ],
)
def test_a_tree_s_span_is_what_its_operators_read(text: str, span: Span) -> None:
    assert span_of(parse(text)) == span


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("Ref($close, -1)", "Ref($close, -1)"),
        ("Mean(Ref($close, 2-3), 5)", "Ref($close, -1)"),
        ("Ref(Ref($close, 5), -5)", "Ref(Ref($close, 5), -5)"),
        ("$close*0 + Ref($open, -20)", "Ref($open, -20)"),
        ("Ref(Ref($close, 5), -10)", "Ref(Ref($close, 5), -10)"),
        ("Ref(Ref($close, -10), 20)", "Ref($close, -10)"),
        ("TsMean(Ref($close, -1), 60)", "Ref($close, -1)"),
        ("Ref($close, 5*3-4*4)", "Ref($close, -1)"),
        ("Ref($close, -(7-5))", "Ref($close, -2)"),
        ("Corr($close, Delay(Ref($volume, -3), 3), 5)", "Ref($volume, -3)"),
        ('CSRank(Ref($close, -1), by="industry")', "Ref($close, -1)"),
        ("CSZScore(Mean(Ref($close, -2), 5))", "Ref($close, -2)"),
        ('ChangeInstrument("SH1", Ref($close, -1))', "Ref($close, -1)"),
        ("If($close > Ref($close, -1), 1, 0)", "Ref($close, -1)"),
    ],
)
def test_look_ahead_is_found_wherever_it_stands(text: str, culprit: str) -> None:
    found = find_look_ahead(parse(text))
    assert found is not None
    assert render(found) == culprit


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("Ref($close, -2)/Ref($close, -1) - 1", 1),
        ("Ref($close, -5)/$close - 1", 0),
        ("Ref($open, -6)/Ref($open, -1) - 1", 1),
        ("Mean(Ref($close, -5), 5)/Ref($close, -1) - 1", 1),
        ("Mean(Ref($close, -5), 3)", 3),
        ("Ref(Ref($close, -10), 4)/Ref($close, -8) - 1", 6),
        ("Delta(Ref($close, -5), 3)", 2),
        ('CSDemean(Ref($close, -3)/Ref($close, -2) - 1, by="industry")', 2),
        ("Ref($close, -2)/Mean($close, 20)", 0),
        ("Ref($close, -2)/EMA($close, 20)", 0),
        ("$close", 0),
    ],
)
def test_a_label_begins_at_the_nearest_row_it_reads(text: str, begin: int) -> None:
    assert begin_of(parse(text)) == begin


def test_a_tree_that_looks_back_only_has_no_culprit() -> None:
    assert find_look_ahead(parse("Ref($close, 5)/Mean($close, 20)")) is None
