"""The command of every night."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from qts.cli.options import Wait
from qts.cli.session import Session, command
from qts.cli.signals import TimedOut
from qts.errors import ExitCode, QtsError

if TYPE_CHECKING:
    from qts.config import LoadedConfig
    from qts.progress import Progress

group = typer.Typer()

_WORDS: dict[type[BaseException], str] = {TimedOut: "timed out"}

MaxAge = Annotated[
    str | None, typer.Option("--max-age", metavar="DAYS", help="Fail if the bars end longer ago, in trading days: 1d.")
]


@command(
    group,
    ("qts nightly", "qts nightly --max-age 1d --wait 600 --timeout 3600 -q", "qts nightly --json"),
    "qts runs pin, qts verify, qts status",
)
def nightly(
    session: Session,
    max_age: MaxAge = None,
    wait: Wait = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do and take; write nothing.")] = False,
) -> None:
    """Score tonight's market: ingest what is new, publish scores of the pinned run, judge those that have matured."""
    from qts.pipeline.age import parse_age
    from qts.pipeline.nightly import nightly as work
    from qts.rendering.nights import nightly_text

    age = None if max_age is None else parse_age(max_age)
    loaded = session.config()
    if dry_run:
        _show_plan(session, loaded)
        return
    with session.progress() as progress:
        try:
            result = work(loaded, progress, wait_seconds=wait, max_age=age)
            payload, refusal = result.payload(), result.refusal(loaded.config.nightly.drift)
            text = nightly_text(payload)
            if refusal is None:
                _tell(loaded, progress, "on_success", payload, text)
        except (Exception, TimedOut) as error:
            _tell_failure(loaded, progress, error)
            raise
        if refusal is not None:
            _tell_failure(loaded, progress, refusal, payload)
    session.show_with_refusal("nightly", payload, text, refusal)


def _show_plan(session: Session, loaded: "LoadedConfig") -> None:
    """Show what the ingest of a night would do, and where its scores would go."""
    from qts.cli.data import show_forecast
    from qts.pipeline.nightly import last_published
    from qts.pipeline.pinned import read_pin

    pin, last = read_pin(loaded), last_published(loaded)
    then = f"every day after {last}" if last else "the last day"
    more = {"run": pin.run, "last_published": last}
    show_forecast(session, "nightly", more=more, last_line=f"then scores with {pin.run}: {then}")


def _tell_failure(
    loaded: "LoadedConfig", progress: "Progress", error: BaseException, payload: dict[str, Any] | None = None
) -> None:
    """Run the program for failures; that it fails too must not hide what went wrong."""
    from qts.cli.console import error_object

    known = error if isinstance(error, QtsError) else QtsError(_WORDS.get(type(error), f"unexpected {error!r}"))
    try:
        _tell(loaded, progress, "on_failure", {**(payload or {}), **error_object(known)}, str(known), known.code)
    except QtsError as problem:
        progress.warn(str(problem))


def _tell(
    loaded: "LoadedConfig", progress: "Progress", key: str, payload: dict[str, Any], text: str,
    code: ExitCode = ExitCode.DONE,
) -> None:  # fmt: skip
    """Run a hook with the summary on stdin and its gist in the environment; what it says goes to stderr."""
    from qts.json_text import to_json
    from qts.pipeline.hooks import run_hook

    variables = {
        "QTS_EXIT_CODE": str(int(code)), "QTS_SUMMARY": text.partition("\n")[0], "QTS_DAY": str(payload.get("day", "")),
        "QTS_PREDICTIONS": str(loaded.path(loaded.config.store.predictions)),
    }  # fmt: skip
    for line in run_hook(loaded, key, to_json({"schema": "qts.nightly/1", **payload}), variables):
        progress.note(line)
