"""A book holds one score a key, whatever comes: others take its place as versions, and nothing that was there is lost."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from qts.errors import StoreError
from qts.predictions import Book, BookWriter, Lineage, Synced, Upserted, read_book
from qts.predictions.upsert import Asked

DAY = date(2024, 1, 30)
SYNCED = Synced(weights="w", history="h", revision=0, recipe="r", universe=None)
Key = tuple[str, date]


def lineage(number: int) -> Lineage:
    return Lineage(
        id=number, made=f"night {number}", run="run", weights="w", bars="b", factors={}, universe=None, label="l",
        features="f", window={}, qts_version="1",
    )  # fmt: skip


def scores(rows: dict[Key, float]) -> pa.Table:
    names, days = ([key[at] for key in rows] for at in (0, 1))
    return pa.table({
        "instrument": pa.array(names, pa.string()), "datetime": pa.array(days, pa.date32()),
        "score": pa.array(list(rows.values()), pa.float32()),
    })  # fmt: skip


def days(*given: date) -> np.ndarray:
    return np.array(given, dtype="datetime64[D]")


def night(folder: Path, rows: dict[Key, float], whole: set[date], names: set[str] = frozenset()) -> Upserted:
    writer = BookWriter(folder, read_book(folder))
    present = {row["datetime"] for row in writer.book.scores().to_pylist()}
    done = writer.upsert(scores(rows), Asked(days(*sorted(whole)), names, days(*sorted(present))))
    writer.commit(None if done.is_nothing else lineage(writer.next_lineage), SYNCED)
    return done


def held(folder: Path) -> dict[Key, tuple[float, int, int]]:
    rows = book_of(folder).scores().to_pylist()
    assert [(row["datetime"], row["instrument"]) for row in rows] == sorted(
        {(row["datetime"], row["instrument"]) for row in rows}
    )
    return {(row["instrument"], row["datetime"]): (row["score"], row["version"], row["lineage"]) for row in rows}


def book_of(folder: Path) -> Book:
    book = read_book(folder)
    assert book is not None
    return book


def test_where_no_night_ran_there_is_no_book(tmp_path: Path) -> None:
    assert read_book(tmp_path / "nowhere") is None


def test_a_changed_score_is_a_new_version_and_the_old_one_is_kept(tmp_path: Path) -> None:
    night(tmp_path, {("A", DAY): 0.5, ("B", DAY): -0.5}, {DAY})
    assert night(tmp_path, {("A", DAY): 0.5, ("B", DAY): 2.0}, {DAY}) == Upserted(0, 1, 0)
    assert held(tmp_path) == {("A", DAY): (0.5, 1, 1), ("B", DAY): (2.0, 2, 2)}
    old = book_of(tmp_path).superseded().to_pylist()
    assert old == [
        {"instrument": "B", "datetime": DAY, "score": -0.5, "version": 1, "lineage": 1, "replaced_by": 2, "is_withdrawn": False}
    ]  # fmt: skip


def test_the_same_scores_again_change_no_byte(tmp_path: Path) -> None:
    night(tmp_path, {("A", DAY): float("nan"), ("B", DAY): -0.5}, {DAY})
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert night(tmp_path, {("B", DAY): -0.5, ("A", DAY): float("nan")}, {DAY}).is_nothing
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_key_that_was_withdrawn_goes_on_counting_when_it_comes_back(tmp_path: Path) -> None:
    night(tmp_path, {("A", DAY): 1.0, ("B", DAY): 2.0}, {DAY})
    assert night(tmp_path, {("A", DAY): 1.0}, {DAY}) == Upserted(0, 0, 1)
    assert held(tmp_path) == {("A", DAY): (1.0, 1, 1)}
    night(tmp_path, {("A", DAY): 1.0, ("B", DAY): 2.0}, {DAY})
    assert held(tmp_path)["B", DAY] == (2.0, 2, 3)


def test_keys_that_were_not_asked_stay(tmp_path: Path) -> None:
    later = DAY + timedelta(3)  # another month, so another part
    night(tmp_path, {("A", DAY): 1.0, ("B", DAY): 2.0, ("A", later): 3.0}, {DAY, later})
    assert night(tmp_path, {("B", DAY): 2.5}, set(), {"B"}) == Upserted(0, 1, 0)
    assert {key: score for key, (score, _, _) in held(tmp_path).items()} == {
        ("A", DAY): 1.0, ("B", DAY): 2.5, ("A", later): 3.0,
    }  # fmt: skip


def nights(seed: int) -> Iterator[tuple[dict[Key, float], set[date], set[str]]]:
    """Yield nights that ask some days whole and some names on all days; of what is asked some keys have no score."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(12):
        whole = {DAY + timedelta(at) for at in draw.sample(range(5), 2)}
        names = set(draw.sample("ABCD", draw.choice([0, 0, 1])))
        yield {}, whole, names


@pytest.mark.parametrize("seed", range(8))
def test_any_nights_leave_what_a_dictionary_would_hold(tmp_path: Path, seed: int) -> None:
    draw = random.Random(100 + seed)  # noqa: S311 - no secret
    truth: dict[Key, tuple[float, int]] = {}
    last: dict[Key, int] = {}
    n_replaced = 0
    for _, whole, names in nights(seed):
        known = {day for _, day in truth}
        asked = {(name, day) for name in "ABCD" for day in whole | known if day in whole or name in names}
        rows = {key: float(draw.choice([1, 2])) for key in sorted(asked) if draw.random() < 0.8}
        night(tmp_path, rows, whole, names)
        for key in asked | rows.keys():
            if key in rows and truth.get(key, (None, 0))[0] != rows[key]:
                n_replaced += key in truth
                last[key] = last.get(key, 0) + 1
                truth[key] = (rows[key], last[key])
            elif key in truth and key not in rows:
                n_replaced += 1
                del truth[key]
    assert {key: (score, version) for key, (score, version, _) in held(tmp_path).items()} == truth
    assert book_of(tmp_path).superseded().num_rows == n_replaced


def test_a_reader_of_the_book_before_still_finds_its_parts(tmp_path: Path) -> None:
    night(tmp_path, {("A", DAY): 1.0}, {DAY})
    reader = book_of(tmp_path)
    night(tmp_path, {("A", DAY): 2.0}, {DAY})
    assert reader.scores()["score"].to_pylist() == [1.0]


def test_a_damaged_part_is_refused_by_its_name(tmp_path: Path) -> None:
    night(tmp_path, {("A", DAY): 1.0}, {DAY})
    (part,) = (tmp_path / "scores").iterdir()
    part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(StoreError, match=part.name):
        book_of(tmp_path).scores()
