"""Weights from one network into another: a file of tensors, names and shapes matched, columns put in our order.

Which run the weights come from, and what becomes of them, is the pipeline's.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from qts.errors import ConfigError, InputError
from qts.models._architecture import Architecture
from qts.plain_file import is_file
from qts.registry import unknown_name_hint

State = dict[str, Tensor]
Shape = tuple[int, ...]

HOLDERS = ("model_state_dict", "state_dict", "model")
"""Under which names checkpoints of training scripts hold the weights."""

_PICKLED = (b"PK", *(bytes([0x80, protocol]) for protocol in range(2, 6)))
"""How archives of torch and pickled objects begin."""
_SAVE_HINT = "where it was made, save the weights alone: torch.save(network.state_dict(), FILE)"


def read_state(file: Path) -> State:
    """Return the named tensors of a torch or safetensors file; raises InputError for anything else.

    Code that a file may bring along is never run: a file that cannot be read without is refused.
    """
    if not is_file(file):
        raise InputError(f"no file {file}", hint="a torch file of weights (.pt, .pth, .bin, .pkl) or .safetensors")
    found = _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)
    state = _held_by(found)
    if state is None:
        message = f"{file} holds {_say_kind(found)}, not named tensors"
        raise InputError(message, hint=f"expected: weights, or a dict with them under {', '.join(HOLDERS)}")
    for name, tensor in state.items():
        _refuse_odd(tensor, f"{name} in {file}")
    if all(name.startswith("module.") for name in state):  # torch's data-parallel wrapper
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def _read_safetensors(file: Path) -> State:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{file} cannot be read as safetensors: {reason}", hint="is it whole?") from error


def _read_torch(file: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd about the file, the error says
            return torch.load(file, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", hint="check its permissions") from error
    except Exception as error:  # a damaged file fails in whatever way its bytes lead to
        if "weights_only" in str(error) and _first_bytes(file) in _PICKLED:
            asked = re.search(r"GLOBAL ([\w.]+)", str(error))
            what = f"more than tensors ({asked[1]})" if asked else "more than tensors"
            message = f"{file} holds {what}: to read it would be to run code out of it, and none was run"
            raise InputError(message, hint=_SAVE_HINT) from error
        message = f"{file} is no torch file, or a damaged one"
        raise InputError(message, hint="is it whole? copy it again, or save it anew") from error


def _first_bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(2)


def _held_by(found: object) -> State | None:
    """Return the named tensors that something is or holds."""
    if not isinstance(found, dict):
        return None
    if found and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in found.items()):
        return dict(found)
    return next((state for name in HOLDERS if (state := _held_by(found.get(name))) is not None), None)


def _refuse_odd(tensor: Tensor, name: str) -> None:
    if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized or tensor.is_meta:
        raise InputError(f"{name} is no plain array of real numbers", hint=_SAVE_HINT)
    if not bool(tensor.float().isfinite().all()):  # nor as we keep it, in 32 bits
        raise InputError(f"{name} has values that are not finite", hint="its training diverged, or it is damaged")


def _say_kind(found: object) -> str:
    if isinstance(found, dict):
        return f"a dict of {', '.join(map(str, list(found)[:5]))}" if found else "an empty dict"
    return f"a {type(found).__name__}"


def from_reference(architecture: type[Architecture], state: Mapping[str, Tensor]) -> State:
    """Return tensors of a reference's file under our names, without those that stand for nothing.

    Raises ConfigError if two tensors that come under one name, because the file holds it twice, differ.
    """
    named: State = {}
    origins: dict[str, str] = {}
    for origin, tensor in state.items():
        name = origin
        for theirs, ours in architecture.reference_names.items():
            name = name.replace(theirs, ours)
        if name.startswith(architecture.reference_leftovers):
            continue
        if name in named and not torch.equal(named[name], tensor):
            message = f"{origins[name]} and {origin} are one weight by two names, but their values differ"
            raise ConfigError(message, hint="the file was put together from two networks: save it anew from one")
        named[name], origins[name] = tensor, origin
    return named


def feature_order(ours: Sequence[str], theirs: Sequence[str]) -> tuple[int, ...]:
    """Return where each of our features is among theirs; raises ConfigError unless they are the same names."""
    for name in theirs:
        if name not in ours:
            raise ConfigError(f'"{name}" is no feature of the windows', hint=unknown_name_hint(name, ours))
        if theirs.count(name) > 1:
            raise ConfigError(f"{name} is named {theirs.count(name)} times", hint="name each feature once")
    absent = [name for name in ours if name not in theirs]
    if absent:
        message = f"{len(theirs)} of {len(ours)} features are named; not among them: {', '.join(absent[:5])}"
        raise ConfigError(message, hint="name every feature, in the order of the file's columns")
    return tuple(theirs.index(name) for name in ours)


@dataclass(frozen=True)
class Misfit:
    """A tensor that was not copied."""

    name: str
    theirs: Shape | None
    """None: the file has none."""
    ours: Shape | None
    """None: the network has none."""

    def __str__(self) -> str:
        return f"{self.name}: {_say_shape(self.theirs)} in the file, {_say_shape(self.ours)} in the network"


def _say_shape(shape: Shape | None) -> str:
    return "nothing" if shape is None else "x".join(map(str, shape)) or "a number"


@dataclass(frozen=True)
class Transplant:
    """What went from a file into a network, and what did not."""

    copied: tuple[str, ...]
    misfits: tuple[Misfit, ...]

    @property
    def missing(self) -> tuple[Misfit, ...]:
        """What the network has and the file has not."""
        return tuple(misfit for misfit in self.misfits if misfit.theirs is None)

    @property
    def unexpected(self) -> tuple[Misfit, ...]:
        """What the file has and the network has not."""
        return tuple(misfit for misfit in self.misfits if misfit.ours is None)

    @property
    def mismatched(self) -> tuple[Misfit, ...]:
        """What both have, in different shapes."""
        return tuple(misfit for misfit in self.misfits if None not in (misfit.theirs, misfit.ours))

    def lines(self) -> Iterator[str]:
        """Yield what was copied and what was not, for a person who follows the work."""
        yield f"copied {len(self.copied)} tensors: {', '.join(self.copied)}"
        kept = [misfit.name for misfit in self.misfits if misfit.ours is not None and misfit.theirs is None]
        if kept:
            yield f"as initialised, because they were not to be had: {', '.join(kept)}"
        if self.mismatched:
            yield f"as initialised, because shapes differ: {'; '.join(map(str, self.mismatched))}"
        if self.unexpected:
            yield f"not taken, because the network has no such thing: {', '.join(m.name for m in self.unexpected)}"


def fit_into(
    network: Architecture, state: Mapping[str, Tensor], order: Sequence[int] | None = None, only: Sequence[str] = ()
) -> Transplant:
    """Copy every tensor whose name and shape the network has, in place; say what fitted and what did not.

    `order` says where each feature is among the columns of the file; None: where it is in the network. `only`: parts of
    the network, as "rnn"; the others count as absent from the file.
    """
    theirs = _in_our_order(network, {name: t for name, t in state.items() if not only or _is_in(name, only)}, order)
    ours = network.state_dict()
    copied, misfits = [], []
    with torch.no_grad():
        for name in dict.fromkeys([*ours, *theirs]):
            their_shape = tuple(theirs[name].shape) if name in theirs else None
            our_shape = tuple(ours[name].shape) if name in ours else None
            if their_shape == our_shape:
                ours[name].copy_(theirs[name])
                copied.append(name)
            else:
                misfits.append(Misfit(name, their_shape, our_shape))
    return Transplant(tuple(copied), tuple(misfits))


def _is_in(name: str, parts: Sequence[str]) -> bool:
    return any(f"{name}.".startswith(f"{part.rstrip('.')}.") for part in parts)


def _in_our_order(network: Architecture, state: State, order: Sequence[int] | None) -> State:
    if order is None or list(order) == sorted(order):
        return state
    if not network.feature_weights or not network.feature_weights.keys() <= network.state_dict().keys():
        name = type(network).__name__
        message = f"columns in another order cannot be brought into ours: {name} of these sizes has no weight of its own for each"
        raise ConfigError(message, hint="save the file anew from features in the order of qts window --json")
    moved = dict(state)
    for name, axis in network.feature_weights.items():
        if name in state and state[name].dim() > axis and state[name].shape[axis] == len(order):
            moved[name] = state[name].index_select(axis, torch.tensor(order))
    return moved


def transplant_whole(
    network: Architecture, state: Mapping[str, Tensor], order: Sequence[int] | None = None, *, source: str = "the file"
) -> Transplant:
    """Copy all weights; raises ConfigError with every tensor that is missing, unexpected or of another shape."""
    done = fit_into(network, state, order)
    if done.misfits:
        counts = {"of another shape": done.mismatched, "missing": done.missing, "unexpected": done.unexpected}
        found = ", ".join(f"{len(misfits)} {what}" for what, misfits in counts.items() if misfits)
        name = type(network).__module__.rpartition(".")[2]
        lines = [f"the weights of {source} do not fit {name}: {found}", *(f"  {misfit}" for misfit in done.misfits)]
        raise ConfigError("\n".join(lines))
    return done


def transplant_part(
    network: Architecture, state: Mapping[str, Tensor], order: Sequence[int] | None = None, only: Sequence[str] = ()
) -> Transplant:
    """Copy what fits, of the whole network or of some parts; raises ConfigError for an unknown part or if nothing fits."""
    names = list(network.state_dict())
    for part in only:
        if not any(_is_in(name, [part]) for name in names):
            known = dict.fromkeys(name.partition(".")[0] for name in names)
            raise ConfigError(f'the network has no part "{part}"', hint=unknown_name_hint(part, known))
    done = fit_into(network, state, order, only)
    if not done.copied:
        lines = ["no weight fits the network", *(f"  {misfit}" for misfit in done.misfits)]
        raise ConfigError("\n".join(lines), hint="take a network with the same sizes and number of features")
    return done
