"""Chapters on what scores earn: score groups, scores as weights, persistence, groups of names, coverage."""

import math

import numpy as np

from qts.evaluation import EvalReport
from qts.evaluation.results import FactorPortfolio, GroupFigures, HorizonFigures, Persistence
from qts.evaluation.series import mean_of_known
from qts.rendering.document import Chapter, Column, Plot, Sheet, Trace
from qts.rendering.ic_chapters import mean_bars
from qts.rendering.series import Data, by_period, day_names, rounded, so_far
from qts.rendering.stats_table import standard_error, stats_cells, stats_sheet

N_BARS = 40
"""Groups of names at most that are drawn."""

N_WORST = 10
"""Days that the table of thin days holds."""


def _group_names(n_groups: int) -> list[str]:
    """Return the groups' names; 1 holds the highest scores."""
    return [f"{at + 1}" for at in range(n_groups)]


def group_chapter(report: EvalReport) -> Chapter:
    """Return what names earned by score group, and the spread between the ends."""
    blocks: list[Sheet | Plot | str] = []
    if any(np.isfinite(one.group_mean).any() for one in report.horizons):
        blocks += [_group_sheet(report.horizons), _group_plot(report.horizons)]
    if (held := report.label_horizon) is not None and np.isfinite(held.group_mean).any():
        blocks += [_growth(report.horizons, float(report.context.get("days_per_year", 252))), _curves(held)]
    about = "Each day's names are cut into groups of equal size by score; group 1 holds the highest scores."
    return Chapter("Score groups", (*blocks, _spread(report)), about)


def _group_sheet(horizons: tuple[HorizonFigures, ...]) -> Sheet:
    names = _group_names(len(horizons[0].group_mean))
    columns = (
        Column("group", "group", "text"),
        *(Column(f"h{one.horizon}", f"{one.horizon} d", "bps") for one in horizons),
    )
    rows = [
        {"group": name, **{f"h{one.horizon}": 1e4 * one.group_mean[at] for one in horizons}}
        for at, name in enumerate(names)
    ]
    ends = {"group": f"{names[0]} minus {names[-1]}", **{f"h{one.horizon}": 1e4 * one.spread.mean for one in horizons}}
    order = {"group": "monotonicity", "kind": "ratio", **{f"h{one.horizon}": one.monotonicity for one in horizons}}
    about = (
        "In basis points over the whole holding period, before cost. Monotonicity is Spearman's correlation of the groups' "
        "order with their means: 1 where higher scores always earned more."
    )
    return Sheet("group_means", columns, [*rows, ends, order], "Mean return by score group and days held", about)


def _growth(horizons: tuple[HorizonFigures, ...], days_per_year: float) -> Sheet:
    """Return what each group's holdings grew by a year, as the curves have it, for every holding period."""
    names = _group_names(horizons[0].curves.shape[1])
    columns = (
        Column("group", "group", "text"),
        *(Column(f"h{one.horizon}", f"{one.horizon} d", "percent") for one in horizons),
    )
    growth = {f"h{one.horizon}": one.curves[-1] ** (days_per_year / max(len(one.days) - 1, 1)) - 1 for one in horizons}
    rows = [
        {"group": name, **{key: float(values[at]) for key, values in growth.items()}} for at, name in enumerate(names)
    ]
    about = "Compounded a year, before cost: names are held for so many days, and a part of the holdings is renewed each day."
    return Sheet("group_growth", columns, rows, "Compounded return by score group and days held", about)


def _group_plot(horizons: tuple[HorizonFigures, ...]) -> Plot:
    data: Data = {"group": _group_names(len(horizons[0].group_mean))}
    for one in horizons:
        data[f"h{one.horizon}"] = rounded(1e4 * one.group_mean / one.horizon)
        data[f"error{one.horizon}"] = rounded(1e4 * one.group_error / one.horizon)
    traces = tuple(
        Trace(f"held {one.horizon} d", f"h{one.horizon}", "bar", error=f"error{one.horizon}") for one in horizons
    )
    about = "Divided by the days held, so that holding periods can be compared; whiskers are 1.96 Newey-West errors."
    title = "Mean return a day by score group"
    return Plot("group_bars", title, data, "group", traces, kind="bps", x_title="group", about=about, is_ordered=True)


def _curves(held: HorizonFigures) -> Plot:
    names = _group_names(held.curves.shape[1])
    data: Data = {"datetime": day_names(held.days)}
    data |= {f"group_{name}": rounded(held.curves[:, at]) for at, name in enumerate(names)}
    period = f"{held.horizon} day{'s' * (held.horizon > 1)}"
    renewed = ", a part renewed each day" if held.horizon > 1 else ""
    about = f"Growth of 1, names held for {period}{renewed}, compounded, before cost."
    traces = tuple(Trace(f"group {name}", f"group_{name}") for name in names)
    title = "What 1 became in each score group"
    return Plot(
        "group_curves", title, data, "datetime", traces, kind="ratio", about=about, is_log=True, is_ordered=True
    )


def _spread(report: EvalReport) -> Plot:
    """Return the sum of spreads a day; what is over several days is divided by them, for each day counts in so many.

    A band around the line would hide that errors add up from day to day; around zero it is what luck allows.
    """
    held = report.held_days
    luck = np.full(len(report.days), math.nan)
    if (stats := report.statistics.get("spread")) is not None:
        days_so_far = np.cumsum(~np.isnan(report.spread))
        luck = 1.96 * standard_error(stats) * np.sqrt(max(stats.n, 1) * days_so_far)
    data: Data = {
        "datetime": day_names(report.days),
        "spread": rounded(so_far(report.spread / held)),
        "low": rounded(-luck / held),
        "high": rounded(luck / held),
    }
    about = (
        f"Sum of the daily spreads (mean label of the long end minus that of the short end{_a_day(held)}), before cost. "
        "The band is where "
        "such a sum would be found 95 times of 100 on a given day if the true spread were 0: it widens with the root of the "
        "days, by the Newey-West error."
    )
    traces = (Trace("what luck allows", "low", "band", to="high"), Trace("spread", "spread"))
    return Plot("cumulative_spread", "Cumulative spread", data, "datetime", traces, kind="percent", about=about)


def _a_day(held: int) -> str:
    return f", divided by the {held} days it is over" if held > 1 else ""


def portfolio_chapter(report: EvalReport) -> Chapter:
    """Return how all names, held in proportion to their scores, would have done, and what of it is the market."""
    found = report.portfolio
    about = (
        "Every name is held in proportion to its score's distance from the day's mean, long and short, gross exposure 1, "
        "before cost. Beta is what of its return the equally weighted market explains; alpha is what is left, a year."
    )
    stats = stats_sheet(
        "factor_portfolio_return", [("return", found.mean)], title="Return of one holding period of the label"
    )
    return Chapter("Scores as weights", (_portfolio_sheet(found), _portfolio_plot(report), stats), about)


def _portfolio_sheet(found: FactorPortfolio) -> Sheet:
    columns = (
        Column("annual_return", "return a year", "percent"),
        Column("sharpe", "Sharpe", "ratio"),
        Column("alpha", "alpha a year", "percent"),
        Column("alpha_t", "t", "ratio"),
        Column("beta", "beta", "ratio"),
        Column("beta_t", "t of beta", "ratio"),
    )
    return Sheet("factor_portfolio", columns, [{one.key: getattr(found, one.key) for one in columns}])


def _portfolio_plot(report: EvalReport) -> Plot:
    found, held = report.portfolio, report.held_days
    data: Data = {
        "datetime": day_names(report.days),
        "portfolio": rounded(so_far(found.returns / held)),
        "without_market": rounded(so_far((found.returns - found.beta * found.market) / held)),
    }
    about = (
        f"Sums of the label's returns{_a_day(held)}, by the day of the score; the second line has beta times the market taken "
        "out."
    )
    traces = (Trace("scores as weights", "portfolio"), Trace("without the market", "without_market"))
    title = "Cumulative return of the scores as weights"
    return Plot("factor_portfolio_curve", title, data, "datetime", traces, kind="percent", about=about)


def persistence_chapter(report: EvalReport) -> Chapter:
    """Return how long scores stay as they are, and what trading after them may cost."""
    about = "Autocorrelation is Spearman's, of the scores of a day and those some days before, over names with both."
    if not report.persistence:
        return Chapter("Persistence and turnover", (), about)
    months = by_period(report.days, "M")
    data: Data = {"month": [name for name, _ in months]}
    for one in report.persistence:
        data[f"lag{one.lag}"] = rounded([mean_of_known(one.autocorrelation[days]) for _, days in months])
    traces = tuple(Trace(f"{one.lag} d", f"lag{one.lag}") for one in report.persistence)
    title = "Rank autocorrelation, mean of each month"
    plot = Plot("autocorrelation", title, data, "month", traces, kind="fixed")
    return Chapter("Persistence and turnover", (_persistence_sheet(report.persistence), plot), about)


def _persistence_sheet(persistence: tuple[Persistence, ...]) -> Sheet:
    n_groups = persistence[0].turnover.shape[1]
    columns = (
        Column("lag", "days between", "integer"),
        Column("autocorrelation", "autocorrelation", "fixed"),
        *(Column(f"turnover_{name}", f"group {name} new", "percent") for name in _group_names(n_groups)),
    )
    rows = []
    for one in persistence:
        turnover = {
            f"turnover_{name}": mean_of_known(one.turnover[:, at]) for at, name in enumerate(_group_names(n_groups))
        }
        rows.append({"lag": one.lag, "autocorrelation": mean_of_known(one.autocorrelation), **turnover})
    about = "Share of a score group's names that were not in it so many days before, mean over days."
    return Sheet("persistence", columns, rows, "By days between", about)


_GROUP_COLUMNS = (
    Column("name", "group", "text"),
    Column("n_rows", "rows", "integer"),
    Column("mean_names", "names a day", "ratio"),
    Column("rank_ic", "RankIC", "fixed"),
    Column("rank_icir", "RankICIR", "ratio"),
    Column("rank_ic_t", "t", "ratio"),
    Column("ic", "IC", "fixed"),
    Column("ic_t", "IC t", "ratio"),
    Column("positive", "RankIC above 0", "percent"),
    Column("mean_label_bps", "mean label, bps", "bps"),
    Column("spread_bps", "upper half minus lower, bps", "bps"),
    Column("n_days", "days", "integer"),
)


def breakdown_chapter(report: EvalReport) -> Chapter | None:
    """Return the scores inside each group of names; None where names are not grouped."""
    blocks: list[Sheet | Plot | str] = []
    for grouping, groups in report.groups.items():
        if not groups:
            continue
        title = f"RankIC by {grouping}"
        shown = groups[:N_BARS]
        names, stats = [one.name for one in shown], [one.rank_ic for one in shown]
        blocks += [
            Sheet(f"within_{grouping}", _GROUP_COLUMNS, [_group_row(one) for one in groups], f"By {grouping}"),
            mean_bars(f"rank_ic_within_{grouping}", title, grouping, names, stats),
        ]
    about = "IC among the names of one group alone: whether scores sort inside it, not between groups."
    return Chapter("By group of names", tuple(blocks), about) if blocks else None


def _group_row(one: GroupFigures) -> dict[str, object]:
    rank = {"rank_ic": "mean", "rank_icir": "ratio", "rank_ic_t": "t", "positive": "positive", "n_days": "n"}
    return {
        "name": one.name,
        "n_rows": one.n_rows,
        "mean_names": one.mean_names,
        **stats_cells(one.rank_ic, rank),
        **stats_cells(one.ic, {"ic": "mean", "ic_t": "t"}),
        "mean_label_bps": 1e4 * one.mean_label,
        "spread_bps": 1e4 * one.spread,
    }


def coverage_chapter(report: EvalReport) -> Chapter:
    """Return where rows went, and the days that miss the most names."""
    blocks = (_counts(report), _names_a_day(report), _worst_days(report))
    return Chapter("Coverage", blocks, "Rows that a figure was not taken from, and why.")


def _counts(report: EvalReport) -> Sheet:
    counts = report.coverage.counts
    columns = (
        Column("what", "", "text"),
        Column("count", "count", "integer"),
        Column("share", "share", "percent"),
    )
    wholes = {"days": counts.get("days", 0), "members": int(report.coverage.n_expected.sum())}
    rows: list[dict[str, object]] = [
        {"what": what, "count": count, "share": _share(count, wholes.get(what.split(" ")[0], counts.get("rows", 0)))}
        for what, count in counts.items()
    ]
    about = (
        "Shares are of rows; those of days are of days, those of members of all members that traded. "
        f"{100 * report.coverage.lost:.2f} % of the names that could be judged have no finite score."
    )
    return Sheet("coverage", columns, rows, "Counts", about)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _names_a_day(report: EvalReport) -> Plot:
    data: Data = {
        "datetime": day_names(report.days),
        "n_scored": [int(n) for n in report.coverage.n_scored],
        "n_expected": [int(n) for n in report.coverage.n_expected],
    }
    traces = (Trace("expected", "n_expected"), Trace("with a score", "n_scored"))
    return Plot("names_by_day", "Names a day", data, "datetime", traces, kind="integer")


def _worst_days(report: EvalReport) -> Sheet:
    scored, expected = report.coverage.n_scored, report.coverage.n_expected
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(expected > 0, scored / expected, np.nan)
    short = np.flatnonzero(share < 1)
    worst = short[np.argsort(share[short], kind="stable")][:N_WORST]
    columns = (
        Column("datetime", "day", "day"),
        Column("n_scored", "with a score", "integer"),
        Column("n_expected", "expected", "integer"),
        Column("share", "share", "percent"),
    )
    rows = [
        {
            "datetime": str(report.days[at]),
            "n_scored": int(scored[at]),
            "n_expected": int(expected[at]),
            "share": float(share[at]),
        }
        for at in worst
    ]
    return Sheet("thin_days", columns, rows, "Days that miss the most names")
