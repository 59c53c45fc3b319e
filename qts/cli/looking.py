"""Commands that look into things: what a factor is and is worth, what a model is made of, what it looks at."""

from pathlib import Path
from typing import Annotated

import typer

from qts.cli.options import Format, Name, parse_day
from qts.cli.session import Session, command

group = typer.Typer()


@command(group, ("qts factors", "qts factors ROC5", "qts factors --format csv | head"), "qts operators")
def factors(session: Session, name: Name = None, format_: Format = None) -> None:
    """List the config's factors; with a name, its formula, lookback, null rule, SQL and, from the store, its worth."""
    from qts.pipeline.listing import describe_factor, list_factors
    from qts.rendering.texts import factor_text

    if name is None:
        session.show_rows("factors", list_factors(session.config()), format_)
    else:
        found = describe_factor(session.config(), name)
        session.show("factors", found, factor_text(found))


@command(
    group,
    ("qts models", "qts models gru", "qts models gru --summary --set model.hidden_size=128"),
    "qts train, qts explain",
    flags=("step_len",),
    before="format_",
)
def models(
    session: Session,
    name: Name = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Layers, shapes, parameters and FLOPs, as this config would build it.")
    ] = False,
    format_: Format = None,
) -> None:
    """List the architectures; with a name, its keys and what they mean; with --summary, its layers."""
    from qts.pipeline.listing import describe_model, list_models

    if summary or session.flags:
        _show_summary(session, name, format_)
        return
    session.show_rows("models", list_models() if name is None else describe_model(name), format_)


def _show_summary(session: Session, name: str | None, format_: str | None) -> None:
    from qts.pipeline.summary import summarise_model

    found = summarise_model(session.config({"model.name": name}))
    if session.json:
        session.show("models", {"rows": found.rows(), **found.totals()}, "")
        return
    with session.progress() as progress:
        for line in found.lines():
            progress.note(line)
    session.show_rows("models", found.rows(), format_)


@command(
    group,
    (
        "qts explain",
        "qts explain --families --days 60 --repeats 3",
        "qts explain 20250102T0900 --instrument SH600000 --day 2019-12-31 --out looks",
    ),
    "qts models, qts predict",
    flags=("device",),
    before="format_",
)
def explain(
    session: Session,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run, by name or the start of it; the latest if none.")
    ] = None,
    segment: Annotated[str, typer.Option("--segment", help="train, valid or test.")] = "valid",
    days: Annotated[int | None, typer.Option("--days", help="Only so many days, evenly spread.")] = None,
    repeats: Annotated[int, typer.Option("--repeats", help="How often each feature is permuted.")] = 1,
    families: Annotated[
        bool, typer.Option("--families", help="Permute features together whose names differ in their number alone.")
    ] = False,
    instrument: Annotated[str | None, typer.Option("--instrument", help="Show the attention of its window.")] = None,
    day: Annotated[str | None, typer.Option("--day", help="On that day; else its last of the segment.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the permutations.")] = 0,
    format_: Format = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write there, not to the run.")] = None,
) -> None:
    """Show what a run's scores lose without each feature, and which steps of a window it looks at."""
    from qts.pipeline.explain import explain_run
    from qts.rendering.explain import explain_rows, explain_summary
    from qts.rendering.explain_words import base_line, explain_title

    loaded = session.config()
    with session.progress() as progress:
        result = explain_run(
            loaded, progress, run=run, segment=segment, n_days=days, n_repeats=repeats, families=families,
            instrument=instrument, day=parse_day(day, "--day"), seed=seed, out=out,
        )  # fmt: skip
        for warning in result.report.warnings:
            progress.warn(warning)
        for note in (
            explain_title(result.report),
            base_line(result.report),
            *(f"wrote {file}" for file in result.files),
        ):
            progress.note(note)
    rows = explain_rows(result.report)
    payload = {"rows": rows, **explain_summary(result.report), "files": list(result.files)}
    session.show_result("explain", payload, rows, format_)
