"""The words a report on factors is made of, shared by every renderer."""

from qts.evaluation import FactorReport

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


def timeline(report: FactorReport) -> str:
    """Return which bars the label of a factor belongs to."""
    label, ahead = report.context.get("label"), report.context.get("label_ahead")
    return (
        f"A factor's value carries its own day's date. Its label is {label}, which reads bars up to {ahead} days later."
    )


def coverage_line(report: FactorReport) -> str:
    """Return where the rows went."""
    return ", ".join(f"{name} {count:,}" for name, count in report.coverage.items())
