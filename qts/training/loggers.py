"""LOGGERS: where the history of a training goes besides its folder, one row each; each needs its extra."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qts.errors import ConfigError
from qts.registry import Registry
from qts.training.history import Epoch

Log = Callable[[Epoch], None]
"""Takes an epoch."""

Logger = Callable[[Path, dict[str, Any], ExitStack], Log]
"""(run folder, run.json's content, what to close in the end) → the one that takes epochs."""

LOGGERS: Registry[Logger] = Registry("logger")

FIGURES = ("train_loss", "valid_loss", "valid_ic", "valid_rank_ic", "lr", "samples_per_second")


def check_loggers(names: Sequence[str]) -> None:
    """Raise ConfigError for a logger that is unknown, or whose package, of the same name, is not installed."""
    for name in names:
        LOGGERS[name]
        if find_spec(name) is None:
            raise ConfigError(f'[train] log names "{name}", which is not installed', hint=f'pip install "qts[{name}]"')


@contextmanager
def open_loggers(names: Sequence[str], folder: Path, record: dict[str, Any]) -> Iterator[Log]:
    """Open the loggers of these names; what is yielded passes an epoch on to all of them."""
    with ExitStack() as closing:
        logs = [LOGGERS[name](folder, record, closing) for name in names]

        def tell(line: Epoch) -> None:
            for log in logs:
                log(line)

        yield tell


def _tensorboard(folder: Path, record: dict[str, Any], closing: ExitStack) -> Log:
    """Event files in the run's folder: `tensorboard --logdir runs` shows all runs side by side."""
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra

    writer = SummaryWriter(str(folder / "tensorboard"))
    closing.callback(writer.close)
    writer.add_text("model", str(record["model"]))

    def log(line: Epoch) -> None:
        for name in FIGURES:
            writer.add_scalar(name, getattr(line, name), line.epoch)

    return log


def _mlflow(folder: Path, record: dict[str, Any], closing: ExitStack) -> Log:
    """A run of the MLflow server or folder that MLFLOW_TRACKING_URI names."""
    import mlflow  # noqa: PLC0415 - an extra

    try:
        closing.enter_context(mlflow.start_run(run_name=folder.name))
        mlflow.log_params({"model": record["model"]["name"], **record["model"]["config"], **record["train"]})
    except mlflow.exceptions.MlflowException as error:
        reason = str(error).partition(". ")[0]
        raise ConfigError(
            f"mlflow cannot log: {reason}", hint="MLFLOW_TRACKING_URI names a server or sqlite:///FILE"
        ) from error

    def log(line: Epoch) -> None:
        mlflow.log_metrics({name: getattr(line, name) for name in FIGURES}, step=line.epoch)

    return log


LOGGERS.enter("tensorboard", _tensorboard)
LOGGERS.enter("mlflow", _mlflow)
