"""IC family, long-short and groups against the reference, day by day."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qts.evaluation import daily_ic, summarise
from qts.evaluation.groups import ScoreGroups, ends, mean_of
from qts.evaluation.scored import ScoredDays

GOLDEN = Path(__file__).parents[1] / "golden/evaluation"
DAILY = pd.read_parquet(GOLDEN / "daily.parquet")
RECORD = json.loads((GOLDEN / "evaluation.json").read_text())
N_DAYS = len(DAILY)


def joined() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return day, score with ties, score without, label; the outer join, in instrument order inside a day."""
    rows = pd.read_parquet(GOLDEN / "pred.parquet").merge(
        pd.read_parquet(GOLDEN / "label.parquet"), on=["datetime", "instrument"], how="outer"
    )
    rows = rows.sort_values(["datetime", "instrument"])
    day = np.unique(rows.datetime.to_numpy().astype("datetime64[D]"), return_inverse=True)[1]
    return day, rows.score.to_numpy(), rows.score_unique.to_numpy(), rows.label.to_numpy()


def assert_daily(name: str, got: np.ndarray) -> None:
    np.testing.assert_allclose(got, DAILY[name].to_numpy(), rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize(("which", "suffix"), [(1, ""), (2, "_unique")])
def test_daily_ic_and_rank_ic_are_the_reference_s(which: int, suffix: str) -> None:
    columns = joined()
    ic, rank_ic = daily_ic(columns[0], columns[which], columns[3], N_DAYS)
    assert_daily(f"ic{suffix}", ic)
    assert_daily(f"ric{suffix}", rank_ic)


def test_the_summary_is_the_reference_s() -> None:
    day, score, _, label = joined()
    ic, rank_ic = daily_ic(day, score, label, N_DAYS)
    want = RECORD["SigAnaRecord"]
    assert (*summarise(ic), *summarise(rank_ic)) == pytest.approx(
        (want["IC"], want["ICIR"], want["Rank IC"], want["Rank ICIR"])
    )


def as_reference(day: np.ndarray, score: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return half the spread, and the 0 that the reference reports for a day on which nothing has a score."""
    is_silent = np.bincount(day[~np.isnan(score)], minlength=N_DAYS) == 0
    assert is_silent.sum() == 1
    return np.where(is_silent & (np.bincount(day, minlength=N_DAYS) > 0), 0.0, (top - bottom) / 2)


def both_ends(share: float, *, complete_only: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return mean labels of both ends; their size is a share of all rows of the day, or of those with both values."""
    day, score, _, label = joined()
    days = ScoredDays.of(day, score, slice(0, N_DAYS))
    labels = days.lay(label)
    counts = days.is_name & ~np.isnan(labels) if complete_only else days.is_name
    rows = np.bincount(day[~np.isnan(score) & ~np.isnan(label)] if complete_only else day, minlength=N_DAYS)
    return ends(days, labels, counts, (rows * share).astype(int))


@pytest.mark.parametrize("share", [0.2, 0.1])
def test_long_short_of_complete_rows_is_the_reference_s_once_halved(share: float) -> None:
    top, bottom = both_ends(share, complete_only=True)
    assert_daily(f"long_short_q{round(100 * share)}_dropna", (top - bottom) / 2)


@pytest.mark.parametrize("share", [0.2, 0.1])
def test_long_short_of_all_rows_is_the_reference_s_once_halved(share: float) -> None:
    day, score, _, _ = joined()
    assert_daily(
        f"long_short_q{round(100 * share)}_keepna", as_reference(day, score, *both_ends(share, complete_only=False))
    )


def test_the_mean_of_all_names_is_what_the_reference_calls_long_average() -> None:
    day, score, _, label = joined()
    days = ScoredDays.of(day, score, slice(0, N_DAYS))
    labels = days.lay(label)
    assert_daily("long_avg_q20_dropna", mean_of(labels, days.is_name & ~np.isnan(labels)))


def test_annual_long_short_is_the_reference_s() -> None:
    day, score, _, _ = joined()
    mean, ratio = summarise(as_reference(day, score, *both_ends(0.2, complete_only=False)))
    assert mean * 252 == pytest.approx(RECORD["SigAnaRecord"]["Long-Short Ann Return"], abs=1e-6)
    assert ratio * np.sqrt(252) == pytest.approx(RECORD["SigAnaRecord"]["Long-Short Ann Sharpe"], abs=1e-5)


def test_groups_are_the_reference_s_where_names_divide_evenly_and_elsewhere_leave_nobody_out() -> None:
    day, _, score, label = joined()
    days = ScoredDays.of(day, score, slice(0, N_DAYS))
    labels = days.lay(label)
    groups = ScoreGroups.of(days, 5, 2)
    means = groups.means(labels, days.is_name & ~np.isnan(labels))
    even = (days.n % 5 == 0) & (days.n > 0)
    assert 5 < even.sum() < N_DAYS
    for at in range(5):
        np.testing.assert_allclose(
            means[even, at], DAILY[f"grp_Group{at + 1}"].to_numpy()[even], rtol=0, atol=1e-6, equal_nan=True
        )
    index = groups.index()
    assert (index[groups.is_grouped[:, None] & days.is_name] >= 0).all()
    for line in np.flatnonzero(groups.is_grouped):
        assert np.ptp(np.bincount(index[line, : days.n[line]], minlength=5)) <= 1
