"""Writes a resolved config as TOML; the standard library reads TOML but does not write it."""

import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def dump_toml(config: BaseModel) -> str:
    """Return TOML of every key that has a value; reading it back gives an equal config."""
    content = config.model_dump(mode="json", exclude_none=True)
    return "\n\n".join(_table(name, table) for name, table in content.items() if table) + "\n"


def _table(name: str, table: Mapping[str, Any]) -> str:
    plain = {key: value for key, value in table.items() if not _is_nested(value)}
    lines = [f"[{name}]", *(f"{_key(key)} = {toml_value(value)}" for key, value in plain.items())]
    blocks = ["\n".join(lines)] if plain or not table else []
    for key, value in table.items():
        if isinstance(value, dict):
            blocks.append(_table(f"{name}.{_key(key)}", value)) if value else None
        elif _is_nested(value):
            blocks += [
                _table(f"{name}.{_key(key)}", entry).replace("[", "[[", 1).replace("]", "]]", 1) for entry in value
            ]
    return "\n\n".join(blocks)


def _is_nested(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_value(value: object) -> str:
    """Return a value as TOML spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {toml_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str):  # as JSON, but for the one control character that JSON leaves as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value) if isinstance(value, date | Path) else repr(value)
