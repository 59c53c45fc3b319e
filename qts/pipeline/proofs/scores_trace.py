"""Every published score traces to what it was made of: run, weights, features, window, data; and none was lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qts.columns import DATETIME, INSTRUMENT
from qts.errors import QtsError
from qts.pipeline.night_plan import features_print, synced_with
from qts.pipeline.predict import DATA_KEY, PREDICTIONS, data_print, weights_print
from qts.pipeline.proofs.proof import NO_RUN, Case, Proof, Tally
from qts.pipeline.run_record import runs_folder
from qts.predictions import Book, Lineage
from qts.store.checksum import digest_of
from qts.training.checkpoint import Run, open_run

NAME = "every score traces"
NO_BOOK = "no night has run"


def prove_scores_trace(case: Case) -> Iterator[Proof]:
    """Follow the kept scores, and every row of the book, to what they were made of."""
    yield _kept_scores(case)
    if case.book is None:
        yield Tally(NAME, "published scores, and what they were made of").skip(NO_BOOK)
        return
    case.progress.stage("trace published scores")
    for compared, check in CHECKS.items():
        tally = Tally(NAME, compared)
        check(tally, case, case.book)
        yield tally.done()


def _kept_scores(case: Case) -> Proof:
    """Compare the print of what kept scores were made of with the weights as they are."""
    tally = Tally(NAME, "the print of scores that are kept with the run, and its weights")
    if case.run is None:
        return tally.skip(NO_RUN)
    file = case.run.folder / PREDICTIONS
    if not file.is_file():
        return tally.skip("the run keeps no scores")
    try:
        found = (pq.read_schema(file).metadata or {}).get(DATA_KEY, b"")
        weights = weights_print(case.run).encode()
        is_current = found == data_print(case.run, case.store)
        n_scores = pq.read_metadata(file).num_rows
    except (OSError, pa.ArrowException, QtsError) as error:
        tally.fact(f"{file} or the weights cannot be read: {error}", holds=False)
        return tally.done()
    if not found:
        tally.fact(f"{file} does not say what it was made of", holds=False)
    elif not found.endswith(b" " + weights):
        tally.fact(f"the weights of {case.run.name} are not those that {PREDICTIONS} was made with", holds=False)
    else:
        tally.count(n_scores, 0)
        tally.compared += "" if is_current else "; the store has moved on since, so they will be made anew"
    return tally.done()


def _rows_have_lineage(tally: Tally, _case: Case, book: Book) -> None:
    known = pa.array([lineage.id for lineage in book.manifest.lineages], pa.int32())
    for rows, column in (
        (book.scores(), "lineage"),
        (book.superseded(), "lineage"),
        (book.superseded(), "replaced_by"),
    ):
        traced = pc.is_in(rows[column], known)
        strange = rows.filter(pc.invert(traced))
        example = _of(strange, 0) + f" names lineage {strange[column][0]}, which is none" if strange.num_rows else ""
        tally.count(rows.num_rows, strange.num_rows, example)
    ids = [lineage.id for lineage in book.manifest.lineages]
    tally.fact("lineages are not numbered 1, 2, …", holds=ids == list(range(1, len(ids) + 1)))


def _of(rows: pa.Table, at: int) -> str:
    return f"{rows[INSTRUMENT][at]} on {rows[DATETIME][at]}"


def _keys_are_single(tally: Tally, _case: Case, book: Book) -> None:
    rows = book.scores()
    counted = rows.group_by([INSTRUMENT, DATETIME]).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1))
    tally.count(counted.num_rows, twice.num_rows, f"{_of(twice, 0)} has several scores" if twice.num_rows else "")


def _versions_are_whole(tally: Tally, _case: Case, book: Book) -> None:
    """A key with version n has versions 1 to n - 1 among the superseded ones, each once."""
    columns = [INSTRUMENT, DATETIME, "version"]
    rows = pa.concat_tables([book.scores().select(columns), book.superseded().select(columns)])
    held = rows.group_by([INSTRUMENT, DATETIME]).aggregate(
        [("version", "count"), ("version", "count_distinct"), ("version", "min"), ("version", "max")]
    )
    count, distinct, low, high = (
        held[f"version_{name}"].to_numpy() for name in ("count", "count_distinct", "min", "max")
    )
    present = book.scores().select(columns).rename_columns([INSTRUMENT, DATETIME, "now"])
    joined = held.join(present, keys=[INSTRUMENT, DATETIME], join_type="inner")
    is_last = joined["now"].to_numpy() == joined["version_max"].to_numpy()
    failed = np.flatnonzero((count != high) | (distinct != count) | (low != 1))
    example = (
        f"{_of(held, int(failed[0]))} has not every version from 1 to {high[failed[0]]} once" if len(failed) else ""
    )
    tally.count(held.num_rows, len(failed), example)
    if not is_last.all():
        tally.count(
            0, int((~is_last).sum()), f"{_of(joined, int(np.argmin(is_last)))}: the present score is an old one"
        )


def _runs_are_there(tally: Tally, case: Case, book: Book) -> None:
    for lineage in book.manifest.lineages:
        say = f"lineage {lineage.id} of {lineage.made}"
        try:
            found = weights_print(_run_of(case, lineage))
        except QtsError as error:
            tally.fact(f"{say}: {error}", holds=False)
            continue
        tally.fact(f"{say}: the weights of {lineage.run} are no longer those it names", holds=found == lineage.weights)


def _run_of(case: Case, lineage: Lineage) -> Run:
    """Return the run of a lineage; another one whose name begins so is none."""
    run = open_run(runs_folder(case.loaded), lineage.run)
    if run.name != lineage.run:
        raise QtsError(f"the run {lineage.run} is gone")
    return run


def _features_are_equal(tally: Tally, case: Case, book: Book) -> None:
    for lineage in book.manifest.lineages:
        try:
            record = _run_of(case, lineage).record
        except QtsError as error:
            tally.fact(f"lineage {lineage.id}: {error}", holds=False)
            continue
        made_of = (features_print(record), record["window"], record["label"]["expr"])
        tally.fact(
            f"lineage {lineage.id}: features, window or label of {lineage.run} are no longer those it names",
            holds=made_of == (lineage.features, lineage.window, lineage.label),
        )


def _data_are_current(tally: Tally, case: Case, book: Book) -> None:
    """The newest lineage has the store's hashes, unless what has come since is known to have changed no score."""
    lineages, manifest = book.manifest.lineages, case.store.manifest
    if not lineages:
        tally.fact("the book has no lineage", holds=False)
        return
    last = lineages[-1]
    factors = {name: dataset.fingerprint for name, dataset in manifest.factor_sets.items()}
    universe = manifest.universe.fingerprint if manifest.universe else None
    is_same = (last.bars, last.factors, last.universe) == (manifest.bars.fingerprint, factors, universe)
    try:
        is_synced = book.manifest.synced == synced_with(case.store, _run_of(case, last).record, last.weights)
    except QtsError:
        is_synced = False
    say = f"the newest scores, of {last.made}, are of other data than the store's; run: qts nightly"
    tally.fact(say, holds=is_same or (is_synced and book.days().num_rows > 0 and _last_day(book) == manifest.last))


def _last_day(book: Book) -> object:
    return pc.max(book.days()[DATETIME]).as_py()


def _files_are_whole(tally: Tally, _case: Case, book: Book) -> None:
    """The name of a file of the book ends in the beginning of the hash of its bytes."""
    parts = book.manifest.parts()
    for part, file in zip(parts, book.files(parts), strict=True):
        try:
            digest = digest_of(Path(file))
        except OSError as error:
            tally.fact(f"{part.path} cannot be read: {error.strerror}", holds=False)
            continue
        say = f"the bytes of {part.path} are no longer those that were written"
        tally.fact(say, holds=Path(part.path).stem.endswith(f"-{digest[:8]}"))


CHECKS: dict[str, Callable[[Tally, Case, Book], None]] = {
    "published scores, present and superseded, and the lineages they name": _rows_have_lineage,
    "keys of the present scores, each once": _keys_are_single,
    "keys and their versions, counted from 1 without a gap": _versions_are_whole,
    "lineages, and the weights in the folders of their runs": _runs_are_there,
    "lineages, and features, window and label of their runs": _features_are_equal,
    "the newest lineage, and the data of the store": _data_are_current,
    "files of the book, and the hash of their bytes": _files_are_whole,
}
"""What is compared → how."""
