"""Weights that a training starts from: those of a run, or of a file of the reference's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from qts.config import LoadedConfig
from qts.errors import ConfigError, StoreError
from qts.models._architecture import Architecture
from qts.pipeline.run_record import runs_folder
from qts.plain_file import is_file
from qts.store.checksum import digest_of
from qts.training import checkpoint
from qts.training.checkpoint import Run
from qts.training.shape_search import advise
from qts.training.transplant import feature_order, from_reference, read_state, transplant_part, transplant_whole


def start_from(network: Architecture, features: Sequence[str], loaded: LoadedConfig) -> Iterator[str]:
    """Put the weights that `[train] init_from` names into a network; yield what was taken over.

    A run of the same architecture must fit as a whole, unless `init_only` names parts; anything else gives what has the
    same name and shape. Raises ConfigError if the weights do not fit.
    """
    name, only = loaded.config.train.init_from, loaded.config.train.init_only
    if name is None:
        if only:
            raise ConfigError("init_only says which weights of init_from are taken, but there is no init_from",
                              where=loaded.where("train", "init_only"), hint="set [train] init_from")  # fmt: skip
        return
    found = _source(loaded, name)
    if isinstance(found, Run):
        state = read_state(found.folder / checkpoint.MODEL)
        order = feature_order(features, found.record["features"])
        must_fit = found.record["model"]["name"] == loaded.config.model.name and not only
    else:
        state, order, must_fit = from_reference(type(network), read_state(found)), None, False
    try:
        done = (
            transplant_whole(network, state, order, source=name)
            if must_fit
            else transplant_part(network, state, order, only)
        )
    except ConfigError as error:
        options = loaded.config.model.options()
        hint = error.hint or advise(loaded.config.model.name, options, len(features), state)
        raise ConfigError(error.message, where=loaded.where("train", "init_from"), hint=hint) from None
    yield f"weights from {name}"
    yield from done.lines()


def weights_hash(loaded: LoadedConfig) -> str:
    """Return the hash of the weights that a training starts from; nothing, if it starts from none."""
    name = loaded.config.train.init_from
    if name is None:
        return ""
    found = _source(loaded, name)
    file = found.folder / checkpoint.MODEL if isinstance(found, Run) else found
    return digest_of(file)


def _source(loaded: LoadedConfig, name: str) -> Run | Path:
    """Return the run or the file that a name means."""
    file = loaded.path(Path(name))
    if is_file(file):
        return file
    try:
        run = checkpoint.open_run(runs_folder(loaded), name)
    except StoreError as error:
        raise ConfigError(
            f'"{name}" is neither a file nor a finished run', where=loaded.where("train", "init_from"), hint=error.hint
        ) from error
    if not (run.folder / checkpoint.MODEL).is_file():
        raise ConfigError(f"the run {run.name} has no weights of its own", where=loaded.where("train", "init_from"),
                          hint="name one of its members")  # fmt: skip
    return run
