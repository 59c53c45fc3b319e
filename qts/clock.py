"""The time of day, asked in one place: always UTC, and never trusted to move forward."""

from datetime import UTC, date, datetime, timedelta

AHEAD_OF_UTC = timedelta(hours=14)
"""How far the earliest time zone is ahead."""


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)


def stamp() -> str:
    """Return the present second as ISO text: what records say of when they were written."""
    return now().isoformat(timespec="seconds")


def today() -> date:
    """Return the day in UTC."""
    return now().date()


def today_somewhere() -> date:
    """Return the latest day that has begun anywhere on earth: a bar after it is of the future in every market."""
    return (now() + AHEAD_OF_UTC).date()
