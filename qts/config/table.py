"""The base of every config table, and the value types that TOML needs help with."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Table(BaseModel):
    """A TOML table: closed, frozen, strict about types, each key explained under its field."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class OpenTable(Table):
    """A table whose `name` decides which other keys it takes; they are checked once that part is loaded."""

    model_config = ConfigDict(extra="allow")

    name: str
    """Which one; the other keys belong to it."""

    def options(self) -> dict[str, object]:
        """Return the keys besides `name`, unchecked."""
        return dict(self.model_extra or {})


def _to_day(value: object) -> object:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f'"{value}" is not a date like 2024-12-31') from None
    return value


Day = Annotated[date, BeforeValidator(_to_day)]
"""A day, written "2024-12-31" or as a TOML date."""


def to_tuple(value: object) -> object:
    """Return a list of TOML as a tuple, whatever else as it is."""
    return tuple(value) if isinstance(value, list) else value


Span = Annotated[tuple[Day, Day], BeforeValidator(to_tuple)]
"""First and last day, both included."""

Names = Annotated[tuple[str, ...], BeforeValidator(to_tuple)]
"""A list of names."""
