"""Every command: parse, call the pipeline, render. Imports of work stand inside: --help must not pay for torch."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qts.cli.console import error_object, print_error
from qts.cli.session import Session, command, print_out
from qts.errors import ConfigError, QtsError

if TYPE_CHECKING:
    from datetime import date

    from qts.bars.gate import GateReport
    from qts.config import LoadedConfig
    from qts.evaluation import EvalReport
    from qts.pipeline.check import CheckResult
    from qts.pipeline.segments import SampleCounts

app = typer.Typer(
    help="From market bars to trusted scores: factors by DuckDB, windows in a memory map, recurrent networks, honest IC reports.",
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=True,
)  # fmt: skip


def _version(wanted: bool) -> None:
    if wanted:
        from qts import __version__

        print_out(f"qts {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", help="Wait so long for another writer.")]
Format = Annotated[str | None, typer.Option("--format", "-f", help="table, csv, json, jsonl or parquet.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write there instead of stdout; - is stdout.")]
Run = Annotated[str | None, typer.Option("--run", help="A run, by name or the start of it; the latest if none.")]
Name = Annotated[str | None, typer.Argument(help="One of them, in detail.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="The architecture; qts models lists them.")]
StepLen = Annotated[int | None, typer.Option("--step-len", help="Bars in one window.")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Epochs at most.")]
Lr = Annotated[float | None, typer.Option("--lr", help="Learning rate.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Samples in one step.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of weights and order.")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:1.")]


@command(app, ("qts init", "qts init my-study", "qts init demo --demo"), "qts run")
def init(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write.")] = Path(),
    demo: Annotated[bool, typer.Option("--demo", help="With the synthetic sample market.")] = False,
) -> None:
    """Write a ready qts.toml and, with --demo, a synthetic sample market; offline."""
    from qts.pipeline.init import init as work

    files = work(folder, demo=demo)
    place = "" if folder == Path() else f"cd {folder} && "
    next_step = f"next: {place}qts run" if demo else f"next: edit {files[0]}, then {place}qts check"
    session.show(
        "init", {"files": [str(file) for file in files]}, "\n".join([f"wrote {file}" for file in files] + [next_step])
    )


@command(
    app,
    ("qts ingest", "qts ingest --dry-run", "qts ingest --config study/qts.toml --wait 600 -q"),
    "qts check, qts window, qts status",
)
def ingest(
    session: Session,
    wait: Wait = 0,
    rescan: Annotated[
        bool, typer.Option("--rescan", help="Read all files, even those with the size and time they had.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do and take; write nothing.")] = False,
) -> None:
    """Bring the store up to date: bars pass the data gate, factors and label are computed where they are new or stale."""
    from qts.pipeline.ingest import ingest as work

    if dry_run:
        _show_forecast(session, rescan=rescan)
        return
    with session.progress() as progress:
        result = work(session.config(), progress, wait_seconds=wait, rescan=rescan)
    payload = {**vars(result), "up_to_date": result.is_up_to_date}
    done = (
        "up to date: bars and config are what the store was made from"
        if result.is_up_to_date
        else f"wrote {', '.join(result.written)}"
    )
    news = [f"{result.grown:,} with new days"] if result.grown else []
    news += _say_names({"restated": result.restated, "new": result.new, "gone": result.gone})
    lines = [done, *([f"instruments: {'; '.join(news)}"] if news else [])]
    lines.append(
        f"{result.n_rows:,} rows, {result.n_instruments:,} instruments, {result.n_days:,} days, {result.first} to {result.last}"
    )
    if result.n_quarantined:
        lines.append(f"{result.n_quarantined:,} rows in quarantine: qts query 'FROM quarantine'")
    lines.append(f"{result.n_bytes / 1e6:,.0f} MB in {result.store}, {result.seconds:.1f} s")
    session.show("ingest", payload, "\n".join(lines))


def _say_names(instruments: dict[str, tuple[str, ...]]) -> list[str]:
    return [
        f"{len(names):,} {what}: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        for what, names in instruments.items()
        if names
    ]


def _show_forecast(session: Session, *, rescan: bool) -> None:
    """Show what an ingest would do; then fail if it would be refused."""
    from qts.pipeline.forecast import refusal_of
    from qts.pipeline.ingest import forecast_ingest

    loaded = session.config()
    with session.progress() as progress:
        found = forecast_ingest(loaded, progress, rescan=rescan)
    refusal = refusal_of(found, loaded)
    datasets = [vars(planned) for planned in found.datasets]
    payload = {
        **vars(found), "datasets": datasets, "dry_run": True, "up_to_date": not found.written, "stages": found.stages,
        "written": found.written, "n_files": found.n_files, "n_bytes": found.n_bytes,
    }  # fmt: skip
    names = {"with new days": found.grown, "restated": found.restated, "new": found.new, "gone": found.gone}
    news = ["every row of the source is taken in"] if found.is_fresh else _say_names(names)
    lines = [
        f"would write {', '.join(found.written)}" if found.written else "up to date: there is nothing to do",
        *([f"instruments: {'; '.join(news)}"] if news else []),
    ]
    if found.written:
        lines.append(f"stages: {', '.join(found.stages)}")
        lines.append(f"{'dataset':<24}{'rows read':>14}{'new':>14}{'recomputed':>14}{'files':>7}{'MB':>9}")
        for planned in found.datasets:
            counts = f"{planned.n_read:>14,}{planned.n_new:>14,}{planned.n_recomputed:>14,}{planned.n_files:>7,}"
            lines.append(f"{planned.dataset:<24}{counts}{planned.n_bytes / 1e6:>9,.1f}")
        files = f"{found.n_files:,} files and the manifest"
        lines.append(f"{files}, about {found.n_bytes / 1e6:,.0f} MB in {found.store}")
    memory = f"{found.memory / 1e9:.1f} GB of memory at the peak, {found.least_memory / 1e9:.1f} GB at least"
    longer = " and more, because it spills to disk" if found.spills else ""
    lines.append(f"estimated: {memory}, {found.seconds:,.1f} s{longer}")
    session.show("ingest", payload | (error_object(refusal) if refusal else {}), "\n".join(lines))
    if refusal:
        print_error(refusal, as_json=False)
        raise typer.Exit(refusal.code)


@command(app, ("qts check", "qts check --config-only", "qts check --html gate.html --json"), "qts schema, qts ingest")
def check(
    session: Session,
    config_only: Annotated[bool, typer.Option("--config-only", help="Do not read the bars.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page of findings there.")] = None,
) -> None:
    """Check the whole config, both passes, and pass the bars through the data gate; every finding is told."""
    from qts.pipeline.check import check_all

    if config_only and html:
        raise ConfigError("--html shows what is found in the bars, which --config-only does not read")
    with session.progress() as progress:
        result = check_all(session.config(), progress, config_only=config_only, with_coverage=html is not None)
    payload = {"n_factors": result.n_factors, "model": result.model, "n_bars": result.n_bars,
               "n_instruments": result.n_instruments, "fields": result.fields}  # fmt: skip
    sound = f"config is sound: {result.n_factors} factors, model {result.model}"
    if result.gate is None:
        session.show("check", payload, sound)
    else:
        _show_gate(session, result, result.gate, payload, sound, html)


def _show_gate(
    session: Session, result: "CheckResult", gate: "GateReport", payload: dict[str, Any], sound: str, html: Path | None
) -> None:
    """Show every finding, then fail if the gate refuses the bars."""
    from qts.rendering.check_page import findings_text, render_check_page

    refusal = gate.refusal()
    findings = gate.rows()
    bars = f"{result.n_bars:,} rows, {result.n_instruments:,} instruments, fields {', '.join(result.fields)}"
    if html is not None and result.coverage is not None:
        seen = result.coverage
        context = {**payload, "fields": ", ".join(result.fields), "n_quarantined": gate.n_quarantined}
        _write_page(html, render_check_page(f"Bars: {bars}", context, findings, seen.names, seen.periods, seen.percent))
    verdict = "bars do not pass" if refusal else "bars pass, with findings" if findings else "bars are sound"
    lines = [sound, f"{verdict}: {bars}", *([findings_text(findings)] if findings else [])]
    if gate.n_quarantined:
        lines.append(f"rows that an ingest puts aside: {gate.n_quarantined:,}")
    payload |= {"passes": refusal is None, "n_quarantined": gate.n_quarantined, "findings": findings}
    payload |= {"html": html} if html else {}
    session.show("check", payload | (error_object(refusal) if refusal else {}), "\n".join(lines))
    if refusal:
        print_error(refusal, as_json=False)
        raise typer.Exit(refusal.code)


def _write_page(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise QtsError(f"cannot write {file}: {error.strerror}", where="--html", hint="choose another file") from error


@command(app, ("qts window", "qts window --step-len 60", "qts window --json"), "qts train")
def window(session: Session, step_len: StepLen = None) -> None:
    """Build the windows: fit the processors on the train segment and lay out one memory-mapped matrix."""
    from qts.pipeline.window import build_windows

    with session.progress() as progress:
        result = build_windows(session.config({"window.step_len": step_len}), progress)
    shape = result.windows.matrix.shape
    payload = {
        "folder": result.folder, "rows": shape[0], "features": list(result.windows.features), "up_to_date": result.is_up_to_date,
        "samples": {name: vars(counts) for name, counts in result.counts.items()}, "seconds": result.seconds,
    }  # fmt: skip
    done = (
        "up to date: store and config are what the windows were made from"
        if result.is_up_to_date
        else "wrote the windows"
    )
    lines = [done, f"{shape[0]:,} rows of {shape[1]} features in {result.folder}, {result.seconds:.1f} s"]
    session.show(
        "window", payload, "\n".join(lines + [_say_counts(name, counts) for name, counts in result.counts.items()])
    )


def _say_counts(name: str, counts: "SampleCounts") -> str:
    lost = {"no label": counts.no_label, "purged": counts.purged, "short history": counts.short_history}
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in lost.items() if count)
    return f"{name}: {counts.samples:,} samples of {counts.rows:,} member rows" + (
        f" (left out: {reasons})" if reasons else ""
    )


@command(
    app,
    ("qts train --model gru --step-len 20", "qts train --seeds 5", "qts train --resume 20261120T"),
    "qts models, qts predict, qts tune",
)
def train(
    session: Session,
    model: Model = None,
    step_len: StepLen = None,
    epochs: Epochs = None,
    lr: Lr = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    device: Device = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=2, metavar="N", help="N runs from --seed on, and their ensemble.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Go on with a stopped run, by the config in its folder."),
    ] = None,
    init_from: Annotated[
        str | None, typer.Option("--init-from", metavar="RUN", help="Start from the weights of a run or a file.")
    ] = None,
    no_build: Annotated[
        bool, typer.Option("--no-build", help="Refuse stale windows instead of building them.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Train even if the same training was done before.")] = False,
) -> None:
    """Train a model; a run folder holds its weights, history and everything to score with them again."""
    from qts.pipeline.run_record import config_of_run
    from qts.pipeline.train import train_run

    flags = _train_flags(model, step_len, epochs, lr, batch_size, seed, device) | {"train.init_from": init_from}
    if resume is not None and (seeds or again):
        raise ConfigError("--resume goes on with one run; --seeds and --again begin others")
    if resume is not None:
        session.config_file = session.config_file or config_of_run(session.config(), resume)
    loaded = session.config(flags)
    if seeds is not None:
        _train_seeds(session, loaded, seeds, may_build=not no_build, again=again)
        return
    with session.progress() as progress:
        result = train_run(loaded, progress, may_build=not no_build, again=again, resume=resume)
    record = result.run.record
    payload = {"run": result.run.folder, "up_to_date": result.is_up_to_date, "seconds": result.seconds,
               **{key: record[key] for key in ("best", "best_epoch", "n_epochs", "n_parameters", "samples")}}  # fmt: skip
    best = record["best"]
    done = (
        "up to date: the same training was done before"
        if result.is_up_to_date
        else f"trained in {result.seconds:.1f} s"
    )
    session.show("train", payload, (
        f"{done}\nrun {result.run.folder}\nbest epoch {record['best_epoch']} of {record['n_epochs']}: valid loss "
        f"{best['valid_loss']:.5f}, IC {best['valid_ic']:.4f}, RankIC {best['valid_rank_ic']:.4f}"
    ))  # fmt: skip


def _train_seeds(session: Session, loaded: "LoadedConfig", n_seeds: int, *, may_build: bool, again: bool) -> None:
    from qts.pipeline.ensemble import train_seeds

    with session.progress() as progress:
        result = train_seeds(loaded, progress, n_seeds, may_build=may_build, again=again)
    record = result.ensemble.record
    members = []
    for run in (member.run for member in result.members):
        seed, epoch = run.record["train"]["seed"], run.record["best_epoch"]
        members.append({"run": run.name, "seed": seed, "best_epoch": epoch, **run.record["best"]})
    payload = {"run": result.ensemble.folder, "up_to_date": result.is_up_to_date, "seconds": result.seconds,
               "members": members, "best": record["best"], "best_sd": record["best_sd"]}  # fmt: skip
    lines = ["up to date" if result.is_up_to_date else f"trained in {result.seconds:.1f} s"]
    lines += [
        f"seed {m['seed']}: valid loss {m['valid_loss']:.5f}, IC {m['valid_ic']:.4f}, RankIC {m['valid_rank_ic']:.4f}"
        for m in members
    ]
    figures = {"valid_loss": "valid loss", "valid_ic": "IC", "valid_rank_ic": "RankIC"}
    spread = (f"{label} {record['best'][key]:.4f} ± {record['best_sd'][key]:.4f}" for key, label in figures.items())
    lines += [
        f"mean ± sd: {', '.join(spread)}",
        f"run {result.ensemble.folder}, whose scores are the mean of day ranks",
    ]
    session.show("train", payload, "\n".join(lines))


def _train_flags(
    model: str | None,
    step_len: int | None,
    epochs: int | None,
    lr: float | None,
    batch_size: int | None,
    seed: int | None,
    device: str | None,
) -> dict[str, object]:
    return {"model.name": model, "window.step_len": step_len, "train.epochs": epochs, "train.lr": lr,
            "train.batch_size": batch_size, "train.seed": seed, "train.device": device}  # fmt: skip


@command(
    app,
    (
        "qts tune --trials 40",
        "qts tune --presets --model lstm --epochs 30",
        "qts tune --sampler grid --dry-run",
    ),
    "qts train, qts run, qts models",
)
def tune(
    session: Session,
    trials: Annotated[int | None, typer.Option("--trials", metavar="N", help="Trials at most.")] = None,
    sampler: Annotated[str | None, typer.Option("--sampler", help="grid, random or tpe.")] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="loss, ic or rank_ic of the valid segment; trials are chosen by it.")
    ] = None,
    presets: Annotated[
        bool, typer.Option("--presets", help="Try small, medium, large and deep instead of [tune.space].")
    ] = False,
    model: Model = None,
    epochs: Epochs = None,
    device: Device = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the points; train and write nothing.")] = False,
    format_: Format = None,
) -> None:
    """Search hyper-parameters: a run for each point of [tune.space], compared by their valid segment alone."""
    from qts.pipeline.tune import plan
    from qts.pipeline.tune import tune as work

    loaded = session.config({"tune.trials": trials, "tune.sampler": sampler, "tune.metric": metric,
                             "tune.presets": presets or None, "model.name": model, "train.epochs": epochs,
                             "train.device": device})  # fmt: skip
    if dry_run:
        session.show_rows("tune", plan(loaded), format_)
        return
    with session.progress() as progress:
        result = work(loaded, progress)
        for line in result.lines():
            progress.note(line)
    if session.json:
        payload = {"folder": result.folder, "up_to_date": result.is_up_to_date, "complete": result.is_whole,
                   "best": vars(result.best), "best_config": result.best_config, "rows": result.rows(),
                   "seconds": result.seconds}  # fmt: skip
        session.show("tune", payload, "")
    else:
        is_shown = format_ == "table" or (format_ is None and sys.stdout.isatty())
        session.show_rows("tune", result.rows(brief=is_shown), format_)


@command(
    app,
    (
        "qts import-checkpoint lstm.pt --model lstm",
        "qts import-checkpoint gru.pkl --model gru --set model.hidden_size=128",
        "qts import-checkpoint lstm.pt --model lstm --factors CLOSE,OPEN,VOLUME",
    ),
    "qts predict, qts models",
)
def import_checkpoint(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Weights: a torch file, or .safetensors.")],
    model: Model = None,
    step_len: StepLen = None,
    device: Device = None,
    factors: Annotated[
        str | None, typer.Option("--factors", metavar="A,B,C", help="The file's columns in order, if not the config's.")
    ] = None,
) -> None:
    """Make a run of weights trained elsewhere, as by Qlib; qts predict and qts eval take it as their own."""
    from qts.pipeline.import_checkpoint import import_checkpoint as work

    loaded = session.config({"model.name": model, "window.step_len": step_len, "train.device": device})
    names = None if factors is None else tuple(name.strip() for name in factors.split(","))
    with session.progress() as progress:
        result = work(loaded, progress, file, factors=names)
    record = result.run.record
    origin, best = record["imported_from"], record["best"]
    payload = {"run": result.run.folder, "up_to_date": result.is_up_to_date, "seconds": result.seconds,
               **{key: record[key] for key in ("imported_from", "best", "n_parameters", "samples")}}  # fmt: skip
    done = "up to date: the same file was imported before" if result.is_up_to_date else "imported"
    left_out = f", {origin['n_left_out']} left out that stand for nothing" if origin["n_left_out"] else ""
    names_of = {"valid loss": "valid_loss", "IC": "valid_ic", "RankIC": "valid_rank_ic"}
    figures = ", ".join(
        f"{label} {'none' if best[key] is None else f'{best[key]:.4f}'}" for label, key in names_of.items()
    )
    session.show("import-checkpoint", payload, (
        f"{done}: {origin['n_copied']} tensors of {origin['file']}{left_out}\nrun {result.run.folder}\n{figures}"
    ))  # fmt: skip


@command(
    app,
    (
        "qts predict",
        "qts predict --asof last --format csv | head",
        "qts predict --start 2024-01-01 --out scores.parquet",
    ),
    "qts eval",
)
def predict(
    session: Session,
    run: Run = None,
    segment: Annotated[str | None, typer.Option("--segment", help="train, valid or test.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First day.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day.")] = None,
    asof: Annotated[str | None, typer.Option("--asof", help="One day, or `last`.")] = None,
    device: Device = None,
    format_: Format = None,
    out: Out = None,
) -> None:
    """Score a segment, a span or the last day; a score depends on data up to its own day, never on what is asked."""
    from qts.pipeline.predict import predict_run

    loaded = session.config({"train.device": device})
    with session.progress() as progress:
        first, last = _day(start, "--start"), _day(end, "--end")
        result = predict_run(loaded, progress, run=run, segment=segment, first=first, last=last, asof=asof)
        progress.note(
            f"{result.scores.num_rows:,} scores of {result.n_members:,} member rows, {result.first} to {result.last}"
        )
    if result.n_short_history:
        progress.warn(f"{result.n_short_history:,} member rows have no score: too few days of history")
    session.show_rows("predict", result.scores, format_, out)


def _day(text: str | None, flag: str) -> "date | None":
    from datetime import date

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f'"{text}" is not a day', where=flag, hint="write 2024-12-31") from None


@command(
    app,
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
        _eval_factors(session, segment, _day(start, "--start"), _day(end, "--end"), sort or "rank_icir", format_, out)
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
    from qts.rendering.words import FIGURES, coverage_line, figure, timeline, title

    content = report_to_json(report)
    payload = {
        **{key: content[key] for key in ("summary", "coverage", "warnings", "context")},
        "files": list(files),
        **(extra or {}),
    }
    lines = [title(report), timeline(report), *(f"warning: {warning}" for warning in report.warnings)]
    lines += [f"  {label:<28}{figure(key, report.summary[key]):>12}" for key, (label, _) in FIGURES.items()]
    lines += [f"rows: {coverage_line(report)}", *(f"wrote {file}" for file in files)]
    session.show(name, payload, "\n".join(lines))


@command(app, ("qts run", "qts run --config sample_data/qts.toml", "qts run --model lstm --seed 1"), "qts status")
def run(
    session: Session,
    model: Model = None,
    step_len: StepLen = None,
    epochs: Epochs = None,
    lr: Lr = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    device: Device = None,
    wait: Wait = 0,
) -> None:
    """Do all that is not up to date, from bars to report: ingest, window, train, predict, eval."""
    from qts.pipeline.run import run_all

    loaded = session.config(_train_flags(model, step_len, epochs, lr, batch_size, seed, device))
    with session.progress() as progress:
        result = run_all(loaded, progress, wait_seconds=wait)
        for stage in result.stages:
            progress.note(f"{stage.name}: {'up to date' if stage.was_up_to_date else 'done'}, {stage.seconds:.1f} s")
    extra = {"stages": [vars(stage) for stage in result.stages], "run": result.training.run.folder}
    _show_report(session, "run", result.report, result.files, extra)


@command(app, ("qts status", "qts status --json", "qts status --format csv"), "qts doctor")
def status(session: Session, format_: Format = None) -> None:
    """Show what is there: bars, factors, windows, runs, each with its last day and size."""
    from qts.pipeline.status import status as work

    session.show_rows("status", work(session.config()), format_)


@command(app, ("qts factors", "qts factors ROC5", "qts factors --format csv | head"), "qts operators")
def factors(session: Session, name: Name = None, format_: Format = None) -> None:
    """List the config's factors; with a name, its formula, lookback, null rule, SQL and, from the store, its worth."""
    from qts.pipeline.listing import describe_factor, list_factors

    if name is None:
        session.show_rows("factors", list_factors(session.config()), format_)
    else:
        found = describe_factor(session.config(), name)
        session.show("factors", found, _say_factor(found))


def _say_factor(found: dict[str, Any]) -> str:
    lines = {key.replace("_", " "): value for key, value in found.items() if value not in (None, [])}
    lines["lookback"] = "every row so far" if found["lookback"] is None else f"{found['lookback']} rows"
    lines["crosses"] = "reads other instruments" if found["crosses"] else "reads its own instrument alone"
    lines["in store"] = "not as it is here; run: qts ingest"
    if worth := found["in_store"]:
        share = "none" if worth["coverage"] is None else f"{100 * worth['coverage']:.2f} %"
        lines["in store"] = f"{share} of {worth['rows']:,} member rows, {worth['first']} to {worth['last']}"
        figures = {"RankIC": "rank_ic", "RankICIR": "rank_icir", "IC": "ic", "ICIR": "icir"}
        shown = (f"{label} {'none' if worth[key] is None else f'{worth[key]:.4f}'}" for label, key in figures.items())
        lines["worth"] = f"{', '.join(shown)}; mean of {worth['n_days']:,} days, not annualised"
    lines["sql"] = lines.pop("sql")
    return "\n".join(f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in lines.items())


@command(
    app,
    ("qts models", "qts models gru", "qts models gru --summary --set model.hidden_size=128"),
    "qts train, qts explain",
)
def models(
    session: Session,
    name: Name = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Layers, shapes, parameters and FLOPs, as this config would build it.")
    ] = False,
    step_len: StepLen = None,
    format_: Format = None,
) -> None:
    """List the architectures; with a name, its keys and what they mean; with --summary, its layers."""
    from qts.pipeline.listing import describe_model, list_models

    if summary or step_len is not None:
        _show_summary(session, name, step_len, format_)
        return
    session.show_rows("models", list_models() if name is None else describe_model(name), format_)


def _show_summary(session: Session, name: str | None, step_len: int | None, format_: str | None) -> None:
    from qts.pipeline.summary import summarise_model

    loaded = session.config({"model.name": name, "window.step_len": step_len})
    found = summarise_model(loaded)
    if session.json:
        session.show("models", {"rows": found.rows(), **found.totals()}, "")
        return
    with session.progress() as progress:
        for line in found.lines():
            progress.note(line)
    session.show_rows("models", found.rows(), format_)


@command(
    app,
    (
        "qts explain",
        "qts explain --families --days 60 --repeats 3",
        "qts explain 20250102T0900 --instrument SH600000 --day 2019-12-31 --out looks",
    ),
    "qts models, qts predict",
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
    seed: Annotated[int, typer.Option("--seed", help="Seed of the permutations.")] = 0,
    device: Device = None,
    format_: Format = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write there, not to the run.")] = None,
) -> None:
    """Show what a run's scores lose without each feature, and which steps of a window it looks at."""
    from qts.pipeline.explain import explain_run
    from qts.rendering.explain import explain_rows, explain_summary
    from qts.rendering.explain_words import base_line, explain_title

    loaded = session.config({"train.device": device})
    with session.progress() as progress:
        result = explain_run(
            loaded, progress, run=run, segment=segment, n_days=days, n_repeats=repeats, families=families,
            instrument=instrument, day=_day(day, "--day"), seed=seed, out=out,
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
    if session.json:
        session.show("explain", {"rows": rows, **explain_summary(result.report), "files": list(result.files)}, "")
    else:
        session.show_rows("explain", rows, format_)


@command(app, ("qts operators", "qts operators Mean", "qts operators --format json"), "qts factors")
def operators(session: Session, name: Name = None, format_: Format = None) -> None:
    """List the operators of the factor language; with a name, its parameters."""
    from qts.pipeline.listing import describe_operator, list_operators

    session.show_rows("operators", list_operators() if name is None else describe_operator(name), format_)


@command(app, ("qts processors", "qts processors robust_zscore", "qts processors --json"), "qts window")
def processors(session: Session, name: Name = None, format_: Format = None) -> None:
    """List the processors; with a name, its keys."""
    from qts.pipeline.listing import describe_processor, list_processors

    session.show_rows("processors", list_processors() if name is None else describe_processor(name), format_)


@command(
    app,
    (
        'qts query "from label limit 5"',
        'qts query "select count(*) from alpha158"',
        'qts query "from bars" -o bars.parquet',
    ),
    "qts status",
)
def query(
    session: Session,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT; the tables are the store's datasets.")],
    format_: Format = None,
    out: Out = None,
) -> None:
    """Ask the store in SQL, read-only: bars, calendar, label, universe, alpha158 and other factor sets are tables."""
    from qts.pipeline.query import query as work

    session.show_rows("query", work(session.config(), sql), format_, out)


@command(app, ("qts schema", "qts schema > qts.schema.json", "qts schema | jq .properties.train"), "qts check")
def schema(session: Session) -> None:  # noqa: ARG001 - every command gets one
    """Print the JSON Schema of qts.toml, for editors."""
    import json

    from qts.pipeline.schema import config_schema

    print_out(json.dumps(config_schema(), indent=1))


@command(app, ("qts doctor", "qts doctor --json", "qts doctor --format csv"), "qts status")
def doctor(session: Session, format_: Format = None) -> None:
    """Show versions, devices, cores, memory and disk."""
    from qts.pipeline.doctor import examine

    session.show_rows("doctor", examine(Path.cwd()), format_)
