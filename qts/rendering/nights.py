"""A night and a pin in words: what a person, a log and a mail's subject line are told."""

from typing import Any

Result = dict[str, Any]


def nightly_text(night: Result) -> str:
    """Return a night in one line."""
    parts = [_scores(night)]
    if night["held_back"]:
        parts.append("the newest day held back")
    if night["n_changed"] or night["n_withdrawn"]:
        withdrawn = f", {night['n_withdrawn']:,} withdrawn" if night["n_withdrawn"] else ""
        parts.append(f"{night['n_changed']:,} earlier scores changed{withdrawn}")
    if matured := night["matured"]:
        last = matured[-1]
        parts.append(f"RankIC {_figure(last['rank_ic'])} of {last['datetime']}")
    if drift := night["drift"]:
        place = "as expected" if drift["is_inside"] else "below" if drift["rank_ic"] < drift["low"] else "above"
        band = "" if drift["is_inside"] else f" {drift['low']:.4f} to {drift['high']:.4f}"
        parts.append(f"{drift['days']} days at {drift['rank_ic']:.4f}: {place}{band}")
    if warnings := night["ingest"]["warnings"]:
        parts.append(f"{len(warnings)} warnings of the bars")
    return f"{night['day']}: {'; '.join(parts)}; {night['run']}, {night['seconds']:.1f} s"


def _scores(night: Result) -> str:
    days = night["days"]
    if not days:
        return "nothing new to publish"
    caught_up = f", {len(days) - 1} days caught up" if len(days) > 1 else ""
    return f"{night['n_scores']:,} scores published{caught_up}"


def pin_text(pin: Result) -> str:
    """Return what is pinned."""
    days = pin["days"]
    known = [value for value in pin["rank_ic"] if value is not None and value == value]  # noqa: PLR0124 - NaN
    shown = "its test segment has no judged day"
    if known:
        shown = f"RankIC {sum(known) / len(known):.4f} over {len(known)} test days, {days[0]} to {days[-1]}"
    return f"pinned {pin['run']} ({pin['pinned']}): {shown}"


def _figure(value: float | None) -> str:
    return "none" if value is None or value != value else f"{value:.4f}"  # noqa: PLR0124 - NaN
