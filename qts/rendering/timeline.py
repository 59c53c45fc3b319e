"""The sentences that say which bars a score, a trade and a return belong to."""

from collections.abc import Mapping
from typing import Any


def score_timeline(context: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> str:
    """Return when a score is traded, what its first return is and what its label is; as far as a report's context tells.

    `settings` are a backtest's: it may trade at another price, or on another day, than holding periods begin.
    """
    lines = [_first_return(int(context["lag"]))] if "lag" in context else []
    if (label := context.get("label")) is not None:
        lines.append(f"Its label is {label}{_reach(context)}.")
    if settings and "lag" in settings:
        lines.append(f"The portfolio trades it {_prices(settings)} of {_day(int(settings['lag']))}.")
    return " ".join(lines)


def _first_return(lag: int) -> str:
    return f"A score of day t is traded at the close of {_day(lag)}; its first return is that of {_day(lag + 1)}."


def _reach(context: Mapping[str, Any]) -> str:
    if "label_ahead" not in context:
        return ""
    begin = f"from {_day(int(context['label_begin']))} " if "label_begin" in context else ""
    return f", which reads bars {begin}up to {_day(int(context['label_ahead']))}"


def _prices(settings: Mapping[str, Any]) -> str:
    buy = settings.get("deal_price") or "close"
    sell = settings.get("sell_price") or buy
    return f"at the {buy}" if buy == sell else f"at the {buy} (sales: at the {sell})"


def _day(ahead: int) -> str:
    return f"t+{ahead}" if ahead else "t"
