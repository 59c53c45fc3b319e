"""Layers are contracts: who may import whom, and who may load what is heavy. This table is the contract."""

import ast
import sys
from pathlib import Path

import pytest

import qts

PACKAGE = Path(qts.__file__).parent

BASE = {"clock", "errors", "columns", "progress", "registry", "json_text", "plain_file", "terminal_text", "toml_text"}
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "errors": set(),
    "columns": set(),
    "clock": set(),
    "progress": set(),
    "registry": {"errors"},
    "cross_section": set(),
    "boards": set(),
    "daily_series": set(),
    "json_text": set(),
    "plain_file": set(),
    "toml_text": set(),
    "terminal_text": set(),
    "config": {"errors", "plain_file", "registry", "toml_text"},
    "expr": {"errors", "registry", "columns"},
    "factors": {"errors", "plain_file", "registry", "toml_text", "columns", "expr"},
    "bars": {*BASE, "config", "expr"},
    "processors": {*BASE, "config", "cross_section"},
    "store": {*BASE, "config", "expr"},
    "predictions": {*BASE, "__init__", "store"},
    "windows": {*BASE, "store"},
    "models": {"errors", "registry", "config"},
    "backtest": {"errors", "boards", "columns", "config", "cross_section", "daily_series"},
    "evaluation": {"errors", "boards", "columns", "config", "cross_section", "daily_series"},
    "training": {*BASE, "config", "store", "windows", "models", "evaluation"},
    "rendering": {"errors", "registry", "columns", "json_text", "terminal_text", "daily_series", "evaluation", "backtest"},
    "pipeline": {*BASE, "__init__", "config", "cross_section", "daily_series", "expr", "factors", "bars", "processors", "store",
                 "predictions", "windows", "models", "evaluation", "backtest", "training", "rendering"},
    "cli": {"clock", "errors", "json_text", "terminal_text", "config", "progress", "pipeline", "rendering", "evaluation",
            "__init__"},
}  # fmt: skip
"""Package → what it may import from qts; `expr` gives bars its quoting, `evaluation` gives training its IC."""

EXTRAS = {"lightgbm"}
HEAVY = {
    "torch",
    "duckdb",
    "pyarrow",
    "numpy",
    "plotly",
    "safetensors",
    "rich",
    "pydantic",
    "typer",
    "filelock",
    *EXTRAS,
}
MAY_LOAD: dict[str, set[str]] = {
    "config": {"pydantic"},
    "cross_section": {"numpy"},
    "daily_series": {"numpy"},
    "backtest": {"numpy"},
    "bars": {"duckdb", "numpy", "pyarrow"},
    "processors": {"numpy", "pydantic"},
    "store": {"duckdb", "pyarrow", "numpy", "pydantic", "filelock"},
    "predictions": {"pyarrow", "numpy", "pydantic"},
    "windows": {"numpy", "pyarrow"},
    "models": {"torch", "pydantic"},
    "evaluation": {"numpy"},
    "training": {"torch", "numpy", "pyarrow", "safetensors"},
    "rendering": {"numpy", "pyarrow", "rich", "plotly"},
    "pipeline": HEAVY - {"typer", "rich", "plotly", *EXTRAS},
    "cli": {"typer"},
}
"""Package → what it may load when it is imported; an extra never, so that qts does without it."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(path: Path, *, top_level_only: bool) -> set[str]:
    """Return dotted names a module imports; imports for type checkers alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    nodes = ast.iter_child_nodes(tree) if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            modules_of_qts = {path.stem for path in PACKAGE.glob("*.py")} if node.module == "qts" else set()
            found |= {
                f"qts.{alias.name}" if alias.name in modules_of_qts else node.module or "" for alias in node.names
            }
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_layers(path: Path) -> None:
    layer = layer_of(path)
    inner = {
        name.split(".")[1] if "." in name else "__init__"
        for name in imports(path, top_level_only=False)
        if name.split(".")[0] == "qts"
    }
    assert inner - {layer} <= MAY_IMPORT[layer]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_loads_only_what_is_its_package_s_job(path: Path) -> None:
    layer = layer_of(path)
    loaded = {name.split(".")[0] for name in imports(path, top_level_only=True)} & HEAVY
    allowed = set() if path.relative_to(PACKAGE).as_posix() == "models/__init__.py" else MAY_LOAD.get(layer, set())
    assert loaded <= allowed


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_knows_pandas_or_pickle_or_eval(path: Path) -> None:
    names = {name.split(".")[0] for name in imports(path, top_level_only=False)}
    assert not names & {"pandas", "pickle", "shelve", "marshal", "dill", "cloudpickle"}
    calls = {
        n.func.id
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert not calls & {"eval", "exec", "compile"}


def test_every_package_has_its_row_in_the_table() -> None:
    assert {layer_of(path) for path in modules()} == set(MAY_IMPORT)


def test_every_dependency_is_declared() -> None:
    import tomllib

    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    names = {
        entry.split(">")[0].removesuffix("-skinny")
        for declared in (project["dependencies"], *extras)
        for entry in declared
    }
    used = {name.split(".")[0] for path in modules() for name in imports(path, top_level_only=False)}
    assert {name for name in used if name not in sys.stdlib_module_names} - {"qts"} <= names
