"""Several runs side by side: a column a run, holes where a run has no figure."""

from math import isnan

import pytest

from qts.rendering.side_chapters import LONGEST, side_by_side_document
from tests.small_results import (
    DAYS,
    NET,
    RANK_IC,
    assert_sound,
    block,
    empty_report,
    horizon,
    small_backtest,
    small_report,
)


def test_every_run_has_a_column_and_holes_where_it_has_nothing() -> None:
    reports = [small_report(), empty_report(), small_report(warnings=())]
    document = side_by_side_document(["a", "b", "c"], reports, [small_backtest(), None, None])
    assert_sound(document)
    rows = {row["figure"]: row for row in block(document, "figures").rows}
    assert rows["RankIC"]["run_1"] == 0.02
    assert isnan(rows["RankIC"]["run_2"])
    portfolios = {row["figure"]: row for row in block(document, "portfolios").rows}
    assert portfolios["Max drawdown"]["run_1"] == pytest.approx(-0.05)
    assert isnan(portfolios["Max drawdown"]["run_3"])
    assert document.warnings[-2:] == ("a: fewer than 60 days", "b: fewer than 60 days")


def test_curves_lie_over_the_days_of_any_run() -> None:
    late = small_report(days=DAYS[2:], rank_ic=RANK_IC[2:])
    data = block(side_by_side_document(["a", "b"], [small_report(), late]), "cumulative_rank_ic").data
    assert data["datetime"] == [str(day) for day in DAYS]
    assert data["run_2"][:4] == [None, None, 0.0, 0.04]
    assert data["run_1"][1] == pytest.approx(0.08)


def test_values_of_portfolios_lie_in_one_plot_and_without_any_there_is_none() -> None:
    reports = [small_report(), small_report()]
    traded = side_by_side_document(["a", "b"], reports, [None, small_backtest()])
    data = block(traded, "net_value").data
    assert set(data) == {"datetime", "run_2"}
    assert data["run_2"][2] == pytest.approx((1 + NET[1]) * (1 + NET[2]), rel=1e-4)
    assert not {"net_value", "drawdown", "portfolios"} & {
        one.key for one in side_by_side_document(["a", "b"], reports).blocks()
    }


def test_groups_are_drawn_only_if_all_runs_have_as_many() -> None:
    same = side_by_side_document(["a", "b"], [small_report(), small_report()])
    assert block(same, "group_bars").data["run_2"] == [60.0, 40.0, 20.0]
    other = horizon(1, 0.02, group_mean=horizon(1, 0.02).group_mean[:2])
    apart = side_by_side_document(["a", "b"], [small_report(), small_report(horizons=(other,))])
    assert "group_bars" not in {one.key for one in apart.blocks()}


def test_only_settings_that_differ_are_shown_and_long_ones_are_cut() -> None:
    first = small_report()
    second = small_report(context={**first.context, "seed": 4, "note": "x" * 200})
    rows = {row["key"]: row for row in block(side_by_side_document(["a", "b"], [first, second]), "differences").rows}
    assert set(rows) == {"seed", "note"}
    assert (rows["seed"]["run_1"], rows["seed"]["run_2"]) == ("3", "4")
    assert len(rows["note"]["run_2"]) == LONGEST
    assert rows["note"]["run_1"] == ""
