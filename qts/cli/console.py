"""Narration on stderr: progress, notes, warnings, errors. Nothing here ever writes to stdout."""

import io
import os
import sys
from types import TracebackType
from typing import Any, Self

from qts.errors import QtsError
from qts.json_text import to_json


def is_terminal() -> bool:
    """Return whether stderr is a terminal that may be drawn on."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(no_color: bool) -> bool:
    """Return whether stderr may be coloured."""
    return is_terminal() and not no_color and "NO_COLOR" not in os.environ


class LineProgress:
    """One line a stage, for logs and pipes."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def _say(self, text: str) -> None:
        if not self.quiet:
            self._print(text)

    def _print(self, text: str) -> None:
        """Whoever read stderr may leave: then the work goes on in silence."""
        try:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - narration
        except BrokenPipeError:
            sys.stderr = io.StringIO()

    def stage(self, name: str, total: int | None = None) -> None:  # noqa: ARG002 - the protocol has it
        """Name the stage."""
        if not name.startswith("epoch "):  # an epoch ends in a note of its own
            self._say(name)

    def advance(self, steps: int = 1) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def warn(self, text: str) -> None:
        """Say it even when quiet."""
        self._print(f"warning: {text}")


class BarProgress(LineProgress):
    """A live bar with rate and time left, for people."""

    def __init__(self, *, no_color: bool) -> None:
        super().__init__()
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
            TextColumn("{task.description}"),
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
        self._progress.stop()

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a new bar in place of the old one."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, steps)

    def note(self, text: str) -> None:
        """Print above the bar."""
        self._progress.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print above the bar."""
        self._progress.console.print(f"warning: {text}", style="yellow", markup=False)


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


def print_error(error: QtsError, *, as_json: bool) -> None:
    """Tell what went wrong: one JSON object on stdout for programs, lines on stderr for people."""
    if as_json:
        sys.stdout.write(to_json(error_object(error)) + "\n")
    for line in error_lines(error):
        print(line, file=sys.stderr)  # noqa: T201 - narration
