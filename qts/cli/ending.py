"""The end of a command: a failure is told, the last event is written, and the record of the call is left."""

import traceback

from qts import clock
from qts.cli.console import error_lines, error_object, print_error_object, say, say_event
from qts.cli.session import Session
from qts.errors import QtsError
from qts.json_text import to_json

TRACEBACK_VERBOSITY = 2


def tell_failure(error: QtsError, arguments: list[str], *, shows: bool = True) -> None:
    """Tell what went wrong: lines or an event on stderr, and with --json, if it `shows`, one object on stdout."""
    session = Session.current
    if session.logs_json if session else _asks_for_json_log(arguments):
        say_event(session.command if session else None, "error", **error_object(error))
    else:
        for line in error_lines(error):
            say(line)
    if session and session.verbose >= TRACEBACK_VERBOSITY:
        for line in traceback.format_exception(error):
            say(line.rstrip())
    if shows and (session.json if session else "--json" in arguments):
        print_error_object(error)


def _asks_for_json_log(arguments: list[str]) -> bool:
    """Return whether a command line that could not be read wanted events."""
    asked = " ".join(arguments).replace("--log-format=", "--log-format ")
    return "--log-format json" in asked


def end_command(session: Session, code: int, error: QtsError | None) -> None:
    """Write the event of the end, and leave the record of a command that works on a study."""
    totals = session.meter.totals()
    reason = _keep_record(session, code, error, totals)
    if session.logs_json and not session.quiet:
        say_event(session.command, "done", code=code, **totals)
    elif reason and session.verbose:
        say(f"no record of this call is kept: {reason}")


def _keep_record(session: Session, code: int, error: QtsError | None, totals: dict[str, object]) -> str | None:
    """Leave the record; return why there is none, if that is worth telling."""
    if session.loaded is None or session.is_plan or not session.is_first:
        return None
    from qts.pipeline.command_record import RECORDED, shortened, write_command_record

    if session.command not in RECORDED:
        return None
    told = {
        "arguments": list(Session.arguments), "started": session.began, "ended": clock.stamp(), "code": int(code),
        "error": error_object(error)["error"] if error else None, "stages": session.meter.stages(), **totals,
        "result": shortened(session.result) if code == 0 or session.refusal else None,
    }  # fmt: skip
    try:
        to_json(told)
    except (TypeError, ValueError, RecursionError):  # a result that JSON has no word for is no reason to fail
        told["result"] = None
    return write_command_record(session.loaded, session.command, told)
