"""A factor set: an ordered list of named expressions, read from TOML.

    about = "what it is"
    [factors]
    KMID = "($close-$open)/$open"
    ROC  = { windows = [5, 10, 20], expr = "Ref($close, N)/$close" }     # ROC5, ROC10, ROC20

In a family N stands for the window; `zero` is its expression at window 0, if that is another one.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from qts.columns import DATETIME, HAS_BAR, INSTRUMENT, LABEL
from qts.errors import ConfigError, ConfigProblems, ExpressionError, InputError, QtsError
from qts.expr.lookback import find_look_ahead, span_of
from qts.expr.nodes import Node, render
from qts.expr.parse import parse, parse_with_places
from qts.expr.stages import ROW_COLUMN
from qts.registry import unknown_name_hint

_NAME = re.compile(r"[A-Za-z]\w*")
_WINDOW = re.compile(r"\bN\b")
_FAMILY_KEYS = {"windows", "expr", "zero"}
CUSTOM = "custom"
_RESERVED = frozenset({INSTRUMENT, DATETIME, LABEL, HAS_BAR, ROW_COLUMN})
_RESERVED_SETS = frozenset({CUSTOM, "bars", "calendar", "label", "labels", "universe", "universes", "benchmark"})
"""Names of other tables of the store."""

Made = TypeVar("Made")


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


def parse_factor(name: str, text: str, where: str, family: str | None = None, subject: str = "") -> Factor:
    """Return a checked factor; raises ExpressionError, about `subject`, if it is malformed or looks ahead."""
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        hint = f"use letters, digits and _, and none of {', '.join(sorted(_RESERVED))}"
        raise ConfigError(f'"{name}" cannot name a factor', where=where, hint=hint)
    try:
        node, places = parse_with_places(text)
        if ahead := find_look_ahead(node):
            raise ExpressionError(
                f"{name} looks ahead: {render(ahead)} reads bars after its own day",
                text,
                places.get(ahead, 0),
                hint="only the label may look ahead; in a factor n must not be negative",
            )
    except ExpressionError as error:
        raise error.at(where, subject) from None
    return Factor(name, text, node, family)


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


def load_factor_set(name: str, folder: Path, where: str = "[factors] set") -> FactorSet:
    """Return a factor set that comes with qts, or one of your own by its path.

    Raises ConfigError for an unknown name or a malformed file, InputError for a missing one.
    """
    if name in built_in_sets():
        return _read(name, files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"), name)
    if not name.endswith(".toml"):
        hint = unknown_name_hint(name, built_in_sets())
        raise ConfigError(f'unknown factor set "{name}"', where=where, hint=f"{hint} A file of your own ends in .toml")
    path = folder / name
    if not _NAME.fullmatch(path.stem) or path.stem.lower() in _RESERVED_SETS:
        hint = f"use letters, digits and _, and none of {', '.join(sorted(_RESERVED_SETS))}"
        raise ConfigError(f'the file "{path.name}" cannot name a factor set', where=where, hint=hint)
    try:
        return _read(path.stem, path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        raise InputError(
            f"no factor set file {path}", where=where, hint="a path starts at the config's folder"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the factor set {path}: {error}", where=where, hint="it must be a UTF-8 text file"
        ) from None


def custom_set(factors: Mapping[str, str], taken: Iterable[str], where: Callable[[str], str]) -> FactorSet:
    """Return the factors of `[factors.custom]`; `where` tells the place of one. All problems at once."""
    made = _all_of(
        partial(parse_factor, name, text, where(name), subject=f"{name} in [factors.custom]")
        for name, text in factors.items()
    )
    _refuse_twins([*taken, *(factor.name for factor in made)], "[factors.custom]")
    return FactorSet(CUSTOM, "factors of your own", tuple(made))


def _all_of(makers: Iterable[Callable[[], Made]]) -> list[Made]:
    """Return what all makers make; if some fail, raise every one of their problems."""
    made: list[Made] = []
    problems: list[QtsError] = []
    for make in makers:
        try:
            made.append(make())
        except ConfigError as error:
            problems.extend(error.parts())
    if problems:
        raise problems[0] if len(problems) == 1 else ConfigProblems(problems)
    return made


def _read(name: str, text: str, where: str) -> FactorSet:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the factor set {where} is not valid TOML: {error}") from None
    entries = content.get("factors")
    if not isinstance(entries, dict) or not entries:
        raise ConfigError(f"the factor set {where} has no [factors]", hint='write NAME = "expression" under [factors]')
    families = _all_of(partial(_factors_of, key, entry, where) for key, entry in entries.items())
    made = tuple(factor for family in families for factor in family)
    _refuse_twins([factor.name for factor in made], where)
    return FactorSet(name, str(content.get("about", "")), made)


def _factors_of(name: str, entry: object, where: str) -> list[Factor]:
    """Return the factor, or the family of factors, behind one key."""
    place = f"{name} in {where}"
    if isinstance(entry, str):
        return [parse_factor(name, entry, place)]
    if not isinstance(entry, dict) or not {"windows", "expr"} <= set(entry) <= _FAMILY_KEYS:
        raise ConfigError(
            f"{name} must be an expression or a family", where=where, hint='{ windows = [5, 10], expr = "… N …" }'
        )
    windows, expr = entry["windows"], entry["expr"]
    if not isinstance(windows, list) or not windows or not all(isinstance(w, int) and w >= 0 for w in windows):
        raise ConfigError(f"the windows of {name} must be whole numbers", where=where)
    texts = {window: entry.get("zero", expr) if window == 0 else expr for window in windows}
    return [
        parse_factor(f"{name}{window}", _WINDOW.sub(str(window), str(text)), place, family=name)
        for window, text in texts.items()
    ]


def _refuse_twins(names: list[str], where: str) -> None:
    """SQL does not tell KMID from kmid, so neither may a factor set."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise ConfigError(f"two factors are called {name}", where=where, hint="names must differ in more than case")
        seen[name.lower()] = name
