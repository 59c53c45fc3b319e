"""JSON Schema of qts.toml, for editors: one branch an architecture and a processor, from the classes that check them."""

from typing import Any

from qts.config import Config, Table
from qts.models import load_architecture, model_names
from qts.processors import PROCESSORS


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of the whole config."""
    schema = Config.model_json_schema()
    schema["title"] = "qts.toml"
    properties = schema["properties"]
    properties["model"] = {"oneOf": [_branch(name, load_architecture(name).Config) for name in model_names()]}
    processors = {"oneOf": [_branch(name, row.options) for name, row in PROCESSORS.items()]}
    for group in ("features", "label"):
        schema["$defs"]["ProcessorsConfig"]["properties"][group]["items"] = processors
    return schema


def _branch(name: str, options: type[Table]) -> dict[str, Any]:
    branch = options.model_json_schema()
    branch.pop("title", None)
    branch["properties"] = {"name": {"const": name}, **branch.get("properties", {})}
    branch["required"] = ["name", *branch.get("required", [])]
    return branch
