"""How old data is: in days, of which weekends do not count where the market does not trade on them."""

import re
from datetime import date

import numpy as np

from qts import clock
from qts.errors import ConfigError, InputError

LATEST = 250
"""Days of the calendar that tell whether a market trades on weekends."""


def parse_age(text: str) -> int:
    """Return the days of an age written as 3 or 3d; raises ConfigError for anything else."""
    found = re.fullmatch(r"(\d{1,6})d?", text.strip())
    if found is None:
        raise ConfigError(f'"{text}" is no age', where="--max-age", hint="write days, as 1d")
    return int(found[1])


def age_in_days(last: date, today: date, calendar: np.ndarray) -> int:
    """Return the days after `last` up to today, 0 at least; calendar (n,) datetime64[D] says whether weekends count."""
    if today <= last:
        return 0
    days = np.arange(np.datetime64(last, "D") + 1, np.datetime64(today, "D") + 1)
    trades_on_weekends = bool((~np.is_busday(calendar[-LATEST:])).any())
    return len(days) if trades_on_weekends else int(np.count_nonzero(np.is_busday(days)))


def refuse_old(last: date, max_age: int | None, calendar: np.ndarray, what: str) -> None:
    """Raise InputError if the last day of something is older than it may be."""
    if max_age is None:
        return
    age = age_in_days(last, clock.today(), calendar)
    if age > max_age:
        unit = "day" if age == 1 else "days"
        raise InputError(
            f"{what} end on {last}, {age} trading {unit} ago; at most {max_age} may be",
            where="--max-age", hint="has the delivery come? weekends do not count, holidays do",
        )  # fmt: skip
