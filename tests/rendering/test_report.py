"""A report three times: the same figures in JSON, Markdown and HTML, which needs no network."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from qts.config import EvalConfig
from qts.evaluation import EvalReport, evaluate_scores
from qts.rendering.html import render_html
from qts.rendering.markdown import render_markdown
from qts.rendering.report import report_to_json, write_report
from qts.rendering.words import FIGURES, figure


@pytest.fixture(scope="module")
def report() -> EvalReport:
    rng = np.random.default_rng(4)
    days = np.repeat(np.arange("2023-11-01", 90, dtype="datetime64[D]"), 12)
    score = rng.normal(size=len(days))
    label = 0.01 * score + 0.05 * rng.normal(size=len(days))
    label[days == np.datetime64("2023-12-05")] = np.nan
    context = {
        "model": "gru",
        "seed": 3,
        "label": "Ref($close, -2)/$close - 1",
        "label_ahead": 2,
        "note": "</script><b>",
    }
    return evaluate_scores(days, score, label, EvalConfig(), context=context)


def test_every_figure_has_a_name_and_stands_in_every_format(report: EvalReport) -> None:
    assert set(FIGURES) == set(report.summary)
    for text in (render_markdown(report), render_html(report)):
        for key, (name, _) in FIGURES.items():
            assert name in text
            assert figure(key, report.summary[key]) in text


def test_json_holds_every_day_and_says_null_for_none(report: EvalReport) -> None:
    content = json.loads(json.dumps(report_to_json(report)))
    assert content["schema"] == "qts.report/1"
    assert len(content["daily"]["datetime"]) == 90
    gap = content["daily"]["datetime"].index("2023-12-05")
    assert content["daily"]["ic"][gap] is None
    assert content["summary"]["rank_ic"] == report.summary["rank_ic"]


def test_the_page_is_whole_small_and_asks_the_network_for_nothing(report: EvalReport, tmp_path: Path) -> None:
    page = write_report(report, tmp_path)[2]
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 6e6
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", text)
    assert text.count('class="plot"') == 4
    assert "</script><b>" not in text


def test_writing_twice_gives_the_same_bytes(report: EvalReport, tmp_path: Path) -> None:
    first = [p.read_bytes() for p in write_report(report, tmp_path / "a")]
    assert first == [p.read_bytes() for p in write_report(report, tmp_path / "b")]
