"""A factor set: an ordered list of named expressions, read from TOML.

    about = "what it is"
    [factors]
    KMID = "($close-$open)/$open"
    ROC  = { windows = [5, 10, 20], expr = "Ref($close, N)/$close" }     # ROC5, ROC10, ROC20

In a family N stands for the window; `zero` is its expression at window 0, if that is another one.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from qts.errors import ConfigError, ExpressionError, InputError
from qts.expr.lookback import find_look_ahead, span_of
from qts.expr.nodes import Node, render
from qts.expr.parse import parse
from qts.registry import unknown_name_hint

_NAME = re.compile(r"[A-Za-z]\w*")
_WINDOW = re.compile(r"\bN\b")
_FAMILY_KEYS = {"windows", "expr", "zero"}
CUSTOM = "custom"


@dataclass(frozen=True)
class Factor:
    """A named expression."""

    name: str
    text: str
    node: Node
    family: str | None = None

    @property
    def canonical(self) -> str:
        """The one spelling of its expression; two texts that mean the same share it."""
        return render(self.node)


@dataclass(frozen=True)
class FactorSet:
    """Factors in their order, under the set's name."""

    name: str
    about: str
    factors: tuple[Factor, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The factors' names, in order."""
        return tuple(factor.name for factor in self.factors)


def parse_factor(name: str, text: str, where: str, family: str | None = None) -> Factor:
    """Return a checked factor; raises ExpressionError if it is malformed or looks ahead."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f'"{name}" cannot name a factor', where=where, hint="use letters, digits and _")
    try:
        node = parse(text)
        if ahead := find_look_ahead(node):
            raise ExpressionError(
                f"{name} looks ahead: {render(ahead)} reads bars after its own day",
                text, _place_of_look_ahead(text), hint="only the label may look ahead; in a factor n must not be negative",
            )  # fmt: skip
    except ExpressionError as error:
        raise error.at(where) from None
    return Factor(name, text, node, family)


def _place_of_look_ahead(text: str) -> int:
    found = re.search(r",\s*-\s*\d", text)
    return found.start() + 1 if found else 0


def parse_label(text: str, where: str) -> tuple[Node, int]:
    """Return the label's tree and how many bars it looks ahead."""
    try:
        node = parse(text)
    except ExpressionError as error:
        raise error.at(where) from None
    return node, span_of(node).ahead


def built_in_sets() -> tuple[str, ...]:
    """Return the names of the factor sets that come with qts."""
    return tuple(
        sorted(file.name.removesuffix(".toml") for file in files(__package__).iterdir() if file.name.endswith(".toml"))
    )


def load_factor_set(name: str, folder: Path) -> FactorSet:
    """Return a factor set that comes with qts, or one of your own by its path.

    Raises ConfigError for an unknown name or a malformed file, InputError for a missing one.
    """
    if name in built_in_sets():
        return _read(name, files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"), name)
    if not name.endswith(".toml"):
        hint = unknown_name_hint(name, built_in_sets())
        raise ConfigError(
            f'unknown factor set "{name}"', where="[factors] set", hint=f"{hint} A file of your own ends in .toml"
        )
    path = folder / name
    try:
        return _read(path.stem, path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        raise InputError(f"no factor set file {path}", where="[factors] set") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the factor set {path}: {error}", where="[factors] set") from None


def custom_set(factors: Mapping[str, str], taken: Iterable[str], where: str) -> FactorSet:
    """Return the factors of `[factors.custom]`; their names must not be taken by the factor set."""
    made = tuple(parse_factor(name, text, where) for name, text in factors.items())
    _refuse_twins([*taken, *(factor.name for factor in made)], where)
    return FactorSet(CUSTOM, "factors of your own", made)


def _read(name: str, text: str, where: str) -> FactorSet:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the factor set {where} is not valid TOML: {error}") from None
    entries = content.get("factors")
    if not isinstance(entries, dict) or not entries:
        raise ConfigError(f"the factor set {where} has no [factors]", hint='write NAME = "expression" under [factors]')
    made = tuple(factor for key, entry in entries.items() for factor in _factors_of(key, entry, where))
    _refuse_twins([factor.name for factor in made], where)
    return FactorSet(name, str(content.get("about", "")), made)


def _factors_of(name: str, entry: object, where: str) -> Iterable[Factor]:
    """Yield the factor, or the family of factors, behind one key."""
    place = f"{name} in {where}"
    if isinstance(entry, str):
        yield parse_factor(name, entry, place)
        return
    if not isinstance(entry, dict) or not {"windows", "expr"} <= set(entry) <= _FAMILY_KEYS:
        raise ConfigError(
            f"{name} must be an expression or a family", where=where, hint='{ windows = [5, 10], expr = "… N …" }'
        )
    windows, expr = entry["windows"], entry["expr"]
    if not isinstance(windows, list) or not windows or not all(isinstance(w, int) and w >= 0 for w in windows):
        raise ConfigError(f"the windows of {name} must be whole numbers", where=where)
    for window in windows:
        text = entry.get("zero", expr) if window == 0 else expr
        yield parse_factor(f"{name}{window}", _WINDOW.sub(str(window), str(text)), place, family=name)


def _refuse_twins(names: list[str], where: str) -> None:
    """SQL does not tell KMID from kmid, so neither may a factor set."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise ConfigError(f"two factors are called {name}", where=where, hint="names must differ in more than case")
        seen[name.lower()] = name
