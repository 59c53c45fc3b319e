"""The program: all commands, and the one place where a failure becomes a message and an exit code."""

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

import typer
from typer.exceptions import Abort, Exit, TyperException

from qts.cli import signals
from qts.cli.commands import app
from qts.cli.console import say
from qts.cli.ending import end_command, tell_failure
from qts.cli.session import Interrupted, ReaderGone, Session
from qts.errors import ConfigError, ExitCode, QtsError, WriteError

# Idle OpenMP threads that spin for long starve whoever shares the cores: two trainings at once each ran ten times
# slower. A short spin costs a lone one nothing. It must be set before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with the code of what happened."""
    _open_closed_streams()
    _end(int(run(list(sys.argv[1:] if arguments is None else arguments))))


def _end(code: int) -> NoReturn:
    """End the process at once: to take the libraries apart takes half a second, and nobody needs them any more.

    After a time limit not even their own last wishes are heard: threads deep in native code would hold up the end.
    """
    if not signals.has_timed_out():
        atexit._run_exitfuncs()  # noqa: SLF001 - there is no other way to have them run
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    Session.expect(arguments)
    with signals.heard():
        code, error = _outcome(arguments)
        signals.pass_over()
        try:
            if error is not None:
                tell_failure(error, arguments, shows=not (Session.current and Session.current.refusal))
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_stdout()
        except OSError as full:
            _leave_stdout()
            if not isinstance(error, WriteError):
                error = WriteError.of("stdout", full.strerror or str(full))
                code = error.code
                tell_failure(error, arguments, shows=False)
        if Session.current is not None:
            end_command(Session.current, code, error)
        _let_go(error)
    return code


def _let_go(error: BaseException | None) -> None:
    """Cut an error loose from where it came from: one of pydantic's in its chain keeps all of that alive for ever."""
    while error is not None:
        error.__traceback__ = None
        before = error.__cause__ or error.__context__
        error.__cause__ = error.__context__ = None
        error = before


@cache
def _program() -> Any:  # noqa: ANN401 - whatever parser typer has made
    """Return all commands as they are parsed; made once for a process that runs many command lines."""
    return typer.main.get_command(app)


def _outcome(arguments: list[str]) -> tuple[int, QtsError | None]:  # noqa: PLR0911 - one return a way to end
    """Do what a command line asks for; return its exit code and what is to be told."""
    try:
        code = _program().main(args=arguments, prog_name="qts", standalone_mode=False)
    except Exit as done:
        return done.exit_code, Session.current.refusal if Session.current else None
    except TyperException as error:
        if error.format_message().startswith("Usage:"):  # a group without a command: its help is the answer
            say(error.format_message())
            return ExitCode.USAGE, None
        return _failure(ConfigError(error.format_message(), hint="qts COMMAND --help"))
    except QtsError as error:
        return _failure(error)
    except (Interrupted, Abort, *signals.STOPS):
        return _failure(None)
    except (ReaderGone, BrokenPipeError):
        _leave_stdout()
        return ExitCode.DONE, None
    except SystemExit as left:  # the parser's answer to a reader of its help who has read enough
        if not isinstance(left.__context__, BrokenPipeError):
            raise
        _leave_stdout()
        return ExitCode.DONE, None
    except Exception as error:  # noqa: BLE001 - nobody is shown a traceback who did not ask for it
        return _failure(_unexpected(error))
    return code if isinstance(code, int) else ExitCode.DONE, Session.current.refusal if Session.current else None


def _failure(error: QtsError | None) -> tuple[int, QtsError]:
    """Return what is told of a failure; if a signal came, then that, whatever a library made of it."""
    if error is None or signals.has_arrived():
        error = signals.stop_of(Session.current.timeout if Session.current else None)
    return error.code, error


def _unexpected(error: Exception) -> QtsError:
    if isinstance(error, MemoryError):
        wrapped = QtsError("out of memory", hint="set [limits] memory, or select fewer factors")
    else:
        wrapped = QtsError(
            f"unexpected {type(error).__name__}: {error}", hint="run again with -vv and report what it prints"
        )
    wrapped.__cause__ = error
    return wrapped


def _leave_stdout() -> None:
    """Let what is still to be written go nowhere: the interpreter flushes once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _open_closed_streams() -> None:
    """Put nothing where a stream was closed: else the next file that is opened would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115, PTH123 - for good
