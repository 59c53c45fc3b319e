"""TARGETS: what is spoiled and which commands meet it, a row each. A row says how many cases of a thousand it gets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.fuzz import hostile_config, hostile_files, hostile_lines
from tests.fuzz.case import Case, Deed

Deeds = st.SearchStrategy[list[Deed]]


@dataclass(frozen=True)
class Target:
    """One kind of input."""

    name: str
    share: int
    """Cases of a thousand."""
    deeds: st.SearchStrategy[Any]
    """Lists of deeds."""
    commands: st.SearchStrategy[Any]
    """Command lines: texts to be split at blanks, or lists of arguments."""
    environment: st.SearchStrategy[dict[str, str]] = st.just({})  # noqa: RUF009 - a strategy does not change

    def cases(self) -> st.SearchStrategy[Case]:
        """Return the strategy that draws cases."""
        return st.builds(_case, st.just(self.name), self.commands, self.deeds, self.environment)


def _case(name: str, command: str | list[str], deeds: Iterable[Deed], environment: dict[str, str]) -> Case:
    arguments = command.split() if isinstance(command, str) else command
    return Case(name, tuple(arguments), tuple(tuple(deed) for deed in deeds), environment)


def _of(*commands: str) -> st.SearchStrategy[str]:
    return st.sampled_from(commands)


_NOTHING: st.SearchStrategy[list[Deed]] = st.just([])
_READERS = _of("status", "window", "predict", "eval", "backtest", "ingest", "runs list", "runs show", "query FROM/**/bars",
               "query FROM/**/three", "factors", "check", "explain", "leaderboard", "train", "report", "nightly",
               "verify")  # fmt: skip
_INGEST = _of("ingest", "ingest", "check", "ingest --rescan")

TARGETS: tuple[Target, ...] = (
    Target("bars csv bytes", 50, hostile_files.csv_bytes(), _INGEST),
    Target("bars csv cells", 80, hostile_files.csv_cells(), _INGEST),
    Target("bars csv form", 50, hostile_files.csv_forms(), _INGEST),
    Target("bars parquet bytes", 50, hostile_files.parquet_bytes(), _INGEST),
    Target("bars parquet types", 80, hostile_files.parquet_types(), _INGEST),
    Target("bars bombs", 10, hostile_files.bombs(), _INGEST),
    Target("bars duckdb", 25, hostile_files.databases(), _INGEST),
    Target("bars qlib", 25, hostile_files.qlib(), _INGEST),
    Target("universe, benchmark", 40, hostile_files.universes(), _INGEST),
    Target("places", 70, hostile_files.places(), st.one_of(_INGEST, hostile_lines.with_files())),
    Target("config bytes", 30, hostile_config.spoiled(), _of("check", "status", "ingest --dry-run")),
    Target("config bombs", 25, hostile_config.bombs(), _of("check", "status", "ingest --dry-run")),
    Target("config keys", 90, hostile_config.keys(), _of("check", "status", "ingest", "window", "predict", "eval", "backtest",
           "check", "tune --dry-run", "walk --dry-run", "doctor", "train", "nightly", "report")),
    Target("config overrides", 40, _NOTHING, hostile_config.assignments()),
    Target("config environment", 20, _NOTHING, _of("check", "window", "status"), hostile_config.environments()),
    Target("factor sets", 50, hostile_config.factor_sets(), _of("check", "factors", "ingest")),
    Target("expressions", 70, hostile_config.expressions(), _of("check", "factors A", "ingest", "ingest --dry-run")),
    Target("scores", 50, hostile_files.scores(), hostile_lines.with_scores()),
    Target("store json", 60, hostile_files.store_json(), _READERS),
    Target("store bytes", 50, hostile_files.store_bytes(), _READERS),
    Target("store links", 30, hostile_files.store_links(), _READERS),
    Target("npy headers", 15, hostile_files.arrays(), _of("window", "train", "predict", "eval", "verify")),
    Target("weights", 30, hostile_files.weights(), _of("import-checkpoint weights.safetensors", "predict", "eval", "verify")),
    Target("pickles", 20, hostile_files.pickles(), _of("import-checkpoint weights.pt",
    "import-checkpoint weights.pt --model linear")),
    Target("query", 40, _NOTHING, hostile_lines.queries()),
    Target("arguments", 60, _NOTHING, hostile_lines.arguments()),
)  # fmt: skip
