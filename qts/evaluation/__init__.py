"""What scores are worth: IC family, long-short, quantile returns; results are data, drawing is elsewhere."""

from qts.evaluation.ic import daily_ic, summarise
from qts.evaluation.report import EvalReport, evaluate_scores

__all__ = ["EvalReport", "daily_ic", "evaluate_scores", "summarise"]
