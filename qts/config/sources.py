"""Reads a Config: flags beat `--set`, which beats `QTS_*`, which beats the file, which beats defaults."""

import os
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from qts.config.locate import KeyPath, key_lines, line_of
from qts.config.problems import problems_of
from qts.config.table import Table
from qts.config.tables import Config
from qts.errors import ConfigError, ConfigProblems, InputError, QtsError
from qts.plain_file import is_file, read_plain
from qts.toml_text import read_toml

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
                raise ConfigError(f'"{key}" is not a table', where=origin, hint="qts schema prints every key")
            table = inner
        table[path[-1]] = value
        self.origins[path] = origin

    def origin(self, path: KeyPath) -> str | None:
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        below = [origin for place, origin in self.origins.items() if place[: len(path)] == path]
        if below or self.file is None:
            return below[0] if below else None
        line = line_of(path, self.lines)
        return f"{self.file.name}:{line}" if line else self.file.name


@dataclass(frozen=True)
class LoadedConfig:
    """A checked Config, the folder its relative paths start at, and where its values came from."""

    config: Config
    folder: Path
    file: Path | None
    layers: _Layers

    def where(self, *path: str | int) -> str:
        """Return where a key's value came from, for messages: file and line, flag, variable, or its table's name."""
        names = [str(key) for key in path if isinstance(key, str)]
        return self.layers.origin(path) or f"[{names[0]}] {'.'.join(names[1:])}".strip()

    def path(self, relative: Path) -> Path:
        """Return a path of the config as an absolute one."""
        return relative if relative.is_absolute() else (self.folder / relative)

    def resolved(self) -> Config:
        """Return the config with absolute paths: it means the same from any folder."""
        config = self.config
        bars = {"path": self.path(config.bars.path)}
        if config.bars.universe:
            bars["universe"] = self.path(config.bars.universe)
        benchmark = config.bars.benchmark
        if benchmark and is_file(self.path(Path(benchmark))):
            benchmark = str(self.path(Path(benchmark)).resolve())
        factors = config.factors
        if factors.set.endswith(".toml"):
            factors = factors.model_copy(update={"set": str((self.folder / factors.set).absolute())})
        limits = config.limits
        if limits.temp_folder:
            limits = limits.model_copy(update={"temp_folder": self.path(limits.temp_folder)})
        train = config.train
        if train.init_from and is_file(self.path(Path(train.init_from))):
            train = train.model_copy(update={"init_from": str(self.path(Path(train.init_from)).resolve())})
        places = {name: self.path(place) for name, place in config.store}
        updates = {
            "bars": config.bars.model_copy(update={**bars, "benchmark": benchmark}),
            "store": config.store.model_copy(update=places),
            "factors": factors,
            "limits": limits,
            "train": train,
        }
        return config.model_copy(update=updates)

    def changed(self, values: Mapping[str, object], origin: str) -> "LoadedConfig":
        """Return the config with other values of some dotted keys; raises ConfigProblems if they do not fit."""
        layers = _Layers(deepcopy(self.layers.values), dict(self.layers.origins), self.layers.file, self.layers.lines)
        problems: list[QtsError] = []
        _put_overrides(
            layers, [_Override(tuple(key.split(".")), value, origin) for key, value in values.items()], problems
        )
        if problems:
            raise ConfigProblems(problems)
        return LoadedConfig(check(Config, layers.values, layers), self.folder, self.file, layers)

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
        return read_toml(f"value = {text}")["value"]
    except ValueError:
        return text


def _read_file(path: Path, layers: _Layers) -> None:
    try:
        text = read_plain(path).decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise InputError(f"no config file {path}", hint="qts init writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the config file {path}: {error}", hint="it must be a UTF-8 text file") from None
    try:
        layers.values = read_toml(text)
    except ValueError as error:
        raise ConfigError(
            f"{path.name} is not valid TOML: {error}",
            where=str(path),
            hint="text needs quotes; a table starts with [name]",
        ) from None
    layers.file, layers.lines = path, key_lines(text)


@dataclass(frozen=True)
class _Override:
    """A value given beside the file."""

    path: tuple[str, ...]
    value: object
    origin: str


def _from_environment(environment: Mapping[str, str], problems: list[QtsError]) -> Iterator[_Override]:
    for name, text in environment.items():
        if not name.startswith(ENV_PREFIX) or name in RESERVED_ENV:
            continue
        path = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
        if len(path) < 2:
            hint = "write QTS_TABLE__KEY, as QTS_TRAIN__LR=1e-3"
            problems.append(ConfigError(f"cannot tell which key {name} means", hint=hint))
        else:
            yield _Override(path, _parse_value(text), name)


def _from_assignments(assignments: Sequence[str], problems: list[QtsError]) -> Iterator[_Override]:
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or len(path) < 2 or not all(path):
            problems.append(ConfigError(f'cannot read --set "{assignment}"', hint="write --set table.key=value"))
        else:
            yield _Override(path, _parse_value(text.strip()), f"--set {key.strip()}")


def _from_flags(flags: Mapping[str, object]) -> Iterator[_Override]:
    for key, value in flags.items():
        if value is not None:
            flag = {"model.name": "model"}.get(key, key.rpartition(".")[2])
            yield _Override(tuple(key.split(".")), value, f"--{flag.replace('_', '-')}")


def _put_overrides(layers: _Layers, overrides: Sequence[_Override], problems: list[QtsError]) -> None:
    """Lay values over the file's, in order; another architecture leaves the file's keys for its own behind."""
    names = [override.value for override in overrides if override.path == ("model", "name")]
    model = layers.values.get("model")
    if isinstance(model, dict):
        model.setdefault("name", Config().model.name)
    if names and isinstance(model, dict) and model.get("name") != names[-1]:
        layers.values["model"] = {}
    for override in overrides:
        try:
            layers.put(override.path, override.value, override.origin)
        except ConfigError as error:
            problems.append(error)


def _in_file_order(problems: list[QtsError], file: Path | None) -> list[QtsError]:
    """Return problems of the file by line, before those of flags and variables."""

    def line(problem: QtsError) -> float:
        name, _, number = (problem.where or "").rpartition(":")
        return int(number) if file and name == file.name and number.isdigit() else float("inf")

    return sorted(problems, key=line)


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
    problems: list[QtsError] = []
    overrides = [
        *_from_environment(os.environ if environment is None else environment, problems),
        *_from_assignments(assignments, problems),
        *_from_flags(flags or {}),
    ]
    _put_overrides(layers, overrides, problems)
    config = None
    try:
        config = check(Config, layers.values, layers)
    except ConfigProblems as found:
        problems += found.problems
    if problems or config is None:
        raise ConfigProblems(_in_file_order(problems, file))
    folder = file.resolve().parent if file else Path.cwd()
    return LoadedConfig(config, folder, file, layers)
