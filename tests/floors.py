"""The oldest version of each package that pyproject.toml allows, as requirements: `python -m tests.floors`."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"

KNOWN = {
    "filelock": ("3.20.3", "CVE-2025-68146, CVE-2026-22701: a lock that is a link empties what it leads to"),
    "lightgbm": ("4.6", "CVE-2024-43598: code out of a crafted model file"),
    "plotly": ("5.18", "CVE-2023-46308: prototypes of objects polluted"),
    "pyarrow": (
        "23.0.1",
        "CVE-2026-25087: memory used after it is freed; before 14.0.1 CVE-2023-47248: code out of a file",
    ),
    "pydantic": ("2.4", "CVE-2024-3772: a pattern that takes for ever"),
    "pytest": ("9.0.3", "CVE-2025-71176: a temporary folder that other users can foresee"),
    "torch": ("2.10", "CVE-2026-24747: memory damaged by weights, in spite of weights_only; before 2.6 CVE-2025-32434"),
}
"""Package → the first version without a known advisory that bears on it, and which that was; looked at in 2026."""


def floors() -> Iterator[tuple[str, str]]:
    """Yield package and oldest version of every requirement, optional ones and those of the tests among them."""
    content = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    project = content["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *content["dependency-groups"].values(),
    ]
    for requirement in (entry for group in groups for entry in group if isinstance(entry, str)):
        if found := re.match(r"([\w.-]+)>=([\w.]+)", requirement):
            yield found[1], found[2]


if __name__ == "__main__":
    for package, version in sorted(set(floors())):
        print(f"{package}=={version}")  # noqa: T201 - what it is for
