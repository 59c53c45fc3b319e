"""The board of a code, in the spellings of several vendors."""

import pytest

from qts.boards import board_of


@pytest.mark.parametrize(
    ("code", "board"),
    [
        ("SH600000", "Shanghai main"),
        ("603259.SH", "Shanghai main"),
        ("600000.XSHG", "Shanghai main"),
        ("600000", "Shanghai main"),
        ("SH900901", "Shanghai main"),
        ("sh.688981", "STAR"),
        ("689009.XSHG", "STAR"),
        ("SZ000001", "Shenzhen main"),
        ("002594.sz", "Shenzhen main"),
        ("000001", "Shenzhen main"),
        ("SZ300750", "ChiNext"),
        ("301000.XSHE", "ChiNext"),
        ("BJ430047", "Beijing"),
        ("830799", "Beijing"),
        ("920001.BJ", "Beijing"),
        ("SH000300", ""),
        ("SZ399006", ""),
        ("AAPL", ""),
        ("SZ3007500", ""),
    ],
)
def test_a_code_tells_its_board(code: str, board: str) -> None:
    assert board_of(code) == board
