"""IC family, long-short and groups against the reference, day by day."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qts.evaluation import daily_ic, summarise
from qts.evaluation.groups import long_short, quantile_returns

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


@pytest.mark.parametrize("share", [0.2, 0.1])
@pytest.mark.parametrize(("complete_only", "suffix"), [(False, "keepna"), (True, "dropna")])
def test_long_short_is_the_reference_s_once_halved(share: float, complete_only: bool, suffix: str) -> None:
    day, score, _, label = joined()
    top, bottom, mean = long_short(day, score, label, N_DAYS, share, complete_only=complete_only)
    name = f"q{round(100 * share)}_{suffix}"
    assert_daily(
        f"long_short_{name}", as_reference(day, score, top, bottom) if suffix == "keepna" else (top - bottom) / 2
    )
    assert_daily(f"long_avg_{name}", mean)


def test_annual_long_short_is_the_reference_s() -> None:
    day, score, _, label = joined()
    top, bottom, _ = long_short(day, score, label, N_DAYS, 0.2, complete_only=False)
    mean, ratio = summarise(as_reference(day, score, top, bottom))
    assert mean * 252 == pytest.approx(RECORD["SigAnaRecord"]["Long-Short Ann Return"], abs=1e-6)
    assert ratio * np.sqrt(252) == pytest.approx(RECORD["SigAnaRecord"]["Long-Short Ann Sharpe"], abs=1e-5)


def test_groups_are_the_reference_s_but_the_last_also_holds_what_is_left_over() -> None:
    day, _, score, label = joined()
    groups = quantile_returns(day, score, label, N_DAYS, 5)
    for at in range(4):
        assert_daily(f"grp_Group{at + 1}", groups[:, at])
    even = np.bincount(day[~np.isnan(score)], minlength=N_DAYS) % 5 == 0
    assert even.sum() > 5
    np.testing.assert_allclose(groups[even, 4], DAILY["grp_Group5"].to_numpy()[even], rtol=0, atol=1e-6, equal_nan=True)
