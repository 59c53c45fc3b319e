"""A document with every kind of block, and how each of its cells is read."""

import numpy as np

from qts.rendering.document import Chapter, Column, Document, Figure, Plot, Sheet, Trace

N_DAYS = 45
DAYS = np.arange("2023-11-20", N_DAYS, dtype="datetime64[D]")
RANK_IC = np.round(np.sin(np.arange(N_DAYS)) / 10, 9)
GAP = 7
"""A day without a RankIC."""
RANK_IC[GAP] = np.nan
HOSTILE = "</script><b>&|*"
"""Text that breaks pages that trust it."""

SHEET = Sheet(
    "figures",
    (Column("figure", "figure", "text"), Column("value", "value"), Column("since", "since", "day")),
    [
        {"figure": "RankIC", "value": 0.041239, "since": np.datetime64("2023-11-20"), "about": "Spearman's | by day"},
        {"figure": "Return", "value": -0.21344, "kind": "percent", "since": None},
        {"figure": "Orders", "value": np.int64(1234567), "kind": "integer"},
        {"figure": "Cost", "value": np.float32(12.25), "kind": "bps"},
        {"figure": "Sharpe", "value": float("nan"), "kind": "ratio"},
        {"figure": HOSTILE, "value": 123456.78},
    ],
    title="Figures",
    about="One a line.",
)
SHEET_TEXTS = ("0.04124", "2023-11-20", "Spearman's", "-21.34 %", "1,234,567", "12.2", "123,457")
"""What people read in it."""

LINES = Plot(
    "cumulative", "Cumulative RankIC", {"datetime": DAYS, "rank_ic": RANK_IC, "low": RANK_IC - 0.05, "high": RANK_IC + 0.05},
    "datetime", (Trace("95 % band", "low", "band", to="high", colour=0), Trace("RankIC", "rank_ic", colour=0)), kind="fixed",
)  # fmt: skip
AREA = Plot(
    "fall",
    "Drawdown",
    {"datetime": DAYS, "fall": -np.abs(RANK_IC)},
    "datetime",
    (Trace("fall", "fall", "area"),),
    kind="percent",
)
BARS = Plot(
    "groups", "Mean by group", {"group": [1, 2, 3], "mean": [0.0021, 0.0, None], "error": [0.0003, 0.0004, None]}, "group",
    (Trace("mean", "mean", "bar", error="error"),), kind="percent", x_title="score group",
)  # fmt: skip
BARS_TEXTS = ("0.21 %", "0.03 %", "0.04 %", "score group")
NAMED = Plot(
    "industries", "RankIC by industry", {"name": ["Banks", "Electrical equipment"], "mean": [0.03, -0.01]}, "name",
    (Trace("RankIC", "mean", "bar"),), kind="fixed",
)  # fmt: skip
LOG = Plot(
    "growth", "Growth", {"datetime": DAYS, **{f"group_{at}": np.exp(RANK_IC * at) for at in range(1, 11)}}, "datetime",
    tuple(Trace(f"group {at}", f"group_{at}") for at in range(1, 11)), kind="ratio", is_log=True, is_ordered=True,
)  # fmt: skip
SPREAD = Plot(
    "spread", "Spread of RankIC", {"rank_ic": RANK_IC}, "", (Trace("RankIC", "rank_ic", "histogram"),), kind="fixed"
)
HEAT = Plot(
    "months", "RankIC by month",
    {"year": ["2023", "2023", "2024", "2024"], "month": ["Nov", "Dec", "Nov", "Dec"], "value": [0.0123, -0.0456, 0.0789, None]},
    "month", z="value", rows="year", kind="fixed",
)  # fmt: skip
HEAT_TEXTS = ("0.0123", "-0.0456", "0.0789")
PLOTS = (LINES, AREA, BARS, NAMED, LOG, SPREAD, HEAT)

DOCUMENT = Document(
    "qts.report/2",
    f"gru, seed 3 {HOSTILE}",
    (
        Chapter("First chapter", (SHEET, LINES, AREA, BARS), "How it begins."),
        Chapter("Second chapter", (NAMED, LOG, "A paragraph.", SPREAD, HEAT)),
    ),
    warnings=("Scores are missing.", "The span is short."),
    verdicts=("The scores sort names.",),
    timeline="A score of day t is judged by Ref($close, -2)/Ref($close, -1) - 1.",
    context={"run": "gru-3", "config": {"model": {"hidden": 64}}, "seeds": [3, 4], "qts_version": "9.8.7"},
    summary={"rank_ic": 0.041239, "sharpe": float("nan")},
    headline=(
        Figure("RankIC", 0.041239, note="t 5.2"), Figure("Return a year", -0.21344, "percent"), Figure("Sharpe", float("nan")),
    ),
)  # fmt: skip
