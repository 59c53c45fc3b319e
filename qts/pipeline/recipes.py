"""What a store is to hold: the factors and the label of a config, checked, and the hash of how each is made."""

from qts.columns import FIELDS, SAMPLE_WEIGHT
from qts.config import LoadedConfig
from qts.errors import ConfigError, ConfigProblems
from qts.expr.nodes import Node, fields_of, groups_of, render
from qts.factors import FactorSet, custom_set, load_factor_set, parse_label, refuse_unknown_names
from qts.registry import unknown_name_hint
from qts.store import fingerprint

COMPILER = 3
"""Goes up when compiled expressions give other values: factors of older stores are then computed anew."""


def expand_factors(loaded: LoadedConfig) -> list[FactorSet]:
    """Return the factor set of the config and the user's own, all expressions checked."""
    factors = loaded.config.factors
    main = load_factor_set(factors.set, loaded.folder, loaded.where("factors", "set"))
    custom = {**factors.custom, **_weight_factor(loaded, {*main.names, *factors.custom})}
    own = custom_set(custom, main.factors, lambda name: _place_of(loaded, name))
    known = [*main.names, *own.names]
    where = loaded.where("factors", "select")
    problems = [
        ConfigError(f'unknown factor "{name}" in [factors] select', where=where, hint=unknown_name_hint(name, known))
        for name in factors.select or ()
        if name not in known
    ]
    if problems:
        raise ConfigProblems(problems)
    return [main, own] if own.factors else [main]


def _weight_factor(loaded: LoadedConfig, known: set[str]) -> dict[str, str]:
    """Return the expression of `[train] sample_weight` as a factor of its own, unless it is a factor's name."""
    weight = loaded.config.train.sample_weight
    return {} if weight is None or weight in known else {SAMPLE_WEIGHT: weight}


def _place_of(loaded: LoadedConfig, name: str) -> str:
    return loaded.where("train", "sample_weight") if name == SAMPLE_WEIGHT else loaded.where("factors", "custom", name)


def feature_names(loaded: LoadedConfig) -> list[str]:
    """Return the factors that the model may see: all but a weight that is only an expression."""
    return [name for factors in expand_factors(loaded) for name in factors.names if name != SAMPLE_WEIGHT]


def read_label(loaded: LoadedConfig) -> tuple[Node, int]:
    """Return the label's tree and how many bars it looks ahead."""
    return parse_label(loaded.config.label.expr, loaded.where("label", "expr"))


def check_fields(
    sets: list[FactorSet], label: Node, fields: tuple[str, ...], groups: tuple[str, ...] = ()
) -> list[str]:
    """Refuse a field or a group that is no column of the bars; return warnings of optional fields that they lack."""
    refuse_unknown_names(sets, (*fields, *groups))
    known = {*fields, *FIELDS}
    readers = [(factor.name, factor.node) for factors in sets for factor in factors.factors] + [("the label", label)]
    absent: dict[str, list[str]] = {}
    for reader, node in readers:
        for name in sorted(groups_of(node) - {*fields, *groups}):
            hint = f'[bars] groups = ["{name}"] keeps it, if the bars have it'
            raise ConfigError(f'{reader} groups by "{name}", but no such column is kept', hint=hint)
        for name in sorted(fields_of(node)):
            if name in groups:
                raise ConfigError(f"{reader} reads ${name} as a number, but it is text", hint=f'use it as by="{name}"')
            if name not in known:
                hint = unknown_name_hint(name, fields)
                raise ConfigError(f"{reader} reads ${name}, but the bars have no such column", hint=hint)
            if name not in fields:
                absent.setdefault(name, []).append(reader)
    shown = {
        name: ", ".join(of[:3]) + (f" and {len(of) - 3} more" if len(of) > 3 else "") for name, of in absent.items()
    }
    return [f"the bars have no {name}: {readers} will be missing everywhere" for name, readers in shown.items()]


def label_recipe(label: Node, ahead: int) -> str:
    """Return the hash of how the label is made, whatever from."""
    return fingerprint(render(label), ahead, COMPILER)


def factors_recipe(factors: FactorSet) -> str:
    """Return the hash of how a set's factors are made, whatever from."""
    return fingerprint([(factor.name, render(factor.node)) for factor in factors.factors], COMPILER)
