"""How scores are traded: the `[backtest]` table."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator

from qts.config.table import Day, Table, to_tuple


class Fee(Table):
    """What trading costs from a day on, as shares of the value traded."""

    since: Day
    """First day."""
    buy: Annotated[float, Field(ge=0, lt=1)]
    """Of a purchase."""
    sell: Annotated[float, Field(ge=0, lt=1)]
    """Of a sale, stamp duty included."""


Fees = Annotated[tuple[Fee, ...], BeforeValidator(to_tuple)]
"""A schedule, the earliest first."""


PRICES_OF_DAY = ("open", "vwap", "close")
"""Prices a deal can be made at, in the order of the day."""


class BacktestConfig(Table):
    """A portfolio that follows the scores under the rules of an exchange."""

    rules: Literal["exchange", "qlib"] = "exchange"
    """`exchange`: as an A-share account is traded; `qlib`: as Qlib's TopkDropoutStrategy does, to compare with its tables."""
    top_k: PositiveInt = 50
    """Names held."""
    n_drop: NonNegativeInt = 5
    """Names at most that are sold a day because others score better."""
    hold_days: NonNegativeInt = 1
    """Days a name is held at least."""
    lag: PositiveInt = 1
    """Days from a score to the trade."""
    account: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e8
    """Cash at the start."""
    exposure: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Share of the account that is to be in stocks."""
    deal_price: Literal["close", "open", "vwap"] = "close"
    """The price of purchases, and of sales unless `sell_price` says otherwise."""
    sell_price: Literal["close", "open", "vwap"] | None = None
    """The price of sales. None: that of purchases. Not later in the day than it (open, vwap, close), for sales pay for
    purchases; `qlib` lets that be."""
    commission: Annotated[float, Field(ge=0, lt=1)] = 0.0005
    """Share of the value traded that the broker takes, on both sides; the stamp duty of the day comes on top."""
    fees: Fees = ()
    """A schedule of your own instead of commission and stamp duty: `[[backtest.fees]]` with since, buy, sell."""
    min_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """The least a trade costs, in money."""
    slippage_bps: Annotated[float, Field(ge=0, lt=10_000)] = 0.0
    """By how much a purchase pays more, and a sale gets less, than the deal price, in basis points."""
    impact: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Cost rate that is added for an order as large as the day's traded value; it grows with the square of that share."""
    lot: PositiveInt = 100
    """Real shares in a lot; purchases are whole lots. 1: any number of shares."""
    price_limits: Literal["by_board", "none"] | Annotated[float, Field(gt=0, lt=1)] = "by_board"
    """`by_board`: the limit columns of the bars, or else those of board and day; a share as 0.1 for all; or none."""
    up_limit: str = "up_limit"
    """The column of the bars with the highest price allowed, in the unit of the close; derived where there is none."""
    down_limit: str = "down_limit"
    """The same of the lowest."""
    special_treatment: str | None = None
    """The column of `[bars] groups` that marks names under special treatment (ST), which have narrower limits."""
    max_volume: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the day's volume that an order may be. None: any."""
    unscored_days: NonNegativeInt = 5
    """Days without a score after which a held name counts as the worst: it left the universe, or its scores are missing.
    0: it stays."""
    write_off_days: PositiveInt = 250
    """Days without a quote after which a holding is closed."""
    write_off_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of its last value that is then paid out."""
    only_tradable: bool = False
    """Of `qlib`: choose among names that can be traded alone."""
    both_sides_at_limit: bool = True
    """Of `qlib`: a name at either limit is neither bought nor sold."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.n_drop > self.top_k:
            raise ValueError(f"n_drop ({self.n_drop}) is more than top_k ({self.top_k})")
        days = [fee.since for fee in self.fees]
        if days != sorted(set(days)):
            raise ValueError("fees must be in the order of their days, each once")
        buying, selling = self.deal_price, self.sell_price or self.deal_price
        if self.rules == "exchange" and PRICES_OF_DAY.index(selling) > PRICES_OF_DAY.index(buying):
            raise ValueError(
                f'sell_price = "{selling}" is later in the day than deal_price = "{buying}": sales pay for purchases, '
                "so the same money would earn the time between twice"
            )
        return self
