"""Files of bars, scores, weights and the store, spoiled; each function returns a strategy of lists of deeds."""

from typing import Any

from hypothesis import strategies as st

from tests.bad_input_market import HEADER
from tests.fuzz.deeds import OUTSIDE
from tests.fuzz.formats import RAN
from tests.fuzz.hostile import byte_deeds, cells, json_values, names, place_deeds, shares, toml_text
from tests.fuzz.parquet_files import TYPES

Deeds = st.SearchStrategy[Any]

assert RAN
_STORED = (".qts/bars/*.parquet", ".qts/calendar/*.parquet", ".qts/instruments/*.parquet", ".qts/factors/three/*.parquet",
           ".qts/labels/*.parquet", ".qts/universes/*.parquet", ".qts/benchmark/*.parquet", ".qts/manifest.json",
           ".qts/windows/*/X.npy", ".qts/windows/*/y.npy", ".qts/windows/*/label.npy", ".qts/windows/*/index.parquet",
           ".qts/windows/*/calendar.npy", ".qts/windows/*/meta.json", "runs/latest", "runs/*-gru-*/run.json",
           "runs/*-gru-*/model.safetensors", "runs/*-gru-*/last.safetensors", "runs/*-gru-*/history.parquet",
           "runs/*-gru-*/predictions.parquet", "runs/*-gru-*/report.json", "runs/*-gru-*/config.toml", "runs/pinned.json",
           "predictions/manifest.json", "predictions/*/*.parquet", "predictions/*.parquet")  # fmt: skip
_JSON = (".qts/manifest.json", ".qts/windows/*/meta.json", "runs/*-gru-*/run.json", "runs/*-gru-*/report.json",
"runs/pinned.json",
         "predictions/manifest.json")  # fmt: skip
_FOLDERS = (".qts/bars", ".qts/calendar", ".qts/factors", ".qts/factors/three", ".qts/labels", ".qts/windows", ".qts/universes",
            ".qts/.staging", ".qts/.previous", ".qts/.lock", "runs/latest", "runs/*-gru-*",
            ".qts/benchmark")  # fmt: skip


def _reads(source: str, path: str) -> tuple[Any, ...]:
    return (
        "replace",
        "qts.toml",
        'source = "csv"\npath = "bars.csv"',
        f'source = "{source}"\npath = {toml_text(path)}',
    )


def csv_bytes() -> Deeds:
    """Return bytes of bars.csv changed here and there."""
    return st.lists(byte_deeds("bars.csv"), min_size=1, max_size=4)


def csv_cells() -> Deeds:
    """Return cells, the header's among them, with what no vendor means."""
    cell = st.tuples(
        st.just("cell"), st.just("bars.csv"), st.one_of(st.just(0), st.integers(0, 360)), st.integers(0, 6), cells
    )
    return st.lists(cell, min_size=1, max_size=3)


_FORMS = (
    *((("encode", "bars.csv", name),) for name in ("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp037")),
    *((("replace", "bars.csv", *pair),) for pair in (("\n", "\r\n"), ("\n", "\r"), (",", ";"), (",", "\t"), (",",
    " , "), (",", '","'),
      ("S1", '"S1'), ("S2", 'S"2'), ("S3,2024-01-05", '"S3\n",2024-01-05'), (",", ",,"), ("S", "\u00a0"), ("-",
      "\u2212"), (".", ","))),
    (("write", "bars/a.csv", f"{HEADER}\nS1,2024-01-02,1,1,1,1,1\n"), ("write", "bars/b.csv",
    f"{HEADER}\nS2,2024-01-02,1,1,1,1,1\n".replace(",", ";")), _reads("csv", "bars")),
    (("write", "bars/a.csv", f"{HEADER}\nS1,2024-01-02,1,1,1,1,1\n"), ("write", "bars/b.csv", "\n\n\n"), _reads("csv", "bars")),
    (("write", "bars/a.csv", f"{HEADER}\nS1,2024-01-02,1,1,1,1,1\n"), ("write", "bars/b.csv", "x,y\n1,2\n"),
    _reads("csv", "bars")),
    (("write", "bars/a.csv.gz", "not gzip at all"), _reads("csv", "bars")),
    (("write", "bars/a.csv.gz", "\x1f\x8b\x08\x00"), _reads("csv", "bars")),
    (("write", "bars.csv", HEADER),), (("write", "bars.csv", f"{HEADER}\n" * 3),), (("write", "bars.csv", "\x00" * 50),),
    (("repeat", "bars.csv", "instrument,datetime,", "c,", 10_000, "open,high,low,close,volume\n"),),
    (("repeat", "bars.csv", HEADER + "\n", "S1,2024-01-02,1,1,1,1,1,", 20_000, "\n"),),
    (("repeat", "bars.csv", f'{HEADER}\nS1,2024-01-02,"', "a", 3_000_000, '",1,1,1,1\n'),),
    (("repeat", "bars.csv", f"{HEADER}\nS1,2024-01-02,", "9", 100_000, ",1,1,1,1\n"),),
    (("repeat", "bars.csv", f"{HEADER}\n", "\n", 100_000, "S1,2024-01-02,1,1,1,1,1\n"),),
)  # fmt: skip


def csv_forms() -> Deeds:
    """Return CSV in other encodings, delimiters, quotes, and folders of files that do not fit together."""
    in_folder = st.tuples(names, names).map(
        lambda drawn: [("write", "bars/a.csv", "x"), ("text", "bars/a.csv", HEADER.replace("volume", drawn[0].replace("\n", " "))
                        + f"\n{drawn[1]},2024-01-02,1,1,1,1,1\n"), _reads("csv", "bars")]
    )  # fmt: skip
    quoted = st.sampled_from(("\n", '"', "'", "\\", '""', "a\nb", "\x00"))
    cell = quoted.map(lambda text: [("cell", "bars.csv", 7, 0, f'"{text}"')])
    return st.one_of(st.sampled_from(_FORMS).map(list), st.sampled_from(_FORMS).map(list), in_folder, cell)


def parquet_bytes() -> Deeds:
    """Return bytes of bars.parquet changed here and there, its footer often."""
    near_end = st.integers(600, 999).map(lambda thousandth: thousandth / 1000)
    footer = st.tuples(
        st.just("put"),
        st.just("bars.parquet"),
        near_end,
        st.binary(min_size=1, max_size=4).map(lambda raw: raw.decode("latin-1")),
    )
    splice = st.tuples(
        st.just("splice"),
        st.just("bars.parquet"),
        shares,
        st.sampled_from(("scores.parquet", "bars.csv", "bars.parquet")),
        shares,
    )
    spoil = st.one_of(byte_deeds("bars.parquet"), footer, splice)
    return st.lists(spoil, min_size=1, max_size=3).map(lambda deeds: [*deeds, _reads("parquet", "bars.parquet")])


_columns = st.one_of(
    st.sampled_from(("instrument", "datetime", "open", "high", "low", "close", "volume", "amount", "adj_factor", "vwap",
    "more")), names,
)  # fmt: skip


def parquet_types() -> Deeds:
    """Return Parquet bars with columns of any type and name."""
    kinds = st.dictionaries(
        _columns.filter(lambda name: "\ud800" not in name), st.sampled_from([*TYPES]), min_size=1, max_size=3
    )
    groups = st.sampled_from(((), (), (("key", "qts.toml", "bars", "groups", '["more"]'),)))
    return st.tuples(kinds, groups).map(
        lambda drawn: [("parquet", "bars.parquet", drawn[0]), _reads("parquet", "bars.parquet"), *drawn[1]]
    )


def bombs() -> Deeds:
    """Return Parquet that is larger than it looks."""
    made = st.sampled_from(
        (("rows", 1_000_000), ("rows", 5_000_000), ("columns", 10_000), ("text", 50_000_000), ("nested", 100))
    )
    return made.map(lambda drawn: [("bomb", "bars.parquet", *drawn), _reads("parquet", "bars.parquet")])


def databases() -> Deeds:
    """Return DuckDB files with odd tables, asked for in odd ways."""
    usable = names.filter(lambda name: name and "\x00" not in name and "\ud800" not in name)
    asks = st.one_of(
        names.map(lambda name: ("table", name)),
        st.sampled_from(("SELECT 1", "", ";", "FROM t; DROP TABLE t", f"COPY (SELECT 1) TO '{OUTSIDE}/x'",
        "FROM read_text('/etc/passwd')",
                         f"ATTACH '{OUTSIDE}/x.db'", "FROM range(3)", "SELECT * FROM t) --", "INSTALL httpfs",
                         "SELECT error('x')",
                         "FROM information_schema.tables", "SELECT 1 AS a, 2 AS a",
                         "WITH RECURSIVE r AS (SELECT 1) FROM r")).map(lambda sql: ("query", sql)),
    )  # fmt: skip
    spoil = st.one_of(st.just(()), st.just(()), byte_deeds("market.duckdb").map(lambda deed: (deed,)))
    return st.tuples(usable, usable, asks, st.booleans(), spoil).map(
        lambda drawn: [("database", "market.duckdb", drawn[0], drawn[1]), *drawn[4], _reads("duckdb", "market.duckdb"),
                       ("key", "qts.toml", "bars", *(("table", toml_text(drawn[0])) if drawn[3] else (drawn[2][0],
                       toml_text(drawn[2][1]))))]
    )  # fmt: skip


_QLIB = (
    "qlib/calendars/day.txt",
    "qlib/instruments/all.txt",
    "qlib/features/s1/close.day.bin",
    "qlib/features/s1",
    "qlib/features",
    "qlib",
)


def qlib() -> Deeds:
    """Return a Qlib folder with spoiled parts."""
    lines = cells.map(lambda text: ("text", "qlib/calendars/day.txt", f"2024-01-01\n{text}\n"))
    spoil = st.one_of(*map(byte_deeds, _QLIB[:3]), *map(place_deeds, _QLIB), lines)
    return st.lists(spoil, min_size=1, max_size=2).map(lambda deeds: [*deeds, _reads("qlib_bin", "qlib")])


def universes() -> Deeds:
    """Return universe and benchmark files with spoiled bytes and cells."""
    file = st.sampled_from(("universe.csv", "index.csv"))
    cell = st.tuples(st.just("cell"), file, st.integers(0, 5), st.integers(0, 5), cells)
    spoil = st.one_of(cell, cell, byte_deeds("universe.csv"), byte_deeds("index.csv"))
    encoded = st.tuples(st.just("encode"), file, st.sampled_from(("utf-16", "utf-8-sig", "utf-32")))
    return st.lists(st.one_of(spoil, encoded), min_size=1, max_size=2)


def places() -> Deeds:
    """Return pipes, sockets, devices, folders and links in the place of files, and globs of odd names."""
    files = ("bars.csv", "bars.parquet", "universe.csv", "index.csv", "three.toml", "qts.toml", "scores.csv", "scores.parquet",
             "weights.safetensors", "bars/x.parquet", "bars/x.csv")  # fmt: skip
    pointed = st.sampled_from((("csv", "bars.csv"), ("parquet", "bars.parquet"), ("parquet", "bars"), ("csv", "bars"),
    ("parquet", "*.parquet"),
                               ("csv", "none*.csv"), ("duckdb", "market.duckdb"), ("qlib_bin", "bars.csv"), ("csv",
                               "bars.csv/x"), ("parquet", ""),
                               ("csv", "b[a"), ("parquet", "**/*.parquet"), ("csv", "\x00"), ("csv", "a" * 300)))  # fmt: skip
    return st.tuples(st.sampled_from(files).flatmap(place_deeds), pointed).map(
        lambda drawn: [drawn[0], _reads(*drawn[1])]
    )


def scores() -> Deeds:
    """Return scores of another tool with spoiled bytes, cells and types."""
    cell = st.tuples(st.just("cell"), st.just("scores.csv"), st.integers(0, 70), st.integers(0, 2), cells)
    typed = st.dictionaries(
        st.sampled_from(("instrument", "datetime", "score")), st.sampled_from([*TYPES]), min_size=1, max_size=3
    ).map(lambda kinds: ("parquet", "scores.parquet", {"score": "ones", **kinds}))
    both = st.one_of(cell, cell, byte_deeds("scores.csv"), byte_deeds("scores.parquet"), typed)
    return st.lists(both, min_size=1, max_size=3)


def store_json() -> Deeds:
    """Return a JSON file of the store or a run with other values in it."""
    deed = st.tuples(st.just("json"), st.sampled_from(_JSON), st.integers(0, 2_000), json_values)
    return st.lists(deed, min_size=1, max_size=2)


def store_bytes() -> Deeds:
    """Return any file of the store or a run, spoiled or gone."""
    return st.lists(
        st.sampled_from(_STORED).flatmap(lambda path: st.one_of(byte_deeds(path), byte_deeds(path), place_deeds(path))),
        min_size=1,
        max_size=2,
    )


def store_links() -> Deeds:
    """Return folders of the store as links to elsewhere."""
    to = st.sampled_from(
        (
            OUTSIDE,
            f"{OUTSIDE}/store",
            f"{OUTSIDE}/store/bars",
            f"{OUTSIDE}/store/windows",
            f"{OUTSIDE}/keep.txt",
            f"{OUTSIDE}/runs",
            "../..",
            ".",
        )
    )
    link = st.tuples(st.just("link"), st.sampled_from(_FOLDERS), to)
    changed = st.sampled_from(((), (("cell", "bars.csv", 9, 5, "21.5"),)))
    return st.tuples(link, changed).map(lambda drawn: [drawn[0], *drawn[1]])


_HEADERS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (360, 3), }\n",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 3), }\n",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }\n",
    "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }\n",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (360, 3), }\n", "{}", "", "__import__('os').system('x')",
    "{'descr': '<f4'", "(" * 200,
    "{'descr': '<M8[D]', 'fortran_order': False, 'shape': (60,), }\n",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }\n",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n",
    "{'descr': '<U99999', 'fortran_order': False, 'shape': (3,), }\n",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807), }\n", "\xff\xfe",
)  # fmt: skip


def arrays() -> Deeds:
    """Return .npy files of the windows whose headers lie."""
    file = st.sampled_from(
        (".qts/windows/*/X.npy", ".qts/windows/*/y.npy", ".qts/windows/*/label.npy", ".qts/windows/*/calendar.npy")
    )
    deed = st.tuples(st.just("npy"), file, st.sampled_from(_HEADERS), st.sampled_from((0, 12, 480, 4320, 8640)))
    return deed.map(lambda made: [made])


_TENSORS = (
    "{}", "", "[]", "null", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    '{"a":{"dtype":"F32","shape":[9999999999],"data_offsets":[0,4]}}',
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}',
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', '{"a":{"dtype":"X9","shape":[1],"data_offsets":[0,4]}}',
    '{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}', '{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}',
    '{"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}', '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}',
    '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', '{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    "\xff\xfe\xfd",
    '{"__metadata__":{"a":1}}', '{"__metadata__":{"format":"pt"}}', '{"a":1}', "[" * 5_000,
    '{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    '{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}', '{"a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}}',
)  # fmt: skip


def weights() -> Deeds:
    """Return safetensors whose headers lie."""
    file = st.sampled_from(("weights.safetensors", "weights.safetensors", "runs/*-gru-*/model.safetensors"))
    length = st.sampled_from((None, None, 0, 1, 7, 10**6, 2**40, 2**63, 2**64 - 1))
    made = st.tuples(st.just("safetensors"), file, st.sampled_from(_TENSORS), length, st.sampled_from((0, 4, 8, 1000)))
    return st.one_of(made, file.flatmap(byte_deeds)).map(lambda deed: [deed])


def pickles() -> Deeds:
    """Return files of torch that would run code, or are damaged."""
    kinds = st.sampled_from(("system", "open", "mkdir", "state", "numbers", "deep", "list"))
    made = st.tuples(st.just("pickle"), st.just("weights.pt"), kinds, st.booleans(), st.integers(0, 5))
    spoil = st.one_of(st.just(()), byte_deeds("weights.pt").map(lambda deed: (deed,)))
    return st.tuples(made, spoil).map(lambda drawn: [drawn[0], *drawn[1]])
