"""TOML as everybody here reads it: whatever is wrong with a text, deep nesting and endless numbers among it, is a ValueError."""

import tomllib
from typing import Any

MAX_DEPTH = 50
"""Tables and lists inside each other: far above any config, far below the interpreter's own limit."""


def read_toml(text: str) -> dict[str, Any]:
    """Return what a TOML text says; raises ValueError for one that says nothing, or nests deeper than MAX_DEPTH."""
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value) if isinstance(inner, dict | list)]
        if not level:
            return content
    raise ValueError(f"nested deeper than {MAX_DEPTH}")


def _inside(value: Any) -> Any:  # noqa: ANN401 - whatever TOML can say
    return value.values() if isinstance(value, dict) else value
