"""What run.json and the meta.json of windows must hold for anybody to go by them; keys beside these are let be."""

import json
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qts.config import WindowConfig

Number = float | None
"""A figure; null where there was none."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Fitted(_Shape):
    name: str
    options: dict[str, Any]
    parameters: dict[str, dict[str, Number]]


class _Processors(_Shape):
    features: list[_Fitted]
    label: list[_Fitted]


class _Label(_Shape):
    expr: str
    ahead: Annotated[int, Field(ge=0, le=2**31)]


class _Segments(_Shape):
    train: tuple[date, date]
    valid: tuple[date, date]
    test: tuple[date, date]


class MadeShape(_Shape):
    """How features, label and segments were made."""

    features: Annotated[list[str], Field(min_length=1)]
    factors: list[str]
    expressions: dict[str, str]
    processors: _Processors
    history: str
    view_first_day: date | None
    label: _Label
    segments: _Segments


class MetaShape(MadeShape):
    """meta.json."""

    fingerprint: str


class _Model(_Shape):
    name: str
    config: dict[str, Any]


class _Train(_Shape):
    seed: int


class _Best(_Shape):
    train_loss: Number
    valid_loss: Number
    valid_ic: Number
    valid_rank_ic: Number


class RunShape(MadeShape):
    """run.json of a training that may not be finished."""

    state: str
    key: str
    model: _Model
    train: _Train
    window: WindowConfig
    windows_fingerprint: str


class DoneShape(RunShape):
    """run.json of a finished training."""

    state: Literal["done"]
    best: _Best
    best_epoch: int
    n_epochs: int
    n_parameters: int
    seconds: float


def read_meta_shape(content: bytes) -> dict[str, Any]:
    """Return what a meta.json says; raises ValueError if that is not what windows need."""
    return _checked(content, MetaShape)


def read_run_shape(content: bytes) -> dict[str, Any]:
    """Return what a run.json says; raises ValueError if that is not what a run needs, finished or not."""
    record = json.loads(content)
    is_done = isinstance(record, dict) and record.get("state") == "done"
    return _checked(content, DoneShape if is_done else RunShape)


def _checked(content: bytes, shape: type[MadeShape]) -> dict[str, Any]:
    """Return JSON as it is written, days as text, once its shape was looked at."""
    try:
        shape.model_validate_json(content)
        return dict(json.loads(content))
    except RecursionError:
        raise ValueError("nested too deeply") from None
