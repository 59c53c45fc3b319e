"""Options of more than one command: those that are written alike, and flags that set a key of the config."""

import inspect
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from qts.errors import ConfigError

Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", help="Wait so long for another writer.")]
Format = Annotated[str | None, typer.Option("--format", "-f", help="table, csv, json, jsonl or parquet.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write there instead of stdout; - is stdout.")]
Run = Annotated[str | None, typer.Option("--run", help="A run, by name or the start of it; the latest if none.")]
Name = Annotated[str | None, typer.Argument(help="One of them, in detail.")]


@dataclass(frozen=True)
class Flag:
    """A flag that sets a key of the config."""

    key: str
    kind: type
    help: str
    short: tuple[str, ...] = ()
    metavar: str | None = None

    def parameter(self, name: str) -> inspect.Parameter:
        """Return the flag as a parameter of a command; None is what was not given."""
        spelled = (f"--{name.replace('_', '-')}", *self.short)
        option = typer.Option(*spelled, metavar=self.metavar, help=self.help)
        annotation = Annotated[self.kind | None, option]  # type: ignore[name-defined]  # mypy wants a type it can read
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


FLAGS = {
    "model": Flag("model.name", str, "The architecture; qts models lists them.", short=("-m",)),
    "step_len": Flag("window.step_len", int, "Bars in one window."),
    "epochs": Flag("train.epochs", int, "Epochs at most."),
    "lr": Flag("train.lr", float, "Learning rate."),
    "batch_size": Flag("train.batch_size", int, "Samples in one step."),
    "seed": Flag("train.seed", int, "Seed of weights and order."),
    "device": Flag("train.device", str, "auto, cpu, cuda or cuda:1."),
    "init_from": Flag("train.init_from", str, "Start from the weights of a run or a file.", metavar="RUN"),
    "trials": Flag("tune.trials", int, "Trials at most.", metavar="N"),
    "sampler": Flag("tune.sampler", str, "grid, random or tpe."),
    "metric": Flag("tune.metric", str, "loss, ic or rank_ic of the valid segment; trials are chosen by it."),
    "top_k": Flag("backtest.top_k", int, "Names held.", metavar="N"),
    "n_drop": Flag("backtest.n_drop", int, "Names at most that are exchanged a day.", metavar="N"),
    "rules": Flag("backtest.rules", str, "exchange, or qlib to compare with its tables."),
    "deal_price": Flag("backtest.deal_price", str, "close, open or vwap."),
    "presets": Flag("tune.presets", bool, "Try small, medium, large and deep instead of [tune.space]."),
    "step_days": Flag("walk.step_days", int, "Trading days each fold is tested on.", metavar="N"),
    "processes": Flag("walk.processes", int, "Folds trained at once, each in a process of its own.", metavar="N"),
}
"""Name of a flag → the key it sets; a command names those it has."""

TRADING = ("top_k", "n_drop", "rules", "deal_price")
"""The flags of a command that trades scores."""

TRAINING = ("model", "step_len", "epochs", "lr", "batch_size", "seed", "device")
"""The flags of a command that trains one model."""


def parse_day(text: str | None, flag: str) -> date | None:
    """Return the day that was given to a flag, if any was."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f'"{text}" is not a day', where=flag, hint="write 2024-12-31") from None
