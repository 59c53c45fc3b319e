"""Commands that judge and take stock: eval, run, status."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qts.cli.options import TRAINING, Format, Run, Wait, parse_day
from qts.cli.session import Session, command
from qts.errors import ConfigError

if TYPE_CHECKING:
    from datetime import date

    from qts.evaluation import EvalReport

group = typer.Typer()


@command(
    group,
    ("qts eval", "qts eval --scores other-tool.csv", "qts eval --factors --segment train --out factors"),
    "qts predict, qts factors",
)
def eval_(
    session: Session,
    run: Run = None,
    scores: Annotated[
        Path | None, typer.Option("--scores", help="A Parquet or CSV with instrument, datetime, score.")
    ] = None,
    factors: Annotated[bool, typer.Option("--factors", help="Judge the store's raw factors, one a row.")] = False,
    segment: Annotated[
        str | None, typer.Option("--segment", help="Of --factors: train, valid or test; valid if none.")
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="Of --factors: first day.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Of --factors: last day.")] = None,
    sort: Annotated[str | None, typer.Option("--sort", help="Of --factors: a column; rank_icir if none.")] = None,
    format_: Annotated[
        str | None, typer.Option("--format", "-f", help="Of --factors: table, csv, json, jsonl or parquet.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the report; else the run's, or none with --factors.")
    ] = None,
) -> None:
    """Evaluate scores against the raw label: IC, ICIR, RankIC, RankICIR, long-short; writes a report."""
    from qts.pipeline.evaluate import evaluate

    if factors:
        if run or scores:
            raise ConfigError("--factors judges the store's factors; --run and --scores name scores")
        first, last = parse_day(start, "--start"), parse_day(end, "--end")
        _eval_factors(session, segment, first, last, sort or "rank_icir", format_, out)
        return
    given = {"--segment": segment, "--start": start, "--end": end, "--sort": sort, "--format": format_}
    for flag, value in given.items():
        if value is not None:
            raise ConfigError(f"{flag} belongs to --factors", hint="qts predict takes spans of scores")
    with session.progress() as progress:
        result = evaluate(session.config(), progress, run=run, scores=scores, out=out)
    _show_report(session, "eval", result.report, result.files)


def _eval_factors(
    session: Session,
    segment: str | None,
    first: "date | None",
    last: "date | None",
    sort: str,
    format_: str | None,
    out: Path | None,
) -> None:
    from qts.pipeline.factor_report import report_factors
    from qts.rendering.factors import check_sort, factor_rows, factor_summary

    check_sort(sort)
    with session.progress() as progress:
        result = report_factors(session.config(), progress, segment=segment, first=first, last=last, out=out)
        for warning in result.report.warnings:
            progress.warn(warning)
        notes, payload = factor_summary(result.report)
        for note in (*notes, *(f"wrote {file}" for file in result.files)):
            progress.note(note)
    rows = factor_rows(result.report, sort)
    if session.json:
        session.show("eval", {"rows": rows, **payload, "files": list(result.files)}, "")
    else:
        session.show_rows("eval", rows, format_)


def _show_report(
    session: Session, name: str, report: "EvalReport", files: tuple[Path, ...], extra: dict[str, Any] | None = None
) -> None:
    from qts.rendering.report import report_to_json
    from qts.rendering.words import report_lines

    content = report_to_json(report)
    payload = {
        **{key: content[key] for key in ("summary", "coverage", "warnings", "context")},
        "files": list(files),
        **(extra or {}),
    }
    session.show(name, payload, "\n".join([*report_lines(report), *(f"wrote {file}" for file in files)]))


@command(
    group,
    ("qts run", "qts run --config sample_data/qts.toml", "qts run --model lstm --seed 1"),
    "qts status",
    flags=TRAINING,
)
def run(session: Session, wait: Wait = 0) -> None:
    """Do all that is not up to date, from bars to report: ingest, window, train, predict, eval."""
    from qts.pipeline.run import run_all

    loaded = session.config()
    with session.progress() as progress:
        result = run_all(loaded, progress, wait_seconds=wait)
        for stage in result.stages:
            progress.note(f"{stage.name}: {'up to date' if stage.was_up_to_date else 'done'}, {stage.seconds:.1f} s")
    extra = {"stages": [vars(stage) for stage in result.stages], "run": result.training.run.folder}
    _show_report(session, "run", result.report, result.files, extra)


@command(group, ("qts status", "qts status --json", "qts status --format csv"), "qts doctor")
def status(session: Session, format_: Format = None) -> None:
    """Show what is there: bars, factors, windows, runs, each with its last day and size."""
    from qts.pipeline.status import status as work

    session.show_rows("status", work(session.config()), format_)
