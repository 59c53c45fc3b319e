"""The parsed form of an expression: a few frozen kinds of node, equal when they say the same thing."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A bar column of the instrument at hand."""

    name: str


@dataclass(frozen=True)
class Number:
    """A number as written; whole numbers stay whole, since windows must be."""

    value: int | float


@dataclass(frozen=True)
class Text:
    """A quoted text, such as an instrument."""

    value: str


@dataclass(frozen=True)
class Group:
    """A bar column, of numbers or of text, whose equal values make a group of instruments."""

    name: str


@dataclass(frozen=True)
class Call:
    """An operator and what it is applied to; infix signs are calls too."""

    operator: str
    arguments: "tuple[Node, ...]"


Node = Field | Number | Text | Group | Call


def walk(node: Node) -> Iterator[Node]:
    """Yield a tree's nodes, parents first."""
    yield node
    if isinstance(node, Call):
        for argument in node.arguments:
            yield from walk(argument)


def fields_of(node: Node) -> set[str]:
    """Return the names of the bar columns an expression reads as numbers."""
    return {inner.name for inner in walk(node) if isinstance(inner, Field)}


def groups_of(node: Node) -> set[str]:
    """Return the names of the bar columns an expression groups instruments by."""
    return {inner.name for inner in walk(node) if isinstance(inner, Group)}


def depth_of(node: Node) -> int:
    """Return how deep a tree is nested."""
    return 1 + max(map(depth_of, node.arguments), default=0) if isinstance(node, Call) else 1


SIGNS = {
    "Gt": (">", 1), "Ge": (">=", 1), "Lt": ("<", 1), "Le": ("<=", 1), "Eq": ("==", 1), "Ne": ("!=", 1),
    "Or": ("|", 2), "And": ("&", 3), "Add": ("+", 4), "Sub": ("-", 4), "Mul": ("*", 5), "Div": ("/", 5), "Power": ("**", 7),
}  # fmt: skip
"""Operator → its sign and how tightly it binds, as in Python."""


def render(node: Node) -> str:
    """Return an expression in its one canonical spelling, which parses to an equal tree."""
    match node:
        case Field(name):
            return f"${name}"
        case Number(value):
            return f"({value!r})" if value < 0 else repr(value)
        case Text(value):
            return f"'{value}'" if '"' in value else f'"{value}"'
        case Group(name):
            return f'by="{name}"'
        case Call(operator, (left, right)) if operator in SIGNS:
            sign, strength = SIGNS[operator]
            space = " " if strength <= SIGNS["Add"][1] else ""
            sides = _inside(left, strength, is_right=False), _inside(right, strength, is_right=True)
            return f"{sides[0]}{space}{sign}{space}{sides[1]}"
        case Call(operator, arguments):
            inner = (repr(a.value) if isinstance(a, Number) else render(a) for a in arguments)
            return f"{operator}({', '.join(inner)})"


def _inside(node: Node, strength: int, *, is_right: bool) -> str:
    """Return an operand, in brackets where its own sign does not bind more tightly."""
    text = render(node)
    own = SIGNS[node.operator][1] if isinstance(node, Call) and node.operator in SIGNS else 9
    is_tight = own > strength or (own == strength and not is_right and strength not in (1, 7))
    return text if is_tight else f"({text})"
