"""Night after night: what is published is what one run over everything would score, and every change of it is told."""

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from qts import clock
from qts.pipeline import night_work
from qts.predictions import read_book
from tests.market import write_market
from tests.pipeline.night_market import (
    FIRST,
    GATS,
    TEST,
    Market,
    as_it_is,
    nights,
    scaled,
    tree,
    without,
)


@pytest.mark.parametrize("model", [(), GATS], ids=["gru", "gats"])
def test_nights_with_a_correction_a_missed_and_a_corrupt_one_end_as_one_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: tuple[str, ...]
) -> None:
    write_market(tmp_path / "study", TEST)
    market = Market(tmp_path / "study", capsys)
    market.train(*model)
    missed, corrupt, late, corrected = (date(2024, 3, day) for day in (20, 22, 24, 26))
    change = as_it_is
    for day in nights():
        if day == missed:
            continue
        market.reveal(day, without(("I3", day)) if day == late else change)
        if day == corrupt:
            whole = (market.folder / "bars.parquet").read_bytes()
            (market.folder / "bars.parquet").write_bytes(whole[: len(whole) // 2])
            before = tree(market.folder / "predictions")
            assert market("nightly")[0] == 4
            assert tree(market.folder / "predictions") == before
            continue
        if day == corrected:
            change = scaled("I5", date(2024, 3, 21), 1.05)
            market.reveal(day, change)
        market.night("--set", "nightly.min_coverage=0.8")
    assert market.published() == market.one_run()
    assert market.book().superseded().num_rows > 0
    versions = market.book().scores()["version"].to_numpy()
    assert (versions - 1).sum() == market.book().superseded().num_rows


def test_a_second_run_the_same_night_changes_no_byte(market: Market) -> None:
    market.reveal(FIRST)
    assert market.night()["days"] == [str(FIRST)]
    before = tree(market.folder / "predictions")
    again = market.night()
    assert again["up_to_date"]
    assert tree(market.folder / "predictions") == before


def test_published_scores_can_be_queried_before_one_was_ever_corrected(market: Market) -> None:
    market.reveal(FIRST)
    market.night()
    code, out, err = market("query", "select count(*) as n from superseded", "--format", "csv")
    assert (code, out) == (0, "n\n0\n"), err
    assert market("query", "select count(*) as n from predictions", "--format", "csv")[1] == "n\n8\n"


def test_the_first_night_scores_the_last_day_and_since_reaches_back(market: Market) -> None:
    market.reveal(FIRST)
    assert market.night()["days"] == [str(FIRST)]
    assert market.night("--set", "nightly.since=2024-03-15")["days"] == ["2024-03-15", "2024-03-16", "2024-03-17"]
    assert market.published() == market.one_run(date(2024, 3, 15))


def test_a_correction_rescores_the_corrected_name_alone(market: Market) -> None:
    for day in (FIRST, FIRST + timedelta(1)):
        market.reveal(day)
        market.night()
    market.reveal(FIRST + timedelta(2), scaled("I5", FIRST, 1.05))
    told = market.night()
    old = market.book().superseded()
    assert told["n_changed"] == old.num_rows == 2
    assert set(old["instrument"].to_pylist()) == {"I5"}
    assert old["replaced_by"].to_pylist() == [3, 3]


def test_a_bar_that_is_taken_back_takes_its_score_back(market: Market) -> None:
    market.reveal(FIRST)
    market.night()
    market.reveal(FIRST + timedelta(1), without(("I4", FIRST)))
    assert market.night()["n_withdrawn"] == 1
    assert ("I4", FIRST) not in market.published()
    assert market.published() == market.one_run()


def test_a_day_with_half_of_its_bars_is_held_back_until_the_rest_has_come(market: Market) -> None:
    market.reveal(FIRST)
    market.night()
    day = FIRST + timedelta(1)
    market.reveal(day, without(*((f"I{number}", day) for number in range(1, 5))))
    code, _, err = market("nightly")
    assert code == 3
    assert f"{day} has 4 scores, 8 are usual: not published" in err
    assert {key[1] for key in market.published()} == {FIRST}
    market.reveal(day)
    assert market.night()["days"] == [str(day)]
    assert market.published() == market.one_run()


def test_an_older_day_with_few_scores_is_published_with_a_warning(market: Market) -> None:
    market.reveal(FIRST)
    market.night()
    thin = FIRST + timedelta(1)
    market.reveal(thin + timedelta(1), without(*((f"I{number}", thin) for number in range(1, 5))))
    code, _, err = market("nightly")
    assert code == 0
    assert f"warning: {thin} has 4 scores, 8 are usual: published all the same" in err


def test_labels_that_became_known_are_judged(market: Market) -> None:
    for day in nights(last=FIRST + timedelta(3)):
        market.reveal(day)
        told = market.night()
    assert [row["datetime"] for row in told["matured"]] == [str(FIRST + timedelta(1))]
    rows = {row["datetime"]: row for row in market.book().days().to_pylist()}
    assert (rows[FIRST]["label_start"], rows[FIRST]["label_end"]) == (FIRST + timedelta(1), FIRST + timedelta(2))
    assert rows[FIRST + timedelta(3)]["label_start"] is None
    close = {(row["instrument"], row["datetime"]): row["close"] for row in market.bars.to_pylist()}
    pairs = [
        (score, close[name, FIRST + timedelta(2)] / close[name, FIRST + timedelta(1)] - 1)
        for (name, day), score in market.published().items()
        if day == FIRST
    ]
    expected = np.corrcoef(*np.array(pairs).T)[0, 1]
    assert rows[FIRST]["ic"] == pytest.approx(expected, abs=1e-6)


def test_scores_below_the_band_of_the_test_segment_fail_the_night_that_publishes_them(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night_work, "LEAST_DRIFT", 3)
    pin = market.folder / "runs/pinned.json"
    found = json.loads(pin.read_text())
    pin.write_text(json.dumps(found | {"rank_ic": [0.99, 0.98, 0.97] * (len(found["days"]) // 3)}))
    for day in nights(last=FIRST + timedelta(5)):
        market.reveal(day)
        code, out, err = market("nightly", "--json", "--set", 'nightly.drift="fail"')
    assert code == 3
    assert "scores drift" in err
    told = json.loads(out)
    assert told["error"]["code"] == 3
    assert told["drift"]["rank_ic"] < told["drift"]["low"]
    assert FIRST + timedelta(5) in {day for _, day in market.published()}


def test_another_pinned_run_leaves_what_was_published(market: Market) -> None:
    market.reveal(FIRST)
    market.night()
    before = market.published()
    assert market("train", "--seed", "7")[0] == 0
    assert market("runs", "pin", (market.folder / "runs/latest").read_text().strip())[0] == 0
    market.reveal(FIRST + timedelta(1), scaled("I5", FIRST, 1.05))
    assert market.night()["n_changed"] == 0
    now = market.published()
    assert {key: now[key] for key in before} == before
    first, second = market.book().days()["run"].to_pylist()
    assert first != second


def test_weights_that_have_changed_since_they_were_pinned_score_nothing(market: Market) -> None:
    market.reveal(FIRST)
    other = market.folder / "runs" / market.pinned() / "model.safetensors"
    content = bytearray(other.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    code, _, err = market("nightly")
    assert code == 4
    assert "have changed since it was pinned" in err
    assert read_book(market.folder / "predictions") is None


def test_without_a_pinned_run_nothing_is_done(market: Market) -> None:
    (market.folder / "runs/pinned.json").unlink()
    market.reveal(FIRST)
    before = tree(market.folder / ".qts/bars")
    code, _, err = market("nightly")
    assert code == 4
    assert "hint: qts runs list names them; then: qts runs pin RUN" in err
    assert tree(market.folder / ".qts/bars") == before


@pytest.mark.parametrize(("today", "code"), [(FIRST, 0), (FIRST + timedelta(2), 0), (FIRST + timedelta(3), 4)])
def test_bars_that_are_too_old_are_refused(
    market: Market, monkeypatch: pytest.MonkeyPatch, today: date, code: int
) -> None:
    moment = datetime(today.year, today.month, today.day, 12, tzinfo=timezone.utc)  # noqa: UP017 - said once
    monkeypatch.setattr(clock, "now", lambda: moment)
    market.reveal(FIRST)
    found, _, err = market("nightly", "--max-age", "2d")
    assert found == code, err
    assert (read_book(market.folder / "predictions") is None) == (code != 0)


def test_a_night_that_was_killed_after_its_ingest_is_caught_up(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.reveal(FIRST)
    market.night()
    market.reveal(FIRST + timedelta(1), scaled("I5", FIRST, 1.05))
    with monkeypatch.context() as patched:
        patched.setattr(night_work.BookWriter, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert market("nightly")[0] == 130
    assert market.night()["n_changed"] == 1
    assert market.published() == market.one_run()


def hook(folder: Path, name: str, body: str) -> str:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return f"./{name}"


def test_the_hook_for_success_is_handed_the_summary(market: Market) -> None:
    program = hook(market.folder, "told.sh", 'cat > told.json; echo "$QTS_DAY $1" > told.txt; echo heard')
    market.reveal(FIRST)
    code, out, err = market("nightly", "--set", f'nightly.on_success=["{program}", "a; b"]')
    assert code == 0
    assert json.loads((market.folder / "told.json").read_text())["days"] == [str(FIRST)]
    assert (market.folder / "told.txt").read_text() == f"{FIRST} a; b\n"
    assert "heard" in err
    assert "heard" not in out


@pytest.mark.parametrize(
    ("body", "says"), [("echo no disk; exit 7", "failed with code 7: no disk"), ("sleep 30", "longer than 0.2 s")]
)
def test_a_hook_that_fails_fails_the_night_that_was_published(market: Market, body: str, says: str) -> None:
    program = hook(market.folder, "send.sh", body)
    market.reveal(FIRST)
    code, _, err = market("nightly", "--set", f'nightly.on_success=["{program}"]', "--set", "nightly.hook_seconds=0.2")
    assert code == 1
    assert says in err
    assert {day for _, day in market.published()} == {FIRST}


def test_the_hook_for_failure_is_handed_the_error(market: Market) -> None:
    program = hook(market.folder, "alarm.sh", 'cat > alarm.json; echo "$QTS_EXIT_CODE" > alarm.txt')
    (market.folder / "bars.parquet").unlink()
    assert market("nightly", "--set", f'nightly.on_failure=["{program}"]')[0] == 4
    assert json.loads((market.folder / "alarm.json").read_text())["error"]["code"] == 4
    assert (market.folder / "alarm.txt").read_text() == "4\n"


def test_two_nights_at_once_are_refused(market: Market) -> None:
    from qts.store.lock import only_writer

    market.reveal(FIRST)
    with only_writer(market.folder / "predictions", "busy", hint="wait"):
        code, _, err = market("nightly")
    assert code == 5
    assert "another night is at work" in err


def test_a_day_that_was_none_after_all_loses_its_scores(market: Market) -> None:
    market.reveal(FIRST)
    market.night()
    market.reveal(FIRST + timedelta(1))
    market.night()
    market.reveal(FIRST + timedelta(2), lambda bars: bars.filter(pc.not_equal(bars["datetime"], pa.scalar(FIRST))))
    assert market.night()["n_withdrawn"] == 8
    assert FIRST not in {day for _, day in market.published()}
    assert market.published() == market.one_run(FIRST + timedelta(1))
    assert market.night()["up_to_date"]
