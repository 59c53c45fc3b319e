"""The command that proves the claims on a user's own data."""

from typing import Annotated

import typer

from qts.cli.options import Format
from qts.cli.session import Session, command

group = typer.Typer()

OfRun = Annotated[
    str | None, typer.Option("--run", help="A run, by name or the start of it; else the pinned one, else the latest.")
]


@command(
    group,
    ("qts verify", "qts verify --run 20261120T --pairs 1000 --instruments 100", "qts verify --seed 7 --json"),
    "qts nightly, qts check, qts status",
)
def verify(
    session: Session,
    run: OfRun = None,
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="Scores that are asked again, in several ways.")] = 200,
    instruments: Annotated[
        int, typer.Option("--instruments", min=1, help="Instruments that are computed anew from their bars.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another one draws other days, pairs and names.")] = 0,
    format_: Format = None,
) -> None:
    """Prove on store and run: scores are invariant, nothing looks ahead, the store equals a rebuild, scores trace."""
    from qts.pipeline.verify import verify as work
    from qts.rendering.verify_text import failure_lines, proof_rows

    with session.progress() as progress:
        result = work(session.config(), progress, run=run, n_pairs=pairs, n_instruments=instruments, seed=seed)
        proofs = [vars(proof) for proof in result.proofs]
        for line in failure_lines(proofs):
            progress.warn(line)
    session.show_result("verify", result.payload(), proof_rows(proofs), format_, result.refusal())
