"""Cases drawn and judged, target by target; what fails is cut down to what makes it fail."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.case import Case, read_corpus
from tests.fuzz.copied import Copy
from tests.fuzz.judge import Verdict, judge
from tests.fuzz.targets import TARGETS, Target

TRIES = 25
"""Runs at most to cut one case down."""


@dataclass
class Campaign:
    """A copy of the sound study, and what came of the cases so far."""

    copy: Copy
    tell: Callable[[Verdict], None]
    verdicts: list[Verdict] = field(default_factory=list)

    def replay(self) -> None:
        """Judge the corpus."""
        for case in read_corpus().values():
            self._take(case)

    def draw(self, n_cases: int, number: int, only: str = "") -> None:
        """Judge so many new cases, the same for the same number."""
        targets = [target for target in TARGETS if only in target.name]
        whole = sum(target.share for target in targets)
        for target in targets:
            self._draw_of(target, max(1, round(n_cases * target.share / whole)), number)

    def _draw_of(self, target: Target, n_cases: int, number: int) -> None:
        @seed(number)
        @settings(max_examples=n_cases, database=None, deadline=None, phases=(Phase.generate,),
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(target.cases())
        def take(case: Case) -> None:
            self._take(case)

        take()

    def _take(self, case: Case) -> None:
        verdict = judge(case, self.copy)
        self.verdicts.append(verdict)
        self.tell(verdict)

    def defects(self) -> Iterator[Verdict]:
        """Yield one case of each defect, cut down."""
        seen = set()
        for verdict in self.verdicts:
            if verdict.faults and verdict.signature not in seen:
                seen.add(verdict.signature)
                yield self._cut_down(verdict)

    def _cut_down(self, verdict: Verdict) -> Verdict:
        """Leave deeds and arguments out as long as the faults stay the same."""
        tries = TRIES if verdict.outcome.seconds < 3 else 3
        for _ in range(tries):
            for smaller in _smaller(verdict.case):
                tried = judge(smaller, self.copy)
                if tried.signature == verdict.signature:
                    verdict = tried
                    break
            else:
                return verdict
        return verdict


def _smaller(case: Case) -> Iterator[Case]:
    """Yield cases with a deed less, or half of a long text."""
    for at in range(len(case.deeds)):
        if len(case.deeds) > 1 and case.deeds[at][1] != "qts.toml":
            yield replace(case, deeds=case.deeds[:at] + case.deeds[at + 1 :])
    for at, deed in enumerate(case.deeds):
        last = deed[-1]
        if isinstance(last, str) and len(last) > 20:
            yield replace(case, deeds=(*case.deeds[:at], (*deed[:-1], last[: len(last) // 2]), *case.deeds[at + 1 :]))
