"""An explanation of a run as rows, JSON, Markdown and a page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qts.evaluation.importance import AttendedWindow, Attention, ExplainReport
from qts.rendering.explain import explain_rows, explain_to_json, render_explain_markdown, write_explain_report
from qts.rendering.explain_words import DROP_FIGURES, drop_figure

N_DAYS, T = 11, 5
NAMES = ("WEAK", "STRONG", "<EMPTY>")


@pytest.fixture(scope="module")
def report() -> ExplainReport:
    rng = np.random.default_rng(8)
    drops = rng.normal([0.01, 0.2, np.nan], 0.01, size=(N_DAYS, 3, 3))
    rank_ic = rng.normal(0.3, 0.01, N_DAYS)
    days = np.arange("2024-02-26", N_DAYS, dtype="datetime64[D]")
    context = {"run": "r1", "model": "alstm", "segment": "valid", "repeats": 3, "note": "</script><b>"}
    coverage = {"samples": 77, "with_label": 70, "days": N_DAYS, "days_in_segment": 30}
    window = AttendedWindow("I7", "2024-03-01", (None, "a", "b", "c", "d"), np.full(T, 0.2))
    members = tuple((name,) for name in NAMES)
    return ExplainReport(
        NAMES, members, days, rank_ic / 2, rank_ic, drops / 2, drops, Attention.of(rng.dirichlet(np.ones(T), 20)),
        window, coverage, ("look out",), context,
    )  # fmt: skip


def test_rows_hold_every_figure_the_largest_drop_first(report: ExplainReport) -> None:
    rows = explain_rows(report)
    assert [row["feature"] for row in rows] == ["STRONG", "WEAK", "<EMPTY>"]
    assert set(rows[0]) == {"feature", *report.figures}
    assert rows[2]["rank_ic_drop"] is None


def test_rows_of_families_say_how_many_they_are(report: ExplainReport) -> None:
    families = replace(report, members=(("WEAK5", "WEAK10"), ("STRONG",), ("<EMPTY>",)))
    assert {row["feature"]: row["members"] for row in explain_rows(families)} == {"WEAK": 2, "STRONG": 1, "<EMPTY>": 1}
    assert explain_to_json(families)["members"] == {
        "WEAK": ["WEAK5", "WEAK10"],
        "STRONG": ["STRONG"],
        "<EMPTY>": ["<EMPTY>"],
    }


def test_every_figure_has_a_name_and_stands_in_every_format(report: ExplainReport, tmp_path: Path) -> None:
    assert set(DROP_FIGURES) == set(report.figures)
    page = write_explain_report(report, tmp_path)[2].read_text(encoding="utf-8")
    for text in (render_explain_markdown(report), page):
        for key, (name, about) in DROP_FIGURES.items():
            assert name in text
            assert about.replace("'", "&#x27;") in text or about in text
            assert drop_figure(float(report.figures[key][1])) in text
        assert "77 samples, 70 with a label, on 11 of 30 days; 3 repeats" in text
        assert "look out" in text
        assert "I7 on 2024-03-01" in text


def test_json_holds_the_daily_series_and_says_null_for_none(report: ExplainReport, tmp_path: Path) -> None:
    content = json.loads(write_explain_report(report, tmp_path)[0].read_text(), parse_constant=pytest.fail)
    assert content["schema"] == "qts.explain_report/1"
    assert content["rows"] == explain_rows(report)
    assert len(content["daily"]["rank_ic"]) == N_DAYS
    assert np.mean(content["daily"]["rank_ic_drop"]["STRONG"]) == pytest.approx(
        content["rows"][0]["rank_ic_drop"], abs=1e-5
    )
    assert content["daily"]["rank_ic_drop"]["<EMPTY>"] == [None] * N_DAYS
    assert content["attention"]["step"] == content["window"]["step"] == [-4, -3, -2, -1, 0]
    assert content["window"]["step_datetime"] == [None, "a", "b", "c", "d"]


def test_the_page_is_whole_and_asks_the_network_for_nothing(report: ExplainReport, tmp_path: Path) -> None:
    text = write_explain_report(report, tmp_path)[2].read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", text)
    assert text.count('class="plot"') == 3
    assert "</script><b>" not in text
    assert "<EMPTY>" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_a_model_without_attention_has_no_plot_of_it(report: ExplainReport, tmp_path: Path) -> None:
    bare = replace(report, attention=None, window=None)
    json_file, markdown, page = write_explain_report(bare, tmp_path)
    assert page.read_text(encoding="utf-8").count('class="plot"') == 1
    assert "Attention" not in markdown.read_text(encoding="utf-8")
    assert json.loads(json_file.read_text())["attention"] is None


def test_writing_twice_gives_the_same_bytes(report: ExplainReport, tmp_path: Path) -> None:
    first = [p.read_bytes() for p in write_explain_report(report, tmp_path / "a")]
    assert first == [p.read_bytes() for p in write_explain_report(report, tmp_path / "b")]
