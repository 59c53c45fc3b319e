"""An account that follows the scores day by day: write off, choose, deal, mark, take down."""

import numpy as np

from qts.backtest.book import Book
from qts.backtest.dealing import Deal, Desk
from qts.backtest.prepared import Prepared
from qts.backtest.ranking import Ranking
from qts.backtest.records import DayEnd, Order, Recorder
from qts.backtest.strategy import Choice, Day, choose, choose_as_qlib
from qts.config import BacktestConfig


class Portfolio:
    """An account under the rules of an exchange, from the first day on which a score can be traded."""

    def __init__(self, prepared: Prepared, ranking: Ranking, config: BacktestConfig, first: int) -> None:
        self.prepared, self.ranking, self.config, self.first = prepared, ranking, config, first
        self.book = Book.of(config.account, len(prepared.market.instruments))
        self.desk = Desk(prepared, config, first)
        self.recorder = Recorder(prepared, config, first)
        self.account = config.account

    def run(self) -> None:
        """Go through the days."""
        last = len(self.prepared.market.days) - 1
        for row in range(self.first, last + 1):
            n_orders = len(self.recorder.orders)
            self.write_off(row)
            if self.ranking.n_scored[row - self.config.lag]:
                self.trade(row)
            self._end_day(row, n_orders)
        self.book.finish(last, self.prepared.mark[last])

    def write_off(self, row: int) -> None:
        """Close holdings that have had no quote for too long."""
        held = self.book.held()
        for name in held[self.prepared.n_quiet[row, held] >= self.config.write_off_days].tolist():
            value = float(self.book.shares[name] * self.prepared.mark[row, name])
            self.book.write_off(row, name, value * self.config.write_off_share)

    def trade(self, row: int) -> None:
        """Sell, then fill the places that came free; each purchase takes an equal part of what exposure leaves to buy.

        A place for which no candidate could be bought keeps its part in cash.
        """
        choice = choose(self._day(row), self.ranking, self.prepared, self.config)
        self._sell(row, choice)
        held = self.book.held()
        n_places = min(self.config.top_k - len(held), choice.n_candidates)
        if n_places <= 0:
            return
        stays = float(self.book.shares[held] @ self.prepared.worth[row, held])
        missing = self.config.exposure * (self.book.cash + stays) - stays
        part = min(missing / n_places, self.desk.affordable(row, self.book.cash / n_places))
        if part <= 0:
            return
        self._leave(row, choice.blocked_buys, "buy", part)
        for name in choice.buys[:n_places].tolist():
            amount = part / self.desk.buy_price(row, name)
            self._buy(row, name, self.desk.lots.floor(amount, row, name) or amount)

    def _day(self, row: int) -> Day:
        return Day(row, row - self.config.lag, self.book.held(), self.book.n_days)

    def _sell(self, row: int, choice: Choice) -> None:
        for name in choice.blocked_sells.tolist():
            self._leave_one(row, name, "sell", float(self.book.shares[name]))
        for name in choice.sells.tolist():
            held = float(self.book.shares[name])
            deal = self.desk.sell(row, name, held, self.book.cash)
            self._note(row, name, "sell", held, deal)
            if deal.dealt:
                self.book.sell(row, name, deal.dealt, deal.value, deal.cost)

    def _buy(self, row: int, name: int, wanted: float) -> None:
        deal = self.desk.buy(row, name, wanted, self.book.cash)
        self._note(row, name, "buy", wanted, deal)
        if deal.dealt:
            self.book.buy(row, name, deal.dealt, deal.value, deal.cost)

    def _leave(self, row: int, names: np.ndarray, side: str, value: float) -> None:
        """Take down purchases that were wanted for so much money each, and are impossible today."""
        market = self.prepared.market
        for name in names.tolist():
            price = self.prepared.buy_price[row, name]
            price = market.previous_close[row, name] if np.isnan(price) else price
            self._leave_one(row, name, side, value / float(price))

    def _leave_one(self, row: int, name: int, side: str, wanted: float) -> None:
        reason = "held_too_short"
        can = self.prepared.can_buy if side == "buy" else self.prepared.can_sell
        if not can[row, name]:
            reason = self.prepared.reason(row, name, side)
        grid = self.prepared.buy_price if side == "buy" else self.prepared.sell_price
        self._note(row, name, side, wanted, Deal(0.0, float(grid[row, name]), 0.0, 0.0, reason))

    def _note(self, row: int, name: int, side: str, wanted: float, deal: Deal) -> None:
        self.recorder.orders.append(Order(row, name, side, wanted, *deal))

    def _end_day(self, row: int, n_orders: int) -> None:
        """Mark holdings at their last close and close the day's account; the orders from `n_orders` on are the day's."""
        held = self.book.held()
        self.book.n_days[held] += 1
        value = float(self.book.shares[held] @ self.prepared.mark[row, held])
        before, self.account = self.account, self.book.cash + value
        orders = self.recorder.orders[n_orders:]
        cost = sum(order.cost for order in orders)
        gross, net, share = self.returns(before, self.account, cost)
        self.recorder.positions(row, self.book, held)
        self.recorder.accounts.append(
            DayEnd(
                account=self.account,
                cash=self.book.cash,
                value=value,
                n_positions=len(held),
                turnover=sum(order.value for order in orders) / (before or 1.0),
                cost=share,
                gross_return=gross,
                net_return=net,
                n_blocked=sum(bool(order.reason) for order in orders),
            )
        )

    @staticmethod
    def returns(before: float, after: float, cost: float) -> tuple[float, float, float]:
        """Return the day's return before cost, that after cost, and cost as a share."""
        base = before or 1.0  # an account that has lost everything stands still
        net, share = (after - before) / base, cost / base
        return net + share, net, share


class QlibPortfolio(Portfolio):
    """The same account under Qlib's rules: purchases share the cash, and nothing is written off."""

    def write_off(self, row: int) -> None:
        """Leave dead holdings where they are."""

    def trade(self, row: int) -> None:
        """Sell, then spread a share of the cash over all purchases, possible or not."""
        choice = choose_as_qlib(self._day(row), self.ranking, self.prepared, self.config)
        self._sell(row, choice)
        if not choice.n_candidates:
            return
        part = self.book.cash * self.config.exposure / choice.n_candidates
        self._leave(row, choice.blocked_buys, "buy", part)
        wanted = [
            self.desk.lots.floor(part / self.desk.buy_price(row, name), row, name) for name in choice.buys.tolist()
        ]
        for name, amount in zip(choice.buys.tolist(), wanted, strict=True):
            self._buy(row, name, amount)

    @staticmethod
    def returns(before: float, after: float, cost: float) -> tuple[float, float, float]:
        """Return the day's return before cost, that after cost, and cost as a share."""
        gross, share = (after - before + cost) / before, cost / before
        return gross, gross - share, share


PORTFOLIOS: dict[str, type[Portfolio]] = {"exchange": Portfolio, "qlib": QlibPortfolio}
"""Rules → the account that follows them."""
