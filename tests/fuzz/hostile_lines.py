"""Command lines that no script should make: SQL that reaches out, odd flags, runs and places."""

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.deeds import OUTSIDE
from tests.fuzz.hostile import DAYS, NAMES, NUMBERS, PLACES

Lines = st.SearchStrategy[list[str]]

_SQL = (
    "", ";", "SELECT 1; SELECT 2", f"COPY bars TO '{OUTSIDE}/out.csv'", f"COPY (SELECT 1) TO '{OUTSIDE}/x.parquet'",
    f"ATTACH '{OUTSIDE}/x.db'", "INSTALL httpfs", "LOAD httpfs", "PRAGMA database_list", "SET memory_limit = '1TB'",
    "FROM read_text('/etc/passwd')", "FROM read_csv('/etc/passwd')", f"FROM read_text('{OUTSIDE}/keep.txt')", "FROM glob('/*')",
    "FROM glob('**')", "FROM '/etc/passwd'", "SELECT * FROM sniff_csv('/etc/passwd')", "FROM duckdb_settings()",
    "SELECT getenv('HOME')", "CREATE TABLE x AS SELECT 1", "DROP VIEW bars", "INSERT INTO bars SELECT * FROM bars",
    f"EXPORT DATABASE '{OUTSIDE}/e'", f"EXPLAIN ANALYZE COPY bars TO '{OUTSIDE}/out.csv'", "EXPLAIN SELECT 1", "SUMMARIZE bars",
    "DESCRIBE bars", "SHOW TABLES", "CALL pragma_version()", "WITH RECURSIVE t AS (SELECT 1) SELECT * FROM t", "SELECT 1 / 0",
    "SELECT error('boom')", "SELECT CAST('x' AS INTEGER)", "SELECT " + "(" * 2000 + "1" + ")" * 2000, "SELECT '\x00'",
    "SELECT " + "1+" * 3000 + "1", "SELECT 1 AS a, 2 AS a", "SELECT NULL", "SELECT {'a': [1, {'b': 2}]}", "SELECT MAP {'a': 1}",
    "SELECT INTERVAL 1 MONTH", "SELECT TIMESTAMP 'infinity'", "SELECT DATE 'infinity'", "SELECT DATE '5877642-06-25 (BC)'",
    "SELECT TIME '24:00:00'", "SELECT uuid()", "SELECT 170141183460469231731687303715884105727::HUGEINT", "SELECT '\\xAA'::BLOB",
    "SELECT 1::BIT", "SELECT 'a'::ENUM('a')", "SELECT 1.5::DECIMAL(38, 10)", "SELECT TIMETZ '00:00:00+08'", "FROM nowhere",
    "SELECT TIMESTAMPTZ '2024-01-01 00:00:00+08'", "SELECT UNION_VALUE(a := 1)", "SELECT x'41'", "FROM bars WHERE", "SELEC 1",
    "SELECT repeat('a', 1000000)", "SELECT * FROM range(100000)", "SELECT $1", "SELECT ?", "PREPARE a AS SELECT 1", "VACUUM",
    "BEGIN", "CHECKPOINT", "SELECT nextval('x')", "SELECT 'NaN'::DOUBLE, 'inf'::FLOAT", "PIVOT bars ON instrument USING count(*)",
    "SELECT current_setting('allowed_directories')", "SELECT columns('x.*') FROM bars", "SELECT \ud800", "SELECT chr(0)",
    "FROM parquet_metadata('bars.parquet')", "SELECT * FROM query('COPY bars TO ''x''')", "FROM python_variable",
)  # fmt: skip
_FORMATS = ("csv", "table", "json", "jsonl", "parquet", "xml", "")


def _argv(text: str) -> str:
    """Return a text as a process can get it: no NUL, and no surrogate but what stands for a byte."""
    return text.replace("\x00", "").replace("\ud800", "\udcff")[:100_000]


def _line(*parts: Any) -> Lines:
    strategies = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*strategies).map(lambda drawn: [_argv(part) for part in drawn])


_odd = st.one_of(st.sampled_from((*NAMES, *NUMBERS, *DAYS, *PLACES)), st.text(max_size=8))
_place = st.sampled_from([place for place in PLACES if OUTSIDE not in place])
_day = st.one_of(st.sampled_from(DAYS), st.text("0123456789-", max_size=12))
_number = st.sampled_from(NUMBERS)
_RUNS = ("runs show", "runs compare", "predict", "eval", "backtest", "report", "explain", "runs pin")


def queries() -> Lines:
    """Return questions in SQL, in every format."""
    sql = st.one_of(st.sampled_from(_SQL), st.sampled_from(_SQL), st.text(max_size=30))
    return st.one_of(_line("query", sql), _line("query", sql, "--format", st.sampled_from(_FORMATS)), _line("query",
    "--json", sql),
                     _line("query", "FROM bars", "--out", _place))  # fmt: skip


def _options() -> list[Lines]:
    flags = {
        "predict": {"--start": _day, "--end": _day, "--asof": _day, "--segment": _odd, "--run": _odd, "--device": _odd,
                    "--format": _odd, "--out": _place},
        "eval": {"--run": _odd, "--scores": _place, "--out": _place, "--segment": _odd},
        "eval --factors": {"--start": _day, "--end": _day, "--sort": _odd, "--segment": _odd, "--out": _place},
        "backtest": {"--top-k": _number, "--n-drop": _number, "--rules": _odd, "--deal-price": _odd, "--grid": _odd},
        "backtest --grid": {"top_k=": _odd},
        "window": {"--step-len": _number},
        "train": {"--epochs": _number, "--lr": _number, "--batch-size": _number, "--seed": _number, "--model": _odd},
        "explain": {"--days": _number, "--repeats": _number, "--instrument": _odd, "--day": _day, "--seed": _number},
        "ingest": {"--wait": _number, "--config": _place},
        "status": {"--config": _place, "--format": _odd, "--max-age": _odd},
        "check --no-color": {"--html": _place},
        "walk --dry-run": {"--step-days": _number, "--processes": _number},
        "tune --dry-run": {"--trials": _number, "--sampler": _odd, "--metric": _odd},
        "verify": {"--run": _odd},
    }  # fmt: skip
    return [
        _line(*command.split(), flag, value)
        if flag.startswith("--")
        else _line(*command.split(), value.map(flag.__add__))
        for command, told in flags.items()
        for flag, value in told.items()
    ]


def arguments() -> Lines:
    """Return commands with odd values of their flags, odd runs, and words that are no commands."""
    shows = [
        _line(command, _odd)
        for command in ("factors", "models", "operators", "processors", "init", "import-checkpoint", "explain")
    ]
    runs = [_line(*command.split(), _odd, _odd) for command in _RUNS] + [_line("runs", "show", "--run", _odd)]
    return st.one_of(
        *_options(), *shows, *runs, st.lists(_odd, max_size=3).map(lambda drawn: [_argv(part) for part in drawn])
    )


def with_scores() -> Lines:
    """Return what reads a file of scores."""
    file = st.sampled_from(("scores.csv", "scores.parquet"))
    return st.one_of(_line("eval", "--scores", file), _line("backtest", "--scores", file))


def with_files() -> Lines:
    """Return what reads a file that the command line names."""
    return st.one_of(with_scores(), _line("import-checkpoint", "weights.safetensors"), _line("status"), _line("check"))
