"""What a check looks at, and what it says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qts.config import LoadedConfig
from qts.store import Store

Verdict = Literal["ok", "slow", "missing", "careful"]


@dataclass(frozen=True)
class Place:
    """The machine, and a study on it, if there is one."""

    folder: Path
    """Where files are written: the store's folder, or, as long as there is none, the one it would lie in."""
    loaded: LoadedConfig | None
    store: Store | None

    @property
    def n_bytes(self) -> int:
        """Size of the store's datasets."""
        return sum(dataset.n_bytes for dataset in self.store.manifest.datasets().values()) if self.store else 0


@dataclass(frozen=True)
class Finding:
    """A row: what was looked at, what was found, whether that is well, and if not, what to do."""

    what: str
    found: str
    verdict: Verdict = "ok"
    hint: str = ""


def gib(n_bytes: float) -> str:
    """Return bytes as people read them."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MiB"
