"""Where a key stands in a TOML text; the standard parser keeps no line numbers."""

import re
import tomllib
from collections import Counter

KeyPath = tuple[str | int, ...]

_BASIC = r'"(?:\\.|[^"\\\n])*"'
_LITERAL = r"'[^'\n]*'"
_DOTTED = rf"(?:[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL})(?:\s*\.\s*(?:[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL}))*"
_HEADER = re.compile(rf"^\s*(\[\[|\[)\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"^\s*({_DOTTED})\s*=(.*)$")
_PART = re.compile(rf"[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL}")
_STRING = re.compile(rf"{_BASIC}|{_LITERAL}")
_LONG_OR_COMMENT = re.compile(
    rf'"{{3}}(?:\\.|[^\\])*?"{{3,5}}|\'{{3}}.*?\'{{3,5}}|(?P<short>{_BASIC}|{_LITERAL})|#[^\n]*', re.DOTALL
)


def _masked(text: str) -> list[str]:
    """Return the lines of a text without its comments and long strings, which may hold anything."""

    def blank(match: re.Match[str]) -> str:
        return match[0] if match["short"] else '""' + "\n" * match[0].count("\n") if match[0][0] != "#" else ""

    return _LONG_OR_COMMENT.sub(blank, text).split("\n")


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(tomllib.loads(f"{part} = 0").popitem()[0] for part in _PART.findall(dotted))


def _depth(line: str) -> int:
    """Return how many brackets a line opens and does not close."""
    bare = _STRING.sub("", line)
    return sum(map(bare.count, "[{")) - sum(map(bare.count, "]}"))


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line (from 1) of every table and key, under its path; list tables carry their number."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    seen: Counter[tuple[str, ...]] = Counter()
    depth = 0
    for number, line in enumerate(_masked(text), start=1):
        if depth > 0:
            depth += _depth(line)
        elif header := _HEADER.match(line):
            names = _parts(header[2])
            table = (*names, seen[names]) if header[1] == "[[" else names
            seen[names] += header[1] == "[["
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
            depth = _depth(key[2])
    return lines


def line_of(path: KeyPath, lines: dict[KeyPath, int]) -> int | None:
    """Return the line of a key, else of the nearest table around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None
