"""Commands that list what there is: operators, processors, tables of the store, keys of the config, the machine."""

from pathlib import Path
from typing import Annotated

import typer

from qts.cli.options import Format, Name, Out
from qts.cli.session import Session, command, print_out
from qts.errors import QtsError

group = typer.Typer()


@command(group, ("qts operators", "qts operators Mean", "qts operators --format json"), "qts factors")
def operators(session: Session, name: Name = None, format_: Format = None) -> None:
    """List the operators of the factor language; with a name, its parameters."""
    from qts.pipeline.listing import describe_operator, list_operators

    session.show_rows("operators", list_operators() if name is None else describe_operator(name), format_)


@command(group, ("qts processors", "qts processors robust_zscore", "qts processors --json"), "qts window")
def processors(session: Session, name: Name = None, format_: Format = None) -> None:
    """List the processors; with a name, its keys."""
    from qts.pipeline.listing import describe_processor, list_processors

    session.show_rows("processors", list_processors() if name is None else describe_processor(name), format_)


@command(
    group,
    (
        'qts query "from label limit 5"',
        'qts query "select count(*) from alpha158"',
        'qts query "select * from predictions where datetime = (select max(datetime) from predictions)"',
    ),
    "qts status",
)
def query(
    session: Session,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT; the tables are the store's datasets.")],
    format_: Format = None,
    out: Out = None,
) -> None:
    """Ask the store in SQL, read-only: bars, calendar, label, universe, factor sets and published predictions are tables."""
    from qts.pipeline.query import query as work

    session.show_rows("query", work(session.config(), sql), format_, out)


@command(group, ("qts schema", "qts schema > qts.schema.json", "qts schema | jq .properties.train"), "qts check")
def schema(session: Session) -> None:  # noqa: ARG001 - every command gets one
    """Print the JSON Schema of qts.toml, for editors."""
    import json

    from qts.pipeline.schema import config_schema

    print_out(json.dumps(config_schema(), indent=1))


@command(group, ("qts doctor", "qts doctor --json", "qts doctor --format csv"), "qts status")
def doctor(session: Session, format_: Format = None) -> None:
    """Show what is slow, missing or to be minded: versions, cores, memory, disk, the store, its leftovers, the nights."""
    from qts.pipeline.doctor import examine

    loaded, problem = None, None
    try:
        loaded = session.config()
    except QtsError as error:  # the machine can be looked at all the same
        problem = {"what": "config", "found": str(error), "verdict": "careful", "hint": "run: qts check --config-only"}
    rows = examine(loaded, Path.cwd())
    session.show_rows("doctor", [*rows, problem] if problem else rows, format_)
