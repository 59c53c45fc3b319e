"""The page in a real browser: draws every plot, on a phone and a screen, light and dark, printed, with its data to take along."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from qts.rendering.document import Chapter, Document, Plot, Trace
from qts.rendering.html import embed, page, render_html
from tests.made_up_document import DOCUMENT, HOSTILE, N_DAYS, PLOTS

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium")

PHONE, SCREEN = 390, 1200

COLLECT = """<script>
window.problems = [], window.taken = {};
addEventListener('error', event => problems.push(event.message));
addEventListener('securitypolicyviolation', event => problems.push(event.violatedDirective + ' ' + event.blockedURI));
URL.createObjectURL = blob => { window.blob = blob; return 'blob:none'; };
HTMLAnchorElement.prototype.click = function () { taken[this.download] = window.blob.text(); };
</script>"""

PROBE = """<script>
const places = () => Object.fromEntries([...document.querySelectorAll('.plot')].map(place => [place.id, {
  svgs: place.querySelectorAll('.main-svg').length, label: place.getAttribute('aria-label'),
  marks: place.querySelectorAll('.scatterlayer path, .barlayer path, .heatmaplayer image').length,
  errors: place.querySelectorAll('.errorbar path[d^=M]').length, written: place.querySelectorAll('.heatmap-label').length,
  ink: getComputedStyle(place.querySelector('.xtick text')).fill,
  width: place.querySelector('.main-svg').clientWidth,
}]));
const state = () => ({
  links: document.querySelectorAll('.plot svg a').length,
  texts: [...document.querySelectorAll('.plot svg text')].map(text => text.textContent),
  theme: document.documentElement.dataset.theme, plots: places(), closed: document.querySelectorAll('details:not([open])').length,
});
addEventListener('load', async () => {
  const before = state();
  document.querySelectorAll('.take').forEach(button => button.click());
  document.getElementById('theme').click();
  const toggled = state();
  document.getElementById('theme').click();
  dispatchEvent(new Event('beforeprint'));
  const printed = state();
  dispatchEvent(new Event('afterprint'));
  const files = Object.fromEntries(await Promise.all(Object.entries(taken).map(async ([name, text]) => [name, await text])));
  parent.postMessage({
    width: innerWidth, overflow: document.documentElement.scrollWidth - innerWidth, files, problems,
    before, toggled, printed, after: state(), asked: performance.getEntriesByType('resource').length,
  }, '*');
});
</script>"""


def look_at(folder: Path, html: str, *flags: str) -> tuple[dict[int, Any], str]:
    """Return what a page says of itself at each width, and what the browser complained of."""
    probed = html.replace("<head>", f"<head>{COLLECT}").replace("</body>", f"{PROBE}</body>")
    folder.joinpath("page.html").write_text(probed, encoding="utf-8")
    frames = "".join(
        f'<iframe src="page.html" style="width: {width}px; height: 800px"></iframe>' for width in (PHONE, SCREEN)
    )
    folder.joinpath("frames.html").write_text(
        "<body><script>addEventListener('message', event => { const said = document.createElement('pre');"
        f"said.textContent = JSON.stringify(event.data); document.body.append(said); }})</script>{frames}</body>"
    )
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000",
        "--enable-logging=stderr", "--v=0", "--window-size=1700,1000", *flags, "--dump-dom", (folder / "frames.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True)
    said = [json.loads(unescape(text)) for text in re.findall("<pre>(.*?)</pre>", done.stdout, flags=re.DOTALL)]
    return {view["width"]: view for view in said}, "\n".join(
        line for line in done.stderr.splitlines() if "CONSOLE" in line
    )


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    found, console = look_at(tmp_path_factory.mktemp("light"), render_html(DOCUMENT))
    assert console == ""
    assert set(found) == {PHONE, SCREEN}
    return found


@pytest.mark.parametrize("width", [PHONE, SCREEN])
def test_every_plot_is_drawn_without_an_error_or_a_question_to_the_network(views: dict[int, Any], width: int) -> None:
    view = views[width]
    assert view["problems"] == []
    assert view["asked"] == 0
    plots = view["before"]["plots"]
    assert {key: plot["label"] for key, plot in plots.items()} == {plot.key: plot.title for plot in PLOTS}
    assert all(plot["svgs"] and plot["marks"] for plot in plots.values())
    assert plots["growth"]["marks"] >= 10
    assert plots["groups"]["errors"] == 2
    assert plots["months"]["written"] == 3


def test_nothing_is_wider_than_a_phone(views: dict[int, Any]) -> None:
    assert views[PHONE]["overflow"] <= 0
    assert all(plot["width"] <= PHONE for plot in views[PHONE]["before"]["plots"].values())


def test_two_plots_share_the_width_of_a_screen(views: dict[int, Any]) -> None:
    widths = {key: plot["width"] for key, plot in views[SCREEN]["before"]["plots"].items()}
    assert widths["cumulative"] > 1.9 * widths["fall"]
    assert widths["fall"] == widths["groups"]


def test_the_button_changes_the_theme_and_all_that_is_written_in_plots(views: dict[int, Any]) -> None:
    view = views[SCREEN]
    assert (view["before"]["theme"], view["toggled"]["theme"]) == ("light", "dark")
    for key, plot in view["before"]["plots"].items():
        assert plot["ink"] != view["toggled"]["plots"][key]["ink"]


def test_paper_is_light_and_as_wide_as_it_is_and_hides_nothing(views: dict[int, Any]) -> None:
    view = views[SCREEN]
    assert (view["before"]["closed"], view["printed"]["closed"]) == (2, 0)
    assert all(plot["marks"] for plot in view["printed"]["plots"].values())
    assert {plot["width"] for plot in view["printed"]["plots"].values()} == {720}
    assert view["after"] == view["before"]


def test_every_table_and_plot_can_be_taken_along(views: dict[int, Any]) -> None:
    files = views[SCREEN]["files"]
    assert set(files) == {
        f"{key}.{form}" for key in ("figures", *(plot.key for plot in PLOTS)) for form in ("csv", "json")
    }
    assert files["groups.csv"] == "group,mean,error\n1,0.0021,0.0003\n2,0,0.0004\n3,,\n"
    assert json.loads(files["groups.json"])[2] == {"group": 3, "mean": None, "error": None}
    assert len(json.loads(files["cumulative.json"])) == N_DAYS
    assert files["figures.csv"].splitlines()[2] == "Return,-0.21344,"
    assert json.loads(files["figures.json"])[5]["figure"] == HOSTILE


def test_who_prefers_the_dark_gets_it_also_for_plots_made_elsewhere(tmp_path: Path) -> None:
    import plotly.graph_objects as go

    body = [embed(go.Figure(go.Scatter(x=[1, 2], y=[3, 5])), "own")]
    found, console = look_at(tmp_path, page("ready-made", body), "--blink-settings=preferredColorScheme=0")
    view = found[SCREEN]
    assert console == ""
    assert view["problems"] == []
    assert (view["before"]["theme"], view["printed"]["theme"], view["after"]["theme"]) == ("dark", "light", "dark")
    assert view["before"]["plots"]["own"]["marks"]
    assert view["before"]["plots"]["own"]["ink"] == "rgb(227, 231, 234)"


def test_a_name_in_a_plot_makes_no_link_and_no_markup(tmp_path: Path) -> None:
    name = '<a href="https://example.org">&lt;b> &</a>'
    data = {"name": [name, "other"], "value": [1.0, 2.0], "across": ["x", name]}
    bars = Plot("bars", name, data, "name", (Trace(name, "value", "bar"), Trace("two", "value", "bar")), x_title=name)
    heat = Plot("heat", name, data, "across", z="value", rows="name")
    figure = go.Figure(go.Bar(x=[name], y=[1.0], name=name))
    document = Document("qts.report/2", name, (Chapter(name, (bars, heat)),))
    html = render_html(document).replace("</main>", embed(figure, "own") + "</main>")
    view = look_at(tmp_path, html)[0][SCREEN]
    assert view["problems"] == []
    assert view["before"]["links"] == 0
    assert view["before"]["texts"].count(name) >= 3
