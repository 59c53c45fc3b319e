"""The words an ExplainReport is made of, shared by every renderer."""

from qts.evaluation.importance import BAND, ExplainReport

DROP_FIGURES: dict[str, tuple[str, str]] = {
    "rank_ic_drop": ("RankIC drop", "mean over days of RankIC minus RankIC with the feature permuted"),
    "rank_ic_error": (
        "± days",
        "standard error of the RankIC drop over days; overlapping labels are not corrected for",
    ),
    "repeat_error": (
        "± repeats",
        "its standard error over repeats: how much the draw of donors tells; none with one repeat",
    ),
    "ic_drop": ("IC drop", "the same with Pearson's correlation"),
    "ic_error": ("± days (IC)", "standard error of the IC drop over days"),
}
"""Key in an ExplainReport's figures → name and what it is; the order of every table."""

HOW = (
    "Each feature is taken, over the whole window, from another instrument of the same day, and the scores are made "
    "again. Features that carry the same news stand in for each other: each may lose little that all of them together "
    "would lose, which --families shows."
)

BAND_WORDS = f"{100 * BAND[0]:g} % to {100 * BAND[1]:g} % of samples"

ATTENTION = f"Mean over samples, and {BAND_WORDS}; step 0 is the newest bar, and a window's weights sum to 1."


def explain_title(report: ExplainReport) -> str:
    """Return one line that names what was explained."""
    context = report.context
    return (
        f"{context['model']}, run {context['run']}, {context['segment']} segment: {report.days[0]} to {report.days[-1]}"
    )


def base_line(report: ExplainReport) -> str:
    """Return what there was to lose."""
    base, coverage, repeats = report.base(), report.coverage, report.context["repeats"]
    return (
        f"Nothing permuted: IC {base['ic']:.4f}, RankIC {base['rank_ic']:.4f}, mean of {report.n_judged:,} days. "
        f"{coverage['samples']:,} samples, {coverage['with_label']:,} with a label, on {coverage['days']:,} of "
        f"{coverage['days_in_segment']:,} days; {repeats} {'repeat' if repeats == 1 else 'repeats'}."
    )


def drop_figure(value: float) -> str:
    """Return a figure as people read it."""
    return "none" if value != value else f"{value:.5f}"  # noqa: PLR0124 - NaN alone differs from itself


def steps_back(n_steps: int) -> list[int]:
    """Return how many bars before the newest each step is, as a negative number."""
    return list(range(1 - n_steps, 1))
