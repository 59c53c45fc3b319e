"""Scores → the few figures by which trainings are told apart; the report that says more is the evaluation's."""

from dataclasses import dataclass
from math import nan

import numpy as np
import pyarrow as pa

from qts.evaluation import summarise
from qts.pipeline.scored import ScoredStore, sort_scores
from qts.store import Store


@dataclass(frozen=True)
class Figures:
    """What scores are worth on the raw label, as means over days."""

    ic: float = nan
    icir: float = nan
    rank_ic: float = nan
    rank_icir: float = nan
    n_days: int = 0
    """Days with an IC."""
    n_scores: int = 0

    def __str__(self) -> str:
        """Return the figures in words."""
        return (
            f"IC {self.ic:.4f} (ICIR {self.icir:.2f}), RankIC {self.rank_ic:.4f} (RankICIR {self.rank_icir:.2f}) "
            f"over {self.n_days} days"
        )


def judge(table: pa.Table, store: Store, min_names: int) -> Figures:
    """Return what scores are worth; a table of instrument, datetime, score."""
    _, ic, rank_ic = ScoredStore(store, sort_scores(table, store)).daily_ics(min_names)
    return Figures(*summarise(ic), *summarise(rank_ic), int(np.isfinite(ic).sum()), table.num_rows)
