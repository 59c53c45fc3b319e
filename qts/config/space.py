"""What `[tune.space]` says of one key: values to choose from, or a range. What is drawn from it is the pipeline's."""

from math import floor, isfinite
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, PlainValidator, model_validator

from qts.config.table import Table

_ROUNDING = 1e-9
"""Share of a step that the last one may be short of, since 0.1 three times is not 0.3."""


def _to_number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return value


def _to_choices(value: object) -> tuple[Any, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise ValueError("choices are a list")  # noqa: TRY004 - pydantic collects ValueErrors
    choices = tuple(_to_choice(choice) for choice in value)
    if not choices:
        raise ValueError("there is nothing to choose from")
    if len(set(map(repr, choices))) < len(choices):
        raise ValueError("a choice is there twice")
    return choices


def _to_choice(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_to_choice(inner) for inner in value)
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{value!r} is neither a number, a string, true or false, nor a list of them")  # noqa: TRY004 - as above
    return value


Number = Annotated[int | float, PlainValidator(_to_number, json_schema_input_type=int | float)]
"""A finite number that stays a whole one if it was written so."""


class Dimension(Table):
    """The values that one key may take: a list of them, or a range."""

    low: Number | None = None
    """Least value; the range is one of whole numbers if `low`, `high` and `step` are."""
    high: Number | None = None
    """Largest value."""
    step: Number | None = None
    """From one value to the next, counted from `low`. None: 1 for whole numbers, else every value."""
    log: bool = False
    """Whether as many values are drawn from 1e-4 to 1e-3 as from 1e-3 to 1e-2."""
    choices: Annotated[Any, PlainValidator(_to_choices, json_schema_input_type=list[Any])] = None
    """The values themselves, instead of a range; a plain list says the same."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.step is not None or self.log:
                raise ValueError("choices stand alone: a list has no low, high, step or log")
            return self
        if self.low is None or self.high is None:
            raise ValueError("write a list, or { low = …, high = … }")
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0 and takes no step")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step ({self.step}) must be above 0")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Low and high of a range."""
        if self.low is None or self.high is None:
            raise TypeError("choices have no bounds")
        return self.low, self.high

    @property
    def is_whole(self) -> bool:
        """Whether a range is one of whole numbers."""
        return all(isinstance(end, int) for end in (self.low, self.high, self.step or 1))

    @property
    def spacing(self) -> float | None:
        """From one value of a range to the next; None: no two values are next to each other."""
        return self.step if self.step is not None else 1 if self.is_whole else None

    def ladder(self) -> list[Any] | None:
        """Return every value in order, lists as lists; None if there is no end of them."""
        if self.choices is not None:
            return [_to_plain(choice) for choice in self.choices]
        if self.spacing is None:
            return None
        low, high = self.bounds
        count = floor((high - low) / self.spacing + _ROUNDING) + 1
        return [at if self.is_whole else float(f"{at:.12g}") for at in (low + n * self.spacing for n in range(count))]


def _to_plain(choice: object) -> object:
    return [_to_plain(inner) for inner in choice] if isinstance(choice, tuple) else choice


def _to_dimension(value: object) -> object:
    if isinstance(value, list | tuple):
        return {"choices": value}
    if not isinstance(value, dict | Dimension):
        raise ValueError("write a list, or { low = …, high = … }")  # noqa: TRY004 - as above
    return value


def _to_space(value: object) -> object:
    """Return a space under dotted keys; `[tune.space.train]` and `train.lr = …` mean `"train.lr" = …`."""
    if not isinstance(value, dict):
        return value
    space: dict[str, object] = {}
    for key, entry in value.items():
        if "." in key or not isinstance(entry, dict):
            space[key] = entry
        else:
            space |= {f"{key}.{inner}": below for inner, below in entry.items()}
    return space


Entry = Annotated[Dimension, BeforeValidator(_to_dimension, json_schema_input_type=Dimension | list[Any])]
"""A dimension, or a list that stands for one."""

Space = Annotated[
    dict[str, Entry], BeforeValidator(_to_space, json_schema_input_type=dict[str, Entry | dict[str, Entry]])
]
"""Dotted key → its values, in the order of the file."""
