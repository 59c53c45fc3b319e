"""Text from data as a terminal may be shown it: a name must not move the cursor, hide what stands before it, or colour."""

import unicodedata

_KEPT = "\n\t"
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of what is no sign but an order: escape, backspace, a change of direction, half a character, another line."""


def tame(text: str) -> str:
    """Return text with every control character as JSON writes it, with a backslash and a u; lines and tabs stay.

    A line of JSON stays the JSON it was.
    """
    if text.isprintable():
        return text
    return "".join(
        _escaped(sign) if unicodedata.category(sign) in _UNSEEN and sign not in _KEPT else sign for sign in text
    )


def _escaped(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
