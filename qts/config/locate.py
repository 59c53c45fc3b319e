"""Where a key stands in a TOML text; the standard parser keeps no line numbers."""

import re
from collections import Counter

KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[|\[)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$"""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*$')


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


class _OpenValue:
    """Whether a value goes on in the next line: an open bracket or an open triple quote."""

    def __init__(self) -> None:
        self.depth = 0
        self.quote: str | None = None

    def read(self, text: str) -> None:
        for quote in ('"""', "'''"):
            if self.quote in (None, quote) and text.count(quote) % 2:
                self.quote = None if self.quote else quote
                return
        if self.quote is None:
            bare = _STRING_OR_COMMENT.sub("", text)
            self.depth += sum(map(bare.count, "[{")) - sum(map(bare.count, "]}"))

    def is_open(self) -> bool:
        return self.depth > 0 or self.quote is not None


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line (from 1) of every table and key, under its path; list tables carry their number."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    seen: Counter[tuple[str, ...]] = Counter()
    value = _OpenValue()
    for number, line in enumerate(text.splitlines(), start=1):
        if value.is_open():
            value.read(line)
        elif header := _HEADER.match(line):
            names = _parts(header[2])
            table = (*names, seen[names]) if header[1] == "[[" else names
            seen[names] += header[1] == "[["
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
            value.read(key[2])
    return lines


def line_of(path: KeyPath, lines: dict[KeyPath, int]) -> int | None:
    """Return the line of a key, else of the nearest table around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None
