"""A case: what is done to a sound study, and the command that meets it. It is data, so that it can be kept and cut down."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"

Deed = tuple[Any, ...]
"""The name of a row of DEEDS, and its arguments as JSON has them."""


@dataclass(frozen=True)
class Case:
    """One input of one target."""

    target: str
    command: tuple[str, ...]
    deeds: tuple[Deed, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the case as text; lone surrogates are escaped."""
        return json.dumps(asdict(self), indent=1) + "\n"


def from_json(text: str) -> Case:
    """Return the case that `to_json` wrote."""
    content = json.loads(text)
    deeds = tuple(tuple(deed) for deed in content["deeds"])
    return Case(content["target"], tuple(content["command"]), deeds, content["environment"])


def read_corpus() -> dict[str, Case]:
    """Return name → case of every file of the corpus."""
    return {file.stem: from_json(file.read_text(encoding="utf-8")) for file in sorted(CORPUS.glob("*.json"))}
