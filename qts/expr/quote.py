"""Names and texts in SQL: the one place where either is written, whatever it holds."""

from qts.errors import InputError


def quote_text(text: str) -> str:
    """Return a SQL string literal; raises InputError for a text that is no Unicode."""
    return "'" + sound(text).replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Return a SQL identifier; raises InputError for a name that is no Unicode."""
    return '"' + sound(name).replace('"', '""') + '"'


def sound(text: str) -> str:
    """Return a text as it is; raises InputError for half a character, as a file's name may hold: the engine chokes on it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text!r} is no Unicode text", hint="give it another name") from None
    return text
