"""Which board of a mainland Chinese exchange a code belongs to."""

import re

UNKNOWN = ""
"""The board of a code that is none of these."""

BOARDS = (
    ("SH", "68[89]", "STAR"),
    ("SZ", "30", "ChiNext"),
    ("BJ", "43|8|92", "Beijing"),
    ("SH", "60|900", "Shanghai main"),
    ("SZ", "00|20", "Shenzhen main"),
)
"""Exchange, how the six digits begin, board."""

_CODE = re.compile(r"(?:(SH|SZ|BJ|SSE|SZSE|BSE|XSHG|XSHE|XBSE)\.?)?(\d{6})(?:\.?(SH|SZ|BJ|SS|XSHG|XSHE|XBSE))?")
_EXCHANGES = {"SSE": "SH", "SS": "SH", "XSHG": "SH", "SZSE": "SZ", "XSHE": "SZ", "BSE": "BJ", "XBSE": "BJ"}
"""Other spellings of an exchange."""


def board_of(instrument: str) -> str:
    """Return the board of a code like SH600000, 600000.SH, sh.600000 or 600000; UNKNOWN for any other, as an index."""
    parts = _CODE.fullmatch(instrument.upper())
    if parts is None:
        return UNKNOWN
    said = parts[1] or parts[3]
    exchange = _EXCHANGES.get(said, said)
    return next(
        (board for place, first, board in BOARDS if exchange in (None, place) and re.match(first, parts[2])), UNKNOWN
    )
