"""What scores and factors are worth: every figure as data; drawing is elsewhere."""

from qts.evaluation.drift import find_drift
from qts.evaluation.factors import FactorReport, MemberRows, evaluate_factors
from qts.evaluation.ic import daily_ic, summarise
from qts.evaluation.report import evaluate_signal
from qts.evaluation.results import EvalReport
from qts.evaluation.signal import Prices, Signal

__all__ = [
    "EvalReport",
    "FactorReport",
    "MemberRows",
    "Prices",
    "Signal",
    "daily_ic",
    "evaluate_factors",
    "evaluate_signal",
    "find_drift",
    "summarise",
]
