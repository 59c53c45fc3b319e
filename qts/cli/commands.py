"""Every command: parse, call the pipeline, render. Imports of work stand inside: --help must not pay for torch."""

from typing import Annotated

import typer

from qts.cli import data, listing, looking, nightly, results, runs, training, verify
from qts.cli.session import print_out

app = typer.Typer(
    help="From market bars to trusted scores: factors by DuckDB, windows in a memory map, recurrent networks, honest IC reports.",
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=True,
)  # fmt: skip
for module in (data, training, results, nightly, verify, runs, looking, listing):  # the order of qts --help
    app.registered_commands += module.group.registered_commands
app.add_typer(runs.runs_group, name="runs")


def _version(wanted: bool) -> None:
    if wanted:
        from qts import __version__

        print_out(f"qts {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
