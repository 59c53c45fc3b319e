"""What the processes of train.py took, and the tables made of it."""

import json
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from measure import Cost


@dataclass(frozen=True)
class Figures:
    """What one process took."""

    tool: str
    model: str
    precision: str
    round: int
    jobs: int | None
    """pyqlib's loader processes."""
    wall: float
    peak: float
    """GiB of the largest process."""
    found: dict[str, Any]

    @classmethod
    def of(cls, cost: Cost, tool: str, model: str, precision: str, number: int, jobs: int | None = None) -> "Figures":
        """Return the figures of a process that has ended."""
        return cls(tool, model, precision, number, jobs, cost.wall, cost.peak, dict(cost.found))

    def rate(self, kind: str) -> float:
        """Return samples a second of a kind of pass; NaN if the tool has no such pass."""
        took = self.found.get(f"{kind}_seconds")
        return self.found[f"{kind}_n_samples"] / took if took else math.nan

    @property
    def predict_rate(self) -> float:
        """Scores a second, opening the data left out."""
        return float(self.found["n_scores"] / self.predict_alone)

    @property
    def predict_alone(self) -> float:
        """Seconds of scoring, opening the data left out."""
        return self.found["predict_seconds"] - self.found["predict_prepare_seconds"]

    @property
    def epoch(self) -> float:
        """Seconds of everything the tool does in one epoch, each pass as if it dropped no batch."""
        segments = {"train": "train", "rescore": "train", "valid": "valid"}  # pass → what it goes through
        sizes = {kind: self.found["fingerprint"][segment][0] for kind, segment in segments.items()}
        return sum(size / self.rate(kind) for kind, size in sizes.items() if f"{kind}_seconds" in self.found)

    @property
    def waiting(self) -> float:
        """Share of the train pass in which the network waited for its batch; NaN if unknown."""
        waited = self.found.get("train_waited")
        return math.nan if waited is None else waited / self.found["train_seconds"]


COSTS: dict[str, Callable[[Figures], float]] = {
    "train pass": lambda one: 1 / one.rate("train"),
    "epoch": lambda one: one.epoch,
    "fit": lambda one: one.found["fit_seconds"],
    "predict": lambda one: 1 / one.predict_rate,
    "predict, data opened": lambda one: one.found["predict_seconds"],
}
"""What is compared → a number of which less is better."""


@dataclass(frozen=True)
class Found:
    """The figures of all processes, in order."""

    models: list[str]
    precisions: list[str]
    """Of qts, the first being what pyqlib's are compared with sample by sample."""
    figures: list[Figures] = field(default_factory=list)

    def of(self, tool: str, model: str, precision: str) -> list[Figures]:
        """Return a tool's figures for a model, in order."""
        return [one for one in self.figures if (one.tool, one.model, one.precision) == (tool, model, precision)]

    def pairs(self, model: str, precision: str) -> Iterator[tuple[Figures, list[Figures]]]:
        """Yield each run of qts with the runs of pyqlib in the same round."""
        for ours in self.of("qts", model, precision):
            theirs = [one for one in self.of("pyqlib", model, "fp32") if one.round == ours.round]
            if theirs:
                yield ours, theirs


def line_of(one: Figures) -> str:
    """Return what one process took, as it ends."""
    jobs = "" if one.jobs is None else f", {one.jobs} jobs"
    return (
        f"{one.model:<12} {f'{one.tool} {one.precision}{jobs}':<22} train pass {one.found['train_seconds']:7.2f} s  "
        f"epoch {one.epoch:7.2f} s  predict {one.predict_alone:6.2f} s  process {one.wall:7.1f} s, {one.peak:5.2f} GiB"
    )


def shown(values: list[float], form: str) -> str:
    """Return the median, and the range if there is one; "-" for what is not known."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    text = format(statistics.median(known), form)
    return text if len(known) == 1 else f"{text} ({min(known):{form}} - {max(known):{form}})"


def print_sameness(found: Found) -> None:
    """Print the samples, whether both sides had the same windows, and the versions."""
    if not found.figures:
        return
    first = found.figures[0].found["fingerprint"]
    print("\nsamples: " + ", ".join(f"{name} {count:,}" for name, (count, _) in first.items()))
    for one in found.figures:
        for name, (count, total) in one.found["fingerprint"].items():
            if count != first[name][0] or not math.isclose(total, first[name][1], rel_tol=1e-6):
                print(f"NOT THE SAME WINDOWS: {one.model} {one.tool} {name}: {count:,} samples that sum to {total}")
        if lost := one.found["n_scores"] - one.found["n_finite"]:
            print(f"{one.model} {one.tool}: {lost:,} scores are not finite")
    print(json.dumps({one.tool: one.found["versions"] for one in found.figures}))


def print_speeds(found: Found) -> None:
    """Print what each tool does in a second."""
    print("\n| model | tool | train /s | valid /s | predict /s | waits for data | peak GiB | GPU GiB |\n|" + "---|" * 8)
    for model in found.models:
        kinds = dict.fromkeys((f.tool, f.precision, f.jobs) for f in found.figures if f.model == model)
        for tool, precision, jobs in kinds:
            those = [one for one in found.of(tool, model, precision) if one.jobs == jobs]
            name = f"{tool} {precision}" if jobs is None else f"{tool}, n_jobs {jobs}"
            rates = [shown([one.rate(kind) for one in those], ",.0f") for kind in ("train", "valid")]
            predict = shown([one.predict_rate for one in those], ",.0f")
            waits, peak = shown([one.waiting for one in those], ".1%"), max(one.peak for one in those)
            gpu = shown([max(one.found["gpu_peak_gib"] or math.nan for one in those)], ".2f")
            print(f"| {model} | {name} | {' | '.join(rates)} | {predict} | {waits} | {peak:.2f} | {gpu} |")


def print_ratios(found: Found) -> None:
    """Print how many times qts's cost pyqlib's is, the fastest number of its loader processes taken each time."""
    print("\n| qts : pyqlib | " + " | ".join(COSTS) + " |\n|" + "---|" * (len(COSTS) + 1))
    for model in found.models:
        for precision in found.precisions:
            pairs = list(found.pairs(model, precision))
            ratios = [[min(map(cost, theirs)) / cost(ours) for ours, theirs in pairs] for cost in COSTS.values()]
            cells = (f"1 : {shown(those, '.2f')}" if those else "-" for those in ratios)
            print(f"| {model} {precision} | {' | '.join(cells)} |")


def print_feed(found: Found) -> None:
    """Print what a sample costs in a train pass, and its window alone."""
    print("\n| µs a sample | qts, train pass | its window alone | pyqlib without loader processes | its window alone |")
    print("|" + "---|" * 5)
    for model in found.models:
        ours = found.of("qts", model, found.precisions[0])
        theirs = [one for one in found.of("pyqlib", model, "fp32") if one.jobs == 0]
        steps = [shown([1e6 / one.rate("train") for one in those], ".1f") for those in (ours, theirs)]
        alone = shown([1e6 * one.found["feed_seconds"] / one.found["feed_n_samples"] for one in ours], ".2f")
        waited = shown([1e6 * one.waiting / one.rate("train") for one in theirs], ".1f")
        print(f"| {model} | {steps[0]} | {alone} | {steps[1]} | {waited} |")
