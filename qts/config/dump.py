"""Writes a resolved config as TOML; the standard library reads TOML but does not write it."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def dump_toml(config: BaseModel) -> str:
    """Return TOML of every key that has a value; reading it back gives an equal config."""
    content = config.model_dump(mode="json", exclude_none=True)
    return "\n\n".join(_table(name, table) for name, table in content.items() if table) + "\n"


def _table(name: str, table: Mapping[str, Any]) -> str:
    plain = {key: value for key, value in table.items() if not _is_nested(value)}
    lines = [f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in plain.items())]
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
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
