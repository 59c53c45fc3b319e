"""`python -m tests.fuzz --cases N --seed S`: replay the corpus, draw N cases, and tell figures and defects."""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.forked import preload
from tests.fuzz.case import CORPUS
from tests.fuzz.copied import Copy
from tests.fuzz.fuzz import Campaign
from tests.fuzz.judge import Verdict
from tests.fuzz.sound import write_sound

SMALL = 4096
"""Bytes of the largest case that is kept as a file."""


def main() -> int:
    """Fuzz; return 1 if there is a defect."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="", help="only targets whose names hold this")
    parser.add_argument("--save", action="store_true", help="keep a case of each defect in the corpus")
    parser.add_argument("--no-corpus", action="store_true", help="do not replay the corpus")
    parser.add_argument("--tell", action="store_true", help="say of each case how it ended")
    asked = parser.parse_args()
    began = time.monotonic()
    for name in [name for name in os.environ if name.startswith("QTS_")]:
        del os.environ[name]
    preload()
    with tempfile.TemporaryDirectory(prefix="qts-fuzz-") as folder:
        sound = Path(folder) / "sound"
        write_sound(sound)
        campaign = Campaign(Copy(sound, Path(folder) / "case"), lambda verdict: _tell(verdict, asked.tell))
        if not asked.no_corpus:
            campaign.replay()
        campaign.draw(asked.cases, asked.seed, asked.target)
        defects = list(campaign.defects())
        _print_figures(campaign.verdicts, time.monotonic() - began)
    for number, defect in enumerate(defects):
        _print_defect(defect)
        text = defect.case.to_json()
        if asked.save and len(text) < SMALL:
            name = f"{defect.case.target.replace(' ', '-').replace(',', '')}-{asked.seed}-{number}.json"
            (CORPUS / name).write_text(text, encoding="utf-8")
    return 1 if defects else 0


def _say(text: str) -> None:
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


def _tell(verdict: Verdict, tells_all: bool) -> None:
    command = " ".join(verdict.case.command)[:100]
    if verdict.faults:
        _say(f"FAULT [{verdict.case.target}] {command}: {'; '.join(verdict.faults)[:200]}")
    elif tells_all:
        told = [line for line in verdict.outcome.err.splitlines() if line.startswith("error: ")]
        deeds, outcome = str(verdict.case.deeds)[:150], verdict.outcome
        _say(f"{outcome.seconds:.2f} [{verdict.case.target}] {command} {deeds}: {outcome.code} {told[:1]}")


def _print_defect(defect: Verdict) -> None:
    _say(f"\nDEFECT {'; '.join(defect.faults)[:400]}\n{defect.case.to_json()[:1500]}{defect.outcome.err[-1200:]}")


def _print_figures(verdicts: list[Verdict], seconds: float) -> None:
    by_target: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        code = verdict.outcome.code
        by_target.setdefault(verdict.case.target, Counter())[str(code) if code is not None else "killed"] += 1
    for target, codes in by_target.items():
        _say(f"{target:22} {sum(codes.values()):6}  " + "  ".join(f"{code}: {n}" for code, n in sorted(codes.items())))
    faulty = [verdict for verdict in verdicts if verdict.faults]
    slowest = max(verdicts, key=lambda verdict: verdict.outcome.seconds)
    largest = max(verdict.outcome.peak for verdict in verdicts)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    worked = sum(one.ru_utime + one.ru_stime for one in used)
    kinds = len({verdict.signature for verdict in faulty})
    _say(f"{len(verdicts)} cases in {seconds:.0f} s, {worked:.0f} s of work; {len(faulty)} with a fault, of {kinds} kinds; "
         f"slowest {slowest.outcome.seconds:.1f} s ({slowest.case.target}); most memory {largest >> 20} MiB")  # fmt: skip


_code = main()
sys.stdout.flush()
os._exit(_code)  # an extension complains of what is left when an interpreter ends; nobody needs to hear of it
