"""Text → nodes, by precedence climbing with Python's precedence; nothing is ever evaluated as code.

An error names what was found and points at its character. Operator names and argument counts are checked here, so
that the caret can stand under the fault; what the arguments mean is the business of `operators`.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from qts.columns import FIELD_ALIASES
from qts.errors import ExpressionError
from qts.expr.nodes import Call, Field, Group, Node, Number, Text, depth_of, walk
from qts.expr.operators import ALIASES, OPERATORS, REFUSED, Alias
from qts.registry import unknown_name_hint

MAX_DEPTH = 100
"""Nesting at which an expression is refused: far above any factor, far below the interpreter's own limit."""

MAX_PARTS = 10_000
"""Nodes of an expression, the factors it names written out, at which it is refused: each is compiled by itself."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<field>\$\$?[A-Za-z_]\w*)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<text>"[^"]*"|'[^']*')
    | (?P<sign>\*\*|>=|<=|==|!=|[-+*/()<>&|~,=])
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

_FOREIGN_SIGNS = {
    "and": 'write "&" and "|" with brackets around each side',
    "or": 'write "&" and "|" with brackets around each side',
    "=": 'write "==" to compare',
}
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

    def __init__(self, text: str, names: Mapping[str, Node]) -> None:
        self.text = text
        self.names = names
        self.last_name: _Token | None = None
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
            raise self.fail(f"did not expect {self._found()} here", self.token, _FOREIGN_SIGNS.get(self.token.text))
        if self.last_name and (depth_of(node) > MAX_DEPTH or len([*islice(walk(node), MAX_PARTS)]) == MAX_PARTS):
            raise self.fail("the expression is too large with this factor written out", self.last_name)
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
        return self.signed(operator, (left, right), sign)

    def signed(self, operator: str, arguments: tuple[Node, ...], sign: _Token) -> Node:
        """Return the call that a sign stands for."""
        row = OPERATORS[operator]
        for argument, parameter in zip(arguments, row.parameters, strict=True):
            if complaint := parameter.complaint(argument):
                raise self.fail(f'"{sign.text}": {complaint}', sign, row.usage())
        return Call(operator, arguments)

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
                return self.signed("Not", (operand,), token)
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
        if token.text in OPERATORS or token.text in ALIASES:
            usage = OPERATORS[_meaning(token.text).operator].usage()
            raise self.fail(f"{token.text} needs brackets with its arguments", token, usage)
        if found := self.names.get(token.text.lower()):
            self.last_name = token
            return found
        return Field(_canonical(token.text))

    def call(self, name: _Token) -> Node:
        if name.text in REFUSED:
            raise self.fail(f"{name.text} is not supported", name, REFUSED[name.text])
        if name.text not in OPERATORS and name.text not in ALIASES:
            hint = unknown_name_hint(name.text, [*OPERATORS, *ALIASES])
            raise self.fail(f'unknown operator "{name.text}"', name, hint)
        meaning = _meaning(name.text)
        operator = OPERATORS[meaning.operator]
        self.expect("(")
        arguments: list[Node] = []
        starts: list[_Token] = []
        while self.token.text != ")":
            starts.append(self.token)
            arguments.append(self.argument(meaning, len(arguments)))
            if self.token.text != ")":
                self.expect(",")
        closing = self.take()
        most = len(meaning.parameters)
        least = most - sum(parameter.is_group for parameter in meaning.parameters)
        if not least <= len(arguments) <= most:
            wanted = f"{most} arguments" if least == most else f"{least} or {most} arguments"
            raise self.fail(f"{name.text} takes {wanted}, not {len(arguments)}", closing, operator.usage())
        for argument, parameter, start in zip(arguments, meaning.parameters, starts, strict=False):
            if complaint := parameter.complaint(argument):
                raise self.fail(f"{name.text}: {complaint}", start, operator.usage())
        if complaint := operator.complaint(tuple(arguments)):
            raise self.fail(f"{name.text}: {complaint}", starts[0], operator.usage())
        call = Call(meaning.operator, tuple(arguments))
        self.places.setdefault(call, starts[-1].start)
        return call

    def argument(self, meaning: Alias, place: int) -> Node:
        """Read the argument at a place, with its name before it where the parameter there may be named."""
        parameter = meaning.parameters[place] if place < len(meaning.parameters) else None
        follows = _TOKEN.match(self.text, self.at)
        if self.token.kind == "name" and follows and follows["sign"] == "=":
            if parameter is None or not parameter.is_group or self.token.text != parameter.name:
                usage = OPERATORS[meaning.operator].usage()
                raise self.fail(f"no argument can be named {self.token.text} here", self.token, usage)
            self.take()
            self.take()
        node = self.expression(0)
        if parameter is not None and parameter.is_group and isinstance(node, Text):
            return Group(_canonical(node.value))
        return node


def _meaning(name: str) -> Alias:
    """Return what an operator's name, or another name of it, stands for."""
    return ALIASES[name] if name in ALIASES else Alias(name, OPERATORS[name].parameters)


def _canonical(name: str) -> str:
    lower = name.lower()
    return FIELD_ALIASES.get(lower, lower)


def parse(text: str) -> Node:
    """Return the tree of an expression; raises ExpressionError with the place of the fault."""
    return parse_with_places(text)[0]


def parse_with_places(text: str, names: Mapping[str, Node] | None = None) -> tuple[Node, dict[Node, int]]:
    """Return the tree of an expression, and where the last argument of each of its named operators stands.

    `names` maps names of other factors, in lower case, to their trees: a name without `$` stands for such a tree, if
    there is one, before it stands for a field.
    """
    parser = _Parser(text, names or {})
    node = parser.whole()
    if isinstance(node, Number | Text):
        raise ExpressionError("an expression must read at least one field", text, 0, hint='fields are written "$close"')
    return node, parser.places


def bare_names(text: str) -> Iterator[tuple[str, int]]:
    """Yield the names without `$` that stand for a factor or a field, and where each stands."""
    tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup]
    for token, follows in zip(tokens, [*tokens[1:], None], strict=True):
        if token["name"] and (follows is None or follows[follows.lastgroup or 0] not in ("(", "=")):
            yield token["name"], token.start("name")
