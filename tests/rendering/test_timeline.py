"""The sentence on bars follows lag, label and the portfolio's own prices."""

from qts.rendering.timeline import score_timeline

LABEL = "Ref($close, -2)/Ref($close, -1) - 1"


def test_the_default_trades_tomorrow_and_earns_the_day_after() -> None:
    assert score_timeline({"lag": 1, "label": LABEL, "label_ahead": 2}) == (
        "A score of day t is traded at the close of t+1; its first return is that of t+2. "
        f"Its label is {LABEL}, which reads bars up to t+2."
    )


def test_a_lag_of_0_trades_on_the_day_of_the_score() -> None:
    assert (
        score_timeline({"lag": 0}) == "A score of day t is traded at the close of t; its first return is that of t+1."
    )


def test_the_label_has_its_own_reach() -> None:
    assert "traded at the close of t+3; its first return is that of t+4" in score_timeline(
        {"lag": 3, "label": LABEL, "label_ahead": 9}
    )
    assert score_timeline({"label": LABEL, "label_ahead": 9}).endswith("which reads bars up to t+9.")


def test_a_label_says_where_its_return_begins_if_that_is_known() -> None:
    told = score_timeline({"label": LABEL, "label_ahead": 5, "label_begin": 0})
    assert told.endswith("which reads bars from t up to t+5.")


def test_a_portfolio_tells_its_own_prices() -> None:
    context = {"lag": 1}
    assert score_timeline(context, {"lag": 2, "deal_price": "open"}).endswith(
        "The portfolio trades it at the open of t+2."
    )
    apart = score_timeline(context, {"lag": 1, "deal_price": "open", "sell_price": "vwap"})
    assert apart.endswith("at the open (sales: at the vwap) of t+1.")


def test_nothing_known_is_nothing_said() -> None:
    assert score_timeline({}) == ""
