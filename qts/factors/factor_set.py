"""A factor set: an ordered list of named expressions, read from TOML.

    about = "what it is"
    [factors]
    KMID = "($close-$open)/$open"
    ROC  = { windows = [5, 10, 20], expr = "Ref($close, N)/$close" }     # ROC5, ROC10, ROC20

In a family N stands for the window; `zero` is its expression at window 0, if that is another one.

A name without `$` stands for the factor of that name, whatever its case, in the same set or, in `[factors.custom]`, in
the main set too; where there is none, for a field. `$name` is always a field.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from qts.columns import DATETIME, FIELD_ALIASES, FIELDS, HAS_BAR, INSTRUMENT, LABEL
from qts.errors import ConfigError, ConfigProblems, ExpressionError, InputError, QtsError
from qts.expr.lookback import find_look_ahead, span_of
from qts.expr.nodes import Node, render
from qts.expr.parse import bare_names, parse, parse_with_places
from qts.expr.stages import ROW_COLUMN
from qts.plain_file import read_plain
from qts.registry import unknown_name_hint
from qts.toml_text import read_toml

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
    where: str = ""

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


@dataclass(frozen=True)
class _Draft:
    """A factor as written."""

    name: str
    text: str
    where: str
    family: str | None = None
    subject: str = ""
    """What an error says its expression belongs to, where the place alone does not."""

    def parsed(self, names: Mapping[str, Node]) -> Factor:
        """Return the checked factor; raises ExpressionError if it is malformed or looks ahead."""
        if not _NAME.fullmatch(self.name) or self.name.lower() in _RESERVED:
            hint = f"use letters, digits and _, and none of {', '.join(sorted(_RESERVED))}"
            raise ConfigError(f'"{self.name}" cannot name a factor', where=self.where, hint=hint)
        try:
            node, places = parse_with_places(self.text, names)
        except ExpressionError as error:
            raise error.at(self.where, self.subject) from None
        if ahead := find_look_ahead(node):
            message = f"{self.name} looks ahead: {render(ahead)} reads bars after its own day"
            raise self.fault(
                message, places.get(ahead, 0), "only the label may look ahead; in a factor n must not be negative"
            )
        return Factor(self.name, self.text, node, self.family, self.where)

    def fault(self, message: str, position: int, hint: str) -> ExpressionError:
        """Return an error that points into the text."""
        return ExpressionError(message, self.text, position, hint=hint).at(self.where, self.subject)


def _make_factors(drafts: Sequence[_Draft], known: Iterable[Factor]) -> list[Factor]:
    """Return the factors of drafts, each after those it names; `known` may be named too. All problems at once.

    What rests on a factor with a problem is not reported: it may be sound.
    """
    by_name = {draft.name.lower(): draft for draft in drafts}
    trees = {factor.name.lower(): factor.node for factor in known}
    uses = {name: {used.lower() for used, _ in bare_names(draft.text)} for name, draft in by_name.items()}
    order, circles = _in_order({name: used & by_name.keys() for name, used in uses.items()})
    problems: dict[str, Sequence[QtsError]] = {circle[0]: [_circle(circle, by_name)] for circle in circles}
    broken = {name for circle in circles for name in circle}
    made: dict[str, Factor] = {}
    for name in order:
        if uses[name] & broken:
            broken.add(name)
            continue
        try:
            made[name] = by_name[name].parsed(trees)
            trees[name] = made[name].node
        except ConfigError as error:
            broken.add(name)
            problems[name] = error.parts()
    _raise_all([problem for name in by_name for problem in problems.get(name, ())])
    return [made[name] for name in by_name]


def _in_order(uses: dict[str, set[str]]) -> tuple[list[str], list[list[str]]]:
    """Return names after those they use, and circles of names that use each other, from the first as written."""
    circles: list[list[str]] = []
    places = [*uses]
    while True:
        try:
            return [*TopologicalSorter(uses).static_order()], circles
        except CycleError as error:
            circle: list[str] = error.args[1][:0:-1]  # the sorter goes from the used to the user
            start = circle.index(min(circle, key=places.index))
            circles.append([*circle[start:], *circle[:start]])
            uses = {name: used - {*circle} for name, used in uses.items() if name not in circle}


def _circle(circle: list[str], drafts: Mapping[str, _Draft]) -> ExpressionError:
    """Return the error of factors that use each other."""
    first, used = drafts[circle[0]], [*circle, circle[0]][1]
    place = next(at for name, at in bare_names(first.text) if name.lower() == used)
    shown = " → ".join(drafts[name].name for name in [*circle, circle[0]])
    return first.fault(f"{first.name} is made of itself: {shown}", place, f"a column of the bars is written ${used}")


def refuse_unknown_names(sets: Iterable[FactorSet], columns: Iterable[str]) -> None:
    """Refuse a name without `$` that is no factor, no field of daily bars and none of the bars' `columns`."""
    factors = [factor for made in sets for factor in made.factors]
    names = [*(factor.name for factor in factors), *columns]
    known = {*map(str.lower, names), *FIELDS, *FIELD_ALIASES}
    for factor in factors:
        for name, place in bare_names(factor.text):
            if name.lower() not in known:
                message = f'{factor.name}: "{name}" is no factor and no column of the bars'
                hint = unknown_name_hint(name, names)
                raise ExpressionError(message, factor.text, place, hint=hint).at(factor.where)


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
        return _read(path.stem, read_plain(path).decode(), path.name)
    except FileNotFoundError:
        raise InputError(
            f"no factor set file {path}", where=where, hint="a path starts at the config's folder"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the factor set {path}: {error}", where=where, hint="it must be a UTF-8 text file"
        ) from None


def custom_set(factors: Mapping[str, str], main: Iterable[Factor], where: Callable[[str], str]) -> FactorSet:
    """Return the factors of `[factors.custom]`, which may name those of the `main` set; `where` tells one's place.

    All problems at once.
    """
    main = tuple(main)
    _refuse_twins([*(factor.name for factor in main), *factors], "[factors.custom]")
    drafts = [_Draft(name, text, where(name), subject=f"{name} in [factors.custom]") for name, text in factors.items()]
    return FactorSet(CUSTOM, "factors of your own", tuple(_make_factors(drafts, main)))


def _all_of(makers: Iterable[Callable[[], Made]]) -> list[Made]:
    """Return what all makers make; if some fail, raise every one of their problems."""
    made: list[Made] = []
    problems: list[QtsError] = []
    for make in makers:
        try:
            made.append(make())
        except ConfigError as error:
            problems.extend(error.parts())
    _raise_all(problems)
    return made


def _raise_all(problems: Sequence[QtsError]) -> None:
    if problems:
        raise problems[0] if len(problems) == 1 else ConfigProblems(problems)


def _read(name: str, text: str, where: str) -> FactorSet:
    try:
        content = read_toml(text)
    except ValueError as error:
        hint = "text needs quotes; a table starts with [name]"
        raise ConfigError(f"the factor set {where} is not valid TOML: {error}", hint=hint) from None
    entries = content.get("factors")
    if not isinstance(entries, dict) or not entries:
        raise ConfigError(f"the factor set {where} has no [factors]", hint='write NAME = "expression" under [factors]')
    families = _all_of(partial(_drafts_of, key, entry, where) for key, entry in entries.items())
    drafts = [draft for family in families for draft in family]
    _refuse_twins([draft.name for draft in drafts], where)
    return FactorSet(name, str(content.get("about", "")), tuple(_make_factors(drafts, ())))


def _drafts_of(name: str, entry: object, where: str) -> list[_Draft]:
    """Return the factor, or the family of factors, behind one key."""
    place = f"{name} in {where}"
    if isinstance(entry, str):
        return [_Draft(name, entry, place)]
    if not isinstance(entry, dict) or not {"windows", "expr"} <= set(entry) <= _FAMILY_KEYS:
        raise ConfigError(
            f"{name} must be an expression or a family", where=where, hint='{ windows = [5, 10], expr = "… N …" }'
        )
    windows, expr = entry["windows"], entry["expr"]
    if not isinstance(windows, list) or not windows or not all(isinstance(w, int) and w >= 0 for w in windows):
        hint = "write windows = [5, 10, 20]"
        raise ConfigError(f"the windows of {name} must be whole numbers", where=where, hint=hint)
    texts = {window: entry.get("zero", expr) if window == 0 else expr for window in windows}
    return [
        _Draft(f"{name}{window}", _WINDOW.sub(str(window), str(text)), place, family=name)
        for window, text in texts.items()
    ]


def _refuse_twins(names: list[str], where: str) -> None:
    """SQL does not tell KMID from kmid, so neither may a factor set."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise ConfigError(f"two factors are called {name}", where=where, hint="names must differ in more than case")
        seen[name.lower()] = name
