"""The rules of an exchange told once more, slowly: dicts and loops, no grid and nothing of the engine's."""

import math
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from qts.backtest.market import Market
from qts.config import BacktestConfig

TICK = Decimal("0.01")


@dataclass
class Holding:
    """Shares of one name."""

    shares: float
    bought: int
    last: float
    quiet: int = 0


@dataclass
class Told:
    """What happened: a list entry a day, an order or a trade."""

    cash: list[float] = field(default_factory=list)
    account: list[float] = field(default_factory=list)
    held: list[dict[str, float]] = field(default_factory=list)
    orders: list[tuple[Any, ...]] = field(default_factory=list)
    """(day, name, side, dealt, price, cost, reason)."""
    ended: list[tuple[str, int, int, str]] = field(default_factory=list)
    """(name, opened, closed, reason)."""


def is_number(value: float) -> bool:
    return not math.isnan(value)


class Oracle:
    """One account; `market` is read cell by cell."""

    def __init__(self, market: Market, scores: Any, config: BacktestConfig) -> None:
        self.market, self.scores, self.config = market, scores, config
        self.names = [str(name) for name in market.instruments]
        self.cash, self.told = config.account, Told()
        self.held: dict[int, Holding] = {}

    def run(self) -> Told:
        """Go through the days from the first with a score to trade."""
        n_days, lag = len(self.market.days), self.config.lag
        first = next(day for day in range(lag, n_days) if self._known(day - lag))
        for day in range(first, n_days):
            self._day(day)
        return self.told

    def _known(self, day: int) -> dict[int, float]:
        return {name: float(score) for name, score in enumerate(self.scores[day]) if is_number(score)}

    def _cell(self, field_name: str, day: int, name: int) -> float:
        return float(getattr(self.market, field_name)[day, name])

    def _suspended(self, day: int, name: int) -> bool:
        volume = self._cell("volume", day, name)
        return math.isnan(self._cell("close", day, name)) or math.isnan(volume) or volume == 0

    def _price(self, day: int, name: int, side: str) -> float:
        which = self.config.deal_price if side == "buy" else self.config.sell_price or self.config.deal_price
        found = self._cell(which, day, name)
        return found if found > 1e-8 else self._cell("close", day, name)

    def _paid(self, day: int, name: int, side: str) -> float:
        return self._price(day, name, side) * (1 + (1 if side == "buy" else -1) * self.config.slippage_bps / 10_000)

    def _share(self, day: int, name: int) -> float | None:
        """Return the limit of board and day; codes of the tests alone."""
        date, before, code = str(self.market.days[day]), int(self.market.n_before[day, name]), self.names[name]
        if self.config.price_limits == "none":
            return None
        if self.config.price_limits != "by_board":
            return float(self.config.price_limits)
        special = self.market.special is not None and bool(self.market.special[day, name])
        is_late = date >= "2023-04-10"
        rules = {
            "SH688": (0.2, 5),
            "SZ300": (0.2, 5) if date >= "2020-08-24" else (0.1, 1),
            "BJ830": (0.3, 1),
            "SH600": (0.05 if special else 0.1, 5 if is_late else 1),
            "SZ000": (0.05 if special else 0.1, 5 if is_late else 1),
        }
        share, free = rules.get(code[:5], (0.1, 0))
        return None if before < free else share

    def _at_limit(self, day: int, name: int, side: str) -> bool:
        sign = 1 if side == "buy" else -1
        share, before = self._share(day, name), self._cell("previous_close", day, name)
        which = self.config.deal_price if side == "buy" else self.config.sell_price or self.config.deal_price
        price = (
            self._cell("low" if sign > 0 else "high", day, name) if which == "vwap" else self._price(day, name, side)
        )
        if share is None or math.isnan(before):
            return False
        factor = self._cell("adj_factor", day, name)
        if math.isnan(factor):
            return sign * (price / before - 1) >= share - 0.002
        real = Decimal(repr(round(before / factor, 6))) * Decimal(repr(1 + sign * share))
        return sign * (price / factor - float(real.quantize(TICK, ROUND_HALF_UP))) >= -0.005

    def _blocked(self, day: int, name: int, side: str) -> str:
        if self._suspended(day, name):
            return "suspended"
        if self._at_limit(day, name, side):
            return "limit_up" if side == "buy" else "limit_down"
        if side == "sell" and day - self.held[name].bought < self.config.hold_days:
            return "held_too_short"
        return ""

    def _rate(self, day: int, name: int, side: str, value: float) -> float:
        date = str(self.market.days[day])
        duty = 0.0 if side == "buy" else 0.0005 if date >= "2023-08-28" else 0.001
        traded = self._cell("volume", day, name) * self._paid(day, name, side)
        return self.config.commission + duty + self.config.impact * (value / traded) ** 2

    def _lots(self, day: int, name: int, shares: float) -> float:
        factor = self._cell("adj_factor", day, name)
        factor = 1.0 if math.isnan(factor) else factor
        return math.floor(shares * factor / self.config.lot + 1e-9) * self.config.lot / factor

    def _cost(self, value: float, rate: float) -> float:
        return max(value * rate, self.config.min_cost) if value > 1e-5 else 0.0

    def _cut_by_volume(self, day: int, name: int, shares: float) -> tuple[float, bool]:
        if self.config.max_volume is None:
            return shares, False
        cap = self.config.max_volume * self._cell("volume", day, name)
        return min(shares, cap), cap < shares

    def _sell(self, day: int, name: int) -> None:
        price, holding = self._paid(day, name, "sell"), self.held[name]
        shares, is_cut = self._cut_by_volume(day, name, holding.shares)
        rate = self._rate(day, name, "sell", shares * price)
        if is_cut:
            shares = self._lots(day, name, shares)
        cost = self._cost(shares * price, rate)
        if self.cash + shares * price < cost:
            self._order(day, name, "sell", 0.0, price, 0.0, "cash")
            return
        self._order(day, name, "sell", shares, price, cost, "volume" if is_cut else "")
        self.cash += shares * price - cost
        holding.shares -= shares
        if holding.shares <= 1e-6:
            self._end(day, name, "sold")

    def _buy(self, day: int, name: int, part: float) -> None:
        price = self._paid(day, name, "buy")
        wanted = self._lots(day, name, part / price) or part / price
        shares, is_cut = self._cut_by_volume(day, name, wanted)
        rate = self._rate(day, name, "buy", shares * price)
        reason = "volume" if is_cut else ""
        if self.cash < self._cost(shares * price, rate):
            self._order(day, name, "buy", 0.0, price, 0.0, "cash")
            return
        if self.cash < (shares * price + self._cost(shares * price, rate)) * (1 - 1e-12):
            reason = "cash"
        shares = self._lots(day, name, shares)
        step = self.config.lot / (
            1.0 if math.isnan(self._cell("adj_factor", day, name)) else self._cell("adj_factor", day, name)
        )
        while shares > 1e-9 and shares * price + self._cost(shares * price, rate) > self.cash:
            shares -= step
        shares = max(shares, 0.0) if shares > 1e-9 else 0.0
        cost = self._cost(shares * price, rate)
        is_full = shares > 0 and math.isclose(shares, wanted, rel_tol=1e-9)
        self._order(day, name, "buy", shares, price, cost, "" if is_full else reason or "lot")
        if shares > 0:
            self.cash -= shares * price + cost
            self.held[name] = Holding(shares, day, price)

    def _order(self, day: int, name: int, side: str, dealt: float, price: float, cost: float, reason: str) -> None:
        self.told.orders.append((day, self.names[name], side, dealt, price, cost, reason))

    def _end(self, day: int, name: int, reason: str) -> None:
        self.told.ended.append((self.names[name], self.held.pop(name).bought, day, reason))

    def _n_unscored(self, name: int, day: int) -> int:
        """Return the days with scores that have passed since the name had one."""
        count = 0
        for before in range(day, -1, -1):
            known = self._known(before)
            if name in known:
                break
            count += bool(known)
        return count

    def _plan(self, scores: dict[int, float], names: set[int], day: int) -> tuple[list[int], list[int]]:
        """Return whom to sell and whom to buy if `names` alone could be traded."""
        config = self.config
        candidates = sorted((-score, name) for name, score in scores.items() if name not in self.held and name in names)
        held = [(scores[name], -name) for name in self.held if name in scores]
        if config.unscored_days > 0:
            held += [(-math.inf, -name) for name in self.held if self._n_unscored(name, day) >= config.unscored_days]
        worst = sorted((score, minus) for score, minus in held if -minus in names)
        sells, buys = [], []
        n_extra = max(len(self.held) - config.top_k, 0)
        for _, minus in worst[:n_extra]:
            sells.append(-minus)
        n_free = max(config.top_k - len(self.held), 0)
        buys += [name for _, name in candidates[:n_free]]
        candidates = candidates[n_free:]
        for score, minus in worst[n_extra : n_extra + config.n_drop]:
            if candidates and -candidates[0][0] > score:
                buys.append(candidates.pop(0)[1])
                sells.append(-minus)
            elif score == -math.inf:
                sells.append(-minus)
            else:
                break
        return sells, buys

    def _trade(self, day: int, scores: dict[int, float]) -> None:
        everyone = range(len(self.names))
        n_candidates = sum(name not in self.held for name in scores)
        can = {name for name in everyone if not self._blocked(day, name, "sell" if name in self.held else "buy")}
        wish_sells, wish_buys = self._plan(scores, set(everyone), day - self.config.lag)
        sells, _ = self._plan(scores, can, day - self.config.lag)
        queue = [name for _, name in sorted((-s, n) for n, s in scores.items() if n not in self.held and n in can)]
        for name in wish_sells:
            if name not in can:
                self._order(day, name, "sell", 0.0, math.nan, 0.0, self._blocked(day, name, "sell"))
        for name in sells:
            self._sell(day, name)
        places = min(self.config.top_k - len(self.held), n_candidates)
        stays = sum(
            holding.shares * (holding.last if self._suspended(day, name) else self._price(day, name, "sell"))
            for name, holding in self.held.items()
        )
        if places <= 0:
            return
        part = (self.config.exposure * (self.cash + stays) - stays) / places
        purse = self.cash / places
        part = min(part, max(min(purse / (1 + self.config.commission), purse - self.config.min_cost), 0.0))
        if part <= 0:
            return
        for name in wish_buys:
            if name not in can:
                self._order(day, name, "buy", 0.0, math.nan, 0.0, self._blocked(day, name, "buy"))
        for name in queue[:places]:
            self._buy(day, name, part)

    def _day(self, day: int) -> None:
        for name, holding in list(self.held.items()):
            close = self._cell("close", day, name)
            holding.quiet = holding.quiet + 1 if self._suspended(day, name) else 0
            if self._suspended(day, name) and is_number(close):
                holding.last = close
            if holding.quiet >= self.config.write_off_days:
                self.cash += holding.shares * holding.last * self.config.write_off_share
                self._end(day, name, "written_off")
        scores = self._known(day - self.config.lag)
        if scores:
            self._trade(day, scores)
        for name, holding in self.held.items():
            if is_number(self._cell("close", day, name)):
                holding.last = self._cell("close", day, name)
        self.told.cash.append(self.cash)
        self.told.account.append(self.cash + sum(holding.shares * holding.last for holding in self.held.values()))
        self.told.held.append({self.names[name]: holding.shares for name, holding in self.held.items()})
