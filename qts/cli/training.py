"""Commands that make models and scores: train, tune, walk, import-checkpoint, predict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qts.cli.options import TRAINING, Format, Out, Run, parse_day
from qts.cli.session import Session, command
from qts.errors import ConfigError

if TYPE_CHECKING:
    from qts.config import LoadedConfig

group = typer.Typer()


@command(
    group,
    ("qts train --model gru --step-len 20", "qts train --seeds 5", "qts train --resume 20261120T"),
    "qts models, qts predict, qts tune",
    flags=(*TRAINING, "init_from"),
)
def train(
    session: Session,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=2, metavar="N", help="N runs from --seed on, and their ensemble.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Go on with a stopped run, by the config in its folder."),
    ] = None,
    no_build: Annotated[
        bool, typer.Option("--no-build", help="Refuse stale windows instead of building them.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Train even if the same training was done before.")] = False,
) -> None:
    """Train a model; a run folder holds its weights, history and everything to score with them again."""
    from qts.pipeline.train import train_run
    from qts.rendering.texts import training_text

    if resume is not None and (seeds or again):
        raise ConfigError("--resume goes on with one run; --seeds and --again begin others")
    if resume is not None:
        session.config_file = session.config_file or _config_of(session, resume)
    loaded = session.config()
    if seeds is not None:
        _train_seeds(session, loaded, seeds, may_build=not no_build, again=again)
        return
    with session.progress() as progress:
        result = train_run(loaded, progress, may_build=not no_build, again=again, resume=resume)
    record = result.run.record
    payload = {"run": result.run.folder, "up_to_date": result.is_up_to_date, "seconds": result.seconds,
               **{key: record[key] for key in ("best", "best_epoch", "n_epochs", "n_parameters", "samples")}}  # fmt: skip
    session.show("train", payload, training_text(payload))


def _config_of(session: Session, run: str) -> Path:
    """Return the config file of a run; flags are meant for it, and the config that tells where runs are may refuse them."""
    from qts.config import load_config
    from qts.pipeline.run_record import config_of_run

    return config_of_run(load_config(assignments=session.assignments), run)


def _train_seeds(session: Session, loaded: "LoadedConfig", n_seeds: int, *, may_build: bool, again: bool) -> None:
    from qts.pipeline.ensemble import train_seeds
    from qts.rendering.texts import seeds_text

    with session.progress() as progress:
        result = train_seeds(loaded, progress, n_seeds, may_build=may_build, again=again)
    record = result.ensemble.record
    members = []
    for run in (member.run for member in result.members):
        seed, epoch = run.record["train"]["seed"], run.record["best_epoch"]
        members.append({"run": run.name, "seed": seed, "best_epoch": epoch, **run.record["best"]})
    payload = {"run": result.ensemble.folder, "up_to_date": result.is_up_to_date, "seconds": result.seconds,
               "members": members, "best": record["best"], "best_sd": record["best_sd"]}  # fmt: skip
    session.show("train", payload, seeds_text(payload))


@command(
    group,
    (
        "qts tune --trials 40",
        "qts tune --presets --model lstm --epochs 30",
        "qts tune --sampler grid --dry-run",
    ),
    "qts train, qts run, qts models",
    flags=("trials", "sampler", "metric", "presets", "model", "epochs", "device"),
)
def tune(
    session: Session,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the points; train and write nothing.")] = False,
    format_: Format = None,
) -> None:
    """Search hyper-parameters: a run for each point of [tune.space], compared by their valid segment alone."""
    from qts.pipeline.tune import plan
    from qts.pipeline.tune import tune as work

    loaded = session.config()
    if dry_run:
        session.show_rows("tune", plan(loaded), format_)
        return
    with session.progress() as progress:
        result = work(loaded, progress)
        for line in result.lines():
            progress.note(line)
    payload = {"folder": result.folder, "up_to_date": result.is_up_to_date, "complete": result.is_whole,
               "best": vars(result.best), "best_config": result.best_config, "rows": result.rows(),
               "seconds": result.seconds}  # fmt: skip
    session.show_result("tune", payload, result.rows(brief=session.draws_table(format_)), format_)


@command(
    group,
    ("qts walk --dry-run", "qts walk --step-days 60", "qts walk --model linear --processes 2 --format csv"),
    "qts train, qts eval, qts tune",
    flags=("step_days", "processes", *TRAINING),
)
def walk(
    session: Session,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the folds; train and write nothing.")] = False,
    format_: Format = None,
) -> None:
    """Train anew along the calendar, a run for each fold of [walk], and lay their test scores end to end."""
    from qts.pipeline.walk import plan
    from qts.pipeline.walk import walk as work

    loaded = session.config()
    is_shown = session.draws_table(format_)
    if dry_run:
        session.show_rows("walk", plan(loaded, brief=is_shown), format_)
        return
    with session.progress() as progress:
        result = work(loaded, progress)
        for line in result.lines():
            progress.note(line)
    payload = {"folder": result.folder, "scores": result.scores, "up_to_date": result.is_up_to_date,
               "overall": vars(result.overall), "rows": result.rows(), "seconds": result.seconds}  # fmt: skip
    session.show_result("walk", payload, result.rows(brief=is_shown), format_)


@command(
    group,
    (
        "qts import-checkpoint lstm.pt --model lstm",
        "qts import-checkpoint gru.pkl --model gru --set model.hidden_size=128",
        "qts import-checkpoint lstm.pt --model lstm --factors CLOSE,OPEN,VOLUME",
    ),
    "qts predict, qts models",
    flags=("model", "step_len", "device"),
)
def import_checkpoint(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Weights: a torch file, or .safetensors.")],
    factors: Annotated[
        str | None, typer.Option("--factors", metavar="A,B,C", help="The file's columns in order, if not the config's.")
    ] = None,
) -> None:
    """Make a run of weights trained elsewhere, as by Qlib; qts predict and qts eval take it as their own."""
    from qts.pipeline.import_checkpoint import import_checkpoint as work
    from qts.rendering.texts import import_text

    loaded = session.config()
    names = None if factors is None else tuple(name.strip() for name in factors.split(","))
    with session.progress() as progress:
        result = work(loaded, progress, file, factors=names)
    record = result.run.record
    payload = {"run": result.run.folder, "up_to_date": result.is_up_to_date, "seconds": result.seconds,
               **{key: record[key] for key in ("imported_from", "best", "n_parameters", "samples")}}  # fmt: skip
    session.show("import-checkpoint", payload, import_text(payload))


@command(
    group,
    (
        "qts predict",
        "qts predict --asof last --format csv | head",
        "qts predict --start 2024-01-01 --out scores.parquet",
    ),
    "qts eval",
    flags=("device",),
    before="format_",
)
def predict(
    session: Session,
    run: Run = None,
    segment: Annotated[str | None, typer.Option("--segment", help="train, valid or test.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First day.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day.")] = None,
    asof: Annotated[str | None, typer.Option("--asof", help="One day, or `last`.")] = None,
    format_: Format = None,
    out: Out = None,
) -> None:
    """Score a segment, a span or the last day; a score depends on data up to its own day, never on what is asked."""
    from qts.pipeline.predict import predict_run

    loaded = session.config()
    with session.progress() as progress:
        first, last = parse_day(start, "--start"), parse_day(end, "--end")
        result = predict_run(loaded, progress, run=run, segment=segment, first=first, last=last, asof=asof)
        progress.note(
            f"{result.scores.num_rows:,} scores of {result.n_members:,} member rows, {result.first} to {result.last}"
        )
    if result.n_short_history:
        progress.warn(f"{result.n_short_history:,} member rows have no score: too few days of history")
    session.show_rows("predict", result.scores, format_, out)
