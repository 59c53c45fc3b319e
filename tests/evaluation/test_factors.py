"""Figures of factors against pandas, one factor and one day at a time, and clusters against a matrix made by hand."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from qts.config import EvalConfig
from qts.errors import InputError
from qts.evaluation import FactorReport, MemberRows, evaluate_factors
from qts.evaluation.clusters import average_linkage
from qts.evaluation.factors import CORRELATION_DAYS, mean_rank_correlation

N_INSTRUMENTS, N_DAYS, GAP_DAY, THIN_DAY = 11, 9, 4, 6
FACTORS = ("SMOOTH", "TIES", "HOLES", "SAME", "CONSTANT", "MISSING")
CALENDAR = np.arange("2023-12-28", N_DAYS, dtype="datetime64[D]")
CONFIG = EvalConfig(min_names=2, quantiles=3)


def market(seed: int) -> pd.DataFrame:
    """Return member rows by instrument and day: nobody on the gap day, two names on the thin day, holes elsewhere."""
    rng = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product([range(N_INSTRUMENTS), range(N_DAYS)], names=["instrument", "day"])
    frame = pd.DataFrame(index=rows).reset_index()
    frame = frame[(frame.day != GAP_DAY) & ((frame.day != THIN_DAY) | frame.instrument.isin([3, 8]))]
    is_thin = frame.day == THIN_DAY
    frame = frame[is_thin | (rng.random(len(frame)) < 0.95)].reset_index(drop=True)
    frame["label"] = rng.integers(-4, 5, len(frame)) / 100.0
    frame.loc[rng.random(len(frame)) < 0.1, "label"] = np.nan
    frame.loc[frame.day == THIN_DAY, "label"] = [0.02, -0.01]
    frame["SMOOTH"] = rng.normal(size=N_INSTRUMENTS)[frame.instrument] + rng.normal(size=len(frame)) / 3
    frame["TIES"] = rng.integers(0, 4, len(frame)).astype(float)
    frame["HOLES"] = np.where(rng.random(len(frame)) < 0.3, np.nan, frame.SMOOTH + rng.normal(size=len(frame)))
    frame["SAME"] = -np.exp(frame.SMOOTH)
    frame["CONSTANT"] = 0.1
    frame["MISSING"] = np.nan
    return frame


def rows_of(frame: pd.DataFrame) -> MemberRows:
    return MemberRows(CALENDAR, frame.instrument.to_numpy(), frame.day.to_numpy(), frame.label.to_numpy())


def judge(frame: pd.DataFrame, config: EvalConfig = CONFIG, names: tuple[str, ...] = FACTORS) -> FactorReport:
    """Judge in blocks of two, as float32, which is what a store holds."""
    blocks = (
        (names[at : at + 2], frame[list(names[at : at + 2])].to_numpy(np.float32)) for at in range(0, len(names), 2)
    )
    return evaluate_factors(rows_of(frame), blocks, config)


def correlation(a: pd.Series, b: pd.Series, method: str, min_names: int = 2) -> float:
    both = a.notna() & b.notna()
    a, b = a[both].astype(np.float32), b[both]
    if len(a) < min_names or a.nunique() < 2 or b.nunique() < 2:
        return float("nan")
    if method == "spearman":
        a, b = a.rank(), b.rank()
    return float(np.corrcoef(a.astype(float), b)[0, 1])


def by_day(frame: pd.DataFrame, figure: Callable[[pd.DataFrame], float]) -> np.ndarray:
    return np.array([figure(day) for _, day in frame.groupby("day")])


def spread(day: pd.DataFrame, name: str) -> float:
    if np.isnan(correlation(day[name], day.label, "spearman")):
        return float("nan")
    ordered = day[day[name].notna()].sort_values(name, ascending=False, kind="stable").label.to_numpy()
    if len(ordered) < CONFIG.quantiles:
        return float("nan")
    group = np.arange(len(ordered)) * CONFIG.quantiles // len(ordered)
    means = [float(pd.Series(ordered[group == at], dtype=float).mean()) for at in (0, CONFIG.quantiles - 1)]
    return means[0] - means[1]


def persistence(frame: pd.DataFrame, name: str) -> list[float]:
    table = frame.pivot_table(index="instrument", columns="day", values=name, dropna=False)
    table = table.reindex(columns=range(N_DAYS))
    return [correlation(table[day - 1], table[day], "spearman") for day in range(1, N_DAYS)]


def near(got: object, want: object) -> None:
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(want, float), rtol=1e-6, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("at", range(len(FACTORS)), ids=FACTORS)
def test_the_figures_of_a_factor_are_those_of_each_day_alone(at: int, seed: int) -> None:
    frame, name = market(seed), FACTORS[at]
    report = judge(frame)
    ic = by_day(frame, lambda day: correlation(day[name], day.label, "pearson"))
    rank_ic = by_day(frame, lambda day: correlation(day[name], day.label, "spearman"))
    near(report.ic[:, at], ic)
    near(report.rank_ic[:, at], rank_ic)
    daily = {"ic": pd.Series(ic), "rank_ic": pd.Series(rank_ic)}
    n_days = daily["rank_ic"].count()
    want = {
        "coverage": frame[name].notna().mean(),
        **{key: series.mean() for key, series in daily.items()},
        **{f"{key}ir": series.mean() / series.std() for key, series in daily.items()},
        "rank_ic_t": daily["rank_ic"].mean() / daily["rank_ic"].sem(),
        "positive": (daily["rank_ic"] > 0).sum() / n_days if n_days else np.nan,
        "turnover": 1 - pd.Series(persistence(frame, name)).mean(),
        "spread": pd.Series(by_day(frame, lambda day: spread(day, name))).mean(),
        "n_days": n_days,
    }
    assert set(want) == set(report.figures)
    for key, value in want.items():
        near(report.figures[key][at], value)


@pytest.mark.parametrize("cells", [1, 3 * N_INSTRUMENTS])
def test_parts_of_the_grid_give_what_the_whole_does(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = judge(market(0))
    monkeypatch.setattr("qts.cross_section.SPAN_CELLS", cells)
    parts = judge(market(0))
    assert len(rows_of(market(0)).parts) == (8 if cells == 1 else 3)
    near(parts.rank_ic, whole.rank_ic)
    near(list(parts.figures.values()), list(whole.figures.values()))


def test_a_constant_and_a_missing_factor_are_told_and_the_others_still_judged() -> None:
    report = judge(market(0))
    assert report.warnings == (
        "2 of 6 factors have no day with a RankIC: CONSTANT, MISSING",
        "fewer than 60 days: these means say little",
    )
    assert report.figures["coverage"][-2:].tolist() == [1, 0]
    assert np.isnan([report.figures[key][-2:] for key in ("ic", "rank_icir", "turnover", "spread", "positive")]).all()
    assert not np.isnan(report.rank_ic[:, 0]).all()


def test_thin_days_count_only_where_min_names_lets_them() -> None:
    frame = market(1)
    thin = np.flatnonzero(np.unique(frame.day) == THIN_DAY)[0]
    assert abs(judge(frame).rank_ic[thin, 0]) == pytest.approx(1)
    assert np.isnan(judge(frame, EvalConfig(min_names=3)).rank_ic[thin, 0])


def test_an_infinite_value_is_left_out_as_if_it_were_missing_and_told() -> None:
    frame, holes = market(2), market(2)
    frame.loc[5, "SMOOTH"], holes.loc[5, "SMOOTH"] = np.inf, np.nan
    got, want = judge(frame, names=("SMOOTH", "TIES")), judge(holes, names=("SMOOTH", "TIES"))
    near([got.figures[key] for key in want.figures], [want.figures[key] for key in want.figures])
    assert got.warnings[0] == "infinite values were left out of 1 factors: SMOOTH"


def test_days_without_labels_are_refused() -> None:
    frame = market(0)
    frame["label"] = np.nan
    with pytest.raises(InputError, match="no day can be judged: on none have 2 member rows a label"):
        judge(frame)


def test_factors_that_say_the_same_are_one_cluster_led_by_the_stronger() -> None:
    frame = market(3)
    frame["SAME"] = np.where(frame.index % 19 == 0, np.nan, frame.SAME)
    report = judge(frame)
    cluster = dict(zip(report.factors, report.cluster.tolist(), strict=True))
    assert cluster["SMOOTH"] == cluster["SAME"]
    assert len({cluster[name] for name in ("SMOOTH", "TIES", "CONSTANT", "MISSING")}) == 4
    strength = np.nan_to_num(np.abs(report.figures["rank_icir"]), nan=-1)
    assert cluster[report.factors[int(strength.argmax())]] == 1
    for number in set(cluster.values()):
        members = np.flatnonzero(report.cluster == number)
        leaders = members[report.is_leader[members]]
        assert leaders.tolist() == [members[strength[members].argmax()]]
        assert set(report.leader()[members].tolist()) == set(leaders.tolist())
    assert report.cluster[report.by_cluster()].tolist() == sorted(report.cluster)


def test_years_gather_their_days() -> None:
    report = judge(market(0))
    years, table = report.by_year()
    assert years == [2023, 2024]
    is_old = report.days < np.datetime64("2024-01-01")
    near(table[0], [pd.Series(column).mean() for column in report.rank_ic[is_old].T])
    near(table[1], [pd.Series(column).mean() for column in report.rank_ic[~is_old].T])


def test_the_correlation_of_two_factors_is_the_mean_of_their_days() -> None:
    frame = market(5)
    names = ["SMOOTH", "TIES", "HOLES", "CONSTANT"]
    ranks = frame.groupby("day")[names].rank()
    want = np.full((4, 4), np.nan)
    for row, a in enumerate(names):
        for column, b in enumerate(names):
            daily = [
                correlation(ranks.loc[day.index, a], ranks.loc[day.index, b], "pearson", 3)
                for _, day in frame.groupby("day")
            ]
            want[row, column] = pd.Series(daily).mean()
    rows = rows_of(frame)
    near(mean_rank_correlation(np.stack([rows.lay(ranks[name].to_numpy()) for name in names]), 3), want)


@pytest.mark.parametrize(
    ("n_days", "step"), [(7, 1), (CORRELATION_DAYS, 1), (CORRELATION_DAYS + 1, 2), (3 * CORRELATION_DAYS, 3)]
)
def test_every_kth_day_is_enough_for_the_correlation_and_never_too_many(n_days: int, step: int) -> None:
    rows = MemberRows(
        np.arange(n_days).astype("datetime64[D]"), np.zeros(n_days, int), np.arange(n_days), np.zeros(n_days)
    )
    assert rows.sampled.tolist() == list(range(0, n_days, step))
    assert len(rows.sampled) <= CORRELATION_DAYS


#             a    b    c    d    e
BY_HAND = [[0.0, 0.1, 0.3, 0.5, 0.9],
           [0.1, 0.0, 0.3, 0.5, 0.9],
           [0.3, 0.3, 0.0, 0.8, 0.9],
           [0.5, 0.5, 0.8, 0.0, 0.9],
           [0.9, 0.9, 0.9, 0.9, 0.0]]  # fmt: skip


@pytest.mark.parametrize(
    ("cut", "clusters"),
    [
        (0.05, [0, 1, 2, 3, 4]),
        (0.1, [0, 0, 1, 2, 3]),
        (0.31, [0, 0, 0, 1, 2]),
        (0.55, [0, 0, 0, 1, 2]),  # d is 0.6 from the three: (0.5 + 0.5 + 0.8) / 3, however near its nearest is
        (0.61, [0, 0, 0, 0, 1]),
        (0.91, [0, 0, 0, 0, 0]),
    ],
)
def test_clusters_join_while_their_members_are_near_on_average(cut: float, clusters: list[int]) -> None:
    assert average_linkage(np.array(BY_HAND), cut).tolist() == clusters


def test_clustering_leaves_its_input_as_it_was_and_takes_one_thing_or_none() -> None:
    distance = np.array(BY_HAND)
    average_linkage(distance, 0.5)
    assert distance.tolist() == BY_HAND
    assert average_linkage(np.zeros((1, 1)), 0.5).tolist() == [0]
    assert average_linkage(np.zeros((0, 0)), 0.5).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_those_of_averages_taken_anew_each_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(13, 3))
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    groups = [[at] for at in range(len(points))]
    while True:
        pairs = [
            (distance[np.ix_(a, b)].mean(), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups) if i < j
        ]
        best, i, j = min(pairs)
        if best > 1.8:
            break
        groups[i] += groups.pop(j)
    assert 1 < len(groups) < 13
    found = average_linkage(distance, 1.8)
    assert sorted(sorted(group) for group in groups) == sorted(
        np.flatnonzero(found == at).tolist() for at in set(found)
    )
