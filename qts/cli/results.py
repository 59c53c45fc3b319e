"""Commands that judge and take stock: eval, backtest, report, run, status."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qts.cli.options import TRADING, TRAINING, Format, Run, Wait, parse_day
from qts.cli.session import Session, command
from qts.errors import ConfigError

if TYPE_CHECKING:
    from datetime import date

    from qts.rendering.document import Document

group = typer.Typer()


Scores = Annotated[Path | None, typer.Option("--scores", help="A Parquet or CSV with instrument, datetime, score.")]
Folder = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the report; else the run's.")]


@command(
    group,
    ("qts eval", "qts eval --scores other-tool.csv", "qts eval --factors --segment train --out factors"),
    "qts predict, qts backtest, qts factors",
)
def eval_(
    session: Session,
    run: Run = None,
    scores: Scores = None,
    live: Annotated[
        bool, typer.Option("--live", help="Score the days after the test segment too: do they do as it did?")
    ] = False,
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
    """Evaluate scores against the raw label: IC, horizons, groups, turnover, coverage; writes a report."""
    from qts.pipeline.evaluate import evaluate

    if factors:
        if run or scores or live:
            raise ConfigError("--factors judges the store's factors; --run, --scores and --live are about scores")
        first, last = parse_day(start, "--start"), parse_day(end, "--end")
        _eval_factors(session, segment, first, last, sort or "rank_icir", format_, out)
        return
    given = {"--segment": segment, "--start": start, "--end": end, "--sort": sort, "--format": format_}
    for flag, value in given.items():
        if value is not None:
            raise ConfigError(f"{flag} belongs to --factors", hint="qts predict takes spans of scores")
    _one_of(run, scores)
    with session.progress() as progress:
        result = evaluate(session.config(), progress, run=run, scores=scores, out=out, live=live)
    _show_report(session, "eval", result.document, result.files)


def _one_of(run: str | None, scores: Path | None) -> None:
    if run and scores:
        raise ConfigError("--run and --scores exclude each other")


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
    session.show_result("eval", {"rows": rows, **payload, "files": list(result.files)}, rows, format_)


@command(
    group,
    (
        "qts backtest",
        "qts backtest --scores other-tool.csv --top-k 30",
        "qts backtest --grid top_k=20,50 --grid lag=1,2",
    ),
    "qts eval, qts report",
    flags=TRADING,
)
def backtest(
    session: Session,
    run: Run = None,
    scores: Scores = None,
    grid: Annotated[
        list[str],
        typer.Option("--grid", metavar="KEY=V,V", help="Values of a key of [backtest]; repeated: every combination."),
    ] = [],  # noqa: B006 - typer copies it
    format_: Annotated[
        str | None, typer.Option("--format", "-f", help="Of --grid: table, csv, json, jsonl or parquet.")
    ] = None,
    out: Folder = None,
) -> None:
    """Trade the scores under the rules of an exchange: a report, and orders, trades, positions and accounts as tables."""
    from qts.pipeline.evaluate import evaluate

    _one_of(run, scores)
    if grid:
        if out is not None:
            raise ConfigError("--out belongs to one backtest, --grid prints a row a combination")
        from qts.pipeline.backtest_grid import run_grid

        with session.progress() as progress:
            rows = run_grid(session.config(), progress, grid, run=run, scores=scores)
        session.show_rows("backtest", rows, format_)
        return
    if format_ is not None:
        raise ConfigError("--format belongs to --grid", hint="the tables of one backtest are Parquet files")
    with session.progress() as progress:
        result = evaluate(session.config(), progress, run=run, scores=scores, out=out, trades=True)
    _show_report(session, "backtest", result.document, result.files)


@command(
    group,
    ("qts report", "qts report 20261120T0 --rules qlib", "qts report 20261120T0 20261121T1 --out both"),
    "qts eval, qts runs compare",
    flags=TRADING,
)
def report(
    session: Session,
    runs: Annotated[list[str] | None, typer.Argument(help="Runs; the latest if none, side by side if several.")] = None,
    out: Folder = None,
) -> None:
    """Write the whole report of a run, backtest included, or several runs side by side."""
    from qts.pipeline.evaluate import evaluate
    from qts.pipeline.side_by_side import report_side_by_side

    files: tuple[Path, ...]
    with session.progress() as progress:
        if runs and len(runs) > 1:
            document, files = report_side_by_side(session.config(), progress, runs, out)
        else:
            one = evaluate(session.config(), progress, run=runs[0] if runs else None, out=out, trades=True)
            document, files = one.document, one.files
    _show_report(session, "report", document, files)


def _show_report(
    session: Session, name: str, document: "Document", files: tuple[Path, ...], extra: dict[str, Any] | None = None
) -> None:
    from qts.rendering.report import document_lines

    payload = {
        "title": document.title, "summary": document.summary, "verdicts": document.verdicts,
        "warnings": document.warnings, "context": document.context, "files": list(files), **(extra or {}),
    }  # fmt: skip
    session.show(name, payload, "\n".join([*document_lines(document), *(f"wrote {file}" for file in files)]))


@command(
    group,
    ("qts run", "qts run --config sample_data/qts.toml", "qts run --model lstm --seed 1"),
    "qts status",
    flags=TRAINING,
)
def run(session: Session, wait: Wait = 0) -> None:
    """Do all that is not up to date, from bars to report: ingest, window, train, predict, eval, backtest."""
    from qts.pipeline.run import run_all

    loaded = session.config()
    with session.progress() as progress:
        result = run_all(loaded, progress, wait_seconds=wait)
        for stage in result.stages:
            progress.note(f"{stage.name}: {'up to date' if stage.was_up_to_date else 'done'}, {stage.seconds:.1f} s")
    extra = {"stages": [vars(stage) for stage in result.stages], "run": result.training.run.folder}
    _show_report(session, "run", result.document, result.files, extra)


@command(group, ("qts status", "qts status --max-age 1d --json", "qts status --format csv"), "qts doctor")
def status(
    session: Session,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="DAYS", help="Fail if bars or predictions end longer ago: 1d.")
    ] = None,
    format_: Format = None,
) -> None:
    """Show what is there: bars, factors, windows, runs, predictions, and how the last call of each command ended."""
    from qts.pipeline.age import parse_age
    from qts.pipeline.status import status as work

    age = None if max_age is None else parse_age(max_age)
    found = work(session.config(), max_age=age)
    session.show_result("status", found.payload(), found.rows, format_, found.refusal)
