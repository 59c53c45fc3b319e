"""The fuzzer's short form: the corpus, and twice 250 new cases that are the same every time.

It is a process of its own: it forks, and no other thread may run where one forks.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.case import CORPUS, read_corpus
from tests.fuzz.deeds import DEEDS
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = 600


def fuzz(*arguments: str) -> str:
    """Run the fuzzer, and return what it says; a defect fails the test with its case."""
    line = [sys.executable, "-m", "tests.fuzz", *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        pytest.fail(done.stdout + done.stderr)
    return done.stdout


@pytest.mark.parametrize("arguments", [("--seed", "0"), ("--seed", "1", "--no-corpus")], ids=["with corpus", "without"])
def test_whatever_the_input_qts_answers_with_an_error_of_its_own_or_succeeds(arguments: tuple[str, ...]) -> None:
    told = fuzz("--cases", "250", *arguments)
    assert "; 0 with a fault, of 0 kinds;" in told
    for target in TARGETS:
        assert f"\n{target.name} " in f"\n{told}", "every target must have had a case"


def test_the_corpus_is_small_and_of_deeds_that_there_are() -> None:
    corpus = read_corpus()
    assert corpus
    for name, case in corpus.items():
        assert (CORPUS / f"{name}.json").stat().st_size < 4096, name
        assert {deed[0] for deed in case.deeds} <= set(DEEDS), name
