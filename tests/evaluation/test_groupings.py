"""What names are grouped by: codes and columns of words."""

from dataclasses import replace

import numpy as np
import pytest

from qts.evaluation import groupings
from qts.evaluation.groupings import groupings_of
from tests.evaluation.small_signal import random_signal


def test_no_known_code_means_no_boards_and_a_column_of_that_name_comes_first() -> None:
    signal = random_signal(0)
    assert list(groupings_of(signal)) == ["industry", "style", "board"]
    foreign = np.array([f"I{at}" for at in range(len(signal.instruments))])
    assert list(groupings_of(replace(signal, instruments=foreign))) == ["industry", "style"]
    own = groupings_of(replace(signal, groups={"board": np.full(len(signal.day), "mine")}))
    assert own["board"].names == ("mine",)


WORDS = np.array(["steel", "", "Öl", "banks", "steel", "", "bank"])


@pytest.mark.parametrize("column", [WORDS, WORDS.astype(object), WORDS[1::2], np.array(["", ""])])
def test_groups_are_numbered_in_order_and_the_unknown_is_none(column: np.ndarray) -> None:
    found = groupings_of(replace(random_signal(0), groups={"words": column})).get("words")
    words = sorted({str(word) for word in column} - {""})
    if not words:
        assert found is None
        return
    assert found is not None
    assert list(found.names) == words
    assert found.code.tolist() == [words.index(word) if word else -1 for word in column]


def test_more_groups_than_a_short_number_holds_keep_apart() -> None:
    words = np.array([f"w{at:05d}" for at in range(33_000)])
    assert groupings_of(replace(random_signal(0), groups={"words": words}))["words"].code[-1] == 32_999


def test_words_that_share_a_number_are_told_apart_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groupings, "SPREADING", np.uint64(0))
    columns = groupings_of(replace(random_signal(0), groups={"words": np.array(["ab", "cb", "ab", "cd"])}))
    assert columns["words"].code.tolist() == [0, 1, 0, 2]
