"""What a reader of a backtest must know first, found in its own records."""

from collections import Counter

import numpy as np

from qts.backtest.prepared import Prepared
from qts.backtest.price_limits import PRICE_LIMITS
from qts.backtest.ranking import Ranking
from qts.backtest.records import Recorder
from qts.backtest.results import Records
from qts.boards import board_of
from qts.config import BacktestConfig

MANY_AT_LIMIT, MANY_TIED, MANY_UNSCORED, LOW_EXPOSURE = 0.2, 0.5, 0.1, 0.8
MANY_ODD = 3
"""Bars that may stand still about 5 % away by chance are fewer."""
SETTLED = 20
"""Days after which an account has what it will have."""

TIED = "more than half of the scores are tied"
"""How the warning of equal scores begins."""

NARROWED = frozenset(limit.board for limit in PRICE_LIMITS if limit.special_share < limit.share)
"""Boards on which special treatment narrows the limit."""


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
        _nothing_bought(records, config),
        _under_exposure(records, config),
        _special(prepared, config, recorder.first),
        _index(prepared, records),
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
        np.count_nonzero(ranking.tied_share[:n_rows] > MANY_TIED),
    )
    return f"{TIED} on {n_tied:,} of {n_days:,} days: the choice there is by name" if n_tied else ""


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


def _nothing_bought(records: Records, config: BacktestConfig) -> str:
    orders = records.orders
    is_purchase = orders["side"] == "buy"
    if orders["dealt"][is_purchase].any():
        return ""
    told, n_orders = "nothing was ever bought: ", np.count_nonzero(is_purchase)
    if n_orders == 0 and config.rules == "qlib":
        return f"{told}no candidate could be traded"
    if n_orders == 0:
        return (
            f"{told}with an account of {config.account:,.0f} and top_k = {config.top_k}, no part of it pays for "
            f"min_cost = {config.min_cost:g}"
        )
    if np.isin(orders["reason"][is_purchase], ["lot", "cash"]).all():
        return (
            f"{told}with an account of {config.account:,.0f} and top_k = {config.top_k}, none of {n_orders:,} purchases "
            f"pays for one lot of {config.lot}"
        )
    return told + _most_blocked(orders["reason"][is_purchase])


def _most_blocked(reasons: np.ndarray) -> str:
    """Return what cut or blocked most purchases, of one reason each or none."""
    found = Counter(reasons[reasons != ""].tolist()).most_common(1)
    return "".join(f"{reason} cut or blocked {n_orders:,} of {len(reasons):,} purchases" for reason, n_orders in found)


def _under_exposure(records: Records, config: BacktestConfig) -> str:
    """Tell of an account that is mostly in cash; of one that bought nothing at all the reason is told elsewhere."""
    accounts, orders = records.accounts, records.orders
    value, account = accounts["value"][SETTLED:], accounts["account"][SETTLED:]
    is_purchase = orders["side"] == "buy"
    if not (account > 0).any() or not orders["dealt"][is_purchase].any():
        return ""
    exposure = float(np.mean(value[account > 0] / account[account > 0]))
    if exposure >= LOW_EXPOSURE * config.exposure:
        return ""
    why = _most_blocked(orders["reason"][is_purchase])
    return (
        f"{exposure:.0%} of the account was in stocks after the first {SETTLED} days, where exposure asks for "
        f"{config.exposure:.0%}{why and ': '}{why}"
    )


def _special(prepared: Prepared, config: BacktestConfig, first: int) -> str:
    """Tell of names that stood still about where a name under special treatment would be at its limit."""
    market = prepared.market
    if config.rules != "exchange" or config.price_limits != "by_board" or market.special is not None:
        return ""
    is_main = np.array([board_of(str(name)) in NARROWED for name in market.instruments], dtype=bool)
    with np.errstate(invalid="ignore"):
        change = np.abs(market.close / market.previous_close - 1)
        is_odd = (market.high == market.low) & (np.abs(change - 0.05) < 0.006) & is_main
    is_odd &= ~(prepared.suspended | prepared.at_up | prepared.at_down)
    for limit in (market.up_limit, market.down_limit):
        if limit is not None:
            is_odd &= np.isnan(limit)
    n_rows, n_names = np.count_nonzero(is_odd[first:]), np.count_nonzero(is_odd[first:].any(axis=0))
    if n_rows < MANY_ODD:
        return ""
    return (
        f"{n_rows:,} bars of {n_names:,} names on the main boards had one price all day, about 5% from the close before: the "
        "limit under special treatment (ST); without [backtest] special_treatment they could be traded"
    )


def _index(prepared: Prepared, records: Records) -> str:
    """Tell of days that the index lacks."""
    is_missing = np.isnan(records.accounts["benchmark"])
    n_missing, n_days = np.count_nonzero(is_missing), len(is_missing)
    if prepared.market.benchmark is None or n_missing == 0:
        return ""
    if n_missing == n_days:
        return f"the index has no return on any of {n_days:,} days: nothing is compared with it"
    return (
        f"the index lacks {n_missing:,} of {n_days:,} days: its next return is compared with what the account made since the "
        "index was last known; days before its first and after its last are not compared"
    )
