"""A report of factors as rows, JSON, Markdown and a page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from qts.config import EvalConfig
from qts.errors import ConfigError
from qts.evaluation import FactorReport, MemberRows, evaluate_factors
from qts.rendering.factors import SORTS, factor_rows, factors_to_json, render_factors_markdown, write_factor_report
from qts.rendering.words import FACTOR_FIGURES, factor_figure

N_DAYS, N_INSTRUMENTS = 80, 12
NAMES = ("NOISE", "GOOD", "BAD", "<EMPTY>")


@pytest.fixture(scope="module")
def report() -> FactorReport:
    """BAD is GOOD upside down, so they are one cluster; NOISE stands alone."""
    rng = np.random.default_rng(8)
    instrument, day = np.repeat(np.arange(N_INSTRUMENTS), N_DAYS), np.tile(np.arange(N_DAYS), N_INSTRUMENTS)
    label = rng.normal(size=len(day)) / 50
    good = label + rng.normal(size=len(day)) / 20
    bad = rng.normal(size=len(day)) / 100 - good
    values = np.stack([rng.normal(size=len(day)), good, bad, np.full(len(day), np.nan)], axis=1)
    rows = MemberRows(np.arange("2023-11-20", N_DAYS, dtype="datetime64[D]"), instrument, day, label)
    context = {"segment": "valid", "label": "Ref($close, -2)/$close - 1", "label_ahead": 2, "note": "</script><b>"}
    return evaluate_factors(rows, [(NAMES, values)], EvalConfig(), context=context)


def test_rows_hold_every_figure_and_name_the_leader_of_the_cluster(report: FactorReport) -> None:
    rows = {row["factor"]: row for row in factor_rows(report)}
    assert set(rows["GOOD"]) == {"factor", "cluster", "leader", *report.figures}
    assert rows["GOOD"]["cluster"] == rows["BAD"]["cluster"] == 1
    assert rows["GOOD"]["leader"] == rows["BAD"]["leader"] == next(iter(rows))
    assert rows["NOISE"]["leader"] == "NOISE"
    assert rows["<EMPTY>"]["rank_ic"] is None


def test_the_largest_come_first_whatever_their_sign_and_those_without_a_figure_last(report: FactorReport) -> None:
    for sort in set(SORTS) - {"factor", "cluster", "coverage", "n_days"}:
        rows = factor_rows(report, sort)
        sizes = [abs(row[sort]) for row in rows if row[sort] is not None]  # type: ignore[arg-type]
        assert sizes == sorted(sizes, reverse=True)
        assert rows[-1]["factor"] == "<EMPTY>"


def test_names_and_clusters_are_sorted_upward(report: FactorReport) -> None:
    assert [row["factor"] for row in factor_rows(report, "factor")] == sorted(NAMES)
    assert [row["cluster"] for row in factor_rows(report, "cluster")] == [1, 1, 2, 3]


def test_an_unknown_sort_is_refused_with_the_nearest() -> None:
    from qts.rendering.factors import check_sort

    with pytest.raises(ConfigError, match="cannot be sorted by") as refused:
        check_sort("rankicir")
    assert refused.value.hint == 'did you mean "rank_icir"?'


def test_every_figure_has_a_name_and_stands_in_every_format(report: FactorReport, tmp_path: Path) -> None:
    assert set(FACTOR_FIGURES) == set(report.figures)
    page = write_factor_report(report, tmp_path)[2].read_text(encoding="utf-8")
    for text in (render_factors_markdown(report), page):
        for key, (name, about) in FACTOR_FIGURES.items():
            assert name in text
            assert about.replace("'", "&#x27;") in text or about in text
            assert factor_figure(key, float(report.figures[key][1])) in text
        assert "80 of 80 days" in text


def test_json_holds_the_matrix_and_the_years_and_says_null_for_none(report: FactorReport, tmp_path: Path) -> None:
    content = json.loads(write_factor_report(report, tmp_path)[0].read_text(), parse_constant=pytest.fail)
    assert content["schema"] == "qts.factor_report/1"
    assert content["rows"] == factor_rows(report)
    assert content["correlation"]["factors"] == list(NAMES)
    assert content["correlation"]["matrix"][1][2] == pytest.approx(report.correlation[1, 2])
    assert content["correlation"]["matrix"][3] == [None] * 4
    assert content["rank_ic_by_year"]["years"] == [2023, 2024]
    assert np.shape(content["rank_ic_by_year"]["table"]) == (2, 4)
    assert set(factors_to_json(report)) == set(content)


def test_the_page_is_whole_and_asks_the_network_for_nothing(report: FactorReport, tmp_path: Path) -> None:
    text = write_factor_report(report, tmp_path)[2].read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", text)
    assert text.count('class="plot"') == 4
    assert "</script><b>" not in text
    assert "<EMPTY>" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_writing_twice_gives_the_same_bytes(report: FactorReport, tmp_path: Path) -> None:
    first = [p.read_bytes() for p in write_factor_report(report, tmp_path / "a")]
    assert first == [p.read_bytes() for p in write_factor_report(report, tmp_path / "b")]
    assert [p.name for p in (tmp_path / "a").iterdir() if p.name.startswith(".")] == []
