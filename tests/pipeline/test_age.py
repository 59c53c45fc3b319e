"""Days since the last bar are counted as the market counts them, as far as a calendar can tell."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from qts import clock
from qts.errors import ConfigError, InputError
from qts.pipeline.age import age_in_days, parse_age, refuse_old

FRIDAY, MONDAY, TUESDAY = date(2024, 3, 15), date(2024, 3, 18), date(2024, 3, 19)
WEEKDAYS = np.array([day for day in np.arange("2024-01-01", "2024-03-16", dtype="datetime64[D]") if np.is_busday(day)])
EVERY_DAY = np.arange("2024-01-01", "2024-03-16", dtype="datetime64[D]")


@pytest.mark.parametrize(
    ("today", "of_weekdays", "of_every_day"),
    [(FRIDAY, 0, 0), (date(2024, 3, 17), 0, 2), (MONDAY, 1, 3), (TUESDAY, 2, 4), (date(2024, 3, 1), 0, 0)],
)
def test_weekends_count_where_the_market_trades_on_them(today: date, of_weekdays: int, of_every_day: int) -> None:
    assert age_in_days(FRIDAY, today, WEEKDAYS) == of_weekdays
    assert age_in_days(FRIDAY, today, EVERY_DAY) == of_every_day


def test_one_weekend_day_long_ago_makes_no_market_of_weekends() -> None:
    long_ago = np.concatenate(
        [[np.datetime64("1994-03-05")], np.arange("2023-01-02", "2024-03-16", dtype="datetime64[D]")]
    )
    calendar = long_ago[(np.arange(len(long_ago)) == 0) | np.is_busday(long_ago)]
    assert age_in_days(FRIDAY, MONDAY, calendar) == 1


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("0", 0), (" 12d ", 12)])
def test_an_age_is_a_number_of_days(text: str, days: int) -> None:
    assert parse_age(text) == days


@pytest.mark.parametrize("text", ["", "d", "-1d", "1h", "1.5d", "1d2"])
def test_whatever_else_is_no_age(text: str) -> None:
    with pytest.raises(ConfigError, match="is no age"):
        parse_age(text)


def test_what_is_too_old_is_named_with_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2024, 3, 19, 23, tzinfo=UTC))
    refuse_old(FRIDAY, 2, WEEKDAYS, "the bars")
    refuse_old(FRIDAY, None, WEEKDAYS, "the bars")
    with pytest.raises(InputError, match="the bars end on 2024-03-15, 2 trading days ago; at most 1 may be"):
        refuse_old(FRIDAY, 1, WEEKDAYS, "the bars")
