"""Size and beta against sums written out, and that neither knows tomorrow."""

import numpy as np
import pytest

from qts.evaluation import Prices
from qts.evaluation.exposures import exposures_of
from tests.evaluation.naive import NAN, mean


def random_prices(n_days: int = 75, n_names: int = 5, seed: int = 1) -> Prices:
    rng = np.random.default_rng(seed)
    close = np.exp(np.cumsum(rng.normal(0, 0.02, (n_days, n_names)), axis=0))
    close[rng.random(close.shape) < 0.1] = NAN
    close[:30, 1] = close[20:, 4] = NAN
    value = np.where(np.isnan(close), NAN, np.exp(rng.normal(18, 2, close.shape)))
    return Prices(np.arange("2024-01-01", n_days, dtype="datetime64[D]"), close, value)


def naive_size(prices: Prices, line: int, name: int) -> float:
    known = [v for v in prices.value[max(line - 19, 0) : line + 1, name] if not np.isnan(v)]
    return float(np.log(mean(known))) if len(known) >= 10 else NAN


def naive_beta(prices: Prices, line: int, name: int) -> float:
    returns = prices.close[1:] / prices.close[:-1] - 1
    market = [mean(day) for day in returns]
    pairs = [
        (market[at], returns[at, name]) for at in range(max(line - 60, 0), line) if not np.isnan(returns[at, name])
    ]
    return float(np.polyfit(*zip(*pairs, strict=True), 1)[0]) if len(pairs) >= 30 else NAN


@pytest.mark.parametrize("names_at_a_time", [2, 64])
def test_exposures_are_those_of_the_days_up_to_the_score(names_at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qts.evaluation.exposures.NAMES_AT_A_TIME", names_at_a_time)
    prices, at = random_prices(), np.array([0, 9, 30, 31, 41, 59, 60, -1, 74])
    for kind, naive in (("size", naive_size), ("beta", naive_beta)):
        want = [[NAN if line < 0 else naive(prices, line, name) for name in range(5)] for line in at]
        found = exposures_of(prices, at)[kind]
        np.testing.assert_allclose(found, want, rtol=1e-9)
        assert 10 < np.isnan(found).sum() < found.size - 10


def test_what_comes_after_a_day_changes_none_of_its_exposures() -> None:
    prices, at = random_prices(), np.arange(60)
    later = Prices(prices.days, prices.close.copy(), prices.value.copy())
    later.close[60:], later.value[60:] = 7.0, 9.0
    for kind, found in exposures_of(prices, at).items():
        np.testing.assert_array_equal(exposures_of(later, at)[kind], found)


def test_a_market_that_never_moves_gives_no_beta() -> None:
    days = np.arange("2024-01-01", 70, dtype="datetime64[D]")
    still = Prices(days, np.ones((70, 3)), np.zeros((70, 3)))
    for found in exposures_of(still, np.arange(70)).values():
        assert np.isnan(found).all()
