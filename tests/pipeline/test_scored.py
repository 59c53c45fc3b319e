"""Scores laid beside the store: each cell is the bar of its instrument and day, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qts.config import BacktestConfig, EvalConfig, load_config
from qts.errors import ConfigError, InputError, StoreError
from qts.pipeline.ingest import ingest
from qts.pipeline.scored import ScoredStore, sort_scores
from qts.pipeline.subject import find_subject
from qts.progress import SilentProgress
from qts.store import Store, open_store
from tests.market import CONFIG, DAYS, bars_table, write_market

SCORED_DAYS = DAYS[[65, 66, 69, 70]]
NAMES = ["I8", "I2", "I0", "I5"]
"""I8 ended before; I2 was suspended once; I0 left the universe and came back."""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("market")
    write_market(folder, CONFIG.replace('universe = "universe.csv"', 'universe = "universe.csv"\nbenchmark = "I3"'))
    ingest(load_config(folder / "qts.toml"), SilentProgress())
    bars = bars_table().to_pandas().sort_values(["instrument", "datetime"])
    bars["datetime"] = bars["datetime"].astype("datetime64[s]")
    return open_store(folder / ".qts"), bars


def table(days: np.ndarray, names: list[str]) -> pa.Table:
    """Return scores in no order: 10 x day number + name number."""
    rows = [(name, day) for name in names for day in days[::-1]]
    scores = [float(10 * at + int(name[1:])) for at, (name, _) in enumerate(rows)]
    return pa.table(
        {
            "instrument": [name for name, _ in rows],
            "datetime": np.array([day for _, day in rows]),
            "score": scores,
        }
    )


def scored(store: Store, days: np.ndarray = SCORED_DAYS, names: list[str] = NAMES) -> ScoredStore:
    return ScoredStore(store, sort_scores(table(days, names), store))


def field(bars: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return day x instrument, NaN where there is no bar."""
    return bars.pivot_table(index="datetime", columns="instrument", values=name)


def test_rows_are_sorted_by_day_then_instrument_and_keep_their_scores(market: tuple[Store, pd.DataFrame]) -> None:
    rows = sort_scores(table(SCORED_DAYS, NAMES), market[0])
    want = table(SCORED_DAYS, NAMES).to_pandas().sort_values(["datetime", "instrument"])
    assert rows.instruments.tolist() == sorted(NAMES)
    assert rows.instruments[rows.instrument].tolist() == want["instrument"].tolist()
    assert rows.score.tolist() == want["score"].tolist()


def test_prices_labels_and_members_are_those_of_the_store(market: tuple[Store, pd.DataFrame]) -> None:
    store, bars = market
    signal = scored(store).signal(EvalConfig(horizons=(1, 5)))
    close = field(bars, "close").reindex(columns=sorted(NAMES))
    want = close.loc[signal.prices.days]
    np.testing.assert_allclose(signal.prices.close, want.to_numpy(), rtol=1e-6)
    assert signal.prices.days[-1] >= SCORED_DAYS[-1] + 6
    label = (close.shift(-2) / close.shift(-1) - 1).loc[signal.days[signal.day]].to_numpy()
    got = signal.label
    np.testing.assert_allclose(got, label[np.arange(len(got)), signal.instrument], rtol=1e-4, atol=1e-7)
    traded = field(bars, "close").loc[SCORED_DAYS].notna()
    assert signal.n_expected is not None
    assert signal.n_missing is not None
    assert signal.n_expected.tolist() == traded.sum(axis=1).tolist()  # all are members on these days
    assert signal.n_missing.tolist() == traded.drop(columns=NAMES).sum(axis=1).tolist()


def test_the_market_begins_with_the_first_score_and_knows_the_close_before(market: tuple[Store, pd.DataFrame]) -> None:
    store, bars = market
    days = DAYS[24:29]  # I2 is suspended on the first two of them
    found, scores = scored(store, days, ["I2", "I4"]).market(BacktestConfig(lag=2))
    assert found.days.tolist() == DAYS[24:31].tolist()
    close = field(bars, "close")[["I2", "I4"]].reindex(DAYS)
    np.testing.assert_allclose(found.close, close.loc[found.days].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.previous_close, close.ffill().shift(1).loc[found.days].to_numpy(), rtol=1e-6)
    assert found.n_before[0].tolist() == [20, 24]
    assert np.isnan(scores[5:]).all()
    assert scores[0].tolist() == [42.0, 94.0]


def test_the_benchmarks_are_the_index_and_the_mean_of_members_that_traded_twice(
    market: tuple[Store, pd.DataFrame],
) -> None:
    store, bars = market
    found, _ = scored(store, DAYS[31:34], ["I4"]).market(BacktestConfig())
    close = field(bars, "close").reindex(DAYS)
    returns = (close / close.shift(1) - 1).loc[found.days]
    assert found.benchmark is not None
    assert found.universe is not None
    np.testing.assert_allclose(found.benchmark, returns["I3"], rtol=1e-4, atol=1e-7)
    members = returns.drop(columns="I0")  # left on 31 January, the first of these days is 1 February
    np.testing.assert_allclose(found.universe, members.mean(axis=1), rtol=1e-4, atol=1e-7)


def test_an_index_s_return_after_a_gap_is_over_the_whole_gap(tmp_path: Path) -> None:
    write_market(tmp_path, CONFIG.replace('universe = "universe.csv"', 'universe = "universe.csv"\nbenchmark = "I2"'))
    ingest(load_config(tmp_path / "qts.toml"), SilentProgress())
    found, _ = scored(open_store(tmp_path / ".qts"), DAYS[18:28], ["I4"]).market(BacktestConfig())
    bars = bars_table().to_pandas()
    bars["datetime"] = bars["datetime"].astype("datetime64[s]")
    close = field(bars, "close")["I2"].reindex(DAYS).to_numpy()
    assert found.benchmark is not None
    (missing,) = np.nonzero(np.isnan(found.benchmark))
    assert missing.tolist() == np.flatnonzero(np.isnan(close[18:29])).tolist() != []
    after = int(missing[-1]) + 1
    assert found.benchmark[after] == pytest.approx(close[18 + after] / close[18 + missing[0] - 1] - 1, rel=1e-4)


@pytest.mark.parametrize(
    ("label", "begin", "held"),
    [("Ref($close, -2)/Ref($close, -1) - 1", 1, 1), ("Ref($close, -3)/$close - 1", 0, 3)],
)
def test_a_label_s_begin_comes_from_its_expression(tmp_path: Path, label: str, begin: int, held: int) -> None:
    write_market(tmp_path, f'{CONFIG}\n[label]\nexpr = "{label}"\n')
    loaded = load_config(tmp_path / "qts.toml")
    ingest(loaded, SilentProgress())
    table(DAYS[31:60], NAMES).to_pandas().to_csv(tmp_path / "s.csv", index=False)
    subject = find_subject(loaded, SilentProgress(), scores=tmp_path / "s.csv")
    signal = subject.scored.signal(EvalConfig())
    assert (signal.label_begin, signal.held_days, subject.context["label_begin"]) == (begin, held, begin)


def test_rows_of_other_days_are_counted_and_left_out(market: tuple[Store, pd.DataFrame]) -> None:
    days = np.array(["2023-12-30", "2024-02-01"], dtype="datetime64[D]")
    rows = sort_scores(table(days, ["I1", "I2", "I3"]), market[0])
    assert (len(rows.score), rows.n_other_days) == (3, 3)


def test_scores_of_another_market_are_refused_by_day_and_by_name(market: tuple[Store, pd.DataFrame]) -> None:
    other = np.array(["2001-01-01"], dtype="datetime64[D]")
    with pytest.raises(InputError, match="no score is on a day of the store's calendar: scores 2001-01-01"):
        sort_scores(table(other, NAMES), market[0])
    with pytest.raises(InputError, match='scores have "X1", the store "I0"'):
        scored(market[0], SCORED_DAYS, ["X1"]).market(BacktestConfig())


def test_groups_that_the_bars_lack_are_named(market: tuple[Store, pd.DataFrame]) -> None:
    with pytest.raises(StoreError, match='the bars have no group "industry"'):
        scored(market[0]).signal(EvalConfig(group_by=("industry",)))


WRONG = {"close": (0.0, -3.0), "adj_factor": (0.0, -1.0), "up_limit": (0.0, -1.0), "down_limit": (0.0, -1.0)}


def test_numbers_that_no_price_factor_or_limit_can_be_are_none(tmp_path: Path) -> None:
    write_market(tmp_path, CONFIG + '\n[check]\nactions = { non_positive = "warn", crossed = "warn" }\n')
    bars = bars_table().to_pandas().sort_values(["instrument", "datetime"]).reset_index(drop=True)
    bars["adj_factor"], bars["up_limit"], bars["down_limit"] = 2.0, bars["close"] * 1.1, bars["close"] * 0.9
    days = bars["datetime"].astype(str)
    for name, values in WRONG.items():
        for day, value in zip(("2024-03-07", "2024-03-08"), values, strict=True):
            bars.loc[(bars["instrument"] == "I5") & (days == day), name] = value
    pq.write_table(pa.Table.from_pandas(bars, preserve_index=False), tmp_path / "bars.parquet")
    ingest(load_config(tmp_path / "qts.toml"), SilentProgress())
    found, _ = scored(open_store(tmp_path / ".qts"), DAYS[65:70], ["I4", "I5"]).market(BacktestConfig())
    at = [str(day) for day in found.days].index("2024-03-07")
    for name in WRONG:
        is_known = ~np.isnan(getattr(found, name))
        assert is_known[:, 1].tolist() == [row not in (at, at + 1) for row in range(len(found.days))]
        assert is_known[:, 0].all()
    assert found.previous_close[at + 1 : at + 3, 1].tolist() == [found.close[at - 1, 1]] * 2
    assert np.diff(found.n_before[:, 1])[at : at + 2].tolist() == [0, 0]


@pytest.mark.parametrize("key", ["up_limit", "down_limit"])
def test_a_limit_column_that_the_bars_lack_is_refused_where_it_was_named(
    market: tuple[Store, pd.DataFrame], key: str
) -> None:
    with pytest.raises(ConfigError, match='the bars have no column "hihg"') as caught:
        scored(market[0]).market(BacktestConfig.model_validate({key: "hihg"}))
    assert (caught.value.where, caught.value.hint) == (f"[backtest] {key}", 'did you mean "high"?')
    assert getattr(scored(market[0]).market(BacktestConfig())[0], key) is None
