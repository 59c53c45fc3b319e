"""Models in a table as benchmarks publish it: mean ± deviation over seeds."""

from math import nan
from typing import Any

import pytest

from qts.rendering.leaderboard import LEADING, leaderboard_document, spread_text
from tests.small_results import assert_sound, block

GRU = {
    "model": "gru", "features": "alpha158, 20", "n_seeds": 4, "rank_ic": 0.0448, "rank_ic_sd": 0.002, "max_drawdown": -0.0875,
    "max_drawdown_sd": 0.01,
}  # fmt: skip
LINEAR = {"model": "linear", "features": "alpha158, 1", "n_seeds": 1, "rank_ic": 0.03, "rank_ic_sd": nan, "ic": None}


@pytest.mark.parametrize(
    ("row", "key", "text"),
    [
        (GRU, "rank_ic", "0.0448 ± 0.0020"), (GRU, "max_drawdown", "-8.75 % ± 1.00 %"), (LINEAR, "rank_ic", "0.0300"),
        (LINEAR, "ic", ""), (LINEAR, "icir", ""),
    ],
)  # fmt: skip
def test_a_cell_is_mean_and_deviation_or_what_there_is_of_it(row: dict[str, Any], key: str, text: str) -> None:
    assert spread_text(row, key) == text


def test_figures_that_no_model_has_have_no_column() -> None:
    document = leaderboard_document([GRU, LINEAR], ("one run is old",))
    assert_sound(document)
    board = block(document, "leaderboard")
    assert [column.key for column in board.columns] == ["model", "features", "n_seeds", "rank_ic", "max_drawdown"]
    assert [row["model"] for row in board.rows] == ["gru", "linear"]
    assert document.warnings == ("one run is old",)
    assert "deflated_sharpe" in LEADING


def test_bars_carry_the_error_of_a_mean_over_seeds() -> None:
    data = block(leaderboard_document([GRU, LINEAR]), "rank_ic_by_model").data
    assert data["model"] == ["gru alpha158, 20", "linear alpha158, 1"]
    assert data["error"] == [0.001, None]


@pytest.mark.parametrize(("n", "is_told"), [(9, False), (10, True)])
def test_the_best_of_many_is_told_to_be_lucky(n: int, is_told: bool) -> None:
    rows = [{**LINEAR, "features": str(at)} for at in range(n)]
    assert bool(leaderboard_document(rows).verdicts) == is_told


def test_a_board_without_models_is_empty() -> None:
    document = leaderboard_document([])
    assert_sound(document)
    assert block(document, "leaderboard").rows == []
