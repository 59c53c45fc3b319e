"""LightGBM: gradient-boosted trees on a window's newest bars; needs the extra `qts[lightgbm]`.

Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, 2017. Its library is loaded only when a network
is made, so that listing the models needs neither the extra nor its time.
"""

import hashlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from qts.errors import ConfigError, StoreError
from qts.models._architecture import SampleBatches, WholeFit, register
from qts.models._tabular import TabularConfig, check_not_empty, flatten_newest

if TYPE_CHECKING:
    from lightgbm import Booster, Dataset
    from lightgbm.callback import CallbackEnv

TELL_EVERY = 50
"""Rounds between two lines of narration."""

Share = Annotated[float, Field(gt=0, le=1)]
Penalty = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LightGBMConfig(TabularConfig):
    """Keys of lightgbm; the defaults are the reference's for Alpha158."""

    n_rounds: PositiveInt = 1000
    """Trees at most."""
    patience_rounds: PositiveInt = 50
    """Rounds without a better validation loss before training stops; the trees up to the best round are kept."""
    lr: Share = 0.2
    """Share of each tree that is added; the reference has 0.0421 for Alpha360."""
    num_leaves: Annotated[int, Field(gt=1, le=131072)] = 210
    """Leaves of a tree at most."""
    max_depth: PositiveInt = 8
    """Depth of a tree at most."""
    colsample: Share = 0.8879
    """Share of the inputs a tree chooses from."""
    subsample: Share = 1.0
    """Share of the samples a tree sees, drawn anew for each. The reference's 0.8789 does nothing there: it never draws."""
    lambda_l1: Penalty = 205.6999
    """Penalty on the absolute values of leaves; it tells less the more samples there are."""
    lambda_l2: Penalty = 580.9768
    """Penalty on the squared values of leaves; it tells less the more samples there are."""


@register
class LightGBM(WholeFit):
    """Trees on the squared error; before `fit` there are none, and every score is 0.

    Inputs that are NaN go the way that served a split best. The trees are kept as the library's text in a buffer, so
    that they are saved, copied and loaded as any weights are.
    """

    Config = LightGBMConfig
    trees: Tensor
    """(n_bytes,) uint8."""
    digest: Tensor
    """(32,) uint8, the SHA-256 of the trees: the library ends the whole process at some texts that are damaged."""

    def __init__(self, config: LightGBMConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        _library()  # its absence is told before any work is done
        self.config = config
        self.n_inputs = config.n_steps * n_features
        self.register_buffer("trees", torch.empty(0, dtype=torch.uint8))
        self.register_buffer("digest", torch.zeros(32, dtype=torch.uint8))
        self.register_load_state_dict_pre_hook(_take_any_length)  # type: ignore[no-untyped-call]
        self._booster: Booster | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        rows = flatten_newest(x, self.config.n_steps)  # (batch, n_inputs)
        if not len(self.trees) or not len(rows):
            return torch.zeros(len(rows), device=x.device)
        scores = self.booster.predict(rows.detach().float().cpu().numpy(), num_threads=torch.get_num_threads())
        return torch.as_tensor(scores, dtype=torch.float32, device=x.device)

    @property
    def booster(self) -> "Booster":
        """The library's object, made from the text when it is first asked for; StoreError if the text is damaged."""
        if self._booster is None:
            text = self.trees.cpu().numpy().tobytes()
            if hashlib.sha256(text).digest() != bytes(self.digest.tolist()):
                raise StoreError("the trees are not as they were written", hint="train anew: qts train --again")
            self._booster = _library().Booster(model_str=text.decode())
        return self._booster

    def fit(self, train: SampleBatches, valid: SampleBatches, seed: int, tell: Callable[[str], None]) -> None:
        """Grow trees until the validation loss stops falling; the same seed gives the same trees on any threads."""
        library, parameters = _library(), self.library_parameters(seed)
        train_set = self._dataset(train, "train", parameters)
        valid_set = self._dataset(valid, "valid", parameters, train_set)
        stop = library.early_stopping(self.config.patience_rounds, verbose=False)
        grown: Booster = library.train(
            parameters,
            train_set,
            self.config.n_rounds,
            valid_sets=[valid_set],
            valid_names=["valid"],
            callbacks=[stop, _narrate(tell)],
        )
        text = grown.model_to_string(num_iteration=grown.best_iteration).encode()
        device = self.trees.device
        self.trees = _as_tensor(text).to(device)
        self.digest = _as_tensor(hashlib.sha256(text).digest()).to(device)
        self._booster = None
        loss = grown.best_score["valid"]["l2"]
        tell(f"best round {grown.best_iteration}: valid mse {loss:.5f}")

    def library_parameters(self, seed: int) -> dict[str, Any]:
        """Return the library's parameters, by its names."""
        config = self.config
        return {
            "objective": "regression",
            "learning_rate": config.lr,
            "num_leaves": config.num_leaves,
            "max_depth": config.max_depth,
            "feature_fraction": config.colsample,
            "bagging_fraction": config.subsample,
            "bagging_freq": 1,
            "lambda_l1": config.lambda_l1,
            "lambda_l2": config.lambda_l2,
            "seed": seed % 2**31,  # the library's integers have 32 bits
            "deterministic": True,
            "force_row_wise": True,  # else the layout is chosen by timing, and sums are rounded accordingly
            "num_threads": torch.get_num_threads(),
            "verbosity": -1,
        }

    def _dataset(
        self, samples: SampleBatches, segment: str, parameters: dict[str, Any], reference: "Dataset | None" = None
    ) -> "Dataset":
        """Return the samples in the library's bins, those of a reference if given; the floats are freed again."""
        check_not_empty(samples, segment)
        rows = torch.empty(samples.n_samples, self.n_inputs)
        target, weight = torch.empty(samples.n_samples), torch.empty(samples.n_samples)
        first = 0
        for x, y, w in samples:
            some = slice(first, first + len(y))
            rows[some], target[some], weight[some] = flatten_newest(x, self.config.n_steps), y, w
            first += len(y)
        made: Dataset = _library().Dataset(
            rows.numpy(), target.numpy(), reference=reference, weight=weight.numpy(), params=parameters
        )
        return made.construct()


def _as_tensor(text: bytes) -> Tensor:
    """Return (n_bytes,) uint8."""
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def _take_any_length(network: LightGBM, state_dict: dict[str, Any], prefix: str, *_: object) -> None:
    """Make the buffer as long as the text that is about to be loaded."""
    found = state_dict.get(f"{prefix}trees")
    if found is not None:
        network.trees = network.trees.new_empty(found.shape)
        network._booster = None  # noqa: SLF001 - part of the class, outside of it because it is a hook


def _narrate(tell: Callable[[str], None]) -> "Callable[[CallbackEnv], None]":
    """Return a callback that tells the validation loss now and then."""

    def callback(state: "CallbackEnv") -> None:
        n_grown = state.iteration + 1
        if n_grown % TELL_EVERY == 0 and state.evaluation_result_list:
            tell(f"round {n_grown}: valid mse {state.evaluation_result_list[0][2]:.5f}")

    return callback


def _library() -> ModuleType:
    """Return the module of the library; raises ConfigError if it is not there."""
    try:
        import lightgbm  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError('model "lightgbm" needs its library', hint='pip install "qts[lightgbm]"') from error
    except OSError as error:
        message = f'the library of model "lightgbm" cannot be loaded: {error}'
        raise ConfigError(message, hint="install the system's OpenMP: libgomp1 on Debian, libomp on a Mac") from error
    return lightgbm
