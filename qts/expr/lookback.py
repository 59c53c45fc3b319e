"""What an expression reads beside its own row, before, after and across: derived from its tree, never declared."""

import math

from qts.expr.nodes import Call, Field, Node, Number, walk
from qts.expr.operators import OPERATORS, Span


def span_of(node: Node) -> Span:
    """Return the rows a tree reads before (None: all) and after the row it is asked for."""
    if not isinstance(node, Call):
        return Span()
    inner = Span()
    for argument in node.arguments:
        inner |= span_of(argument)
    numbers = tuple(argument for argument in node.arguments if isinstance(argument, Number))
    return OPERATORS[node.operator].span(inner, numbers)


def begin_of(node: Node) -> int:
    """Return the nearest row, the one it is asked for or a later one, that a tree reads: where a label's return begins.

    0 for Ref($close, -5)/$close - 1, and 1 for Ref($close, -2)/Ref($close, -1) - 1. A tree that also looks back begins at
    0: whether it does so for the price a return begins at, or to scale it, cannot be told.
    """
    first = _first_row(node)
    return int(first) if 0 < first < math.inf else 0


def _first_row(node: Node) -> float:
    """Return the first row that a tree reads a bar of, counted from the one it is asked for; infinite if it reads none."""
    if not isinstance(node, Call):
        return 0 if isinstance(node, Field) else math.inf
    numbers = tuple(argument for argument in node.arguments if isinstance(argument, Number))
    own = OPERATORS[node.operator].span(Span(), numbers)
    first = min(map(_first_row, node.arguments))
    return -math.inf if own.back is None else first - own.back + own.ahead  # what reads ahead reads nothing nearer


def find_look_ahead(node: Node) -> Node | None:
    """Return the innermost part of a tree that reads later rows, or None."""
    if not isinstance(node, Call):
        return None
    for argument in node.arguments:
        if found := find_look_ahead(argument):
            return found
    numbers = tuple(argument for argument in node.arguments if isinstance(argument, Number))
    return node if OPERATORS[node.operator].span(Span(), numbers).ahead else None


def crosses(node: Node) -> bool:
    """Return whether a tree reads other instruments than the one it is asked for."""
    return any(isinstance(inner, Call) and OPERATORS[inner.operator].crosses for inner in walk(node))
