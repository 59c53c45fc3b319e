"""What scores are worth: IC family, long-short, quantile returns; results are data, drawing is elsewhere."""

from qts.evaluation.factors import FactorReport, MemberRows, evaluate_factors
from qts.evaluation.ic import daily_ic, summarise
from qts.evaluation.report import EvalReport, evaluate_scores

__all__ = ["EvalReport", "FactorReport", "MemberRows", "daily_ic", "evaluate_factors", "evaluate_scores", "summarise"]
