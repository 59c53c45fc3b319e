"""Narration on stderr: progress, notes, warnings, errors, as lines or as one JSON object a line."""

import io
import os
import sys
from types import TracebackType
from typing import Any, Self

from qts import clock
from qts.cli.stages import Stage, StageMeter, peak_memory
from qts.errors import QtsError
from qts.json_text import to_json
from qts.terminal_text import tame


class _Nobody(io.TextIOBase):
    """Stands where stderr was, after whoever read it has left."""

    def write(self, text: str) -> int:
        """Drop it."""
        return len(text)


def say(text: str) -> None:
    """Write a line to stderr; whoever read it may leave, or its disk be full: then the work goes on in silence."""
    try:
        print(tame(text), file=sys.stderr, flush=True)  # noqa: T201 - narration
    except (OSError, ValueError):
        sys.stderr = _Nobody()


def say_event(command: str | None, event: str, **more: object) -> None:
    """Write an event as one JSON object a line."""
    say(to_json({"time": clock.now().isoformat(timespec="milliseconds"), "event": event, "command": command, **more}))


def is_terminal() -> bool:
    """Return whether stderr is a terminal that may be drawn on."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(no_color: bool) -> bool:
    """Return whether stderr may be coloured."""
    return is_terminal() and not no_color and "NO_COLOR" not in os.environ


class LineProgress:
    """One line a stage, for logs and pipes; with `verbose` also what each took."""

    def __init__(self, meter: StageMeter | None = None, *, quiet: bool = False, verbose: bool = False) -> None:
        self.meter = meter or StageMeter()
        self.quiet = quiet
        self.verbose = verbose

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended(self.meter.end())

    def ended(self, stage: Stage | None) -> None:
        """Say what a stage took, if one has ended and somebody wants to know."""
        if stage is not None and self.verbose:
            size = f", {stage.rows:,} rows" if stage.rows else ""
            size += f", {stage.bytes / 1e6:,.1f} MB" if stage.bytes else ""
            self.note(f"{stage.name}: {stage.seconds:.2f} s{size}")

    def stage(self, name: str, total: int | None = None) -> None:  # noqa: ARG002 - the protocol has it
        """Name the stage."""
        self.ended(self.meter.begin(name))
        if not name.startswith("epoch "):  # an epoch ends in a note of its own
            self.note(name)

    def advance(self, steps: int = 1) -> None:
        """Say nothing."""

    def count(self, *, rows: int = 0, n_bytes: int = 0) -> None:
        """Add it to the stage's figures."""
        self.meter.count(rows, n_bytes)

    def note(self, text: str) -> None:
        """Say it."""
        if not self.quiet:
            say(text)

    def warn(self, text: str) -> None:
        """Say it even when quiet."""
        say(f"warning: {text}")


class JsonProgress(LineProgress):
    """One JSON object for the end of each stage, each note and each warning, for log collectors."""

    def __init__(self, command: str, meter: StageMeter | None = None, *, quiet: bool = False) -> None:
        super().__init__(meter, quiet=quiet)
        self.command = command

    def ended(self, stage: Stage | None) -> None:
        """Tell the figures of a stage."""
        if stage is not None and not self.quiet:
            figures = {"seconds": stage.seconds, "rows": stage.rows, "bytes": stage.bytes, "peak_memory": peak_memory()}
            say_event(self.command, "stage", stage=stage.name, **figures)

    def stage(self, name: str, total: int | None = None) -> None:  # noqa: ARG002 - the protocol has it
        """Tell of the stage that ended by this."""
        self.ended(self.meter.begin(name))

    def note(self, text: str) -> None:
        """Tell it."""
        if not self.quiet:
            say_event(self.command, "note", text=text)

    def warn(self, text: str) -> None:
        """Tell it even when quiet."""
        say_event(self.command, "warning", text=text)


class BarProgress(LineProgress):
    """A live bar with rate and time left, for people."""

    def __init__(self, meter: StageMeter | None = None, *, no_color: bool, verbose: bool = False) -> None:
        super().__init__(meter, verbose=verbose)
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Speed(ProgressColumn):
            """Steps a second."""

            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.0f}/s" if task.speed else "")

        console = Console(stderr=True, no_color=no_color, highlight=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Speed(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._task: Any = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._progress.stop()

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a new bar in place of the old one."""
        self.ended(self.meter.begin(name))
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(tame(name), total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, steps)

    def note(self, text: str) -> None:
        """Print above the bar."""
        self._progress.console.print(tame(text), markup=False)

    def warn(self, text: str) -> None:
        """Print above the bar."""
        self._progress.console.print(f"warning: {tame(text)}", style="yellow", markup=False)


def error_lines(error: QtsError) -> list[str]:
    """Return what a person is told: every problem, each with its hint."""
    lines = []
    for part in error.parts():
        lines.append(f"error: {part}")
        if part.hint:
            lines.append(f"hint: {part.hint}")
    return lines


def error_object(error: QtsError) -> dict[str, Any]:
    """Return what a program is told."""
    problems = [{"message": part.message, "hint": part.hint, "where": part.where} for part in error.parts()]
    first = problems[0]
    return {"error": {"code": int(error.code), "kind": type(error).__name__, **first, "problems": problems}}


def print_error_object(error: QtsError) -> None:
    """Write what a program is told to stdout."""
    sys.stdout.write(to_json(error_object(error)) + "\n")
    sys.stdout.flush()
