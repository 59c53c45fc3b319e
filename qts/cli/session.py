"""One command at work: its common options, its config, its watcher, and how its result is shown."""

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from qts import clock
from qts.cli.console import (
    BarProgress,
    JsonProgress,
    LineProgress,
    error_object,
    has_colour,
    is_terminal,
    say_event,
)
from qts.cli.options import FLAGS
from qts.cli.signals import check_limit, time_limit
from qts.cli.stages import StageMeter
from qts.errors import ConfigError, QtsError, WriteError
from qts.json_text import to_json
from qts.terminal_text import tame

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
        int, typer.Option("--verbose", "-v", count=True, help="What each stage took; -vv: the traceback of a failure.")
    ],
    "no_progress": Annotated[bool, typer.Option("--no-progress", help="No live bar; one line a stage.")],
    "no_color": Annotated[
        bool, typer.Option("--no-color", help="No colour; NO_COLOR in the environment does the same.")
    ],
    "log_format": Annotated[
        str, typer.Option("--log-format", metavar="text|json", help="Of stderr: lines, or one JSON object an event.")
    ],
    "timeout": Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="End the work after so long; exit code 1.")
    ],
}
_DEFAULTS: dict[str, Any] = {"config_file": None, "assignments": [], "json": False, "quiet": False, "verbose": 0,
                             "no_progress": False, "no_color": False, "log_format": "text", "timeout": None}  # fmt: skip
LOG_FORMATS = ("text", "json")


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
    log_format: str = "text"
    timeout: float | None = None
    command: str = ""
    """As it is typed: `runs list`."""
    is_plan: bool = False
    """Whether nothing is to be written: a dry run."""
    flags: dict[str, object] = field(default_factory=dict)
    """Key of the config → value, of the flags that were given."""
    meter: StageMeter = field(default_factory=StageMeter)
    """What the stages took."""
    began: str = field(default_factory=clock.stamp)
    """When the command began."""
    loaded: "LoadedConfig | None" = None
    """The config, once it was read."""
    result: dict[str, Any] = field(default_factory=dict)
    """What was shown, as programs see it."""
    refusal: QtsError | None = None
    """Why a command fails that has shown what it found."""
    current: "ClassVar[Session | None]" = None
    """The session at work; whoever reports a failure asks it how."""
    arguments: ClassVar[tuple[str, ...]] = ()
    """The command line."""

    @classmethod
    def expect(cls, arguments: list[str]) -> None:
        """Forget the session before: this command line comes next."""
        cls.current, cls.arguments = None, tuple(arguments)

    def config(self, more: Mapping[str, object] | None = None) -> "LoadedConfig":
        """Read the config as the flags have it; `more` maps other keys to values, None for what was not given."""
        from qts.config import load_config

        flags = {**self.flags, **(more or {})}
        self.loaded = load_config(self.config_file, assignments=self.assignments, flags=flags)
        return self.loaded

    @property
    def logs_json(self) -> bool:
        """Whether stderr is for programs."""
        return self.log_format == "json"

    def progress(self) -> LineProgress:
        """Return the watcher: a live bar on a terminal, else lines; use it in a `with`."""
        if self.logs_json:
            return JsonProgress(self.command, self.meter, quiet=self.quiet)
        if self.quiet or self.no_progress or self.json or not is_terminal():
            return LineProgress(self.meter, quiet=self.quiet, verbose=self.verbose > 0)
        return BarProgress(self.meter, no_color=not has_colour(self.no_color), verbose=self.verbose > 0)

    def show(self, command: str, payload: Mapping[str, Any], text: str) -> None:
        """Print a result: one object for programs, text for people. Of processes that train together only one speaks."""
        self.result = dict(payload)
        if not self.is_first:
            return
        print_out(to_json({"schema": f"qts.{command}/1", **payload}) if self.json else text)

    @property
    def is_first(self) -> bool:
        """Whether no other process that trains with this one speaks for it."""
        return int(os.environ.get("WORLD_SIZE", "1")) <= 1 or os.environ.get("RANK", "0") == "0"

    def show_with_refusal(self, command: str, payload: Mapping[str, Any], text: str, refusal: QtsError | None) -> None:
        """Print a result; then, if it is refused, say why and end with the refusal's code."""
        self.show(command, _with_error(payload, refusal), text)
        self._end_if(refusal)

    def _end_if(self, refusal: QtsError | None) -> None:
        """End a command that has shown what it found, and fails because of it."""
        if refusal is not None:
            self.refusal = refusal
            raise typer.Exit(refusal.code)

    def draws_table(self, format_: str | None) -> bool:
        """Return whether rows are shown to a person, who wants few columns."""
        return not self.json and (format_ or ("table" if sys.stdout.isatty() else "csv")) == "table"

    def show_result(
        self,
        command: str,
        payload: Mapping[str, Any],
        rows: Any,  # noqa: ANN401 - as show_rows
        format_: str | None,
        refusal: QtsError | None = None,
    ) -> None:
        """Print one object for programs that ask for it, else rows in a format; then end if it is refused."""
        told = _with_error(payload, refusal)
        if self.json:
            self.show(command, told, "")
        else:
            self.show_rows(command, rows, format_)
            self.result = told
        self._end_if(refusal)

    def show_rows(self, command: str, rows: Any, format_: str | None = None, out: Path | None = None) -> None:  # noqa: ANN401 - rows or a table
        """Print rows in a format; by default a table on a terminal, else CSV."""
        from qts.rendering.rows import FORMATS, to_dicts, to_table

        table = to_table(rows)
        self.result = {"file": out, "n_rows": table.num_rows}
        is_file = out is not None and str(out) != "-"
        name = format_ or (_format_of(out) if out and is_file else "table" if sys.stdout.isatty() else "csv")
        if out is not None and is_file:
            _write_file(table, FORMATS[name], out)
            if self.json:
                self.show(command, {"file": out, "n_rows": table.num_rows}, "")
        elif self.json:
            self.show(command, {"rows": to_dicts(table)}, "")
        else:
            with _written_to_stdout():
                FORMATS[name](table, sys.stdout.buffer)
                sys.stdout.buffer.flush()


def _with_error(payload: Mapping[str, Any], refusal: QtsError | None) -> dict[str, Any]:
    return {**payload, **(error_object(refusal) if refusal else {})}


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
    with _written_to_stdout():
        sys.stdout.write(tame(text) + "\n")
        sys.stdout.flush()


@contextmanager
def _written_to_stdout() -> Iterator[None]:
    """Say that stdout cannot be written to, as when it is a file on a full disk; a reader who left is another matter."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WriteError.of("stdout", error.strerror or str(error)) from error


class Interrupted(Exception):  # noqa: N818 - not an error
    """Ctrl-C arrived; said in our own words, because the command parser has another use for its exception."""


class ReaderGone(Exception):  # noqa: N818 - not an error
    """Whoever read stdout has read enough."""


def _check_common(session: Session, format_: str | None) -> None:
    """Refuse what no option can be before the work, not after it; then tell that it begins."""
    if session.log_format not in LOG_FORMATS:
        told, session.log_format = session.log_format, "text"
        raise ConfigError(f'unknown format "{told}"', where="--log-format", hint=f"one of {', '.join(LOG_FORMATS)}")
    check_limit(session.timeout)
    if format_ is not None:
        from qts.rendering.rows import FORMATS

        FORMATS[format_]
    if session.logs_json and not session.quiet:
        say_event(session.command, "begin", arguments=Session.arguments)


def plain_name(work: "Command") -> str:
    """Return a command's own name as it is typed."""
    return work.__name__.rstrip("_").replace("_", "-")


def command_name(group: typer.Typer, work: "Command") -> str:
    """Return a command's name as it is typed, with that of its group before it: `runs list`."""
    return f"{group.info.name or ''} {plain_name(work)}".strip()


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
            session = Session(
                **common, command=command_name(group, work), is_plan=bool(given.get("dry_run")),
                flags={key: value for key, value in values.items() if value is not None},
            )  # fmt: skip
            Session.current = session
            _check_common(session, given.get("format_"))
            try:
                with time_limit(session.timeout):
                    work(session, **given)
            except KeyboardInterrupt:
                raise Interrupted from None
            except BrokenPipeError:
                raise ReaderGone from None

        run.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in own} | {"return": None}
        shown = "\n\n".join(
            ["\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples), EXIT_CODES, see and f"See also: {see}"]
        )
        group.command(plain_name(work), epilog=shown.strip())(run)
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
