"""A document three times: the same content in JSON, Markdown and HTML, which needs no network."""

import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qts.errors import QtsError
from qts.rendering.document import Chapter, Column, Document, Plot, Sheet, Trace
from qts.rendering.html import render_html
from qts.rendering.markdown import render_markdown
from qts.rendering.report import REPORT_SCHEMA, document_lines, document_to_json, write_report
from tests.made_up_document import BARS_TEXTS, DOCUMENT, GAP, HEAT_TEXTS, HOSTILE, N_DAYS, PLOTS, RANK_IC, SHEET_TEXTS


@pytest.fixture(scope="module")
def page() -> str:
    return render_html(DOCUMENT)


@pytest.fixture(scope="module")
def markdown() -> str:
    return render_markdown(DOCUMENT)


def seen(page: str) -> str:
    """The text of a page as its reader sees it, a line a tag."""
    return unescape(re.sub(r"<[^>]*>", "\n", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)))


def data_of(page: str) -> Any:
    return json.loads(re.findall(r'id="page-data">(.*?)</script>', page, flags=re.DOTALL)[0])


def test_all_that_people_read_stands_in_page_and_markdown(page: str, markdown: str) -> None:
    told = [
        *(*DOCUMENT.warnings, *DOCUMENT.verdicts, DOCUMENT.timeline, "First chapter", "How it begins.", "A paragraph."),
        *("Figures", "One a line.", *SHEET_TEXTS, "t 5.2", "0.0412", "-21.34 %"),
        *(plot.title for plot in PLOTS),
        *("model.hidden", "64", "3, 4", "9.8.7"),
    ]
    for text in told:
        assert text in markdown
        assert text in seen(page)


def test_warnings_come_first(page: str, markdown: str) -> None:
    assert page.index("Scores are missing.") < page.index("<h1>")
    assert markdown.splitlines()[2] == "> **Warning:** Scores are missing."
    assert document_lines(DOCUMENT)[1] == "warning: Scores are missing."


def test_markdown_writes_plots_of_few_points_out_and_says_what_others_come_to(markdown: str) -> None:
    assert all(text in markdown for text in (*BARS_TEXTS, *HEAT_TEXTS))
    low, high = np.nanmin(RANK_IC), np.nanmax(RANK_IC)
    assert (
        f"| RankIC | {N_DAYS - 1} | 0.0000 | 0.0018 | {low:.4f} | {np.nanmean(RANK_IC):.4f} | {high:.4f} |" in markdown
    )
    assert "From 2023-11-20 to 2024-01-03; all points are in the JSON report: `cumulative`." in markdown


def test_every_table_of_markdown_has_as_many_cells_in_each_line(markdown: str) -> None:
    tables = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2 + len(PLOTS)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_json_holds_raw_values_and_says_null_for_none() -> None:
    content = document_to_json(DOCUMENT)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    table, lines, *_ = content["chapters"][0]["blocks"]
    assert table["rows"][0] == {
        "figure": "RankIC",
        "value": 0.041239,
        "since": "2023-11-20",
        "about": "Spearman's | by day",
    }
    assert table["rows"][4] == {"figure": "Sharpe", "value": None, "since": None, "kind": "ratio"}
    assert lines["data"]["rank_ic"] == [None if at == GAP else value for at, value in enumerate(RANK_IC.tolist())]
    assert lines["data"]["datetime"][-1] == "2024-01-03"
    assert content["summary"] == {"rank_ic": 0.041239, "sharpe": None}
    assert content["context"] == DOCUMENT.context


def test_json_keeps_its_schema() -> None:
    assert list(problems(document_to_json(DOCUMENT), REPORT_SCHEMA)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": "report"}, "$.schema: pattern"),
        ({"warnings": "none"}, "$.warnings: type"),
        ({"headline": [{"name": "IC", "value": 1, "kind": "fixed"}]}, "$.headline[0]: note is missing"),
        ({"extra": 1}, "$: extra is unknown"),
        ({"chapters": [{"title": "", "about": "", "blocks": [{"kind": "song"}]}]}, "$.chapters[0].blocks[0]: anyOf"),
    ],
)
def test_the_schema_refuses_what_is_no_report(change: dict[str, Any], problem: str) -> None:
    assert problem in list(problems({**document_to_json(DOCUMENT), **change}, REPORT_SCHEMA))


def problems(value: Any, schema: dict[str, Any], where: str = "$") -> Any:
    """What of a value is against a schema, in the few words of JSON Schema that ours uses."""
    types = {
        "string": str,
        "number": int | float,
        "integer": int,
        "boolean": bool,
        "null": type(None),
        "array": list,
        "object": dict,
    }
    schema = REPORT_SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    allowed = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", list(types))
    if not any(isinstance(value, types[name]) for name in allowed):
        yield f"{where}: type"
        return
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{where}: value"
    if not re.search(schema.get("pattern", ""), value if isinstance(value, str) else ""):
        yield f"{where}: pattern"
    if "anyOf" in schema and all(any(problems(value, one, where)) for one in schema["anyOf"]):
        yield f"{where}: anyOf"
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from problems(item, schema.get("items", {}), f"{where}[{at}]")
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
        yield from (f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value)
        for name, inner in value.items():
            if name not in known and other is False:
                yield f"{where}: {name} is unknown"
            else:
                yield from problems(inner, known.get(name, other), f"{where}.{name}")


def test_the_page_is_whole_small_and_asks_the_network_for_nothing(page: str) -> None:
    assert len(page.encode()) < 5.2e6
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page)
    assert "default-src 'none'" in page
    assert page.count('class="plot"') == len(PLOTS)
    assert seen(page).count("CSV") == seen(page).count("JSON") == len(PLOTS) + 1


def test_nothing_hostile_gets_out_of_its_place(page: str, markdown: str) -> None:
    assert HOSTILE not in page
    assert escape(DOCUMENT.title) in page
    assert HOSTILE in data_of(page)["columns"][data_of(page)["blocks"]["figures"]["figure"]]
    assert "</script>" not in markdown.replace(r"\<", "")


def test_markdown_of_hostile_origins_stays_a_list() -> None:
    context = {"note": "x\n\n# Heading", "label|a": "a*b*c <b>"}
    origin = render_markdown(Document("qts.report/2", "t", (), context=context)).split("## Origin\n\n")[1]
    assert origin == "- note: x # Heading\n- label\\|a: a\\*b\\*c \\<b>\n"


def test_the_page_holds_each_column_once_and_plots_with_five_digits(page: str) -> None:
    data = data_of(page)
    place = data["blocks"]["cumulative"]
    assert place["datetime"] == data["blocks"]["fall"]["datetime"] == data["blocks"]["growth"]["datetime"]
    assert place["rank_ic"] == data["blocks"]["spread"]["rank_ic"]
    column = data["columns"][place["rank_ic"]]
    assert column == [None if at == GAP else float(f"{value:.5g}") for at, value in enumerate(RANK_IC)]


def test_axes_are_days_names_or_numbers(page: str) -> None:
    types = {key: plot["x_type"] for key, plot in data_of(page)["plots"].items()}
    assert types["cumulative"] == "date"
    assert types["groups"] == types["industries"] == "category"
    bins = Plot("b", "", {"x": [0.1, 0.2], "n": [1, 2]}, "x", (Trace("n", "n", "bar"),))
    line = Plot("l", "", {"x": [1, 2], "n": [1, 2]}, "x", (Trace("n", "n"),))
    other = data_of(render_html(Document("qts.report/2", "", (Chapter("", (bins, line)),))))
    assert {plot["x_type"] for plot in other["plots"].values()} == {"linear"}


def test_plots_of_many_years_fit_into_six_megabytes() -> None:
    rng = np.random.default_rng(5)
    days = np.arange("2010-01-01", 2500, dtype="datetime64[D]")
    plots = tuple(
        Plot(f"p{at}", "", {"datetime": days, "a": rng.normal(size=2500), "b": rng.normal(size=2500)}, "datetime",
             (Trace("a", "a"), Trace("b", "b")))
        for at in range(20)
    )  # fmt: skip
    assert len(render_html(Document("qts.report/2", "", (Chapter("", plots),))).encode()) < 6e6


def test_a_document_of_nothing_is_a_page_too() -> None:
    empty = Document(
        "qts.report/2",
        "nothing",
        (
            Chapter(
                "", (Sheet("s", (Column("a", "a"),), []), Plot("p", "", {"x": [], "y": []}, "x", (Trace("y", "y"),)))
            ),
        ),
    )
    assert "nothing" in seen(render_html(empty))
    assert render_markdown(empty).startswith("# nothing")
    assert list(problems(document_to_json(empty), REPORT_SCHEMA)) == []
    assert document_lines(empty) == ["nothing", "  a"]


def test_a_terminal_gets_what_matters_most() -> None:
    assert document_lines(DOCUMENT) == [
        DOCUMENT.title,
        "warning: Scores are missing.",
        "warning: The span is short.",
        "The scores sort names.",
        "  RankIC           0.0412  t 5.2",
        "  Return a year  -21.34 %",
        "  Sharpe             none",
    ]


def test_a_terminal_gets_the_first_table_where_there_is_no_headline() -> None:
    rows = [{"figure": "IC", "value": 0.5, "about": "long"}, {"figure": "Days", "value": 12, "kind": "integer"}]
    sheet = Sheet("s", (Column("figure", "figure", "text"), Column("value", "value")), rows)
    document = Document("qts.report/2", "t", (Chapter("", (sheet,)),))
    assert document_lines(document) == ["t", "  figure  value", "  IC        0.5", "  Days       12"]


def test_writing_twice_gives_the_same_bytes_and_nothing_else(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(DOCUMENT, tmp_path, "walk")]
    assert first == [path.read_bytes() for path in write_report(DOCUMENT, tmp_path, "walk")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.html", "walk.json", "walk.md"]
    assert json.loads(first[0]) == document_to_json(DOCUMENT)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(QtsError, match="cannot write the report"):
        write_report(DOCUMENT, tmp_path / "taken")
