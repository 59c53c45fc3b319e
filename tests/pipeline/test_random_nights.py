"""Whatever happens between nights: the book is what one run over everything scores, and every change of it is on record."""

import json
import math
import os
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qts.cli.main import run as qts
from qts.config import load_config
from qts.pipeline.predict import predict_run
from qts.predictions import Book, read_book
from qts.progress import SilentProgress
from tests.pipeline.night_market import tree
from tests.pipeline.random_nights import KINDS, Nights, train

MANY = [int(number) for number in os.environ.get("QTS_TEST_NIGHTS", "0:0").split(":")]
"""Seeds of each kind, from the first up to the last, which is left out: for runs by hand."""
CASES = [(kind, seed) for kind in KINDS for seed in range(*MANY)] or [("gru", 1), ("ranked", 2)]
N_NIGHTS = 5

Key = tuple[str, date]
Held = dict[Key, tuple[float | None, int, int]]
"""instrument, day → score (None: NaN), version, lineage."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_any_nights_end_as_one_run_and_every_change_is_on_record(
    kinds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, seed: int
) -> None:
    if not (kinds / kind / "runs/pinned.json").exists():
        train(kinds / kind, KINDS[kind])
    nights = Nights.of(kinds / kind, tmp_path / "study", seed + 1000 * list(KINDS).index(kind))
    before: Held = {}
    code = 0
    for _ in range(N_NIGHTS):
        for _ in range(nights.draw.choice([0, 1, 1, 2, 3])):
            nights.happen()
        nights.deliver()
        was = tree(nights.folder / "predictions")
        capsys.readouterr()
        code = nights("nightly", "--json", "--set", "nightly.min_coverage=0")
        out, err = capsys.readouterr()
        nights.said.append(f"{nights.day}: night, code {code}")
        if code and "bars end on" in err:  # days were lost, the newest among them
            assert tree(nights.folder / "predictions") == was
            nights.day += timedelta(1)
            continue
        assert code == 0, (nights.said, err)
        before = check_changes(nights, before, json.loads(out))
        if nights.draw.random() < 0.3:
            was = tree(nights.folder / "predictions")
            assert nights("nightly", "-q", "--set", "nightly.min_coverage=0") == 0
            assert tree(nights.folder / "predictions") == was, nights.said
        if nights.draw.random() < 0.3:
            check_scores(nights)
        nights.day += timedelta(1)
    nights.day -= timedelta(1)
    if not code:
        check_scores(nights)
        check_days(nights)


def book_of(nights: Nights) -> Book:
    book = read_book(nights.folder / "predictions")
    assert book is not None
    return book


def pinned(nights: Nights) -> str:
    name: str = json.loads((nights.folder / "runs/pinned.json").read_text())["run"]
    return name


def own_days(nights: Nights) -> set[date]:
    """Return the days that the pinned run published; what another one did stays as it is."""
    name = pinned(nights)
    return {row["datetime"] for row in book_of(nights).days().to_pylist() if row["run"] == name}


def known(score: float) -> float | None:
    return None if math.isnan(score) else score


def held(book: Book) -> Held:
    rows = book.scores().to_pylist()
    found = {
        (row["instrument"], row["datetime"]): (known(row["score"]), row["version"], row["lineage"]) for row in rows
    }
    assert len(found) == len(rows)
    return found


def check_changes(nights: Nights, before: Held, told: dict[str, Any]) -> Held:
    """What is another score than the night before is a new version with a new lineage, and the old one is kept."""
    book = book_of(nights)
    now, numbers = held(book), [lineage.id for lineage in book.manifest.lineages]
    assert numbers == list(range(1, len(numbers) + 1))
    old = {
        (row["instrument"], row["datetime"], row["version"]): (row["lineage"], row["replaced_by"])
        for row in book.superseded().to_pylist()
    }
    assert len(old) == book.superseded().num_rows
    assert {number for pair in old.values() for number in pair} | {row[2] for row in now.values()} <= {*numbers}
    own = own_days(nights)
    changed = {key for key in before.keys() & now.keys() if before[key][0] != now[key][0]}
    gone = before.keys() - now.keys()
    assert (told["n_new"], told["n_changed"], told["n_withdrawn"]) == (
        len(now.keys() - before.keys()), len(changed), len(gone)
    ), nights.said  # fmt: skip
    for key in before.keys() & now.keys() - changed:
        assert now[key] == before[key]
    assert {day for _, day in changed | gone} <= own, nights.said
    for key in changed | gone:
        assert old[*key, before[key][1]] == (before[key][2], numbers[-1])
    for key in changed:
        assert now[key][1:] == (before[key][1] + 1, numbers[-1])
    assert all(max((v for *k, v in old if (*k,) == key), default=0) + 1 == now[key][1] for key in now)
    return now


def fresh_study(nights: Nights) -> Path:
    fresh = nights.folder.parent / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(nights.folder, fresh, ignore=shutil.ignore_patterns(".qts", "predictions", "backup"))
    assert qts(["ingest", "-q", "--config", str(fresh / "qts.toml")]) == 0
    return fresh


def check_scores(nights: Nights) -> None:
    """The book is what the run scores in a store made of everything at once."""
    book = book_of(nights)
    first = min(book.days()["datetime"].to_pylist())
    loaded = load_config(fresh_study(nights) / "qts.toml")
    table = predict_run(loaded, SilentProgress(), run=pinned(nights), first=first).scores
    own, others = own_days(nights), {*book.days()["datetime"].to_pylist()} - own_days(nights)
    wanted = {
        (row["instrument"], row["datetime"]): known(row["score"])
        for row in table.to_pylist()
        if row["datetime"] not in others
    }
    published = {key: row[0] for key, row in held(book).items() if key[1] in own}
    assert published == wanted, nights.said


def check_days(nights: Nights) -> None:
    """Of each day the book says how many scores it has, when its label is known, and the IC by hand."""
    rows = nights.known()
    calendar = sorted({row["datetime"] for row in rows})
    close = {(row["instrument"], row["datetime"]): np.float32(row["close"]) for row in rows}
    published = {key: row[0] for key, row in held(book_of(nights)).items()}
    for row in book_of(nights).days().to_pylist():
        day = row["datetime"]
        names = [name for (name, of), score in published.items() if of == day and score is not None]
        assert row["n_scores"] == len(names)
        ahead = calendar[calendar.index(day) + 1 :][:2] if day in calendar else []
        starts_ends = (*ahead, None, None)[:2]
        assert (row["label_start"], row["label_end"]) == starts_ends, (day, nights.said)
        pairs = [
            (published[name, day], close[name, ahead[1]] / close[name, ahead[0]] - 1)
            for name in names
            if len(ahead) == 2 and {(name, ahead[0]), (name, ahead[1])} <= close.keys()
        ]
        if len(ahead) < 2 or not names:
            assert row["ic"] is None, (day, nights.said)
        elif len(pairs) < 3:
            assert math.isnan(row["ic"]), (day, nights.said)
        else:
            with np.errstate(invalid="ignore"):  # scores that are all the same
                expected = np.corrcoef(*np.array(pairs, dtype=np.float64).T)[0, 1]
            assert row["ic"] == pytest.approx(expected, abs=1e-5, nan_ok=True), (day, nights.said)
