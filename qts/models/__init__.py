"""Architectures, one file each; a file's name is the model's name in TOML. Listing them loads none of them."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from qts.errors import ConfigError
from qts.registry import unknown_name_hint

if TYPE_CHECKING:
    from qts.models._architecture import Architecture


def model_names() -> tuple[str, ...]:
    """Return the names of all architectures."""
    return tuple(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load_architecture(name: str) -> "type[Architecture]":
    """Return an architecture's class, loading its file alone; raises ConfigError for an unknown name."""
    if name not in model_names():
        raise ConfigError(f'unknown model "{name}"', hint=unknown_name_hint(name, model_names()))
    import_module(f"{__name__}.{name}")
    from qts.models._architecture import ARCHITECTURES

    return ARCHITECTURES[name]
