"""Commands about runs: runs list, runs show, runs compare, runs pin, leaderboard."""

from pathlib import Path
from typing import Annotated

import typer

from qts.cli.options import Format, Run
from qts.cli.session import Session, command

runs_group = typer.Typer(help="List, show, compare and pin runs.", no_args_is_help=True)
group = typer.Typer()

Folder = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of a report; none if none.")]


@command(
    runs_group, ("qts runs list", "qts runs list --format csv", "qts runs list --json"), "qts leaderboard, qts status"
)
def list_(session: Session, format_: Format = None) -> None:
    """List what was trained, on which data, and how it did."""
    from qts.pipeline.runs import BRIEF, list_runs

    rows = list_runs(session.config())
    if session.draws_table(format_):
        rows = [{name: _short(row[name]) for name in BRIEF} for row in rows]
    session.show_rows("runs_list", rows, format_)


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


@command(runs_group, ("qts runs show", "qts runs show --run 20261120T", "qts runs show --json"), "qts report")
def show(session: Session, run: Run = None) -> None:
    """Show a run: model, features, segments, training, figures, versions, and the files in its folder."""
    from qts.pipeline.runs import show_run
    from qts.rendering.texts import run_text

    found = show_run(session.config(), run)
    session.show("runs_show", found, run_text(found))


@command(
    runs_group,
    ("qts runs compare 20261120T0 20261121T1", "qts runs compare A B --json", "qts runs compare A B --out a-or-b"),
    "qts report A B",
)
def compare(
    session: Session,
    first: Annotated[str, typer.Argument(help="A run.")],
    second: Annotated[str, typer.Argument(help="Another.")],
    out: Folder = None,
) -> None:
    """Say whether the second run is better than the first, how surely, and what differs between them."""
    from qts.pipeline.compare import compare_runs
    from qts.rendering.report import document_lines, document_to_json, write_report

    with session.progress() as progress:
        document = compare_runs(session.config(), progress, first, second)
    files = write_report(document, out) if out else ()
    lines = [*document_lines(document), *(f"wrote {file}" for file in files)]
    session.show("runs_compare", {**document_to_json(document), "files": list(files)}, "\n".join(lines))


@command(runs_group, ("qts runs pin 20261120T", "qts runs pin", "qts runs pin --json"), "qts nightly, qts runs list")
def pin(
    session: Session,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run, by name or the start of it; none shows what is pinned.")
    ] = None,
) -> None:
    """Pin the run whose scores qts nightly publishes; what its test segment shows is what they are held against."""
    from qts.rendering.nights import pin_text

    loaded = session.config()
    if run is None:
        from qts.pipeline.pinned import read_pin

        payload = vars(read_pin(loaded))
    else:
        from qts.pipeline.pinning import pin_run

        with session.progress() as progress:
            payload = vars(pin_run(loaded, progress, run))
    session.show("runs_pin", payload, pin_text(payload))


@command(group, ("qts leaderboard", "qts leaderboard --format csv", "qts leaderboard --out board"), "qts runs list")
def leaderboard(session: Session, format_: Format = None, out: Folder = None) -> None:
    """Rank models by the test segments of their runs: mean ± deviation over seeds, and what many trials make of it."""
    from qts.pipeline.leaderboard import make_leaderboard
    from qts.rendering.leaderboard import table_rows
    from qts.rendering.report import write_report

    with session.progress() as progress:
        rows, document = make_leaderboard(session.config(), progress)
        files = write_report(document, out) if out else ()
        for line in (*document.warnings, *(f"wrote {file}" for file in files)):
            progress.note(line)
    if session.draws_table(format_):
        rows = table_rows(rows)
    session.show_rows("leaderboard", rows, format_)
