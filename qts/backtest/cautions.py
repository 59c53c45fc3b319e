"""What a reader of a backtest must know first, found in its own records."""

import numpy as np

from qts.backtest.prepared import Prepared
from qts.backtest.ranking import Ranking
from qts.backtest.records import Recorder
from qts.backtest.results import Records
from qts.config import BacktestConfig

MANY_AT_LIMIT, MANY_TIED, MANY_UNSCORED = 0.2, 0.5, 0.1


def cautions(
    prepared: Prepared, ranking: Ranking, config: BacktestConfig, recorder: Recorder, records: Records
) -> tuple[str, ...]:
    """Return the warnings of a backtest, each with its counts; `records` are the recorder's tables."""
    found = [
        _limits(prepared, config, recorder.first),
        _ties(ranking, config),
        _lots(prepared, config, records, recorder.first),
        _unscored(ranking, config, recorder),
        _written_off(records, config),
        _too_small(records, config),
    ]
    return tuple(text for text in found if text)


def _limits(prepared: Prepared, config: BacktestConfig, first: int) -> str:
    if config.price_limits == "none":
        return ""
    trades = ~prepared.suspended[first:]
    n_rows, n_hits = np.count_nonzero(trades), np.count_nonzero((prepared.at_up | prepared.at_down)[first:])
    if n_hits == 0:
        return f"none of {n_rows:,} bars is at a price limit: are price_limits right for this market?"
    if n_hits > MANY_AT_LIMIT * n_rows:
        return f"{n_hits:,} of {n_rows:,} bars ({n_hits / n_rows:.0%}) are at a price limit: are price_limits right?"
    return ""


def _ties(ranking: Ranking, config: BacktestConfig) -> str:
    n_rows = len(ranking.scores) - config.lag
    n_days, n_tied = (
        np.count_nonzero(ranking.n_scored[:n_rows]),
        np.count_nonzero(ranking.tied_share()[:n_rows] > MANY_TIED),
    )
    return (
        f"more than half of the scores are tied on {n_tied:,} of {n_days:,} days: the choice there is by name"
        if n_tied
        else ""
    )


def _lots(prepared: Prepared, config: BacktestConfig, records: Records, first: int) -> str:
    orders = records.orders
    if config.rules == "qlib":
        is_unknown = np.isnan(prepared.market.adj_factor) & ~np.isnan(prepared.market.close)
        n_unknown = np.count_nonzero(is_unknown[first:])
        return (
            f"{n_unknown:,} bars have no adj_factor: no order is rounded to lots"
            if n_unknown and config.lot > 1
            else ""
        )
    is_purchase = (orders["side"] == "buy") & (orders["reason"] != "suspended")
    n_orders, n_buys = np.count_nonzero(is_purchase & np.isnan(orders["real_shares"])), np.count_nonzero(is_purchase)
    return f"{n_orders:,} of {n_buys:,} purchases: no adj_factor, lots count adjusted shares" if n_orders else ""


def _unscored(ranking: Ranking, config: BacktestConfig, recorder: Recorder) -> str:
    if config.rules != "exchange" or config.unscored_days:
        return ""
    row, name = recorder.cells()
    counts = ranking.n_scored[row - config.lag] > 0
    is_without = np.isnan(ranking.scores[row - config.lag, name])
    n_held, n_without = np.count_nonzero(counts), np.count_nonzero(counts & is_without)
    if n_without <= MANY_UNSCORED * n_held:
        return ""
    return (
        f"{n_without / n_held:.0%} of the holdings had no score, as names that left the universe, and were kept for want "
        "of one: [backtest] unscored_days sells them"
    )


def _written_off(records: Records, config: BacktestConfig) -> str:
    lost = records.trades["reason"] == "written_off"
    if not lost.any():
        return ""
    names = ", ".join(records.trades["instrument"][lost][:5])
    return (
        f"{np.count_nonzero(lost):,} holdings without a quote for {config.write_off_days} days were closed at "
        f"{config.write_off_share:.0%} of their last value: {names}{' …' if np.count_nonzero(lost) > 5 else ''}"
    )


def _too_small(records: Records, config: BacktestConfig) -> str:
    orders = records.orders
    is_small = (orders["side"] == "buy") & np.isin(orders["reason"], ["lot", "cash"])
    if np.count_nonzero(orders["dealt"]) or not is_small.any():
        return ""
    return (
        f"nothing was ever bought: with an account of {config.account:,.0f} and top_k = {config.top_k}, none of "
        f"{np.count_nonzero(is_small):,} purchases pays for one lot of {config.lot}"
    )
