"""SAMPLERS: how the next point of a search is found, one row each.

A trial's point depends on the space, the seed and its own number, with `tpe` on the trials before it as well; never on
how many trials were asked for. So a search that was stopped goes on as if it had not been.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import exp, log, prod
from types import ModuleType
from typing import Any

import numpy as np

from qts.config import Dimension, LoadedConfig
from qts.errors import ConfigError, ConfigProblems
from qts.pipeline.search_space import Point, preset_points, problem_of, space_of
from qts.pipeline.study import Trial
from qts.registry import Registry

Space = dict[str, Dimension]

Sampler = Callable[[int, Sequence[Trial]], Point | None]
"""Number of a trial, counted from 1, and the trials that ended → its point; None: there are no more."""

DEFAULT_TRIALS = 20
MOST_MISSES = 500
"""Draws without a new, sound point after which a space is taken to have no more."""
MOST_ASKED = 50
"""The same of `tpe`, which is then given the last one: it comes back to a point because it was good."""

SAMPLERS: Registry[Callable[[LoadedConfig, Space], Sampler]] = Registry("sampler")


def make_sampler(loaded: LoadedConfig) -> Sampler:
    """Return what finds a trial's point; raises ConfigProblems for a space that cannot be searched."""
    if loaded.config.tune.presets:
        points = preset_points(loaded)
        return lambda number, _trials: points[number - 1] if number <= len(points) else None
    return SAMPLERS[loaded.config.tune.sampler](loaded, space_of(loaded))


def n_wanted(loaded: LoadedConfig) -> int | None:
    """Return how many trials are asked for; None: all there are."""
    tune = loaded.config.tune
    if tune.presets:  # `trials` is about the space
        return None
    return tune.trials or (None if tune.sampler == "grid" else DEFAULT_TRIALS)


def _grid(loaded: LoadedConfig, space: Space) -> Sampler:
    """Every combination; the last key of the file changes first."""
    endless = [key for key, dimension in space.items() if dimension.log or dimension.ladder() is None]
    if endless:
        raise ConfigProblems([
            ConfigError(f'"{key}" has no end of values, and a grid tries them all', where=loaded.where("tune", "space", key),
                        hint="write a list, or give the range a step, or choose --sampler random")
            for key in endless
        ])  # fmt: skip
    ladders = {key: dimension.ladder() or [] for key, dimension in space.items()}
    sizes = [len(values) for values in ladders.values()]

    def ask(number: int, _trials: Sequence[Trial]) -> Point | None:
        if number > prod(sizes):
            return None
        places = np.unravel_index(number - 1, sizes)
        return Point({key: values[int(at)] for (key, values), at in zip(ladders.items(), places, strict=True)})

    return ask


def _random(loaded: LoadedConfig, space: Space) -> Sampler:
    """Independent draws; a point that was drawn before, or whose values do not go together, is passed over."""

    def points() -> Iterator[Point]:
        seen: set[str] = set()
        found, draw, last_found = 0, 0, 0
        while draw - last_found < MOST_MISSES:
            rng = np.random.default_rng([loaded.config.tune.seed, draw])
            point = Point({key: draw_value(dimension, rng) for key, dimension in space.items()})
            draw += 1
            if repr(point.values) not in seen and not problem_of(loaded, point):
                found, last_found = found + 1, draw
                yield point
            seen.add(repr(point.values))
        if not found:
            yield point  # whoever tries it learns why none is sound

    source, drawn = points(), list[Point]()

    def ask(number: int, _trials: Sequence[Trial]) -> Point | None:
        drawn.extend(islice(source, max(number - len(drawn), 0)))
        return drawn[number - 1] if number <= len(drawn) else None

    return ask


def draw_value(dimension: Dimension, rng: np.random.Generator) -> object:
    """Return a value of a dimension, each as likely as the others; of a range with `log` each order of magnitude."""
    if dimension.log and dimension.is_whole:
        low, high = dimension.bounds
        drawn = exp(rng.uniform(log(low - 0.5), log(high + 0.5)))  # half a step around each whole number
        return int(min(max(round(drawn), low), high))
    values = dimension.ladder()
    if values is not None:
        return values[int(rng.integers(len(values)))]
    low, high = dimension.bounds
    drawn = exp(rng.uniform(log(low), log(high))) if dimension.log else rng.uniform(low, high)
    return shortened(drawn, dimension)


def shortened(value: float, dimension: Dimension) -> float:
    """Return a drawn number in four digits, which a person can copy; it stays inside its range."""
    low, high = dimension.bounds
    return float(min(max(float(f"{value:.4g}"), low), high))


def _tpe(loaded: LoadedConfig, space: Space) -> Sampler:
    """Optuna's tree-structured Parzen estimator, told anew of all trials each time: nothing of it needs to be kept."""
    optuna = _load_optuna(loaded)
    distributions = {key: _distribution(optuna, dimension) for key, dimension in space.items()}
    metric = loaded.config.tune.metric

    def ask(number: int, trials: Sequence[Trial]) -> Point:
        seed = np.random.SeedSequence([loaded.config.tune.seed, number]).generate_state(1)[0]
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=int(seed)))
        for trial in trials:
            if (figure := trial.figure(metric)) is not None:
                given = {key: _to_optuna(space[key], value) for key, value in trial.values.items()}
                study.add_trial(_told(optuna, trial, given, distributions, figure))
        tried = [trial.values for trial in trials]
        for _ in range(MOST_ASKED):
            asked = study.ask(distributions).params
            point = Point({key: _from_optuna(space[key], asked[key]) for key in space})
            if point.values not in tried and not problem_of(loaded, point):
                break
        return point

    return ask


def _load_optuna(loaded: LoadedConfig) -> ModuleType:
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError('sampler "tpe" needs its library', where=loaded.where("tune", "sampler"),
                          hint='pip install "qts[optuna]", or choose --sampler random') from error  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what is worth telling, we tell
    return optuna


def _distribution(optuna: Any, dimension: Dimension) -> object:  # noqa: ANN401 - a library that may be absent
    """Return Optuna's word for a dimension; what is chosen from a list is its place in it."""
    if dimension.choices is not None:
        return optuna.distributions.CategoricalDistribution(tuple(range(len(dimension.choices))))
    low, high = dimension.bounds
    if dimension.spacing is not None and (values := dimension.ladder()):
        high = values[-1]  # a last step that overshoots is left out
    if dimension.is_whole:
        return optuna.distributions.IntDistribution(low, high, log=dimension.log, step=dimension.spacing)
    return optuna.distributions.FloatDistribution(low, high, log=dimension.log, step=dimension.step)


def _to_optuna(dimension: Dimension, value: object) -> object:
    return (dimension.ladder() or []).index(value) if dimension.choices is not None else value


def _from_optuna(dimension: Dimension, value: Any) -> object:  # noqa: ANN401 - a number of Optuna's
    if dimension.choices is not None:
        return (dimension.ladder() or [])[value]
    if dimension.is_whole:
        return int(value)
    return shortened(value, dimension) if dimension.step is None else float(f"{value:.12g}")


def _told(
    optuna: Any,  # noqa: ANN401 - a library that may be absent
    trial: Trial,
    given: dict[str, object],
    distributions: dict[str, object],
    figure: float,
) -> object:
    """Return a trial that ended as Optuna remembers it; one that was stopped early counts for less than any other."""
    if trial.state == "done":
        return optuna.trial.create_trial(params=given, distributions=distributions, value=figure)
    pruned = optuna.trial.TrialState.PRUNED
    reached = {trial.n_epochs or 0: figure}
    return optuna.trial.create_trial(
        params=given, distributions=distributions, state=pruned, intermediate_values=reached
    )


SAMPLERS.enter("grid", _grid)
SAMPLERS.enter("random", _random)
SAMPLERS.enter("tpe", _tpe)
