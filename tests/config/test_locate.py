"""Lines of keys: what the TOML parser does not tell, for every shape a qts.toml may have."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.config.locate import KeyPath, key_lines, line_of


def numbered(text: str) -> dict[int, KeyPath]:
    """Return what stands on each line of a valid TOML text."""
    tomllib.loads(text)
    return {line: path for path, line in key_lines(text).items()}


def test_keys_of_nested_tables_carry_the_whole_path() -> None:
    text = """\
top = 0

[a]
x = 1
[a.b]
y = 2
[a.b.c.d]
z = 3
[ e . f ]
w = 4
"""
    assert numbered(text) == {
        1: ("top",),
        3: ("a",),
        4: ("a", "x"),
        5: ("a", "b"),
        6: ("a", "b", "y"),
        7: ("a", "b", "c", "d"),
        8: ("a", "b", "c", "d", "z"),
        9: ("e", "f"),
        10: ("e", "f", "w"),
    }


def test_tables_of_a_list_carry_their_number() -> None:
    text = """\
[[p.f]]
name = "a"
[[p.l]]
name = "b"
[[p.f]]
name = "c"
k = 3
[[ p.f ]]
name = "d"
"""
    assert numbered(text) == {
        1: ("p", "f", 0),
        2: ("p", "f", 0, "name"),
        3: ("p", "l", 0),
        4: ("p", "l", 0, "name"),
        5: ("p", "f", 1),
        6: ("p", "f", 1, "name"),
        7: ("p", "f", 1, "k"),
        8: ("p", "f", 2),
        9: ("p", "f", 2, "name"),
    }


def test_dotted_and_quoted_keys_are_taken_apart_where_toml_does() -> None:
    text = """\
a.b.c = 1
d . "x.y" = 2
"q r" = 3
'lit' = 4
bare-key_5 = 5
[t."u.v"]
w = 6
"""
    assert numbered(text) == {
        1: ("a", "b", "c"),
        2: ("d", "x.y"),
        3: ("q r",),
        4: ("lit",),
        5: ("bare-key_5",),
        6: ("t", "u.v"),
        7: ("t", "u.v", "w"),
    }


def test_lines_within_a_list_are_no_headers() -> None:
    text = """\
[t]
a = [
  [1, 2],
  ["]", "x"], # ]
]
b = 1
"""
    assert numbered(text) == {1: ("t",), 2: ("t", "a"), 6: ("t", "b")}


def test_lines_within_a_string_are_no_keys() -> None:
    text = '''\
[t]
a = """
[x]
c = 1
"""
b = \'\'\'
d = 1\'\'\'
e = """one line"""
f = """a "word" and a [ """
g = 1
'''
    assert numbered(text) == {1: ("t",), 2: ("t", "a"), 6: ("t", "b"), 8: ("t", "e"), 9: ("t", "f"), 10: ("t", "g")}


def test_brackets_in_comments_and_strings_open_nothing() -> None:
    text = """\
[t] # [u]
a = 1 # [
b = "[" # {
c = '['
d = "\\"["
# [z]
# e = 1
f = { x = 1, y = [1] }
g = 1
"""
    assert numbered(text) == {
        1: ("t",),
        2: ("t", "a"),
        3: ("t", "b"),
        4: ("t", "c"),
        5: ("t", "d"),
        8: ("t", "f"),
        9: ("t", "g"),
    }


@pytest.mark.parametrize(
    "above",
    [
        "a = \"'''\"",
        'a = \'"""\'',
        "a = 1 # '''",
        'a = 1 # """',
        'a = [ """\n[x]\n""",\n[1, 2],\n]',
        '"b]c" = 1',
        "# one\u2028line",
    ],
    ids=[
        "apostrophes in a string",
        "quotes in a literal",
        "apostrophes in a comment",
        "quotes in a comment",
        "string within a list",
        "bracket in a key",
        "line separator in a comment",
    ],
)
def test_nothing_above_a_key_moves_or_hides_it(above: str) -> None:
    text = f"[t]\n{above}\nk = 1\n"
    tomllib.loads(text)
    assert key_lines(text).get(("t", "k")) == text.split("\n").index("k = 1") + 1


def test_a_bracket_within_quotes_does_not_close_a_header() -> None:
    assert numbered('[t."u]v"]\nk = 1\n') == {1: ("t", "u]v"), 2: ("t", "u]v", "k")}


def test_windows_line_ends_are_line_ends() -> None:
    assert numbered("[t]\r\n\r\nk = 1\r\n") == {1: ("t",), 3: ("t", "k")}


VALUES = [
    "1",
    "2024-01-31",
    '"a # b ["',
    "'c:\\x ] '",
    "[1, 2] # ]",
    "[\n  [1, 2],\n  [3], # [\n]",
    '[\n  "]",\n  { x = 1 },\n]',
    '"""\n[x]\nk = 1\n"""',
    "'''\n[[x]]\n'''",
    '"""one [ line"""',
    "{ a = [1], b.c = 2 } # {",
]
LINES = st.one_of(
    st.tuples(st.just("key"), st.sampled_from(VALUES)),
    st.sampled_from([("table", "[{}]"), ("table", "[ {} ] # [x]"), ("table", "  [{}]")]),
    st.sampled_from([("list", "[[all]]"), ("list", "[[ all ]] # ]")]),
    st.sampled_from([("nothing", ""), ("nothing", "# [x]"), ("nothing", "  # k = 1")]),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(LINES, max_size=9))
def test_every_key_of_any_text_is_found_at_its_line(pieces: list[tuple[str, str]]) -> None:
    """The twin writes the text piece by piece and knows the line each piece begins at."""
    text, n_entries = "", 0
    table: KeyPath = ()
    want: dict[KeyPath, int] = {}
    for number, (kind, piece) in enumerate(pieces):
        line = text.count("\n") + 1
        if kind == "key":
            want[*table, f"k{number}"] = line
            text += f"k{number} = {piece}\n"
            continue
        if kind == "table":
            table = (f"t{number}",)
        elif kind == "list":
            table, n_entries = ("all", n_entries), n_entries + 1
        if kind != "nothing":
            want[table] = line
        text += piece.format(f"t{number}") + "\n"
    tomllib.loads(text)
    assert key_lines(text) == want


def test_a_key_without_a_line_is_looked_for_at_the_table_around_it() -> None:
    lines = key_lines("[a]\nx = 1\n[[p.f]]\nname = 'n'\n")
    assert line_of(("a", "x"), lines) == 2
    assert line_of(("a", "missing"), lines) == 1
    assert line_of(("p", "f", 0, "missing", "deeper"), lines) == 3
    assert line_of(("b", "x"), lines) is None
