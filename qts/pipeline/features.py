"""Store → features: the columns the model sees, processed, and the label, raw and processed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from qts.columns import HAS_BAR, LABEL
from qts.config import LoadedConfig, SegmentsConfig, Table
from qts.errors import ConfigError, ConfigProblems, DataCheckError, QtsError, StoreError
from qts.expr.nodes import fields_of, render
from qts.expr.parse import parse
from qts.pipeline.recipes import expand_factors, feature_names, read_label
from qts.processors import Block, apply_chain, check_processors, fit_chain
from qts.registry import unknown_name_hint
from qts.store import Store, fingerprint
from qts.windows import WindowStore


@dataclass(frozen=True)
class Recipe:
    """How features are made; two equal recipes on equal data make equal windows."""

    columns: tuple[str, ...]
    """The factors, in factor-set order."""
    feature_steps: list[tuple[str, Table]]
    label_steps: list[tuple[str, Table]]
    segments: SegmentsConfig
    history: str

    def fingerprint(self, store: Store) -> str:
        """Return the hash of the recipe and of the data it is applied to."""
        steps = [
            [name, options.model_dump(mode="json")]
            for name, options in (*self.feature_steps, ("|", Table()), *self.label_steps)
        ]
        used = sorted({store.dataset_of(column).fingerprint for column in self.columns})
        universe = store.manifest.universe.fingerprint if store.manifest.universe else None
        spans = {name: list(map(str, span)) for name, span in self.segments.model_dump().items()}
        return fingerprint(self.columns, steps, used, store.manifest.label.fingerprint, universe, spans, self.history)


def needed_segments(loaded: LoadedConfig) -> SegmentsConfig:
    """Return the segments; raises ConfigError if the config has none."""
    if loaded.config.segments is None:
        raise ConfigError("[segments] is missing", where=loaded.file.name if loaded.file else None,
                          hint='add [segments] with train, valid and test = ["first day", "last day"]')  # fmt: skip
    return loaded.config.segments


def make_recipe(loaded: LoadedConfig) -> Recipe:
    """Return the recipe of the config; the second pass over the processors' keys."""
    names = feature_names(loaded)
    select = loaded.config.factors.select
    recipe = Recipe(
        columns=tuple(name for name in names if select is None or name in select),
        feature_steps=check_processors(loaded, "features"),
        label_steps=check_processors(loaded, "label"),
        segments=needed_segments(loaded),
        history=loaded.config.window.history,
    )
    _refuse_impossible_steps(loaded, recipe, names)
    return recipe


def _refuse_impossible_steps(loaded: LoadedConfig, recipe: Recipe, names: Sequence[str]) -> None:
    """Refuse a processor fitted beyond the train segment, or one that chooses columns nobody has."""
    train = recipe.segments.train
    problems: list[QtsError] = []
    for group, steps in (("features", recipe.feature_steps), ("label", recipe.label_steps)):
        for at, (name, options) in enumerate(steps):
            where = loaded.where("processors", group, at)
            own = getattr(options, "fit", None)
            if own and own[1] > train[1]:
                message = f"{name} would be fitted on days up to {own[1]}, after the train segment ({train[1]})"
                problems.append(
                    ConfigError(message, where=where, hint="what is fitted may know the train segment alone")
                )
            for column in getattr(options, "columns", ()):
                if group == "features" and column not in names:
                    hint = unknown_name_hint(column, names)
                    problems.append(ConfigError(f'unknown factor "{column}" in {name}', where=where, hint=hint))
    if problems:
        raise ConfigProblems(problems)


def check_segments(loaded: LoadedConfig, first: date, last: date) -> None:
    """Refuse a segment that lies outside the bars."""
    problems: list[QtsError] = [
        ConfigError(
            f"the {name} segment ({span[0]} to {span[1]}) lies outside the bars ({first} to {last})",
            where=loaded.where("segments", name),
            hint="choose days that the bars cover",
        )
        for name, span in needed_segments(loaded).model_dump().items()
        if span[1] < first or span[0] > last
    ]
    if problems:
        raise ConfigProblems(problems)


def refuse_stale_store(loaded: LoadedConfig, store: Store) -> None:
    """Refuse a store whose factors or label are not those of the config."""
    wanted = {factor.name: factor.canonical for factors in expand_factors(loaded) for factor in factors.factors}
    wanted[LABEL] = render(read_label(loaded)[0])
    have = {name: text for dataset in store.manifest.datasets().values() for name, text in dataset.expressions.items()}
    for name, text in wanted.items():
        if have.get(name) != text:
            held = f"{name} = {have[name]}" if name in have else f"no {name}"
            raise StoreError(f"the store is stale: it holds {held}; the config says {text}", hint="run: qts ingest")


def read_blocks(
    store: Store, columns: Sequence[str], first: date | None, last: date | None, *, needs_bar: bool
) -> tuple[Block, Block, np.ndarray]:
    """Return the raw factors, the raw label, and the names of instruments, for all rows between two days.

    With `needs_bar` a member counts only on days it traded: on a suspended day nobody knows yet whether it will trade
    again, and only in hindsight is there a row.
    """
    panel = store.read([*columns, HAS_BAR, LABEL], first, last)
    calendar = store.calendar()
    members = store.membership(panel.instruments, panel.instrument, panel.day, calendar)
    if needs_bar:
        members &= panel.values[:, -2] > 0
    common = {"instrument": panel.instrument, "day": panel.day, "calendar": calendar, "members": members,
              "kept": np.ones(len(members), dtype=bool)}  # fmt: skip
    factors = Block(tuple(columns), panel.values[:, :-2], **common)
    return factors, Block((LABEL,), panel.values[:, -1:], **common), panel.instruments


def build_features(store: Store, recipe: Recipe) -> WindowStore:
    """Fit the processors and return features and labels of all rows a window may ever need.

    Raises DataCheckError if a factor has no value in the fit range, or no label exists in the train segment.
    """
    train = recipe.segments.train
    first = train[0] if recipe.history == "universe" else None
    factors, label, instruments = read_blocks(
        store, recipe.columns, first, None, needs_bar=recipe.history == "instrument"
    )
    refuse_empty(factors, label, train, _unreadable(store, recipe.columns))
    features, fitted = fit_chain(factors, recipe.feature_steps, train)
    known = (train[0], _last_known(label.calendar, recipe.segments, store.manifest.label.ahead))
    targets, fitted_label = fit_chain(_members_only(label), recipe.label_steps, known)
    meta = {
        "fingerprint": recipe.fingerprint(store),
        "features": list(features.columns),
        "factors": list(recipe.columns),
        "expressions": {name: store.dataset_of(name).expressions[name] for name in recipe.columns},
        "processors": {"features": [s.to_json() for s in fitted], "label": [s.to_json() for s in fitted_label]},
        "history": recipe.history,
        "view_first_day": str(first) if first else None,
        "label": {"expr": store.manifest.label.expressions[LABEL], "ahead": store.manifest.label.ahead},
        "segments": {name: list(map(str, span)) for name, span in recipe.segments.model_dump().items()},
    }
    return _window_store(features, targets, label, instruments, meta)


def _last_known(calendar: np.ndarray, segments: SegmentsConfig, ahead: int) -> date:
    """Return the last train day whose label is known before the valid segment: what the label is fitted on ends there."""
    at = int(np.searchsorted(calendar, np.datetime64(segments.valid[0], "D"))) - ahead - 1
    known: date = calendar[max(at, 0)].item()
    return max(min(segments.train[1], known), segments.train[0])


def _window_store(
    features: Block, targets: Block, label: Block, instruments: np.ndarray, meta: dict[str, Any]
) -> WindowStore:
    """Keep the instruments that were ever members, and rows that no processor dropped."""
    counted = features.members & features.kept
    ever = np.zeros(len(instruments), dtype=bool)
    ever[features.instrument[counted]] = True
    rows = np.flatnonzero(ever[features.instrument] & features.kept)
    return WindowStore(
        matrix=np.ascontiguousarray(features.values[rows], dtype=np.float32),
        target=np.where(targets.kept, targets.values[:, 0], np.nan)[rows].astype(np.float32),
        label=label.values[rows, 0], instruments=instruments, instrument=features.instrument[rows], day=features.day[rows],
        members=counted[rows], calendar=features.calendar, meta=meta,
    )  # fmt: skip


def _members_only(label: Block) -> Block:
    """A row that is no member has no target."""
    return label.keep(label.members)


def refuse_empty(factors: Block, label: Block, train: tuple[date, date], unreadable: frozenset[str]) -> None:
    """Refuse data that nothing can be learned from; `unreadable` factors are known to be missing and stay."""
    rows = factors.in_span(np.datetime64(train[0], "D"), np.datetime64(train[1], "D"))
    if not rows.any():
        raise DataCheckError(
            "no member of the universe has a row in the train segment", hint="do universe and segments overlap?"
        )
    empty = [name for at, name in enumerate(factors.columns) if np.isnan(factors.values[rows, at]).all()]
    if len(empty) == len(factors.columns) or set(empty) - unreadable:
        raise DataCheckError(
            f"{len(empty)} of {len(factors.columns)} factors have no value in the train segment: {', '.join(empty[:5])}",
            hint="leave them out of [factors] select, or give the bars what they read",
        )
    if np.isnan(label.values[rows, 0]).all():
        raise DataCheckError(
            "the label has no value in the train segment", hint="does [label] expr look beyond the last bar?"
        )


def _unreadable(store: Store, columns: Sequence[str]) -> frozenset[str]:
    """Return the factors that read a field which these bars lack, such as vwap; ingest has warned of them."""
    have = set(store.manifest.fields)
    read = {name: fields_of(parse(store.dataset_of(name).expressions[name])) for name in columns}
    return frozenset(name for name, fields in read.items() if fields - have)


def apply_features(store: Store, meta: dict[str, Any], first: date | None, last: date | None) -> WindowStore:
    """Return features between two days, made with the processors as they were fitted; nothing is fitted anew."""
    factors, label, instruments = read_blocks(
        store, meta["factors"], first, last, needs_bar=meta["history"] == "instrument"
    )
    features = apply_chain(factors, meta["processors"]["features"])
    targets = apply_chain(_members_only(label), meta["processors"]["label"])
    return _window_store(features, targets, label, instruments, meta)
