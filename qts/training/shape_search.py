"""Which [model] keys a file of weights was made with: networks without memory are built until the shapes agree."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor

from qts.errors import QtsError
from qts.models import load_architecture, model_names
from qts.models._architecture import Architecture
from qts.training.checkpoint import build_network
from qts.training.transplant import Shape, from_reference

Shapes = dict[str, Shape]

MOST_COUNTED = 12
"""Layers, and whatever else is counted, that are tried."""
_ABSENT = 3
"""A tensor that one side lacks is as bad as one that differs in all axes."""


@dataclass(frozen=True)
class Fit:
    """A guess at how a network was made, and how far its shapes are from the file's."""

    name: str
    options: dict[str, Any]
    n_features: int
    distance: int


def advise(name: str, options: dict[str, Any], n_features: int, state: Mapping[str, Tensor]) -> str:
    """Return what to change so that the weights fit: keys of the model, the features, or the architecture."""
    found = search(name, options, n_features, state)
    if found is None or found.distance:
        others = (
            search(other, {}, n_features, state) for other in model_names() if _is_alike(other, n_features, state)
        )
        found = next((fit for fit in others if fit is not None and not fit.distance), None)
    if found is None:
        return "no [model] keys make it fit: is it the file of another network?"
    known = _complete(found.name, options if found.name == name else {})
    changed = {key: value for key, value in found.options.items() if known.get(key) != value}
    advice = [f'set model.name = "{found.name}"'] if found.name != name else []
    advice += [f"set model.{key} = {_toml(value)}" for key, value in changed.items()]
    if found.n_features != n_features:
        made_for = f"it was made for {found.n_features} features and the windows have {n_features}"
        advice.append(f"{made_for}: check [factors] set and select")
    return "; ".join(advice)


def _is_alike(name: str, n_features: int, state: Mapping[str, Tensor]) -> bool:
    """Return whether an architecture's names are among the file's or the other way round; layers may be more or fewer."""
    try:
        ours = _shapes(name, {}, n_features)
        theirs = from_reference(load_architecture(name), state)
    except QtsError:
        return False
    return ours is not None and (ours.keys() <= theirs.keys() or theirs.keys() <= ours.keys())


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, tuple) else str(value).lower()


def search(name: str, options: dict[str, Any], n_features: int, state: Mapping[str, Tensor]) -> Fit | None:
    """Return the keys whose shapes come nearest to a file's, changing one at a time; None if it cannot be read so."""
    architecture = load_architecture(name)
    try:
        named = from_reference(architecture, state)
        options = _complete(name, options)
    except (QtsError, ValueError):
        return None
    theirs = {key: tuple(tensor.shape) for key, tensor in named.items()}
    counted = _n_features_of(architecture, theirs) or n_features
    shares = {key: value for key, value in options.items() if isinstance(value, float)}
    # Dropout has no shape, but may forbid one layer: it is put aside until the end.
    best = _try(name, options | dict.fromkeys(shares, 0.0), counted, theirs) or _try(name, options, counted, theirs)
    while best is not None and best.distance:
        tried = (_try(name, changed, counted, theirs) for changed in _neighbours(best, theirs))
        better = min((fit for fit in tried if fit is not None), key=lambda fit: fit.distance, default=best)
        if better.distance >= best.distance:
            break
        best = better
    return best and (_try(name, best.options | shares, counted, theirs) or best)


def _complete(name: str, options: dict[str, Any]) -> dict[str, Any]:
    return load_architecture(name).Config.model_validate(options).model_dump()


def _n_features_of(architecture: type[Architecture], theirs: Shapes) -> int | None:
    axes = architecture.feature_weights.items()
    return next((theirs[name][axis] for name, axis in axes if len(theirs.get(name, ())) > axis), None)


def _try(name: str, options: dict[str, Any], n_features: int, theirs: Shapes) -> Fit | None:
    ours = _shapes(name, options, n_features)
    return None if ours is None else Fit(name, options, n_features, _distance(ours, theirs))


def _shapes(name: str, options: dict[str, Any], n_features: int) -> Shapes | None:
    """Return the shapes of a network that takes no memory; None if the keys do not go together."""
    try:
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            network = build_network(name, options, n_features)
    except (QtsError, ValueError, RuntimeError, AssertionError):
        return None
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _distance(ours: Shapes, theirs: Shapes) -> int:
    total = 0
    for name in ours.keys() | theirs.keys():
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None or len(one) != len(other):
            total += _ABSENT
        else:
            total += sum(a != b for a, b in zip(one, other, strict=True))
    return total


def _neighbours(fit: Fit, theirs: Shapes) -> Iterator[dict[str, Any]]:
    """Yield the options with one key changed to whatever the file's shapes suggest."""
    widths = sorted({size for shape in theirs.values() for size in shape})
    for key, field in load_architecture(fit.name).Config.model_fields.items():
        value = fit.options[key]
        candidates: list[Any] = []
        if get_origin(field.annotation) is Literal:
            candidates = list(get_args(field.annotation))
        elif isinstance(value, tuple):
            candidates = _other_widths(value, widths)
        elif isinstance(value, int) and not isinstance(value, bool):
            candidates = list(range(1, MOST_COUNTED + 1)) + ([] if _counts_layers(fit, key) else widths)
        yield from (fit.options | {key: candidate} for candidate in candidates if candidate != value)


def _other_widths(value: tuple[int, ...], widths: list[int]) -> list[tuple[int, ...]]:
    """Return a list of widths with one of them changed, the last left out, or one more."""
    changed = [(*value[:at], width, *value[at + 1 :]) for at in range(len(value)) for width in widths]
    return [*changed, value[:-1], *((*value, width) for width in widths)]


def _counts_layers(fit: Fit, key: str) -> bool:
    """Return whether a key says how many tensors there are; their widths would make absurd numbers of layers."""
    here = _shapes(fit.name, fit.options, fit.n_features)
    more = _shapes(fit.name, fit.options | {key: fit.options[key] + 1}, fit.n_features)
    return here is not None and more is not None and len(more) != len(here)
