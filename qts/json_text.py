"""JSON that every parser reads: what is not finite becomes null, dates and paths become text."""

import json
import math


def to_json(value: object, *, indent: int | None = None) -> str:
    """Return JSON of a value; NaN and infinities are null, whatever JSON has no word for is its text."""
    text = json.dumps(_plain(value), indent=indent, default=str, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()  # half a character, as a file's name may hold, is escaped


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
