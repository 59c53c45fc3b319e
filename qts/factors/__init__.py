"""Factor sets as data: TOML files that come with qts, and users' own in the same format."""

from qts.factors.factor_set import (
    Factor,
    FactorSet,
    built_in_sets,
    custom_set,
    load_factor_set,
    parse_label,
    refuse_unknown_names,
)

__all__ = [
    "Factor",
    "FactorSet",
    "built_in_sets",
    "custom_set",
    "load_factor_set",
    "parse_label",
    "refuse_unknown_names",
]
