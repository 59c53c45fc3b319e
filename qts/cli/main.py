"""The program: all commands, and the one place where a failure becomes a message and an exit code."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import typer
from typer.exceptions import Abort, Exit, TyperException

from qts.cli.commands import app
from qts.cli.console import print_error
from qts.cli.session import Interrupted, ReaderGone, Session
from qts.errors import ConfigError, ExitCode, QtsError

TRACEBACK_VERBOSITY = 2

# Idle OpenMP threads that spin for long starve whoever shares the cores: two trainings at once each ran ten times
# slower. A short spin costs a lone one nothing. It must be set before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


class Terminated(BaseException):
    """SIGTERM arrived: work unwinds as it does for Ctrl-C."""


class Stopped(QtsError):  # noqa: N818 - nothing went wrong
    """A signal ended the work."""


_signals: list[int] = []
"""Signals that have arrived; libraries turn ours into errors of their own."""


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    _signals.append(number)
    raise KeyboardInterrupt


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    _signals.append(number)
    raise Terminated


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with the code of what happened."""
    sys.exit(int(run(list(sys.argv[1:] if arguments is None else arguments))))


def run(arguments: list[str]) -> int:  # noqa: PLR0911 - one return a way to end
    """Run one command line; return its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, _interrupt)
    _signals.clear()
    Session.current = None
    try:
        code = typer.main.get_command(app).main(args=arguments, prog_name="qts", standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.DONE
    except Exit as done:
        return done.exit_code
    except TyperException as error:
        if error.format_message().startswith("Usage:"):  # a group without a command: its help is the answer
            sys.stderr.write(error.format_message() + "\n")
            return ExitCode.USAGE
        return _fail(ConfigError(error.format_message(), hint="qts COMMAND --help"), arguments)
    except QtsError as error:
        return _fail(error, arguments)
    except (Interrupted, KeyboardInterrupt, Abort):
        return _stopped(arguments)
    except Terminated:
        return _stopped(arguments)
    except ReaderGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001 - nobody is shown a traceback who did not ask for it
        return _fail(_unexpected(error), arguments)


def _fail(error: QtsError, arguments: list[str]) -> int:
    if _signals:
        return _stopped(arguments)
    session = Session.current
    print_error(error, as_json=session.json if session else "--json" in arguments)
    if session and session.verbose >= TRACEBACK_VERBOSITY:
        traceback.print_exception(error)
    return error.code


def _unexpected(error: Exception) -> QtsError:
    if isinstance(error, MemoryError):
        wrapped = QtsError("out of memory", hint="set [limits] memory, or select fewer factors")
    else:
        wrapped = QtsError(
            f"unexpected {type(error).__name__}: {error}", hint="run again with -vv and report what it prints"
        )
    wrapped.__cause__ = error
    return wrapped


def _stopped(arguments: list[str]) -> int:
    is_terminated = signal.SIGTERM in _signals
    Stopped.code = ExitCode.TERMINATED if is_terminated else ExitCode.INTERRUPTED
    session = Session.current
    told = Stopped(
        "terminated" if is_terminated else "interrupted", hint="what was whole is kept; run it again to go on"
    )
    print_error(told, as_json=session.json if session else "--json" in arguments)
    return told.code
