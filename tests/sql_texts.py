"""What is put into SQL: every f-string that is SQL, and whether all it interpolates is known to be SQL, a number or quoted."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SQL = re.compile(
    r"\b(SELECT|FROM|WHERE|CREATE|COPY|ATTACH|INSERT|DELETE|DROP|ORDER BY|GROUP BY|PARTITION BY|JOIN|CASE|CAST|SET|"
    r"DESCRIBE|OVER|UNION|DATE|NULL|AS|IN|FILTER|WHEN|THEN|USE)\b|read_\w+\(|count\(|min\(|max\("
)

QUOTED = frozenset({
    "quote_name", "quote_text", "listed", "read_parts", "without", "bool", "int", "float", "len",
    "benchmark_rows", "find", "kept_tail", "relation", "state", "universe_rows",
})  # fmt: skip
"""Calls whose result may stand in SQL, besides functions of the same file: what those return is looked at there."""

PARAMETERS = frozenset({
    "arrived", "bars", "bucket", "condition", "context", "day", "days", "detail", "folder", "holds", "instrument", "instruments",
    "known_bars", "known_days", "name", "news", "number", "panel", "relation", "scan", "select", "source", "spans", "suffix",
    "table", "value", "wanted", "where",
})  # fmt: skip
"""Parameters that take SQL, or the name of a table of ours: their callers quote."""

PARAMETERS_OF = {
    "panel.py": {
        "names",
        "row_number",
        "position",
        "rows_since",
        "rows_left",
    },  # of calendar and panel, by our own names
    "rules.py": {"conditions"},
}
"""The same, where in another file the name would mean something else."""

THEIRS = {"sources.py": {"relation"}}
"""SQL that the user wrote, in `[bars] query`: it is run where it can read that database alone."""

ATTRIBUTES = frozenset({
    "sql", "read", "is_bad", "relation", "source", "sql_later", "sql_today",
    "stray_share", "thin_share", "gap_days", "stale_days", "flat_bars", "jump", "tolerance",
})  # fmt: skip
"""Attributes that hold SQL, and numbers of `[check]`."""

_NUMBERS = ("int", "float", "bool", "date", "int | None", "float | None", "tuple[int, int]")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)


@dataclass
class SqlTexts:
    """The SQL of one file."""

    file: Path
    tree: ast.Module = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.file.read_text(encoding="utf-8"))
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.functions = {node.name for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}

    def doubtful(self) -> Iterator[str]:
        """Yield what stands in SQL and is not known to belong there."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.JoinedStr) and _SQL.search(_constant(node)):
                for part in node.values:
                    if isinstance(part, ast.FormattedValue) and not self.is_known(part.value):
                        yield f"{self.file.name}:{node.lineno} {ast.unparse(part.value)}"

    def is_known(self, node: ast.AST, seen: tuple[str, ...] = ()) -> bool:  # noqa: PLR0911 - one return a kind of node
        """Return whether an expression is SQL, a number, or quoted."""
        match node:
            case ast.Constant():
                return True
            case ast.Attribute(attr=name):
                return name in ATTRIBUTES
            case ast.Name(id=name):
                if name in THEIRS.get(self.file.name, ()):
                    return True
                return name.strip("_").isupper() or name in seen or self._is_known_name(node, (*seen, name))
            case ast.Call():
                return self._is_known_call(node, seen)
            case ast.GeneratorExp(elt=inner) | ast.ListComp(elt=inner) | ast.DictComp(value=inner):
                return self.is_known(inner, seen)
            case ast.FormattedValue(value=inner) | ast.Subscript(value=inner):
                return self.is_known(inner, seen)
            case (
                ast.JoinedStr()
                | ast.Tuple()
                | ast.List()
                | ast.BoolOp()
                | ast.BinOp()
                | ast.IfExp()
                | ast.Dict()
                | ast.Starred()
            ):
                inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
                inner = inner[1:] if isinstance(node, ast.IfExp) else inner  # what decides does not stand there
                return all(self.is_known(child, seen) for child in inner)
            case _:
                return False

    def _is_known_call(self, node: ast.Call, seen: tuple[str, ...]) -> bool:
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in QUOTED or name in self.functions:
            return True
        if name == "map":
            return isinstance(node.args[0], ast.Name) and node.args[0].id in QUOTED | self.functions | {"str"}
        if name in ("items", "lower", "format"):
            return isinstance(node.func, ast.Attribute) and self.is_known(node.func.value, seen)
        return name in ("join", "str") and all(self.is_known(argument, seen) for argument in node.args)

    def _is_known_name(self, node: ast.Name, seen: tuple[str, ...]) -> bool:
        scope: ast.AST = node
        while scope in self.parents:
            scope = self.parents[scope]
            if isinstance(scope, _LOOPS):
                for loop in scope.generators:
                    if _names(loop.target, node.id):
                        return self.is_known(loop.iter, seen)
            elif isinstance(scope, (*_SCOPES, ast.Module)):
                values = [value for target, value in _assignments(scope) if _names(target, node.id)]
                if isinstance(scope, _SCOPES) and (argument := _argument(scope, node.id)) is not None:
                    is_number = argument.annotation is not None and ast.unparse(argument.annotation) in _NUMBERS
                    is_sql = node.id in PARAMETERS | PARAMETERS_OF.get(self.file.name, set())
                    return (is_number or is_sql) and all(self.is_known(value, seen) for value in values)
                if values:
                    return all(self.is_known(value, seen) for value in values)
        return False


def _constant(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))


def _names(target: ast.AST, name: str) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(target))


def _argument(scope: ast.AST, name: str) -> ast.arg | None:
    arguments = scope.args  # type: ignore[attr-defined]
    return next((a for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs) if a.arg == name), None)


def _assignments(scope: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((target, value) for target in targets)
            case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
                yield target, value
            case ast.AnnAssign(target=target, value=value) if value is not None:
                yield target, value
            case ast.For(target=target, iter=value):
                yield target, value
            case _:
                pass
