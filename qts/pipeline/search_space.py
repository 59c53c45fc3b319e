"""Which keys may be searched, what their values may be, and the named points that need no space.

How points are drawn is in samplers.py, what is done with them in tune.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from qts.config import Dimension, LoadedConfig, TrainConfig, WindowConfig
from qts.config.problems import problems_of
from qts.errors import ConfigError, ConfigProblems, QtsError
from qts.models import load_architecture, model_names
from qts.pipeline.train import model_options
from qts.registry import unknown_name_hint

TABLES = ("model", "window", "train")
"""Tables whose keys may be searched."""

REFUSED = {
    "bars": "every trial must see the same market",
    "check": "every trial must see the same market",
    "factors": "another choice of factors is another model's input, and is compared by qts eval --factors first",
    "label": "the label is what trials are judged by",
    "segments": "the segments are what trials are judged on",
    "processors": "a list of steps is no value; compare two configs instead",
    "eval": "it says how the test segment is judged, which no trial sees",
    "store": "it says where things lie",
    "limits": "it says what the machine may be used for",
    "tune": "it is the search itself",
    "train.metric": "it decides which epoch of a trial is judged, and so what is compared",
    "train.device": "it decides where a trial runs, not what it comes to",
    "train.log": "it decides what is told of a trial, not what it comes to",
}
"""Table or key → why it is not searched."""

LOSS_KINDS = ("train.loss", "train.huber_delta")
"""Keys that change what a loss means: trials of unlike losses cannot be compared by it."""


@dataclass(frozen=True)
class Preset:
    """A known size of a recurrent model and the learning rate that goes with it."""

    hidden_size: int
    num_layers: int
    dropout: float
    lr: float


PRESETS = {
    "small": Preset(32, 1, 0.0, 1e-3),
    "medium": Preset(64, 2, 0.2, 1e-3),
    "large": Preset(128, 2, 0.3, 5e-4),
    "deep": Preset(64, 3, 0.3, 5e-4),
}
"""From the least to the largest number of layers; `large` needs more data, `deep` more care."""

USUAL = {
    "model.hidden_size": (32, 512),
    "model.num_layers": (1, 4),
    "model.dropout": (0.0, 0.5),
    "train.lr": (1e-4, 1e-2),
    "train.batch_size": (16, 8192),
    "window.step_len": (10, 60),
}
"""Key → where its useful values usually lie; a space that goes beyond them is warned of, not refused."""


@dataclass(frozen=True)
class Point:
    """Values of some keys, as a config would have them."""

    values: dict[str, Any]
    name: str = field(default="", compare=False)
    """Of a preset."""


def space_of(loaded: LoadedConfig) -> dict[str, Dimension]:
    """Return the space, checked; raises ConfigProblems with all that is wrong with it, before anything is trained."""
    space = loaded.config.tune.space
    if not space:
        raise ConfigError("[tune.space] names no key to search", where=loaded.where("tune"),
                          hint='add "train.lr" = { low = 1e-4, high = 1e-2, log = true }, or try --presets')  # fmt: skip
    problems = [problem for key in space for problem in _problems_of_key(loaded, key)]
    if problems:
        raise ConfigProblems(problems)
    return space


def _problems_of_key(loaded: LoadedConfig, key: str) -> Iterator[QtsError]:
    where = loaded.where("tune", "space", key)
    table, _, name = key.partition(".")
    if reason := REFUSED.get(key) or REFUSED.get(table):
        yield ConfigError(f'"{key}" cannot be searched: {reason}', where=where, hint=f"set it in [{table}]")
    elif key in LOSS_KINDS and loaded.config.tune.metric == "loss":
        message = f'"{key}" cannot be searched by the loss: losses of different kinds cannot be compared'
        yield ConfigError(message, where=where, hint="choose --metric rank_ic or ic")
    elif table not in TABLES or not name:
        hint = f'write a key of {", ".join(f"[{known}]" for known in TABLES)} with its table, as "train.lr"'
        yield ConfigError(f'"{key}" is no key that can be searched', where=where, hint=hint)
    elif key == "model.name":
        choices = loaded.config.tune.space[key].choices
        if choices is None:
            yield ConfigError('"model.name" needs a list of names', where=where, hint="qts models lists them")
        for unknown in set(choices or ()) - set(model_names()):
            hint = unknown_name_hint(str(unknown), model_names())
            yield ConfigError(f'unknown model "{unknown}"', where=where, hint=hint)
    else:
        for owner, keys in _tables_of(loaded, table):
            yield from _problems_of_values(loaded, key, owner, keys)


def _tables_of(loaded: LoadedConfig, table: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the classes that a table's keys are checked with: of [model], every architecture a trial may have."""
    if table != "model":
        yield f"[{table}]", TrainConfig if table == "train" else WindowConfig
        return
    choices = loaded.config.tune.space.get("model.name")
    names = choices.choices or () if choices else (loaded.config.model.name,)
    for name in (name for name in names if name in model_names()):
        yield f'model "{name}"', load_architecture(name).Config


def _problems_of_values(loaded: LoadedConfig, key: str, owner: str, keys: type[BaseModel]) -> Iterator[QtsError]:
    """Yield what is wrong with the first wrong value of a key, taken alone; it may still not go with another key's."""
    where = loaded.where("tune", "space", key)
    table, _, name = key.partition(".")
    if name not in keys.model_fields:
        yield ConfigError(f'{owner} has no key "{name}"', where=where, hint=unknown_name_hint(name, keys.model_fields))
        return
    dimension = loaded.config.tune.space[key]
    for value in ends_of(dimension):
        try:
            keys.model_validate({name: value})
        except ValidationError as error:
            if any(finding["loc"] for finding in error.errors()):  # else it is about keys together
                yield problems_of(error, keys, lambda _path: where, (table,))[0]
                return


def ends_of(dimension: Dimension) -> list[Any]:
    """Return the values that show what a dimension holds: every choice, or both ends of a range."""
    if dimension.choices is not None:
        return dimension.ladder() or []
    return list(dimension.bounds if dimension.is_whole else map(float, dimension.bounds))


def beyond_usual(space: dict[str, Dimension]) -> Iterator[str]:
    """Yield a line for each key whose values go beyond where useful ones usually lie."""
    for key, (low, high) in USUAL.items():
        ends = ends_of(space[key]) if key in space else []
        beyond = [value for value in ends if isinstance(value, int | float) and not low <= value <= high]
        if beyond:
            yield f"{key} {', '.join(f'{value:g}' for value in beyond)}: useful values usually lie from {low:g} to {high:g}"


def preset_points(loaded: LoadedConfig) -> list[Point]:
    """Return the presets in the keys of the config's architecture; raises ConfigError if it has no layers of a width."""
    model = loaded.config.model.name
    keys = load_architecture(model).Config.model_fields
    if "hidden_sizes" not in keys and not {"hidden_size", "num_layers"} <= set(keys):
        raise ConfigError(f'the presets are sizes of recurrent models, and model "{model}" has no such keys',
                          where=loaded.where("tune", "presets"), hint="write a [tune.space] of its own keys")  # fmt: skip
    return [Point(_preset_values(preset, set(keys)), name) for name, preset in PRESETS.items()]


def _preset_values(preset: Preset, keys: set[str]) -> dict[str, Any]:
    sizes: dict[str, Any] = {"model.hidden_size": preset.hidden_size, "model.num_layers": preset.num_layers}
    if "hidden_sizes" in keys:
        sizes = {"model.hidden_sizes": [preset.hidden_size] * preset.num_layers}
    dropout = {"model.dropout": preset.dropout} if "dropout" in keys else {}
    return {**sizes, **dropout, "train.lr": preset.lr}


def problem_of(loaded: LoadedConfig, point: Point) -> str:
    """Return why a point's values do not go together; nothing, if they do."""
    try:
        model_options(loaded.changed(point.values, "[tune.space]"))
    except ConfigError as error:
        return said(error)
    return ""


def said(error: Exception) -> str:
    """Return an error in one line."""
    if isinstance(error, ConfigError):
        return "; ".join(part.message.partition("\n")[0] for part in error.parts())
    return str(error).partition("\n")[0]
