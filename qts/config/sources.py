"""Reads a Config: flags beat `--set`, which beats `QTS_*`, which beats the file, which beats defaults."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from qts.config.locate import KeyPath, key_lines, line_of
from qts.config.problems import problems_of
from qts.config.table import Table
from qts.config.tables import Config
from qts.errors import ConfigError, ConfigProblems, InputError, QtsError

AnyTable = TypeVar("AnyTable", bound=Table)

FILE_NAME = "qts.toml"
ENV_PREFIX = "QTS_"
RESERVED_ENV = frozenset({"QTS_CONFIG", "QTS_REAL_BARS"})
"""Variables that are about the program, not about a key of the config."""


def find_config(start: Path | None = None) -> Path | None:
    """Return the nearest qts.toml, looking upward from `start` or the working folder."""
    folder = (start or Path.cwd()).resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / FILE_NAME).is_file():
            return candidate / FILE_NAME
    return None


@dataclass
class _Layers:
    """Values merged so far, and where each came from."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    file: Path | None = None
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def put(self, path: tuple[str, ...], value: object, origin: str) -> None:
        table = self.values
        for key in path[:-1]:
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ConfigError(f'"{key}" is not a table', where=origin)
            table = inner
        if path == ("model", "name") and table.get("name") != value:
            table.clear()  # the other keys belonged to the architecture that the file names
        table[path[-1]] = value
        self.origins[path] = origin

    def origin(self, path: KeyPath) -> str | None:
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        if self.file is None:
            return None
        line = line_of(path, self.lines)
        return f"{self.file.name}:{line}" if line else self.file.name


@dataclass(frozen=True)
class LoadedConfig:
    """A checked Config, the folder its relative paths start at, and where its values came from."""

    config: Config
    folder: Path
    file: Path | None
    layers: _Layers

    def path(self, relative: Path) -> Path:
        """Return a path of the config as an absolute one."""
        return relative if relative.is_absolute() else (self.folder / relative)

    def check_options(self, table: type[AnyTable], options: Mapping[str, object], place: KeyPath) -> AnyTable:
        """Check the open keys of a table with the class they belong to; the second pass of validation."""
        return check(table, dict(options), self.layers, place)


def check(table: type[AnyTable], values: dict[str, Any], layers: _Layers, place: KeyPath = ()) -> AnyTable:
    """Validate values; raises ConfigProblems with every finding and where it stands."""
    try:
        return table.model_validate(values)
    except ValidationError as error:
        raise ConfigProblems(problems_of(error, table, layers.origin, place)) from None


def _parse_value(text: str) -> object:
    """Read a value as TOML would; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _read_file(path: Path, layers: _Layers) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"no config file {path}", hint="qts init writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the config file {path}: {error}") from None
    try:
        layers.values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}", where=str(path)) from None
    layers.file, layers.lines = path, key_lines(text)


def _put_environment(layers: _Layers, environment: Mapping[str, str]) -> list[QtsError]:
    problems: list[QtsError] = []
    for name, text in environment.items():
        if not name.startswith(ENV_PREFIX) or name in RESERVED_ENV:
            continue
        path = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
        if len(path) < 2:
            problems.append(
                ConfigError(f"cannot tell which key {name} means", hint="write QTS_TABLE__KEY, as QTS_TRAIN__LR=1e-3")
            )
            continue
        layers.put(path, _parse_value(text), name)
    return problems


def _put_assignments(layers: _Layers, assignments: Sequence[str]) -> list[QtsError]:
    problems: list[QtsError] = []
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or len(path) < 2 or not all(path):
            problems.append(ConfigError(f'cannot read --set "{assignment}"', hint="write --set table.key=value"))
            continue
        layers.put(path, _parse_value(text.strip()), f"--set {key.strip()}")
    return problems


def load_config(
    path: Path | None = None,
    *,
    assignments: Sequence[str] = (),
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoadedConfig:
    """Read the config at `path`, or the nearest qts.toml, or defaults alone.

    `flags` maps dotted keys to values given on the command line; None values are flags that were not given.
    Raises ConfigProblems with all findings, InputError if a named file is missing.
    """
    layers = _Layers()
    file = path or find_config()
    if file is not None:
        _read_file(file, layers)
    problems = _put_environment(layers, os.environ if environment is None else environment)
    problems += _put_assignments(layers, assignments)
    for key, value in (flags or {}).items():
        if value is not None:
            layers.put(tuple(key.split(".")), value, f"--{key.rpartition('.')[2].replace('_', '-')}")
    config = None
    try:
        config = check(Config, layers.values, layers)
    except ConfigProblems as found:
        problems += found.problems
    if problems or config is None:
        raise ConfigProblems(problems)
    folder = file.resolve().parent if file else Path.cwd()
    return LoadedConfig(config, folder, file, layers)
