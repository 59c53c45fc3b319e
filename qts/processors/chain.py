"""Processors in order: each is fitted on what the one before it made, inside the fit range, then applied to all rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from qts.config import LoadedConfig, Table
from qts.errors import ConfigError, ConfigProblems, DataCheckError, QtsError, StoreError
from qts.processors.block import Block
from qts.processors.table import PROCESSORS, FittedOptions, Parameters


@dataclass(frozen=True)
class FittedProcessor:
    """A processor with what it learned; JSON can say all of it."""

    name: str
    options: Table
    parameters: Parameters
    columns: tuple[str, ...]
    """The columns the parameters belong to."""

    def to_json(self) -> dict[str, object]:
        """Return a readable record: options, and parameters by column."""
        by_column = {
            column: {name: values[at] for name, values in self.parameters.items()}
            for at, column in enumerate(self.columns)
        }
        return {
            "name": self.name,
            "options": self.options.model_dump(mode="json"),
            "parameters": by_column if self.parameters else {},
        }

    @classmethod
    def from_json(cls, record: dict[str, object], columns: tuple[str, ...]) -> "FittedProcessor":
        """Return what `to_json` recorded, for these columns; raises StoreError if it did not."""
        row = PROCESSORS[str(record["name"])]
        try:
            options = row.options.model_validate(record["options"])
            by_column: Any = record["parameters"]
            parameters = {name: [_number(by_column[column][name]) for column in columns] for name in row.parameters}
        except (ValueError, KeyError, TypeError) as error:
            message = f"what {row.name} was fitted to cannot be read: {str(error).partition(chr(10))[0]}"
            raise StoreError(message, hint="the windows or the run are damaged: qts train --again") from error
        return cls(row.name, options, parameters, columns)

    def apply(self, block: Block) -> Block:
        """Return the block transformed."""
        return PROCESSORS[self.name].apply(block, self.options, self.parameters)


def _number(value: float | None) -> float:
    """A parameter of a column without values is NaN, which JSON calls null."""
    return float("nan") if value is None else value


def check_processors(loaded: LoadedConfig, group: str) -> list[tuple[str, Table]]:
    """Return name and checked options of each processor of `[[processors.<group>]]`; all problems at once."""
    checked: list[tuple[str, Table]] = []
    problems: list[QtsError] = []
    for at, entry in enumerate(getattr(loaded.config.processors, group)):
        place = ("processors", group, at)
        try:
            row = PROCESSORS[entry.name]
            checked.append((row.name, loaded.check_options(row.options, entry.options(), place)))
        except ConfigProblems as found:
            problems.extend(found.problems)
        except ConfigError as error:
            where = loaded.layers.origin((*place, "name")) or "[processors]"
            problems.append(ConfigError(error.message, where=where, hint=error.hint))
    if problems:
        raise ConfigProblems(problems)
    return checked


def fit_chain(
    block: Block, steps: Sequence[tuple[str, Table]], fit: tuple[date, date]
) -> tuple[Block, list[FittedProcessor]]:
    """Fit and apply processors in order; `fit` is the range of those that name none of their own."""
    fitted = []
    for name, options in steps:
        row = PROCESSORS[name]
        parameters: Parameters = {}
        if row.fit is not None:
            own = options.fit if isinstance(options, FittedOptions) else None
            first, last = own or fit
            rows = block.in_span(np.datetime64(first, "D"), np.datetime64(last, "D"))
            if not rows.any():
                raise DataCheckError(
                    f"{name} has no row to be fitted on from {first} to {last}", hint="choose another fit range"
                )
            columns = (block.values[rows, at] for at in range(len(block.columns)))
            found = [row.fit(column[~np.isnan(column)]) for column in columns]
            parameters = {key: [numbers[at] for numbers in found] for at, key in enumerate(row.parameters)}
        step = FittedProcessor(name, options, parameters, block.columns)
        block = step.apply(block)
        fitted.append(step)
    return block, fitted


def apply_chain(block: Block, records: Sequence[dict[str, object]]) -> Block:
    """Apply processors as recorded; nothing is fitted."""
    for record in records:
        block = FittedProcessor.from_json(record, block.columns).apply(block)
    return block
