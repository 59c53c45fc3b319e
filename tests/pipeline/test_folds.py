"""Folds along a calendar: the reference's spans where our rules agree, clean joints, and refusals that name dates."""

from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from qts.config import SegmentsConfig, WalkConfig
from qts.errors import ConfigError
from qts.pipeline.folds import Fold, make_folds

HOLIDAYS = """
2015-01-01/2 2015-02-18/5 2015-04-06/1 2015-05-01/1 2015-06-22/1 2015-09-03/2 2015-10-01/5 2016-01-01/1 2016-02-08/5
2016-04-04/1 2016-05-02/1 2016-06-09/2 2016-09-15/2 2016-10-03/5 2017-01-02/1 2017-01-27/5 2017-04-03/2 2017-05-01/1
2017-05-29/2 2017-10-02/5 2018-01-01/1 2018-02-15/5 2018-04-05/2 2018-04-30/2 2018-06-18/1 2018-09-24/1 2018-10-01/5
2018-12-31/2 2019-02-04/5 2019-04-05/1 2019-05-01/3 2019-06-07/1 2019-09-13/1 2019-10-01/5 2020-01-01/1 2020-01-24/6
2020-04-06/1 2020-05-01/3 2020-06-25/2 2020-10-01/6 2021-01-01/1 2021-02-11/5
"""
"""First weekday and number of weekdays on which the Shanghai exchange was closed."""


def shanghai() -> np.ndarray:
    """Trading days from 2015 to March 2021."""
    days = np.arange("2015-01-01", "2021-04-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)]
    for first, n_days in (entry.split("/") for entry in HOLIDAYS.split()):
        at = int(np.searchsorted(days, np.datetime64(first, "D")))
        days = np.delete(days, range(at, at + int(n_days)))
    return days


SHANGHAI = shanghai()
YEARS = SegmentsConfig.model_validate({
    "train": ["2015-01-01", "2018-12-31"], "valid": ["2019-01-01", "2019-12-31"], "test": ["2020-01-01", "2020-12-31"],
})  # fmt: skip


def folds(ahead: int = 2, calendar: np.ndarray = SHANGHAI, segments: SegmentsConfig = YEARS, **walk: Any) -> list[Fold]:
    return list(make_folds(calendar, segments, WalkConfig.model_validate({"step_days": 100, **walk}), ahead))


def spans(fold: Fold) -> str:
    return " ".join(f"{first}..{last}" for first, last in (fold.train, fold.valid, fold.test))


# The reference (RollingGen, step 100) on the same segments. A label of horizon 1 reads 2 days ahead; what the reference
# calls trunc_days = 3 cuts valid before test by as much as our embargo of 2 days.


def test_expanding_folds_are_those_of_the_reference_but_for_the_joints_and_the_end() -> None:
    """The reference leaves no days out after train, which ends on 2018-12-28, 2019-06-03 and 2019-10-30.

    Its valid ends on 2019-12-31, 2020-06-03 and 2020-11-02, with trunc_days = 3 on 2019-12-27 and 2020-06-01. Its third
    test part runs on to 2021-03-30, past the end that was asked for.
    """
    assert [spans(fold) for fold in folds()] == [
        "2015-01-05..2018-12-26 2019-01-02..2019-12-27 2020-01-02..2020-06-03",
        "2015-01-05..2019-05-30 2019-06-04..2020-06-01 2020-06-04..2020-11-02",
        "2015-01-05..2019-10-28 2019-10-31..2020-10-29 2020-11-03..2020-12-31",
    ]


def test_a_rolling_train_part_begins_where_the_reference_s_does() -> None:
    assert spans(folds(train="rolling")[1]) == "2015-06-03..2019-05-30 2019-06-04..2020-06-01 2020-06-04..2020-11-02"
    assert {fold.n_train for fold in folds(train="rolling")} == {folds()[0].n_train}


def test_the_last_fold_ends_with_the_walk_and_never_past_the_calendar() -> None:
    assert folds(last="2020-09-05")[-1].test[1] == date(2020, 9, 4)
    assert folds(last="2030-01-01")[-1].test[1] == SHANGHAI[-1].item()


def test_another_first_day_moves_the_segments_along_the_calendar() -> None:
    """From the second fold's first test day on, a walk is the same as from its own first day."""
    later = folds(first="2020-06-04")
    assert [spans(fold) for fold in later] == [spans(fold) for fold in folds()[1:]]
    (earlier,) = folds(first="2019-08-08", last="2020-01-03")
    assert spans(earlier) == "2015-01-05..2018-08-02 2018-08-07..2019-08-05 2019-08-08..2020-01-03"


# Whatever the calendar


def random_walk(seed: int) -> tuple[np.ndarray, SegmentsConfig, dict[str, Any], int]:
    rng = np.random.default_rng(seed)
    calendar = np.sort(rng.choice(np.arange("2020-01-01", "2020-12-01", dtype="datetime64[D]"), 120, replace=False))
    cuts = [0, 60 - rng.integers(1, 9), 60, 80 - rng.integers(1, 9), 80, 119 - rng.integers(5)]
    days = [str(calendar[at]) for at in cuts]
    segments = SegmentsConfig.model_validate({"train": days[:2], "valid": days[2:4], "test": days[4:]})
    settings = {"step_days": int(rng.integers(5, 30)), "train": ["expanding", "rolling"][seed % 2]}
    return calendar, segments, settings, int(rng.integers(0, 6))


@pytest.mark.parametrize("seed", range(12))
def test_no_label_of_a_part_reads_a_bar_of_the_next_and_no_day_is_left_out_for_nothing(seed: int) -> None:
    calendar, segments, settings, ahead = random_walk(seed)
    place = {day.item(): at for at, day in enumerate(calendar)}
    gaps = [
        place[segments.valid[0]] - place[segments.train[1]] - 1,
        place[segments.test[0]] - place[segments.valid[1]] - 1,
    ]
    for fold in folds(ahead, calendar, segments, **settings):
        for (before, after), gap, told in zip(
            ((fold.train, fold.valid), (fold.valid, fold.test)), gaps, fold.left_out, strict=True
        ):
            reads = place[before[1]] + ahead
            assert reads < place[after[0]]
            assert told == place[after[0]] - place[before[1]] - 1 == max(gap, ahead)


@pytest.mark.parametrize("seed", range(12))
def test_test_parts_lie_end_to_end_and_the_other_parts_keep_their_length(seed: int) -> None:
    calendar, segments, settings, ahead = random_walk(seed)
    found = folds(ahead, calendar, segments, **settings)
    tested = [day for fold in found for day in calendar if fold.test[0] <= day.item() <= fold.test[1]]
    asked = [day for day in calendar if segments.test[0] <= day.item() <= segments.test[1]]
    assert tested == asked
    assert {fold.n_test for fold in found[:-1]} <= {settings["step_days"]}
    assert found[-1].n_test <= settings["step_days"]
    assert len({fold.n_valid for fold in found}) == 1
    grows = [after.n_train - before.n_train for before, after in pairwise(found)]
    assert set(grows) <= {settings["step_days"] if settings["train"] == "expanding" else 0}


def test_a_longer_embargo_is_left_out_at_both_joints_and_counted_once() -> None:
    (fold, *_) = folds(ahead=2, embargo_days=7)
    assert fold.left_out == (7, 7)
    assert fold.n_train == folds()[0].n_train - 5


# Refusals


@pytest.mark.parametrize(
    ("walk", "message"),
    [
        ({"embargo_days": 1}, r"embargo_days = 1 is too few: the label looks 2 days ahead"),
        ({"step_days": 244}, r"step_days = 244 is more than the 243 trading days from 2020-01-02 to 2020-12-31"),
        ({"first": "2021-04-01", "last": "2021-05-01"}, r"nothing to test from 2021-04-01 to 2021-05-01: the calendar \(2015"),
        ({"first": "2020-12-31", "last": "2020-01-02"}, r"nothing to test from 2020-12-31 to 2020-01-02"),
        ({"first": "2016-01-06"}, r"fold 1, tested from 2016-01-06 on, needs 247 trading days .*; there are 246 from 2015-01-05"),
        ({"first": "2019-12-02", "train": "rolling"}, r"needs 1219 trading days .*; there are 1197 from 2015-01-05"),
        ({"embargo_days": 250}, r"fold 1, tested from 2020-01-02 on, has no valid part: 250 days .*, and valid has 244"),
    ],
)  # fmt: skip
def test_a_walk_that_does_not_fit_is_refused_with_its_dates(walk: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        folds(**walk)
    assert caught.value.hint


def test_a_segment_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the test segment \(2020-01-01 to 2020-12-31\) has no day of the calendar"):
        folds(calendar=SHANGHAI[:1000])
