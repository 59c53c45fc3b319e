"""A dict which, asked for a name it lacks, answers with the nearest one and the list."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypeVar

from qts.errors import ConfigError

T = TypeVar("T")

_MOST_NAMES = 30


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name spelled most like `name`, ignoring case, or None if none is near."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def unknown_name_hint(name: str, known: Iterable[str]) -> str:
    """Return the hint for a misspelt name: the nearest spelling, else every name there is."""
    names = list(known)
    guess = nearest(name, names)
    shown = names if len(names) <= _MOST_NAMES else [*names[:_MOST_NAMES], f"and {len(names) - _MOST_NAMES} more"]
    return f'did you mean "{guess}"?' if guess else f"known: {', '.join(shown)}"


class Registry(dict[str, T]):
    """Names of one kind and what they stand for, in the order they were entered."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __missing__(self, name: str) -> T:
        raise ConfigError(f'unknown {self.kind} "{name}"', hint=unknown_name_hint(name, self))

    def enter(self, name: str, thing: T) -> None:
        """Enter a thing under its name; a name is taken once."""
        if name in self:
            raise ValueError(f'{self.kind} "{name}" is registered twice')
        self[name] = thing
