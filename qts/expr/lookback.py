"""What an expression reads beside its own row, before, after and across: derived from its tree, never declared."""

from qts.expr.nodes import Call, Node, Number, walk
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
