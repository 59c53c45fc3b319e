"""The words a report is made of, shared by every renderer."""

from qts.evaluation import EvalReport, FactorReport

FIGURES: dict[str, tuple[str, str]] = {
    "ic": ("IC", "mean over days of Pearson's correlation of score and label"),
    "icir": ("ICIR", "IC over its daily standard deviation; not annualised"),
    "rank_ic": ("RankIC", "the same with Spearman's correlation"),
    "rank_icir": ("RankICIR", "RankIC over its daily standard deviation; not annualised"),
    "rank_ic_t": ("RankIC t", "RankICIR times the root of the days; overlapping labels are not corrected for"),
    "n_days": ("Days", "days with an IC"),
    "mean_names": ("Names a day", "names with score and label, on average"),
    "long_short_annual_return": (
        "Long-short a year",
        "half of the long end minus the short end, as Qlib has it; before cost",
    ),
    "long_short_sharpe": ("Long-short Sharpe", "its annualised mean over standard deviation"),
    "top_minus_mean_annual_return": (
        "Long end minus all, a year",
        "mean label of the long end minus that of all names; before cost",
    ),
    "top_minus_mean_sharpe": ("Long end minus all, Sharpe", "its annualised mean over standard deviation"),
}
"""Key in the summary → name and what it is; the order of every table."""

FACTOR_FIGURES: dict[str, tuple[str, str]] = {
    "coverage": ("Coverage", "share of member rows with a finite value"),
    "ic": ("IC", "mean over days of Pearson's correlation of factor and raw label"),
    "icir": ("ICIR", "IC over its daily standard deviation; not annualised"),
    "rank_ic": ("RankIC", "the same with Spearman's correlation"),
    "rank_icir": ("RankICIR", "RankIC over its daily standard deviation; not annualised"),
    "rank_ic_t": (
        "RankIC t",
        "RankICIR times the root of the days: the plain t with n - 1; overlapping labels are not corrected for",
    ),
    "positive": ("Positive", "share of days whose RankIC is above 0"),
    "turnover": ("Turnover", "1 - Spearman's correlation with the day before over names on both days, mean over days"),
    "spread": ("Spread", "mean daily label of the highest group minus that of the lowest; before cost"),
    "n_days": ("Days", "days with a RankIC"),
}
"""Key in a FactorReport's figures → name and what it is; the order of every table."""

_PERCENT = frozenset({"long_short_annual_return", "top_minus_mean_annual_return"})


def figure(name: str, value: float) -> str:
    """Return a figure of the summary as people read it."""
    if value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return "none"
    if name in _PERCENT:
        return f"{100 * value:.2f} %"
    return f"{value:,.0f}" if name == "n_days" else f"{value:.1f}" if name == "mean_names" else f"{value:.4f}"


def title(report: EvalReport) -> str:
    """Return one line that names what was judged."""
    context = report.context
    what = f"{context['model']}, seed {context['seed']}" if "model" in context else context.get("scores", "scores")
    return f"{what}: {report.days[0]} to {report.days[-1]}"


def factor_title(report: FactorReport) -> str:
    """Return one line that names what was judged."""
    segment = f", {report.context['segment']} segment" if report.context.get("segment") else ""
    return f"{len(report.factors)} factors{segment}: {report.days[0]} to {report.days[-1]}"


def factor_figure(name: str, value: float) -> str:
    """Return a figure of a factor as people read it."""
    if value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return "none"
    if name in {"coverage", "positive"}:
        return f"{100 * value:.1f} %"
    if name == "spread":
        return f"{100 * value:.3f} %"
    return f"{value:,.0f}" if name == "n_days" else f"{value:.2f}" if name == "rank_ic_t" else f"{value:.4f}"


def cluster_line(report: FactorReport, cut: float) -> str:
    """Return how clusters were made."""
    return (
        f"A cluster joins factors whose 1 - |mean daily rank correlation| is at most {cut:g} on average (average linkage); "
        f"the correlation is taken on {report.correlation_days} of {len(report.days)} days. Its leader is the factor "
        "with the largest |RankICIR|."
    )


def timeline(report: EvalReport | FactorReport) -> str:
    """Return which bars the label of a score or factor belongs to."""
    what = "score" if isinstance(report, EvalReport) else "factor's value"
    label, ahead = report.context.get("label"), report.context.get("label_ahead")
    return f"A {what} carries its own day's date. Its label is {label}, which reads bars up to {ahead} days later."


def coverage_line(report: EvalReport | FactorReport) -> str:
    """Return where the rows went."""
    return ", ".join(f"{name} {count:,}" for name, count in report.coverage.items())


def report_lines(report: EvalReport) -> list[str]:
    """Return a report as lines for a terminal."""
    lines = [title(report), timeline(report), *(f"warning: {warning}" for warning in report.warnings)]
    lines += [f"  {label:<28}{figure(key, report.summary[key]):>12}" for key, (label, _) in FIGURES.items()]
    return [*lines, f"rows: {coverage_line(report)}"]
