"""pydantic's findings, said in the words of the TOML file: what, where, what now."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from qts.config.dump import toml_value
from qts.config.locate import KeyPath
from qts.errors import ConfigError
from qts.registry import nearest, unknown_name_hint

Origin = Callable[[KeyPath], str | None]
"""Key path → where its value came from: `qts.toml:14`, `--set train.lr`, `QTS_TRAIN__LR`."""

_TOML_WORDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "date_type": "a date like 2024-12-31",
    "path_type": "a path",
    "is_instance_of": "a path",
}


FOREIGN_NAMES = {
    "learning_rate": "lr",
    "n_epochs": "epochs",
    "early_stop": "patience",
    "gpu": "device",
    "seq_len": "step_len",
    "lookback": "step_len",
    "window_size": "step_len",
    "instruments": "universe",
    "market": "universe",
}
"""What other tools call our keys: a researcher's fingers remember them."""


def _key_hint(name: str, names: list[str]) -> str:
    if FOREIGN_NAMES.get(name.casefold()) in names:
        return f'did you mean "{FOREIGN_NAMES[name.casefold()]}"?'
    foreign = nearest(name, [other for other, ours in FOREIGN_NAMES.items() if ours in names])
    if foreign and not nearest(name, names):
        return f'did you mean "{FOREIGN_NAMES[foreign]}"?'
    return unknown_name_hint(name, names)


def _tables_at(table: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Return the class of the table that holds the key at `path`."""
    for key in path[:-1]:
        if isinstance(key, int) or key not in table.model_fields:
            continue
        inner = [
            a for a in _flatten(table.model_fields[key].annotation) if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        if not inner:
            return None
        table = inner[0]
    return table


def _explain(table: type[BaseModel], path: KeyPath, message: str) -> str | None:
    """Return what the docs say of a key, or, if a whole table is wrong, of those of its keys that the message names."""
    inner = _tables_at(table, (*path, ""))
    if path and inner is not None and inner is not _tables_at(table, path):
        told = [_explain(inner, (name,), "") for name in inner.model_fields if re.search(rf"\b{name}\b", message)]
        if told:
            return "; ".join(filter(None, told))
    names = [key for key in path if isinstance(key, str)]
    for length in range(len(names), 0, -1):
        holder = _tables_at(table, tuple(names[:length]))
        if holder and names[length - 1] in holder.model_fields:
            field = holder.model_fields[names[length - 1]]
            default = "" if field.is_required() or field.default is None else f" (default {field.default})"
            return f"{names[length - 1]}: {field.description}{default if len(default) < 40 else ''}"
    return "qts schema prints every key"


def _flatten(annotation: Any) -> Iterable[Any]:  # noqa: ANN401 - typing offers no type for an annotation
    yield annotation
    for argument in get_args(annotation):
        yield from _flatten(argument)


def _table_name(path: KeyPath) -> str:
    return "[" + ".".join(str(key) for key in path[:-1] if isinstance(key, str)) + "]"


def _show(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else toml_value(value)


def _describe(kind: str, path: KeyPath, value: object, context: Mapping[str, Any], message: str) -> str:
    named = tuple(key for key in path if isinstance(key, str))
    place = f'"{named[-1]}" in {_table_name(named)}' if len(named) > 1 else f"[{named[0]}]" if named else "the config"
    if kind == "missing":
        return f"{place} needs two days, the first and the last" if isinstance(path[-1], int) else f"{place} is missing"
    if kind == "literal_error":
        return f"{place} is {_show(value)}, but must be one of {context['expected']}"
    if kind in _TOML_WORDS:
        return f"{place} must be {_TOML_WORDS[kind]}, not {_show(value)}"
    if kind == "string_pattern_mismatch":
        return f"{place} is {_show(value)}, which is none of its forms"
    if kind == "value_error":
        return f"{place}: {context['error']}"
    return f"{place} is {_show(value)}: {message[0].lower()}{message[1:]}"


def problems_of(
    error: ValidationError, table: type[BaseModel], origin: Origin, prefix: KeyPath = ()
) -> list[ConfigError]:
    """Return every finding as a ConfigError, one for each key."""
    problems = []
    for finding in error.errors():
        inner: KeyPath = tuple(finding["loc"])
        path = prefix + inner
        where = origin(path)
        if finding["type"] == "extra_forbidden":
            holder = _tables_at(table, inner)
            names = list(holder.model_fields) if holder else []
            kind = "key" if len(path) > 1 else "table"
            place = f" in {_table_name(path)}" if len(path) > 1 else ""
            problem = ConfigError(
                f'unknown {kind} "{path[-1]}"{place}', where=where, hint=_key_hint(str(path[-1]), names)
            )
        else:
            text = _describe(finding["type"], path, finding["input"], finding.get("ctx", {}), finding["msg"])
            problem = ConfigError(text, where=where, hint=_explain(table, inner, finding["msg"]))
        problems.append(problem)
    return problems
