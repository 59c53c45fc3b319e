"""qts.toml and factor sets as nobody should write them: bytes, bombs, and every key that the config has."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel

from qts.config import Config
from qts.expr.operators import OPERATORS
from tests.fuzz.deeds import OUTSIDE
from tests.fuzz.hostile import DAYS, NAMES, NUMBERS, PLACES, byte_deeds, toml_text

Deeds = st.SearchStrategy[Any]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def config_keys(model: type[BaseModel] = Config, table: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield table, name and type of every key of the config."""
    for name, field in model.model_fields.items():
        inner = next(_models(field.annotation), None)
        yield table, name, field.annotation
        if inner is not None and table.count(".") < 2:
            yield from config_keys(inner, f"{table}.{name}".lstrip("."))


_KEYS = [(table, name, kind) for table, name, kind in config_keys() if table]
_literals = st.one_of(
    st.sampled_from(NUMBERS).filter(bool),
    st.sampled_from((*NAMES, *DAYS, *PLACES)).map(toml_text),
    st.sampled_from(("[]", "{}", "[[]]", "true", "false", "nan", "inf", "-inf", "1e400", "[1, 'a']", "2024-02-30", "9999-12-31",
                     "2024-01-01T00:00:00Z", "07:32:00", "{ name = 1 }", "[{ name = 'x' }]", "[{}]", "-1", "0", "1", "0.5",
                     "1e-300", "[0]", "[-1]", "[1, 1]", "['2024-01-01', '2023-01-01']", "['2024-01-01']", "'9999GB'", "'1B'",
                     "'0GB'", "[2147483648]", "1000000", "''", "'nan'")),
    st.recursive(st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
                 lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
                 max_leaves=4).map(toml_text),
)  # fmt: skip


_WHOLE = (
    "0",
    "1",
    "2",
    "3",
    "7",
    "100",
    "1000000",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-1",
)
_REAL = ("0.0", "1.0", "0.5", "1e-300", "1e300", "1e-9", "0.999999", "-0.5", "nan", "inf", "100")
_OF_TYPE: dict[Any, tuple[str, ...]] = {
    bool: ("true", "false"),
    int: _WHOLE,
    float: _REAL,
    date: ("2024-01-02", "2024-03-22", "0001-01-01", "9999-12-31", "2042-01-01", "'2024-02-01'"),
    str: tuple(
        map(toml_text, ("S1", "IDX", "close", "$close", "cpu", "1GB", "industry", "%Y-%m-%d", "%Q", "%", *NAMES))
    ),
    Path: tuple(map(toml_text, PLACES)),
}
"""Type → values that a key of it may well take, which get past the first check."""


def _fitting(kind: Any) -> list[str]:
    """Return literals of a key's type, or of its parts' as lists."""
    if get_origin(kind) is Literal:
        return [toml_text(choice) for choice in get_args(kind)]
    if kind in _OF_TYPE:
        return list(_OF_TYPE[kind])
    inner = [text for part in get_args(kind) for text in _fitting(part)]
    return (
        [f"[{text}]" for text in inner] + [f"[{text}, {text}]" for text in inner]
        if get_origin(kind) is tuple
        else inner
    )


_pairs = st.sampled_from(_KEYS).flatmap(
    lambda key: st.tuples(
        st.just(key[0]),
        st.just(key[1]),
        st.one_of(_literals, *([st.sampled_from(fits)] * 3 if (fits := _fitting(key[2])) else [])),
    )
)
"""Table, key and a literal."""


def spoiled() -> Deeds:
    """Return bytes of qts.toml changed here and there."""
    return st.one_of(
        st.lists(byte_deeds("qts.toml"), min_size=1, max_size=4),
        st.sampled_from(("utf-16", "utf-8-sig", "utf-32", "cp037", "latin-1")).map(
            lambda name: [("encode", "qts.toml", name)]
        ),
        st.sampled_from((("\n", "\r\n"), ("\n", "\r"), ("=", "= ="), ('"', "'"), ("[", "[["), (" ", "\u00a0"))).map(
            lambda pair: [("replace", "qts.toml", *pair)]
        ),
    )


_BOMBS = (
    ("", "a = " + "[" * 1, 0, ""),
    ("x = ", "[", 5_000, ""),
    ("x = ", "[", 800, "]" * 800),
    ("x = ", "{a=", 2_000, "1"),
    ("", "a.", 3_000, "b = 1"),
    ("", "a.", 400, "b = 1"),
    ("[", "a.", 3_000, "b]"),
    ("", "k", 1_000_000, " = 1"),
    ("[train]\nepochs = ", "9", 5_000, ""),
    ("[train]\nlr = ", "9", 5_000, ".5"),
    ("[train]\nlr = 1e", "9", 500, ""),
    ("[train]\nepochs = 0x", "f", 5_000, ""),
    ("x = [", "1,", 300_000, "]"),
    ("", "[[a]]\n", 50_000, ""),
    ("", "[a]\n", 2, ""),
    ("", "x = 1\n", 2, ""),
    ('[bars]\npath = "', "a", 1_000_000, '"'),
    ('[bars]\npath = "', "\\u0000", 3, '"'),
    ('[factors]\nset = "', "a", 3_000, '.toml"'),
    ('"""', "\\", 2_000, '"""'),
    ("#", "\x00", 10, ""),
    ("", "[factors.custom]\n", 1, "A = 'x'\na = 'x'"),
    ("x = '''", "\n", 200_000, "'''"),
    ("x = 2024-01-01T00:00:00.", "9", 5_000, "Z"),
    ("", '"', 20_001, ""),
    ("x = ", "'a' ", 20_000, ""),
    ("[tune.space]\n", "train.lr = {low=1, high=", 1, "1e400}"),
    ("[tune.space]\n", "'train.epochs' = { low = 1, high = ", 1, "9223372036854775807 }"),
    ("[tune.space.", "a.", 300, "b]\nc = [1]"),
)


def bombs() -> Deeds:
    """Return small recipes of large or deep TOML."""
    return st.tuples(st.sampled_from(_BOMBS), st.integers(1, 20)).map(
        lambda drawn: [("repeat", "qts.toml", drawn[0][0], drawn[0][1], max(1, drawn[0][2] // drawn[1]), drawn[0][3])]
    )


def keys() -> Deeds:
    """Return a key or two of the config with a value it was not made for."""
    deed = _pairs.map(lambda drawn: ("key", "qts.toml", *drawn))
    return st.lists(deed, min_size=1, max_size=2)


def assignments() -> st.SearchStrategy[list[str]]:
    """Return commands with odd --set."""
    pair = _pairs.map(lambda drawn: f"{drawn[0]}.{drawn[1]}={drawn[2]}")
    odd = st.one_of(pair, pair, st.sampled_from(("", "=", ".=", "a=", "a.b", "..=1", "a.b.c.d=1", "train=1", "train.lr.x=1",
                    "model.name.x=1", "a." * 2000 + "b=1", "train.lr=" + "[" * 3000, "train.lr=1\n[bars]\npath='x'",
                    f"store.path={OUTSIDE}/new", f"store.runs={OUTSIDE}/keep.txt")))  # fmt: skip
    command = st.sampled_from(("check", "status", "window", "predict", "ingest --dry-run", "runs list", "schema"))
    clean = odd.map(lambda text: text.replace("\x00", "").replace("\ud800", "\udcff"))
    return st.tuples(command, clean).map(lambda drawn: [*drawn[0].split(), "--set", drawn[1]])


def environments() -> st.SearchStrategy[dict[str, str]]:
    """Return odd QTS_ variables."""
    name = st.one_of(
        st.sampled_from(_KEYS).map(lambda key: f"QTS_{key[0].replace('.', '__')}__{key[1]}".upper()),
        st.sampled_from(
            ("QTS_", "QTS___", "QTS_A", "QTS_TRAIN__", "QTS_TRAIN", "QTS_A__B__C", "QTS_ÜBER__X", "QTS_CONFIG")
        ),
    )
    value = _literals.map(lambda text: text.replace("\x00", "").replace("\ud800", "\udcff")[:10_000])
    return st.dictionaries(name, value, min_size=1, max_size=2)


_TOKENS = (
    "$close", "$open", "$$close", "close", "A", "B", "KMID", "(", ")", ",", "+", "-", "*", "/", "**", "<", ">", "==",
    "!=", "&", "|", "~", "1",
    "0", "-1", "2.5", "1e308", "1e400", "9" * 39, "9" * 50, '"', "'x'", '""', " ", "\n", "\t", "=", "by=", "'industry'",
    "é", "\uff11",
    "٣", "$", "$1", "\x00", "\u202e", "N", "#", "\\", "1_0", ".5", "5.", "\ud800", "and", "if", "lambda", "__import__",
    *OPERATORS,
)  # fmt: skip
_leaves = st.sampled_from(
    ("$close", "$open", "$volume", "$high/$low", "1", "0.5", "-1", "0", "$none", "1e30", "9" * 30)
)
_windows = st.sampled_from(
    ("1", "2", "5", "0", "-1", "60", "513", "100000", str(2**31), str(2**63), "1.5", "0.3", "$close", "'x'")
)
_calls = st.sampled_from([*OPERATORS])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(_calls, inner, _windows).map(lambda drawn: f"{drawn[0]}({drawn[1]}, {drawn[2]})"),
        st.tuples(_calls, inner).map(lambda drawn: f"{drawn[0]}({drawn[1]})"),
        st.tuples(_calls, inner, inner, _windows).map(lambda drawn: f"{drawn[0]}({drawn[1]}, {drawn[2]}, {drawn[3]})"),
        st.tuples(inner, st.sampled_from("+-*/<>&|"), inner).map(lambda drawn: f"({drawn[0]} {drawn[1]} {drawn[2]})"),
    )


_trees = st.recursive(_leaves, _grown, max_leaves=6)
_soup = st.lists(st.sampled_from(_TOKENS), max_size=8).map("".join)
_LONG = (
    "(" * 10_000 + "$close" + ")" * 10_000, "(" * 10_000, "-" * 10_000 + "$close", "~" * 500 + "$close",
    "Abs(" * 3_000 + "$close",
    "$close" + "+$close" * 5_000, "$close" + "**2" * 300, "Ref($close, " * 90 + "1" + ")" * 90, "$" + "a" * 100_000,
    "a" * 100_000, "'" + "a" * 100_000, "Mean($close, 9999999)", "Ref($close, 9223372036854775808)", "EMA($close, 1e300)",
    "1/0*$close", "2**10000*$close", "0**-1*$close", "Quantile($close, 5, 1e400)", "$close < $open < $high",
    "Mean(" * 90 + "$close" + ", 5)" * 90,
    "Std($close, 512)" + "+Std($close, 511)" * 40, "$close" * 3_000, "Rank($close)" + "," * 1_000, "9" * 5_000 + "*$close",
)  # fmt: skip
_texts = st.one_of(_trees, _trees, _soup, st.sampled_from(_LONG), st.text(max_size=20))


def expressions() -> Deeds:
    """Return a factor of one's own, or a label, of any text."""
    own = _texts.map(lambda text: [("key", "qts.toml", "factors.custom", "A", toml_text(text))])
    label = _texts.map(lambda text: [("key", "qts.toml", "label", "expr", toml_text(text))])
    return st.one_of(own, own, label)


_set_names = st.sampled_from((*NAMES, "A", "KMID", "label", "custom", "N", "ROC"))
_families = st.one_of(
    _texts.map(toml_text),
    st.sampled_from(("1", "[]", "{}", "true", "{ windows = [] , expr = '$close' }", "{ windows = [1.5], expr = '$close' }",
                     "{ windows = [true], expr = 'Mean($close, N)' }", "{ windows = [5, 5], expr = 'Mean($close, N)' }",
                     "{ windows = [99999999999999999999], expr = 'Mean($close, N)' }", "{ windows = [5], expr = 5 }",
                     "{ windows = [0], expr = 'Ref($close, N)', zero = [] }", "{ windows = [5], expr = [] }",
                     "{ windows = [5], expr = { a = 1 } }", "{ windows = 5, expr = '$close' }", "{ windows = [5], expr = '' }",
                     "{ expr = '$close' }", "2024-01-01", "{ windows = ['5'], expr = 'N' }")),
)  # fmt: skip


def factor_sets() -> Deeds:
    """Return three.toml with odd names and families, spoiled bytes, or a name that no set can have."""
    entry = st.tuples(_set_names, _families).map(
        lambda drawn: [("key", "three.toml", "factors", toml_text(drawn[0]), drawn[1])]
    )
    named = st.sampled_from((*PLACES, *NAMES)).map(
        lambda name: [("key", "qts.toml", "factors", "set", toml_text(f"{name}.toml"))]
    )
    count = st.integers(10, 300).map(
        lambda n: [
            (
                "repeat",
                "three.toml",
                "[factors]\nF = { windows = [",
                "1,",
                1,
                ",".join(map(str, range(2, n))) + "], expr = 'Ref($close, N)' }",
            )
        ]
    )
    about = st.sampled_from(
        ("about = 1\n[factors]\nA = '$close'\n", "factors = 1\n", "factors = []\n", "[[factors]]\n", "[factors.A]\n")
    )
    return st.one_of(entry, entry, named, count, st.lists(byte_deeds("three.toml"), min_size=1, max_size=3),
                     about.map(lambda text: [("text", "three.toml", text)]))  # fmt: skip
