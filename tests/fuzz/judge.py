"""What qts owes whoever gives it bad input, as a table of faults; and one case run and judged."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qts.errors import ExitCode
from tests.forked import Ended, run_forked
from tests.fuzz.case import Case
from tests.fuzz.copied import Copy, Digests, digests
from tests.fuzz.deeds import do_all, filled

SECONDS = 30.0
MEMORY = 3 << 30
CODES = frozenset(range(7))
MAY_COME = (".qts/windows", "runs")
"""Where a command that fails later on may leave what was whole before."""
COMMITS = ("nightly", "run")
"""Commands that bring the store up to date first: what fails after that leaves a store that is right, and another."""
NOT_DATA = (".qts/log", ".qts/.lock", "predictions/.lock")
"""What of a store says who works on it, not what it holds."""


@dataclass(frozen=True)
class Verdict:
    """How a case ended, and what of it is a fault; none if it is sound."""

    case: Case
    outcome: Ended
    faults: tuple[str, ...]

    @property
    def signature(self) -> tuple[str, ...]:
        """What two cases of one defect share: the faults without their numbers and names."""
        return tuple(re.sub(r"0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"|/\S+", "_", fault)[:160] for fault in self.faults)


@dataclass(frozen=True)
class _Seen:
    """A case as the faults look at it."""

    command: str
    outcome: Ended
    before: Mapping[str, Digests]
    after: Mapping[str, Digests]


def _ended_badly(seen: _Seen) -> str | None:
    outcome = seen.outcome
    if outcome.is_late:
        return "hangs"
    if outcome.signal is not None:
        return f"signal {outcome.signal}"
    return None if outcome.code in CODES else f"exit code {outcome.code}"


def _is_surprised(seen: _Seen) -> str | None:
    lines = seen.outcome.err.splitlines()
    told = next((line for line in lines if line.startswith("error: unexpected")), None)
    if told is None and "Traceback" in seen.outcome.err:
        told = next(
            (line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception|Warning)\b", line)), "Traceback"
        )
    return told or next((line for line in lines if re.search(r"\w+Warning: ", line)), None)


def _says_nothing(seen: _Seen) -> str | None:
    if seen.outcome.code == ExitCode.DONE or seen.outcome.code not in CODES:
        return None
    lines = seen.outcome.err.splitlines()
    if not seen.command and lines[0].startswith("Usage:"):
        return None
    errors = [line for line in lines if line.startswith("error: ")]
    if not errors:
        return "no error line"
    return None if any(line.startswith("hint: ") for line in lines) else f"no hint: {errors[0]}"


def _speaks_engine(seen: _Seen) -> str | None:
    pattern = r"error: (\w+ )*(Error|Exception): |INTERNAL Error|error: [A-Z]\w+ Error"
    return next((line for line in seen.outcome.err.splitlines() if re.match(pattern, line)), None)


def _writes_outside(seen: _Seen) -> str | None:
    before, after = seen.before["outside"], seen.after["outside"]
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return f"wrote outside: {', '.join(changed)}" if changed else None


def _spoils_the_store(seen: _Seen) -> str | None:
    if seen.outcome.code == ExitCode.DONE:
        return None
    before, after = seen.before["store"], seen.after["store"]
    if seen.command in COMMITS:
        before, after = (
            {name: digest for name, digest in one.items() if not name.startswith(".qts/")} for one in (before, after)
        )
    changed = [name for name, digest in before.items() if after.get(name) != digest]
    ends = seen.outcome.signal is None
    come = [name for name in after if name not in before and not name.startswith(MAY_COME)] if ends else []
    return f"the store changed: {', '.join(sorted(changed + come)[:3])}" if changed or come else None


FAULTS: tuple[Callable[[_Seen], str | None], ...] = (
    _ended_badly, _is_surprised, _says_nothing, _speaks_engine, _writes_outside, _spoils_the_store,
)  # fmt: skip
"""Each says what is wrong, or None."""


def judge(case: Case, copy: Copy) -> Verdict:
    """Run a case on a copy of the sound study, and judge it."""
    copy.mend()
    scratch = copy.folder
    study, outside, seen = scratch / "study", scratch / "outside", scratch.with_name("seen.json")
    seen.unlink(missing_ok=True)
    _look(scratch)  # once here, for all forks

    def before() -> None:
        do_all(case, study, outside)
        seen.write_text(json.dumps(_look(scratch)))

    outcome = run_forked(
        filled(case.command, outside),
        study,
        seconds=SECONDS,
        memory=MEMORY,
        environment=case.environment,
        before=before,
    )
    if not seen.is_file():
        return Verdict(case, outcome, (f"the deed failed: {outcome.err[-300:]}",))
    found = _Seen(case.command[0] if case.command else "", outcome, json.loads(seen.read_text()), _look(scratch))
    return Verdict(case, outcome, tuple(fault for look in FAULTS if (fault := look(found))))


def _look(scratch: Path) -> dict[str, Digests]:
    """Return what lies beside the study, and store, runs and predictions in it."""
    beside = {name: digest for name, digest in digests(scratch).items() if not name.startswith("study/")}
    inside = {
        f"{name}/{path}": digest
        for name in (".qts", "runs", "predictions")
        if not (scratch / "study" / name).is_symlink()
        for path, digest in digests(scratch / "study" / name).items()
        if not f"{name}/{path}".startswith(NOT_DATA)
    }
    return {"outside": beside, "store": inside}
