"""What a night does not believe: half a delivery, a store out of a backup, a pin that cannot be."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.market import write_market
from tests.pipeline.night_market import (
    FIRST,
    TEST,
    Market,
    only,
    scaled,
    tree,
    without,
)


def test_bars_that_end_before_the_last_published_day_are_refused_and_withdraw_nothing(market: Market) -> None:
    market.reveal(FIRST + timedelta(3))
    market.night("--set", f"nightly.since={FIRST}")
    before = tree(market.folder / "predictions")
    market.reveal(FIRST + timedelta(1))
    code, _, err = market("nightly")
    assert code == 4
    assert f"the bars end on {FIRST + timedelta(1)}, but scores are published up to {FIRST + timedelta(3)}" in err
    assert tree(market.folder / "predictions") == before
    market.reveal(FIRST + timedelta(4))
    market.night()
    assert market.published() == market.one_run()


@pytest.mark.parametrize("day", [FIRST, FIRST + timedelta(1)], ids=["the same day again", "a new day"])
def test_a_delivery_without_half_of_the_names_withdraws_nothing(market: Market, day: date) -> None:
    market.reveal(FIRST)
    market.night()
    before = tree(market.folder / "predictions")
    market.reveal(day, only("I0", "I1", "I2", "I3"))
    code, _, err = market("nightly")
    assert code == 3
    assert "published scores would be withdrawn: nothing was changed" in err
    assert tree(market.folder / "predictions") == before
    market.reveal(day)
    market.night()
    assert market.published() == market.one_run()
    assert market.book().superseded().num_rows == 0


def test_a_first_day_that_was_held_back_is_caught_up(market: Market) -> None:
    market.reveal(FIRST, without(*((f"I{number}", FIRST) for number in range(1, 5))))
    code, out, _ = market("nightly")
    assert code == 3
    assert "the newest day held back" in out
    market.reveal(FIRST + timedelta(1))
    assert market.night()["days"] == [str(FIRST), str(FIRST + timedelta(1))]


def test_a_day_that_was_none_after_all_is_judged_no_more(market: Market) -> None:
    market.reveal(FIRST + timedelta(3))
    market.night("--set", f"nightly.since={FIRST}")
    assert market.book().days()["ic"][0].as_py() is not None
    market.reveal(FIRST + timedelta(4), lambda bars: bars.filter(pc.not_equal(bars["datetime"], pa.scalar(FIRST))))
    market.night()
    row = market.book().days().to_pylist()[0]
    assert [row[name] for name in ("n_scores", "label_start", "label_end", "ic", "rank_ic")] == [0, *[None] * 4]


def test_a_store_that_was_restored_from_a_backup_hides_no_correction(market: Market) -> None:
    """The restored store counts its revisions anew, and one of them says of I5 what the night did not know."""
    for day in (FIRST, FIRST + timedelta(1)):
        if day != FIRST:
            shutil.copytree(market.folder / ".qts", market.folder / "backup")
        market.reveal(day)
        market.night()
    shutil.rmtree(market.folder / ".qts")
    (market.folder / "backup").rename(market.folder / ".qts")
    market.reveal(FIRST + timedelta(1), scaled("I5", FIRST, 1.05))
    assert market("ingest")[0] == 0
    assert market.night()["n_changed"] == 2
    assert market.published() == market.one_run()


RANKED = '[processors]\nfeatures = [{ name = "cs_rank" }, { name = "fillna" }]\n'


def test_members_that_were_others_before_the_first_published_day_change_the_scores_of_runs_that_look_across(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Windows of the first published day look back to days on which the cross-section is another one now."""
    write_market(tmp_path / "study", RANKED + TEST)
    market = Market(tmp_path / "study", capsys)
    market.train()
    market.reveal(FIRST)
    market.night()
    universe = market.folder / "universe.csv"
    hole = f"I3,2024-01-01,{FIRST - timedelta(3)}\nI3,{FIRST},2024-12-31"
    universe.write_text(universe.read_text().replace("I3,2024-01-01,2024-12-31", hole))
    assert market.night()["n_changed"] > 0
    assert market.published() == market.one_run()


def test_a_run_of_the_same_weights_with_other_features_is_another_run(market: Market) -> None:
    market.reveal(FIRST)
    market.night()
    before = market.published()
    twin = market.folder / "runs" / f"{market.pinned()}-twin"
    shutil.copytree(market.folder / "runs" / market.pinned(), twin)
    record = json.loads((twin / "run.json").read_text())
    record["processors"]["features"][0]["options"]["clip"] = 0.5
    (twin / "run.json").write_text(json.dumps(record))
    (twin / "predictions.parquet").unlink(missing_ok=True)
    assert market("runs", "pin", twin.name)[0] == 0
    market.reveal(FIRST + timedelta(1), scaled("I5", FIRST, 1.05))
    assert market.night()["n_changed"] == 0
    now = market.published()
    assert {key: now[key] for key in before} == before
    assert set(now) > set(before)


@pytest.mark.parametrize("damage", [{"days": ["NaT"] * 9}, {"lag": -1}, {"run": "../elsewhere"}, {"rank_ic": [0.1]}])
def test_a_pin_that_cannot_be_is_refused(market: Market, damage: dict[str, Any]) -> None:
    pin = market.folder / "runs/pinned.json"
    pin.write_text(json.dumps(json.loads(pin.read_text()) | damage))
    code, _, err = market("nightly")
    assert code == 4
    assert "hint: pin the run again: qts runs pin RUN" in err


def test_a_pinned_run_that_is_gone_is_told_with_what_to_do(market: Market) -> None:
    shutil.rmtree(market.folder / "runs" / market.pinned())
    code, _, err = market("nightly")
    assert code == 4
    assert "is gone from" in err
    assert "hint: restore it, or pin another: qts runs pin RUN" in err


def test_a_correction_on_the_night_after_another_run_was_pinned_judges_the_days_of_the_one_before_anew(
    market: Market,
) -> None:
    market.reveal(FIRST + timedelta(2))
    market.night("--set", f"nightly.since={FIRST}")
    before = market.book().days()["ic"][0].as_py()
    assert market("train", "--seed", "7")[0] == 0
    assert market("runs", "pin", (market.folder / "runs/latest").read_text().strip())[0] == 0
    market.reveal(FIRST + timedelta(3), scaled("I5", FIRST + timedelta(2), 1.3))
    assert market.night()["n_changed"] == 0
    assert market.book().days()["ic"][0].as_py() != pytest.approx(before, abs=1e-6)
