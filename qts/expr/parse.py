"""Text → nodes, by precedence climbing with Python's precedence; nothing is ever evaluated as code.

An error names what was found and points at its character. Operator names and argument counts are checked here, so
that the caret can stand under the fault; what the arguments mean is the business of `operators`.
"""

import math
import re
from dataclasses import dataclass

from qts.columns import FIELD_ALIASES
from qts.errors import ExpressionError
from qts.expr.nodes import Call, Field, Node, Number, Text
from qts.expr.operators import OPERATORS, REFUSED
from qts.registry import unknown_name_hint

MAX_DEPTH = 100
"""Nesting at which an expression is refused: far above any factor, far below the interpreter's own limit."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<field>\$\$?[A-Za-z_]\w*)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<text>"[^"]*"|'[^']*')
    | (?P<sign>\*\*|>=|<=|==|!=|[-+*/()<>&|~,])
    | (?P<end>$)
    | (?P<other>.)
    )""",
    re.VERBOSE,
)

_INFIX = {
    ">": (1, "Gt"), ">=": (1, "Ge"), "<": (1, "Lt"), "<=": (1, "Le"), "==": (1, "Eq"), "!=": (1, "Ne"),
    "|": (2, "Or"), "&": (3, "And"),
    "+": (4, "Add"), "-": (4, "Sub"), "*": (5, "Mul"), "/": (5, "Div"),
    "**": (7, "Power"),
}  # fmt: skip
"""Sign → (how tightly it binds, operator); a leading minus binds at 6, between `*` and `**`."""

_COMPARISON = 1
_PREFIX = 6
_LONGEST_NUMBER = 40

_CONSTANT = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Power": lambda a, b: float(a) ** float(b),  # of floats: a tower of whole numbers would never end
}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int


class _Parser:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.places: dict[Node, int] = {}
        self.token = self._read()

    def _read(self) -> _Token:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match.lastgroup is None:  # a newline is the only character `.` leaves out
            return _Token("end", "", len(self.text))
        self.at = match.end()
        return _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))

    def fail(self, message: str, token: _Token, hint: str | None = None) -> ExpressionError:
        return ExpressionError(message, self.text, token.start, hint=hint or "qts operators lists the language")

    def take(self) -> _Token:
        token, self.token = self.token, self._read()
        return token

    def expect(self, sign: str) -> None:
        if self.token.text != sign:
            hint = "a bracket is not closed" if self.token.kind == "end" else None
            raise self.fail(f'expected "{sign}", found {self._found()}', self.token, hint)
        self.take()

    def _found(self) -> str:
        return f'"{self.token.text}"' if self.token.kind != "end" else "the end"

    def whole(self) -> Node:
        if self.token.kind == "end":
            raise self.fail("the expression is empty", self.token)
        node = self.expression(0)
        if self.token.kind != "end":
            hint = 'write "&" and "|" with brackets around each side' if self.token.text in ("and", "or") else None
            raise self.fail(f"did not expect {self._found()} here", self.token, hint)
        return node

    def expression(self, binding: int) -> Node:
        self.depth += 1
        left = self.prefix()
        n_signs, compared = 0, False
        while self.token.kind == "sign" and self.token.text in _INFIX:
            strength, operator = _INFIX[self.token.text]
            if strength <= binding:
                break
            sign = self.take()
            n_signs += 1
            if compared and strength == _COMPARISON:
                raise self.fail("comparisons cannot be chained", sign, "write (a > b) & (b > c)")
            if self.depth + n_signs > MAX_DEPTH:
                raise self.fail(f"the expression is nested deeper than {MAX_DEPTH}", sign)
            compared = strength == _COMPARISON
            right = self.expression(_PREFIX - 1 if operator == "Power" else strength)
            left = self.combine(operator, left, right, sign)
        self.depth -= 1
        return left

    def combine(self, operator: str, left: Node, right: Node, sign: _Token) -> Node:
        if isinstance(left, Text) or isinstance(right, Text):
            raise self.fail(f'"{sign.text}" cannot work on a quoted text', sign)
        if isinstance(left, Number) and isinstance(right, Number):
            if operator not in _CONSTANT:
                raise self.fail(f'"{sign.text}" needs an expression on at least one side', sign)
            try:
                value = _CONSTANT[operator](left.value, right.value)
            except (ArithmeticError, ValueError):
                value = None
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise self.fail("this has no finite real value", sign)
            return Number(value)
        return Call(operator, (left, right))

    def prefix(self) -> Node:
        token = self.take()
        if self.depth > MAX_DEPTH:
            raise self.fail(f"the expression is nested deeper than {MAX_DEPTH}", token)
        match token.kind:
            case "number":
                if len(token.text) > _LONGEST_NUMBER:
                    raise self.fail("this number is too long", token)
                if math.isinf(float(token.text)):
                    raise self.fail("this number is too large", token)
                return Number(float(token.text) if any(c in token.text for c in ".eE") else int(token.text))
            case "text":
                return Text(token.text[1:-1])
            case "field":
                return self.field(token)
            case "name":
                return self.call(token) if self.token.text == "(" else self.bare_name(token)
        return self.sign_prefix(token)

    def sign_prefix(self, token: _Token) -> Node:
        if token.text == "(":
            node = self.expression(0)
            self.expect(")")
            return node
        if token.text in ("-", "+", "~"):
            operand = self.expression(_PREFIX - 1)
            if token.text == "~":
                return Call("Not", (operand,))
            if token.text == "+":
                return operand
            return self.combine("Sub", Number(0), operand, token)
        what = f'"{token.text}"' if token.kind != "end" else "the end"
        raise self.fail(f"expected a field, a number or an operator, found {what}", token)

    def field(self, token: _Token) -> Node:
        if token.text.startswith("$$"):
            raise self.fail("point-in-time fields are not part of daily bars", token, "join such data into the bars")
        return Field(_canonical(token.text[1:]))

    def bare_name(self, token: _Token) -> Node:
        if token.text in OPERATORS:
            raise self.fail(f"{token.text} needs brackets with its arguments", token, OPERATORS[token.text].usage())
        return Field(_canonical(token.text))

    def call(self, name: _Token) -> Node:
        if name.text in REFUSED:
            raise self.fail(f"{name.text} is not supported", name, REFUSED[name.text])
        if name.text not in OPERATORS:
            raise self.fail(f'unknown operator "{name.text}"', name, unknown_name_hint(name.text, OPERATORS))
        self.expect("(")
        arguments: list[Node] = []
        starts: list[_Token] = []
        while self.token.text != ")":
            starts.append(self.token)
            arguments.append(self.expression(0))
            if self.token.text != ")":
                self.expect(",")
        closing = self.take()
        operator = OPERATORS[name.text]
        if len(arguments) != len(operator.parameters):
            message = f"{name.text} takes {len(operator.parameters)} arguments, not {len(arguments)}"
            raise self.fail(message, closing, operator.usage())
        for argument, parameter, start in zip(arguments, operator.parameters, starts, strict=True):
            if complaint := parameter.complaint(argument):
                raise self.fail(f"{name.text}: {complaint}", start, operator.usage())
        if complaint := operator.complaint(tuple(arguments)):
            raise self.fail(f"{name.text}: {complaint}", starts[0], operator.usage())
        call = Call(name.text, tuple(arguments))
        self.places.setdefault(call, starts[-1].start)
        return call


def _canonical(name: str) -> str:
    lower = name.lower()
    return FIELD_ALIASES.get(lower, lower)


def parse(text: str) -> Node:
    """Return the tree of an expression; raises ExpressionError with the place of the fault."""
    return parse_with_places(text)[0]


def parse_with_places(text: str) -> tuple[Node, dict[Node, int]]:
    """Return the tree of an expression, and where the last argument of each of its named operators stands."""
    parser = _Parser(text)
    node = parser.whole()
    if isinstance(node, Number | Text):
        raise ExpressionError("an expression must read at least one field", text, 0, hint='fields are written "$close"')
    return node, parser.places
