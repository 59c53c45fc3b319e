"""The registries as rows: factors, models, operators, processors."""

from typing import Any

import numpy as np
from pydantic import BaseModel

from qts.config import LoadedConfig
from qts.errors import ConfigError, NoStoreError
from qts.evaluation import daily_ic, summarise
from qts.expr.lookback import crosses, span_of
from qts.expr.nodes import fields_of, groups_of
from qts.expr.null_rule import null_rule
from qts.expr.operators import ALIASES, OPERATORS
from qts.expr.sql import compile_select
from qts.factors import Factor
from qts.models import load_architecture, model_names
from qts.pipeline.features import read_blocks
from qts.pipeline.recipes import expand_factors
from qts.processors import PROCESSORS
from qts.registry import unknown_name_hint
from qts.store import Store, open_store


def list_factors(loaded: LoadedConfig) -> list[dict[str, Any]]:
    """Return a row a factor of the config: name, lookback, expression."""
    return [
        {"factor": factor.name, "set": factors.name, "lookback": span_of(factor.node).back, "expression": factor.text}
        for factors in expand_factors(loaded)
        for factor in factors.factors
    ]


def describe_factor(loaded: LoadedConfig, name: str) -> dict[str, Any]:
    """Return one factor: what it means and, where there is a store, what it is worth.

    Raises ConfigError for an unknown name.
    """
    known: dict[str, Factor] = {f.name: f for factors in expand_factors(loaded) for f in factors.factors}
    if name not in known:
        raise ConfigError(f'unknown factor "{name}"', hint=unknown_name_hint(name, known))
    factor = known[name]
    fields, groups = sorted(fields_of(factor.node)), sorted(groups_of(factor.node))
    return {
        "factor": name, "expression": factor.text, "canonical": factor.canonical, "family": factor.family,
        "lookback": span_of(factor.node).back, "crosses": crosses(factor.node), "null_rule": null_rule(factor.node),
        "fields": fields, "groups": groups,
        "sql": compile_select({name: factor.node}, [*fields, *groups], "panel").sql,
        "in_store": _in_store(loaded, factor),
    }  # fmt: skip


def _in_store(loaded: LoadedConfig, factor: Factor) -> dict[str, Any] | None:
    """Return the worth of a factor's stored values; None without a store that holds this factor."""
    try:
        store = open_store(loaded.path(loaded.config.store.path))
    except NoStoreError:
        return None
    stored = {name: text for made in store.manifest.factor_sets.values() for name, text in made.expressions.items()}
    if stored.get(factor.name) != factor.canonical:
        return None
    return judge_factor(store, factor.name, loaded)


def judge_factor(store: Store, name: str, loaded: LoadedConfig) -> dict[str, Any]:
    """Return coverage, first and last day of a stored factor, and its daily IC and RankIC against the raw label.

    All of it on member rows, over every day of the store; ratios are not annualised.
    """
    needs_bar = loaded.config.window.history == "instrument"
    values, label, _ = read_blocks(store, (name,), store.manifest.first, store.manifest.last, needs_bar=needs_bar)
    rows = np.flatnonzero(label.members)
    factor, day = values.values[rows, 0], label.day[rows]
    known = day[np.isfinite(factor)]
    ic, rank_ic = daily_ic(day, factor, label.values[rows, 0], len(label.calendar), loaded.config.eval.min_names)
    figures = dict(zip(("ic", "icir", "rank_ic", "rank_icir"), (*summarise(ic), *summarise(rank_ic)), strict=True))
    return {
        "rows": len(rows), "valid": len(known), "coverage": len(known) / len(rows) if len(rows) else None,
        "first": str(label.calendar[known.min()]) if len(known) else None,
        "last": str(label.calendar[known.max()]) if len(known) else None,
        "n_days": int((~np.isnan(rank_ic)).sum()),
        **{key: None if np.isnan(figure) else figure for key, figure in figures.items()},
    }  # fmt: skip


def list_operators() -> list[dict[str, Any]]:
    """Return a row an operator."""
    others = {
        row.name: [other for other, alias in ALIASES.items() if alias.operator == row.name]
        for row in OPERATORS.values()
    }
    return [
        {
            "operator": row.name,
            "written": row.usage().partition(":")[0],
            "about": row.about + (f"; also {', '.join(others[row.name])}" if others[row.name] else ""),
        }
        for row in OPERATORS.values()
    ]


def list_processors() -> list[dict[str, Any]]:
    """Return a row a processor."""
    return [
        {
            "processor": row.name,
            "fitted": bool(row.parameters),
            "keys": ", ".join(row.options.model_fields),
            "about": row.about,
        }
        for row in PROCESSORS.values()
    ]


def list_models() -> list[dict[str, Any]]:
    """Return a row an architecture: name, first line of its file, batching."""
    rows = []
    for name in model_names():
        architecture = load_architecture(name)
        rows.append({"model": name, "batches": architecture.batches, "about": _about(architecture.__module__)})
    return rows


def _about(module: str) -> str:
    import sys  # noqa: PLC0415 - the one look at a module object

    return (sys.modules[module].__doc__ or "").partition("\n")[0]


def describe_keys(table: type[BaseModel]) -> list[dict[str, Any]]:
    """Return a row a key of a config table: name, type, default, explanation."""
    properties = table.model_json_schema().get("properties", {})
    return [
        {"key": key, "type": _type(schema), "default": schema.get("default"), "about": schema.get("description", "")}
        for key, schema in properties.items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return str(
        schema.get("type", "or ".join(str(option.get("type")) + " " for option in schema.get("anyOf", [])).strip())
    )


def describe_model(name: str) -> list[dict[str, Any]]:
    """Return the keys of an architecture."""
    return describe_keys(load_architecture(name).Config)


def describe_processor(name: str) -> list[dict[str, Any]]:
    """Return the keys of a processor."""
    return describe_keys(PROCESSORS[name].options)


def describe_operator(name: str) -> list[dict[str, Any]]:
    """Return the parameters of an operator."""
    parameters = ALIASES[name].parameters if name in ALIASES else OPERATORS[name].parameters
    return [{"parameter": p.name, "wants": p.wants} for p in parameters]
