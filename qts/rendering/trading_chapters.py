"""Chapters on what a portfolio traded and holds: orders, holdings, the last book, the rules."""

import math

import numpy as np

from qts.backtest.results import BacktestResult, Columns
from qts.columns import DATETIME, INSTRUMENT
from qts.rendering.cells import flat
from qts.rendering.document import Chapter, Column, Plot, Sheet, Trace
from qts.rendering.series import Data, day_names, rounded

N_TRADES = 10
"""Trades in the tables of the best and the worst."""

N_HELD = 20
"""Names of the last book that are shown."""

N_BINS = 30
"""Bars at most of the histogram of days held."""


def trading_chapters(backtest: BacktestResult) -> tuple[Chapter, ...]:
    """Return what was traded, what is held, and by which rules."""
    return (_orders_chapter(backtest), _trades_chapter(backtest), _settings_chapter(backtest))


def _orders_chapter(backtest: BacktestResult) -> Chapter:
    accounts = backtest.records.accounts
    days = day_names(accounts[DATETIME])
    names: Data = {"datetime": days, "n_positions": [int(n) for n in accounts["n_positions"]]}
    cash: Data = {"datetime": days, "cash": rounded(accounts["cash"] / accounts["account"], 4)}
    blocks = (
        _blocked(backtest),
        Plot("n_positions", "Names held", names, "datetime", (Trace("names", "n_positions"),), kind="integer"),
        Plot(
            "cash", "Share of the account in cash", cash, "datetime", (Trace("cash", "cash", "area"),), kind="percent"
        ),
    )
    return Chapter("Orders and holdings", blocks)


def _blocked(backtest: BacktestResult) -> Sheet:
    orders = backtest.records.orders
    n_orders = len(orders["reason"])
    columns = (
        Column("reason", "reason", "text"),
        Column("orders", "orders", "integer"),
        Column("share", "share of all", "percent"),
        Column("buys", "buys", "integer"),
        Column("sells", "sells", "integer"),
    )
    rows = [
        {
            "reason": reason.replace("_", " "),
            "orders": count,
            "share": count / n_orders if n_orders else math.nan,
            **_sides(orders, reason),
        }
        for reason, count in sorted(backtest.blocked.items(), key=lambda item: (-item[1], item[0]))
    ]
    title, about = "Orders that were cut or blocked", f"Of {n_orders:,} orders in all."
    return Sheet("blocked", columns, rows, title, about)


def _sides(orders: Columns, reason: str) -> dict[str, int]:
    sides = orders["side"][orders["reason"] == reason]
    return {"buys": int((sides == "buy").sum()), "sells": int((sides == "sell").sum())}


_TRADE_COLUMNS = (
    Column("instrument", "instrument", "text"),
    Column("opened", "bought", "day"),
    Column("closed", "sold", "day"),
    Column("n_days", "days held", "integer"),
    Column("return", "return", "percent"),
    Column("profit", "profit", "integer"),
    Column("reason", "end", "text"),
)


def _trades_chapter(backtest: BacktestResult) -> Chapter:
    trades = backtest.records.trades
    order = np.lexsort((trades[INSTRUMENT], -np.nan_to_num(trades["profit"])))
    blocks: list[Sheet | Plot | str] = []
    if len(order):
        blocks += [
            _trades("best_trades", "Most profitable holdings", trades, order[:N_TRADES]),
            _trades("worst_trades", "Least profitable holdings", trades, order[::-1][:N_TRADES]),
            _days_held(trades),
        ]
    return Chapter("Trades", (*blocks, _last_book(backtest)), "A trade is a holding from purchase to sale, after cost.")


def _trades(key: str, title: str, trades: Columns, rows: np.ndarray) -> Sheet:
    return Sheet(key, _TRADE_COLUMNS, [{one.key: trades[one.key][at] for one in _TRADE_COLUMNS} for at in rows], title)


def _days_held(trades: Columns) -> Plot:
    held = trades["n_days"][trades["reason"] != "open"].astype(int)
    most = int(held.max(initial=0))
    width = max(1, math.ceil((most + 1) / N_BINS))
    counts = np.bincount(held // width, minlength=1)
    middle = [at * width + (width - 1) / 2 for at in range(len(counts))]
    data: Data = {"days_held": middle, "holdings": [int(n) for n in counts]}
    title, x_title = "How long holdings were kept", "days held" if width == 1 else f"days held, {width} a bar"
    return Plot(
        "days_held", title, data, "days_held", (Trace("holdings", "holdings", "bar"),), kind="integer", x_title=x_title
    )


def _last_book(backtest: BacktestResult) -> Sheet:
    positions = backtest.records.positions
    last = positions[DATETIME] == backtest.days[-1]
    rows = np.flatnonzero(last)
    heaviest = rows[np.lexsort((positions[INSTRUMENT][rows], -positions["weight"][rows]))][:N_HELD]
    columns = (
        Column("instrument", "instrument", "text"),
        Column("weight", "weight", "percent"),
        Column("value", "value", "integer"),
        Column("shares", "adjusted shares", "integer"),
        Column("price", "adjusted price", "ratio"),
        Column("n_days", "days held", "integer"),
    )
    held = [{one.key: positions[one.key][at] for one in columns} for at in heaviest]
    title, about = f"Held at the end of {backtest.days[-1]}", f"{len(rows)} names are held; the largest are shown."
    return Sheet("last_book", columns, held, title, about)


def _settings_chapter(backtest: BacktestResult) -> Chapter:
    columns = (Column("setting", "setting", "text"), Column("value", "value", "text"))
    rows = [{"setting": name, "value": value} for name, value in flat(backtest.settings)]
    return Chapter("Rules of the portfolio", (Sheet("settings", columns, rows),))
