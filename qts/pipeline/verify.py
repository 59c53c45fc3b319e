"""Proofs on a user's own store and run; nothing is written to store, runs or predictions."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from qts.config import LoadedConfig
from qts.errors import QtsError, StoreError
from qts.pipeline.features import refuse_stale_store
from qts.pipeline.pinned import pin_file, read_pin
from qts.pipeline.predict import kept_scores
from qts.pipeline.proofs.no_look_ahead import NAME as LOOK_AHEAD
from qts.pipeline.proofs.no_look_ahead import prove_no_look_ahead
from qts.pipeline.proofs.proof import Case, Proof
from qts.pipeline.proofs.scores_invariant import NAME as INVARIANT
from qts.pipeline.proofs.scores_invariant import prove_scores_invariant
from qts.pipeline.proofs.scores_trace import NAME as TRACE
from qts.pipeline.proofs.scores_trace import prove_scores_trace
from qts.pipeline.proofs.store_rebuilt import NAME as REBUILT
from qts.pipeline.proofs.store_rebuilt import prove_store_rebuilt
from qts.pipeline.run_record import runs_folder
from qts.predictions import read_book
from qts.progress import Progress
from qts.store import Store, open_store
from qts.training.checkpoint import LATEST, Run, open_run

PROOFS: dict[str, Callable[[Case], Iterator[Proof]]] = {
    INVARIANT: prove_scores_invariant,
    LOOK_AHEAD: prove_no_look_ahead,
    REBUILT: prove_store_rebuilt,
    TRACE: prove_scores_trace,
}
"""Claim → what proves it, or not."""


@dataclass(frozen=True)
class VerifyResult:
    """What was proved."""

    run: str | None
    """None: there is no run."""
    store: Path
    proofs: tuple[Proof, ...]
    seconds: float

    @property
    def failed(self) -> tuple[Proof, ...]:
        """Proofs that found something that speaks against their claim."""
        return tuple(proof for proof in self.proofs if proof.n_failed)

    def refusal(self) -> QtsError | None:
        """Return the error that names the claims which do not hold; None if all do."""
        if not self.failed:
            return None
        names = ", ".join(dict.fromkeys(proof.name for proof in self.failed))
        message = f"{len(self.failed)} of {len(self.proofs)} proofs failed: {names}; first: {self.failed[0].example}"
        return QtsError(message, hint="docs/verify.md says what each failure means, and what to do about it")

    def payload(self) -> dict[str, object]:
        """Return the result as JSON has it."""
        return {
            "run": self.run, "store": self.store, "passes": not self.failed,
            "n_checked": sum(proof.n_checked for proof in self.proofs),
            "n_failed": sum(proof.n_failed for proof in self.proofs), "seconds": round(self.seconds, 3),
            "proofs": [asdict(proof) for proof in self.proofs],
        }  # fmt: skip


def verify(
    loaded: LoadedConfig,
    progress: Progress,
    *,
    run: str | None = None,
    n_pairs: int = 200,
    n_instruments: int = 20,
    seed: int = 0,
    claims: Collection[str] = (),
) -> VerifyResult:
    """Prove what can be proved of the store, of a run, and of what was published.

    Without `run` it is the pinned one, else the latest; without `claims`, names in PROOFS, all of them. Raises
    StoreError if there is no store, or it is not the config's; a claim that does not hold is no error here.
    """
    started = time.perf_counter()
    store = open_store(loaded.path(loaded.config.store.path))
    refuse_stale_store(loaded, store)
    opened = _open(loaded, run)
    book = read_book(loaded.path(loaded.config.store.predictions))
    case = Case(loaded, store, opened, _kept(opened, store), book, n_pairs, n_instruments, seed, progress)
    proofs = tuple(proof for name in claims or PROOFS for proof in _proved(name, PROOFS[name], case))
    return VerifyResult(opened.name if opened else None, store.folder, proofs, time.perf_counter() - started)


def _open(loaded: LoadedConfig, name: str | None) -> Run | None:
    """Return the run that is named, pinned or the latest; None if there is none at all."""
    if name is None and pin_file(loaded).is_file():
        name = read_pin(loaded).run
    if name is None and not (runs_folder(loaded) / LATEST).is_file():
        return None
    return open_run(runs_folder(loaded), name)


def _kept(run: Run | None, store: Store) -> pa.Table | None:
    """Return the scores kept with a run; that its weights cannot be read is told by the proofs."""
    try:
        return None if run is None else kept_scores(run, store)
    except StoreError:
        return None


def _proved(name: str, prove: Callable[[Case], Iterator[Proof]], case: Case) -> Iterator[Proof]:
    """Yield a claim's proofs; what breaks one off is a failure of the claim, and the others go on."""
    started = time.perf_counter()
    try:
        yield from prove(case)
    except QtsError as error:
        seconds = round(time.perf_counter() - started, 3)
        yield Proof(name, "all that it needs to read", 1, 1, example=str(error), seconds=seconds)
