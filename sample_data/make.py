"""Make a small synthetic daily stock market: bars, dated membership and an index.

Nothing here is real. A stock's daily return is its beta times a shared market move,
plus fat-tailed noise of its own, plus a small planted edge that could be known two
closes earlier, so `close(t+2) / close(t+1) - 1` can be partly forecast at `t`. The
edge is one score, equally strong in every year; it pays stocks that closed below
their own 5 and 10 day trend lines, were calm over 20 days, traded less than in the
last 5 days, or had volume fall as price rose over 10 days.

Price-volume factors measure just that, so a model that reads them finds the edge
because it was put there: a good result on these files says that the tool works, and
nothing about any market. Trading costs, industries and company size play no part.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]
Fields = dict[str, Floats]

EVENTS = Path(__file__).with_name("events.csv")
NAMES = [f"SYN{number:03d}" for number in range(1, 81)]
COLUMN = {name: column for column, name in enumerate(NAMES)}
PRICES = ("open", "high", "low", "close", "vwap")
FIELDS = ("open", "high", "low", "close", "volume", "amount", "vwap", "factor")

WARM_UP, START, STOP = "2019-08-01", "2020-01-01", "2023-12-30"
HOLIDAYS = ("01-01", "01-20", "05-01", "05-04", "07-03", "10-01", "10-02", "12-25")

SEATS, LOOKBACK, INCUMBENT_BONUS = 60, 60, 0.35
EDGE = 0.11  # what one unit of score earns in a day, in daily volatilities
LOCKED_ODDS = 0.0004  # of a day that trades at one price


@dataclass(frozen=True)
class Walk:
    """The market before it is rounded to cents and lots; price and volume are logs."""

    price: Floats
    sigma: Floats
    volume: Floats


def calendar() -> Days:
    """List the trading days, with a warm-up that is never written.

    The first planted score and the first membership need a past to look back on.
    """
    years = range(2019, 2024)
    holidays = [f"{year}-{day}" for year in years for day in HOLIDAYS]
    days = np.arange(WARM_UP, STOP, dtype="datetime64[D]")
    return days[np.is_busday(days, holidays=np.array(holidays, "datetime64[D]"))]


def events(days: Days, *kinds: str) -> Iterator[tuple[Flags, int, float]]:
    """Read the days, column and ratio of each event of some kinds."""
    with EVENTS.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["event"] in kinds:
                start = np.datetime64(line["start"] or WARM_UP)
                end = np.datetime64(line["end"] or STOP)
                inside = (days >= start) & (days <= end)
                yield inside, COLUMN[line["instrument"]], float(line["ratio"] or 1.0)


def spans(days: Days, kind: str) -> Flags:
    """Mark the days inside each event of a kind."""
    marks = np.zeros((len(days), len(NAMES)), dtype=bool)
    for inside, column, _ in events(days, kind):
        marks[inside, column] = True
    return marks


def factors(days: Days) -> Floats:
    """Accumulate splits and dividends from one.

    The first price is the anchor, not the last, so an event never rewrites history.
    """
    factor = np.ones((len(days), len(NAMES)))
    for inside, column, ratio in events(days, "split", "dividend"):
        factor[inside, column] *= ratio
    return factor


def drift(rng: np.random.Generator, days: int, pull: float, spread: float) -> Floats:
    """Draw slow wanderers around zero, `spread` wide, that keep `pull` of each day."""
    steps = rng.normal(0.0, spread, (days, len(NAMES)))
    steps[1:] *= np.sqrt(1.0 - pull**2)
    for day in range(1, days):
        steps[day] += pull * steps[day - 1]
    return steps


def zscore(values: Floats) -> Floats:
    """Scale across stocks, holding outliers to three."""
    score: Floats = (values - values.mean()) / (values.std() + 1e-12)
    return np.clip(score, -3.0, 3.0)


def trend_gap(window: Floats) -> Floats:
    """Measure how far the last row is above the straight line through all rows."""
    place = np.arange(len(window)) - (len(window) - 1) / 2
    slope = (place[:, None] * window).sum(axis=0) / (place**2).sum()
    gap: Floats = window[-1] - window.mean(axis=0) - slope * place[-1]
    return gap


def correlation(left: Floats, right: Floats) -> Floats:
    """Correlate two windows stock by stock."""
    left = left - left.mean(axis=0)
    right = right - right.mean(axis=0)
    scale = np.sqrt((left**2).sum(axis=0) * (right**2).sum(axis=0))
    result: Floats = (left * right).sum(axis=0) / (scale + 1e-12)
    return result


def planted(price: Floats, volume: Floats) -> Floats:
    """Score the stocks by what is known at the last row: high earns more."""
    above = zscore(trend_gap(price[-5:])) + zscore(trend_gap(price[-10:]))
    restless = zscore(np.log(np.diff(price[-21:], axis=0).std(axis=0)))
    busy = zscore(volume[-1] - volume[-5:].mean(axis=0))
    together = zscore(correlation(price[-10:], volume[-10:]))
    return zscore(-0.5 * above - 0.9 * restless - 0.7 * busy - 0.4 * together)


def wander(rng: np.random.Generator, days: int) -> Walk:
    """Walk prices and volumes forward, day by day.

    A day's edge reads no row later than two days before, because a label that buys
    at the next close leaves that gap.
    """
    count = len(NAMES)
    start = rng.uniform(np.log(24.0), np.log(50.0), count)
    beta = rng.normal(1.0, 0.2, count)
    market = rng.normal(0.0003, 0.009, days)
    noise = np.clip(rng.standard_t(5, (days, count)) * np.sqrt(0.6), -6.0, 6.0)
    sigma = 0.016 * np.exp(rng.normal(0, 0.15, count) + drift(rng, days, 0.98, 0.25))
    volume = rng.normal(np.log(4e7), 0.5, count) - start + drift(rng, days, 0.97, 0.35)
    volume += rng.normal(0.0, 0.25, (days, count))
    price = np.tile(start, (days, 1))
    for day in range(1, days):
        known = slice(0, day - 1)
        edge = planted(price[known], volume[known]) if day > LOOKBACK else 0.0
        move = beta * market[day] + sigma[day] * (noise[day] + EDGE * edge)
        volume[day] += 0.3 * np.abs(move) / sigma[day]
        price[day] = price[day - 1] + move
    return Walk(price, sigma, volume)


def intraday(rng: np.random.Generator, walk: Walk, locked: Flags) -> Fields:
    """Draw open, high and low around each close, in logs.

    High and low are extremes of random paths from open to close; a locked day has a
    path of no width, hence one price.
    """
    shape, close = walk.price.shape, walk.price
    move = np.diff(close, axis=0, prepend=close[:1])
    gap = 0.35 * move + 0.3 * walk.sigma * rng.normal(size=shape)
    start = np.where(locked, close, close - move + gap)
    width = np.where(locked, 0.0, 0.8 * walk.sigma)
    reach = -2.0 * width**2 * np.log(1.0 - rng.random((2, *shape)))
    up, down = np.sqrt((close - start) ** 2 + reach) / 2
    middle = (start + close) / 2
    return {"open": start, "high": middle + up, "low": middle - down, "close": close}


def trade(rng: np.random.Generator, walk: Walk, factor: Floats) -> Fields:
    """Turn the walk into bars: raw cents and round lots first, then adjusted."""
    locked = rng.random(factor.shape) < LOCKED_ODDS
    paths = intraday(rng, walk, locked)
    raw = {name: np.round(np.exp(path) / factor, 2) for name, path in paths.items()}
    low, high = raw["low"], raw["high"]
    anywhere = low + rng.random(factor.shape) * (high - low)
    vwap = np.round(0.7 * sum(raw.values()) / 4 + 0.3 * anywhere, 4)
    raw["vwap"] = np.clip(vwap, low, high)
    shares = np.exp(walk.volume) * factor * np.where(locked, 0.05, 1.0)
    volume = np.maximum(np.round(shares / 100), 1) * 100 / factor
    bars = {name: price * factor for name, price in raw.items()}
    return bars | {"volume": volume, "amount": bars["vwap"] * volume, "factor": factor}


def freeze(bars: Fields, halted: Flags) -> Fields:
    """Hold prices at the last close, with nothing traded, while a stock is halted."""
    days = np.arange(len(halted))[:, None]
    source = np.maximum.accumulate(np.where(halted, 0, days), axis=0)
    held = np.take_along_axis(bars["close"], source, axis=0)
    still = {name: np.where(halted, held, bars[name]) for name in PRICES}
    idle = {name: np.where(halted, 0.0, bars[name]) for name in ("volume", "amount")}
    return bars | still | idle


def membership(days: Days, amount: Floats, alive: Flags) -> Flags:
    """Seat the most traded stocks each quarter, by what was known the day before.

    Sitting members get a bonus so that the list does not flicker; a seat emptied by a
    delisting stays empty until the next review.
    """
    quarter = days.astype("datetime64[M]").astype(int) // 3
    traded = np.where(alive, amount, 0.0)
    members = np.zeros_like(alive)
    for day in range(LOOKBACK, len(days)):
        members[day] = members[day - 1] & alive[day]
        if quarter[day] != quarter[day - 1]:
            rank = np.log(traded[day - LOOKBACK : day].mean(axis=0) + 1.0)
            rank += INCUMBENT_BONUS * members[day]
            best = np.argsort(np.where(alive[day], -rank, 0.0), kind="stable")
            members[day] = False
            members[day, best[:SEATS]] = True
    return members


def index_bars(bars: Fields, members: Flags) -> Fields:
    """Chain the equal-weight mean return of the members, from 1000.

    High and low are means too: they bracket the index but are not its true extremes.
    """
    before = np.roll(bars["close"], 1, axis=0)
    seats = members.sum(axis=1, keepdims=True)
    share = members / np.maximum(seats, 1) / before
    ratio = {name: (bars[name] * share).sum(axis=1) for name in PRICES}
    level = 1000.0 * np.cumprod(np.where(seats[:, 0] > 0, ratio["close"], 1.0))
    base = np.concatenate([[1000.0], level[:-1]])
    prices = {name: (ratio[name] * base)[:, None] for name in PRICES}
    amount = (bars["amount"] * members).sum(axis=1, keepdims=True)
    volume = amount / np.where(seats > 0, prices["vwap"], 1.0)
    one = np.ones_like(amount)
    return prices | {"volume": volume, "amount": amount, "factor": one}


def write_bars(path: Path, days: Days, bars: Fields, names: list[str]) -> None:
    """Write the rows that have a close, one stock after another."""
    shown = np.isfinite(bars["close"].T)
    column, row = np.nonzero(shown)
    columns = {
        "instrument": pa.array(np.array(names)[column], pa.string()),
        "datetime": pa.array(days[row], pa.date32()),
    }
    for name in FIELDS:
        columns[name] = pa.array(bars[name].T[shown].astype(np.float32))
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=9)


def write_universe(path: Path, days: Days, members: Flags) -> None:
    """Write each stay of each member, both ends included."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("instrument", "start", "end"))
        for name, inside in zip(NAMES, members.T, strict=True):
            edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
            for first, after in edges.reshape(-1, 2):
                writer.writerow((name, days[first], days[after - 1]))


def make(out: Path, seed: int) -> None:
    """Make the three files in `out`."""
    rng = np.random.default_rng(seed)
    days = calendar()
    listed, absent = spans(days, "listed"), spans(days, "absent")
    alive = listed | ~listed.any(axis=0)
    bars = trade(rng, wander(rng, len(days)), factors(days))
    bars = freeze(bars, absent | spans(days, "carried"))
    written = (days >= np.datetime64(START))[:, None]
    members = membership(days, bars["amount"], alive) & written
    index = index_bars(bars, members)
    bars["close"] = np.where(alive & ~absent & written, bars["close"], np.nan)
    index["close"] = np.where(written, index["close"], np.nan)
    out.mkdir(parents=True, exist_ok=True)
    write_bars(out / "bars.parquet", days, bars, NAMES)
    write_bars(out / "index.parquet", days, index, ["INDEX"])
    write_universe(out / "universe.csv", days, members)


def main() -> None:
    """Read the command line and make the files."""
    parser = argparse.ArgumentParser(description="Make the synthetic sample market.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    make(options.out, options.seed)


if __name__ == "__main__":
    main()
