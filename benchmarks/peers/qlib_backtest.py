"""pyqlib at work: scores traded by its strategy and executor, scores judged by its functions; alphalens judging them too.

    python qlib_backtest.py dump BARS INDEX MEMBERS STORE
    python qlib_backtest.py trade STORE SCORES OUT FIRST LAST [--kernels 1]
    python qlib_backtest.py judge PANEL
    python qlib_backtest.py alphalens PANEL PRICES

Runs in the peers' environment. `dump` writes the bins of qlib158.py with $factor and $change more, the index among the
instruments. `trade` leaves the report and the positions in OUT. `judge` computes daily IC and RankIC, long-short returns and
precision, autocorrelation and the risk figures of a frame of datetime, instrument, score, label; `alphalens` what its full
tear sheet computes, without a plot. Each prints one JSON object: seconds of wall and processor, stage by stage.
"""

import argparse
import json
import logging
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # before pyqlib loads it

import numpy as np
import pandas as pd
import qlib
import qlib158
from qlib.backtest import backtest, exchange
from qlib.backtest.executor import SimulatorExecutor
from qlib.contrib.eva.alpha import calc_ic, calc_long_short_prec, calc_long_short_return, pred_autocorr
from qlib.contrib.evaluate import risk_analysis
from qlib.contrib.strategy import TopkDropoutStrategy

EXCHANGE = {
    "freq": "day",
    "limit_threshold": 0.095,
    "deal_price": "close",
    "open_cost": 0.0005,
    "close_cost": 0.0015,
    "min_cost": 5,
}
PERIODS = (1, 5, 10)
"""Holding periods of alphalens, its own default."""


class Stages:
    """Seconds of wall and processor of each stage, children that ended included."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        wall, processor = time.perf_counter(), _processor()
        yield
        self.found[name] = [time.perf_counter() - wall, _processor() - processor]

    def watch(self, owner: Any, method: str, name: str) -> None:  # noqa: ANN401 - a class of pyqlib's
        """Count the calls of a method as a stage."""
        original: Callable[..., Any] = getattr(owner, method)

        def counted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the method takes
            with self.stage(name):
                return original(*args, **kwargs)

        setattr(owner, method, counted)


def _processor() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def dump(bars: Path, index: Path, members: Path, store: Path) -> dict[str, object]:
    """Write the bin store with what an exchange needs: $factor, and $change as a fraction of the close before."""
    table = pd.concat([pd.read_parquet(file) for file in (bars, index)], ignore_index=True)
    table["instrument"] = table["instrument"].astype(str)
    table = table.sort_values(["instrument", "date"], ignore_index=True)
    close = table["close"].astype(np.float64)
    before = close.groupby(table["instrument"]).ffill().groupby(table["instrument"]).shift()
    table["change"] = (close / before - 1).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "bars.parquet"
        table.to_parquet(file)
        qlib158.FIELDS = (*qlib158.FIELDS, "factor", "change")
        return qlib158.dump(file, members, store)


def read_scores(file: Path) -> pd.Series:
    """Return scores as pyqlib's signal: indexed by datetime and instrument."""
    table = pd.read_parquet(file, columns=["datetime", "instrument", "score"])
    table["datetime"] = pd.to_datetime(table["datetime"])
    return table.set_index(["datetime", "instrument"])["score"].sort_index()


def trade(store: Path, scores: Path, out: Path, first: str, last: str, kernels: int) -> dict[str, object]:
    """Run the backtest of its shipped workflows, from qlib.init to the report's frame and its figures."""
    stages = Stages()
    with stages.stage("whole"):
        qlib.init(provider_uri=str(store), region="cn", kernels=kernels, logging_level=logging.ERROR)
        signal = read_scores(scores)
        stages.watch(exchange.Exchange, "__init__", "exchange")
        with stages.stage("backtest"):
            portfolios, _ = backtest(
                start_time=first,
                end_time=last,
                strategy=TopkDropoutStrategy(signal=signal, topk=50, n_drop=5),
                executor=SimulatorExecutor(time_per_step="day", generate_portfolio_metrics=True),
                benchmark="SH000300",
                account=1e8,
                exchange_kwargs=EXCHANGE,
            )
        report, positions = portfolios["1day"]
        excess = report["return"] - report["bench"]
        figures = pd.concat({"gross": risk_analysis(excess), "net": risk_analysis(excess - report["cost"])})
    out.mkdir(parents=True, exist_ok=True)
    report.reset_index().to_parquet(out / "accounts.parquet")
    held = [
        (day, name, position.get_stock_amount(name))
        for day, position in positions.items()
        for name in position.get_stock_list()
    ]
    pd.DataFrame(held, columns=["datetime", "instrument", "shares"]).to_parquet(out / "positions.parquet")
    return {"stages": stages.found, "n_scores": len(signal), "figures": figures.risk.to_list()}


def judge(panel: Path) -> dict[str, object]:
    """Compute what its signal records do, group returns left out: those are computed inside a plot."""
    table = pd.read_parquet(panel).set_index(["datetime", "instrument"])
    stages = Stages()
    with stages.stage("whole"):
        score, label = table["score"], table["label"]
        with stages.stage("ic"):
            daily = calc_ic(score, label)
        with stages.stage("long_short_return"):
            spread, mean = calc_long_short_return(score, label)
        with stages.stage("long_short_precision"):
            calc_long_short_prec(score, label, is_alpha=True)
        with stages.stage("autocorrelation"):
            pred_autocorr(score)
        with stages.stage("risk"):
            risk_analysis(spread)
            risk_analysis(mean)
    return {"stages": stages.found, "ic": daily[0].mean(), "rank_ic": daily[1].mean(), "peak": _peak()}


def judge_by_alphalens(panel: Path, closes: Path) -> dict[str, object]:
    """Compute the tables and series of a full tear sheet."""
    performance = import_module("alphalens.performance")
    clean = import_module("alphalens.utils").get_clean_factor_and_forward_returns
    table = pd.read_parquet(panel)
    table["date"] = pd.to_datetime(table["datetime"])
    factor = table.set_index(["date", "instrument"])["score"].rename_axis(["date", "asset"])
    prices = pd.read_parquet(closes).set_index("day")
    stages = Stages()
    with stages.stage("whole"):
        with stages.stage("clean"):
            data = clean(factor, prices, quantiles=5, periods=PERIODS, max_loss=0.35)
        with stages.stage("returns"):
            daily = performance.factor_returns(data)
            performance.factor_alpha_beta(data, daily)
            performance.mean_return_by_quantile(data)
            means, errors = performance.mean_return_by_quantile(data, by_date=True)
            performance.compute_mean_returns_spread(means, 5, 1, errors)
            for name in means.columns:
                performance.cumulative_returns(daily[name])
        with stages.stage("information"):
            ic = performance.factor_information_coefficient(data)
            performance.mean_information_coefficient(data, by_time="ME")
        with stages.stage("turnover"):
            for period in PERIODS:
                performance.factor_rank_autocorrelation(data, period)
                for quantile in range(1, 6):
                    performance.quantile_turnover(data["factor_quantile"], quantile, period)
    return {"stages": stages.found, "rank_ic": ic.mean().to_list(), "peak": _peak(), "n_rows": len(data)}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


JOBS: dict[str, tuple[Callable[..., dict[str, object]], dict[str, type]]] = {
    "dump": (dump, dict.fromkeys(("bars", "index", "members", "store"), Path)),
    "trade": (trade, {**dict.fromkeys(("store", "scores", "out"), Path), "first": str, "last": str}),
    "judge": (judge, {"panel": Path}),
    "alphalens": (judge_by_alphalens, {"panel": Path, "closes": Path}),
}
"""Job → what does it, and its arguments."""


def main() -> None:
    """Do one job and say what it took."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    for job, (_, arguments) in JOBS.items():
        added = jobs.add_parser(job)
        for name, kind in arguments.items():
            added.add_argument(name, type=kind)
    jobs.choices["trade"].add_argument("--kernels", type=int, default=1)
    given = vars(parser.parse_args())
    found = JOBS[given.pop("job")][0](**given)
    versions = {"qlib": qlib.__version__, "pandas": pd.__version__, "numpy": np.__version__}
    print(json.dumps({**found, "versions": versions}))


if __name__ == "__main__":
    main()
