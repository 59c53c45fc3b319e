"""Values that no sound input holds, as strategies: names, numbers, days, places, bytes."""

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.deeds import DROP, OUTSIDE

NAMES = (
    "", " ", '"', "'", ";", "a;b", "a\"b'c", "'; DROP TABLE bars; --", '"); COPY (SELECT 1) TO \'x\'; --', "select", "from",
    "instrument", "INSTRUMENT", "datetime", "row_number", "qts_file", "filename", "label", "has_bar", "raw", "n", "value",
    "Close", "close", "é" * 50, "\u202eevil", "مرحبا", "日本", "😀", "\x00", "a\nb", "a\rb", "a\tb", "\x1b[31mred", "../../x",
    "/etc/passwd", f"{OUTSIDE}/x", "C:\\x", "CON", "a" * 10_000, "\ud800", "-1", "--help", "%s{0}{x}", "$close", "*", "?",
)  # fmt: skip
NUMBERS = (
    "1e308", "-1e308", "1e309", "1e999", "5e-324", "1e-400", "nan", "NaN", "inf", "-inf", "Infinity", "-0", "0", "-1",
    str(2**63), str(2**63 - 1), str(-(2**63)), str(2**64), "9" * 400, "0x10", "1_000", "1,5", "1.5.5", "\uff11\uff12", "", "null",
    "true", "--1", "1e", "٣",
)  # fmt: skip
DAYS = (
    "0001-01-01", "9999-12-31", "10000-01-01", "292278-01-01", "-0001-01-01", "1799-12-31", "1800-01-01", "2024-02-30",
    "2024-1-5", "20240105", "2024/01/05", "05.01.2024", "2024-01-05T00:00:00Z", "2024-01-05 00:00:00+08:00", "infinity",
    "-infinity", "epoch", "now", "today", "2262-04-12", "5874897-12-31", "", "0", "nan", "2024-W01-1", "1704412800",
    "2024-01-05 23:59:60", "Fri Jan 5 2024", "\uff12\uff10\uff12\uff14-01-05", "290309-12-22", "294247-01-10",
)  # fmt: skip
PLACES = (
    "", ".", "..", "../../x", f"{OUTSIDE}/x", f"{OUTSIDE}/keep.txt", f"{OUTSIDE}/no/such/folder/x", "/dev/null",
    "/dev/zero", "/dev/full", "/proc/self/mem", "/proc/self/environ", "bars.csv", "bars.csv/x", "bars.csv/", "a" * 300,
    "a/" * 2000 + "b", "*", "**", "[", "x[!", "~", "~root", "\n", "runs", ".qts", "fifo", "no.parquet", "dir.parquet",
)  # fmt: skip

names = st.one_of(st.sampled_from(NAMES), st.text(max_size=12))
numbers = st.one_of(st.sampled_from(NUMBERS), st.floats().map(str), st.integers().map(str))
days = st.one_of(st.sampled_from(DAYS), st.dates().map(str), st.text("0123456789-/T: ", max_size=12))
places = st.sampled_from(PLACES)
cells = st.one_of(names, numbers, days)
shares = st.integers(0, 999).map(lambda thousandth: thousandth / 1000)
bytes_ = st.binary(min_size=1, max_size=12).map(lambda raw: raw.decode("latin-1"))

json_values = st.one_of(
    st.sampled_from(
        (DROP, None, True, 0, -1, 1, 1.5, 2**31, 2**63, 10**30, -(10**30), float("nan"), float("inf"), [], {}, [[]], [None],
         {"a": 1}, "", "x", "9999-12-31", "0001-01-01", "2024-99-99", "\x00", "a" * 5000, ["a"] * 3, {"": {}}, [1e308] * 3,
         "../../../etc/passwd", "/etc/passwd", f"{OUTSIDE}/keep.txt", "\ud800", "nan", [2, 1], [-1], "gru", "done")
    ),
    st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
                 lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
                 max_leaves=5),
)  # fmt: skip


def toml_text(value: Any) -> str:
    """Return a value as TOML writes it, as far as it can."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: '"none"'}[value]
    if isinstance(value, str):
        return '"' + "".join(_escaped(sign) for sign in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_text(str(key))} = {toml_text(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    return sign if sign.isprintable() or "\ud800" <= sign <= "\udfff" else f"\\U{ord(sign):08x}"


def byte_deeds(path: str) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return one spoiling of a file's bytes."""
    return st.one_of(
        st.tuples(st.just("flip"), st.just(path), shares, st.integers(0, 7)),
        st.tuples(st.just("put"), st.just(path), shares, bytes_),
        st.tuples(st.just("insert"), st.just(path), shares, bytes_),
        st.tuples(st.just("cut"), st.just(path), shares),
        st.tuples(st.just("leave_out"), st.just(path), shares, st.integers(1, 200)),
        st.tuples(st.just("write"), st.just(path), st.one_of(st.just(""), bytes_)),
    )


def place_deeds(path: str) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return something else in the place of a file."""
    targets = (f"{OUTSIDE}/keep.txt", OUTSIDE, "/dev/zero", "/dev/null", "/dev/random", "/dev/full", "self",
    "/proc/self/mem", "no/such",
               path.rpartition("/")[2] or "x", "/dev/tty")  # fmt: skip
    return st.one_of(
        st.sampled_from([(kind, path) for kind in ("fifo", "socket", "folder", "remove")]),
        st.sampled_from([("link", path, target) for target in targets]),
    )
