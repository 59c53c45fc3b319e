"""One command at work: its common options, its config, its watcher, and how its result is shown."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from qts.cli.console import BarProgress, LineProgress, has_colour, is_terminal
from qts.cli.options import FLAGS
from qts.errors import QtsError
from qts.json_text import to_json

if TYPE_CHECKING:
    from qts.config import LoadedConfig

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 usage or config, 3 data check, 4 input, 5 lock held, 6 no such device."

_COMMON: dict[str, Any] = {
    "config_file": Annotated[
        Path | None, typer.Option("--config", "-c", help="The config file; else the nearest qts.toml.")
    ],
    "assignments": Annotated[
        list[str], typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Set any key of the config.")
    ],
    "json": Annotated[bool, typer.Option("--json", help="One JSON object on stdout, on failure too.")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")],
    "verbose": Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="-vv shows the traceback of a failure.")
    ],
    "no_progress": Annotated[bool, typer.Option("--no-progress", help="No live bar; one line a stage.")],
    "no_color": Annotated[
        bool, typer.Option("--no-color", help="No colour; NO_COLOR in the environment does the same.")
    ],
}
_DEFAULTS: dict[str, Any] = {"config_file": None, "assignments": [], "json": False, "quiet": False, "verbose": 0,
                             "no_progress": False, "no_color": False}  # fmt: skip


@dataclass
class Session:
    """The common options of a command, and what its flags say."""

    config_file: Path | None
    assignments: list[str]
    json: bool
    quiet: bool
    verbose: int
    no_progress: bool
    no_color: bool
    flags: dict[str, object] = field(default_factory=dict)
    """Key of the config → value, of the flags that were given."""
    current: "ClassVar[Session | None]" = None
    """The session at work; whoever reports a failure asks it how."""

    def config(self, more: Mapping[str, object] | None = None) -> "LoadedConfig":
        """Read the config as the flags have it; `more` maps other keys to values, None for what was not given."""
        from qts.config import load_config

        return load_config(self.config_file, assignments=self.assignments, flags={**self.flags, **(more or {})})

    def progress(self) -> LineProgress:
        """Return the watcher: a live bar on a terminal, else lines; use it in a `with`."""
        if self.quiet or self.no_progress or self.json or not is_terminal():
            return LineProgress(quiet=self.quiet)
        return BarProgress(no_color=not has_colour(self.no_color))

    def show(self, command: str, payload: Mapping[str, Any], text: str) -> None:
        """Print a result: one object for programs, text for people. Of processes that train together only one speaks."""
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and os.environ.get("RANK", "0") != "0":
            return
        print_out(to_json({"schema": f"qts.{command}/1", **payload}) if self.json else text)

    def draws_table(self, format_: str | None) -> bool:
        """Return whether rows are shown to a person, who wants few columns."""
        return not self.json and (format_ or ("table" if sys.stdout.isatty() else "csv")) == "table"

    def show_result(self, command: str, payload: Mapping[str, Any], rows: Any, format_: str | None) -> None:  # noqa: ANN401 - as show_rows
        """Print one object for programs that ask for it, else rows in a format."""
        if self.json:
            self.show(command, payload, "")
        else:
            self.show_rows(command, rows, format_)

    def show_rows(self, command: str, rows: Any, format_: str | None = None, out: Path | None = None) -> None:  # noqa: ANN401 - rows or a table
        """Print rows in a format; by default a table on a terminal, else CSV."""
        from qts.rendering.rows import FORMATS, to_table

        table = to_table(rows)
        is_file = out is not None and str(out) != "-"
        name = format_ or (_format_of(out) if out and is_file else "table" if sys.stdout.isatty() else "csv")
        if out is not None and is_file:
            _write_file(table, FORMATS[name], out)
            if self.json:
                self.show(command, {"file": out, "n_rows": table.num_rows}, "")
        elif self.json:
            self.show(command, {"rows": table.to_pylist()}, "")
        else:
            FORMATS[name](table, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def _write_file(table: Any, write: Callable[..., None], out: Path) -> None:  # noqa: ANN401 - a table, whose module is heavy
    try:
        with out.open("wb") as stream:
            write(table, stream)
    except OSError as error:
        raise QtsError(f"cannot write {out}: {error.strerror}", where="--out", hint="choose another --out") from error


def _format_of(out: Path) -> str:
    return {".parquet": "parquet", ".json": "json", ".jsonl": "jsonl"}.get(out.suffix, "csv")


def print_out(text: str) -> None:
    """Write a line of data to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Interrupted(Exception):  # noqa: N818 - not an error
    """Ctrl-C arrived; said in our own words, because the command parser has another use for its exception."""


class ReaderGone(Exception):  # noqa: N818 - not an error
    """Whoever read stdout has read enough."""


def _check_format(name: str | None) -> None:
    """Refuse an unknown format before the work, not after it."""
    if name is not None:
        from qts.rendering.rows import FORMATS

        FORMATS[name]


Command = Callable[..., None]


def command(
    group: typer.Typer, examples: tuple[str, ...], see: str = "", *, flags: tuple[str, ...] = (), before: str = ""
) -> Callable[[Command], Command]:
    """Return a decorator that makes `work(session, …)` a command with flags, the common options and a full help.

    Flags stand in the help before the option of `work` that is named, or before all of them. Whoever asks the session
    for the config has them in it.
    """

    def decorate(work: Command) -> Command:
        signature = inspect.signature(work)
        own = _options(signature, flags, before)

        @wraps(work)
        def run(**given: Any) -> None:  # noqa: ANN401 - typer hands over what was parsed
            common = {name: given.pop(name) for name in _COMMON}
            values = {FLAGS[name].key: given.pop(name) for name in flags}
            Session.current = Session(
                **common, flags={key: value for key, value in values.items() if value is not None}
            )
            _check_format(given.get("format_"))
            try:
                work(Session.current, **given)
            except KeyboardInterrupt:
                raise Interrupted from None
            except BrokenPipeError:
                raise ReaderGone from None

        run.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in own} | {"return": None}
        shown = "\n\n".join(
            ["\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples), EXIT_CODES, see and f"See also: {see}"]
        )
        group.command(work.__name__.rstrip("_").replace("_", "-"), epilog=shown.strip())(run)
        return run

    return decorate


def _options(signature: inspect.Signature, flags: tuple[str, ...], before: str) -> list[inspect.Parameter]:
    """Return the parameters of a command: its own with its flags among them, then the common ones."""
    own = [made.replace(kind=inspect.Parameter.KEYWORD_ONLY) for made in list(signature.parameters.values())[1:]]
    place = [made.name for made in own].index(before) if before else 0
    own[place:place] = [FLAGS[name].parameter(name) for name in flags]
    return own + [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[name], annotation=annotation)
        for name, annotation in _COMMON.items()
    ]
