"""The registries as rows: factors, models, operators, processors."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from qts.config import LoadedConfig
from qts.errors import ConfigError
from qts.expr.lookback import span_of
from qts.expr.nodes import fields_of
from qts.expr.operators import OPERATORS
from qts.expr.sql import compile_select
from qts.models import load_architecture, model_names
from qts.pipeline.ingest import expand_factors
from qts.processors import PROCESSORS
from qts.registry import unknown_name_hint

if TYPE_CHECKING:
    from qts.factors import Factor


def list_factors(loaded: LoadedConfig) -> list[dict[str, Any]]:
    """Return a row a factor of the config: name, lookback, expression."""
    return [
        {"factor": factor.name, "set": factors.name, "lookback": span_of(factor.node).back, "expression": factor.text}
        for factors in expand_factors(loaded)
        for factor in factors.factors
    ]


def describe_factor(loaded: LoadedConfig, name: str) -> dict[str, Any]:
    """Return one factor with its canonical spelling and SQL; raises ConfigError for an unknown name."""
    known: dict[str, Factor] = {f.name: f for factors in expand_factors(loaded) for f in factors.factors}
    if name not in known:
        raise ConfigError(f'unknown factor "{name}"', hint=unknown_name_hint(name, known))
    factor = known[name]
    fields = sorted(fields_of(factor.node))
    return {
        "factor": name, "expression": factor.text, "canonical": factor.canonical, "family": factor.family,
        "lookback": span_of(factor.node).back, "fields": fields,
        "sql": compile_select({name: factor.node}, fields, "panel").sql,
    }  # fmt: skip


def list_operators() -> list[dict[str, Any]]:
    """Return a row an operator."""
    return [
        {"operator": row.name, "written": row.usage().partition(":")[0], "about": row.about}
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
    return [{"parameter": p.name, "wants": p.wants} for p in OPERATORS[name].parameters]
