"""What a stranger's file, a name in the data or a stored path must never do. docs/threats.md names these tests."""

import ast
import io
import os
import re
import stat
import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import qts
from qts.bars.sources import make_raw
from qts.config import BarsConfig, LimitsConfig, LoadedConfig, load_config
from qts.errors import ConfigError, InputError, QtsError
from qts.expr.quote import quote_name, quote_text
from qts.pipeline.ingest import ingest
from qts.pipeline.init import init
from qts.pipeline.query import query
from qts.progress import SilentProgress
from qts.rendering.html import render_html
from qts.rendering.markdown import render_markdown
from qts.rendering.rows import FORMATS
from qts.store.engine import connect
from qts.store.lock import LOCK
from qts.terminal_text import tame
from tests.floors import KNOWN, PROJECT, floors
from tests.made_up_document import DOCUMENT
from tests.market import bars_table, write_market
from tests.sql_texts import SqlTexts

PACKAGE = Path(qts.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
SQL_PACKAGES = ("bars", "factors", "pipeline", "predictions", "store", "windows")
SQL_MODULES = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in SQL_PACKAGES]
LOWERING = ("lowering", "network", "plan", "sql", "stages", "stream", "streamed")

HOSTILE = """x'"; DROP TABLE bars; --"""
SCRIPT = "</script><script>alert(1)</script>"


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


# What the code does not do

NETWORK = {"socket", "ssl", "urllib", "http", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "xmlrpc"}
RUNS_CODE = {"ctypes", "code", "codeop", "runpy", "yaml", "tarfile", "zipfile", "pty"}
RUNS_WHAT_IT_READS = re.compile(r"os\.(system|popen|exec\w*|spawn\w*)|tempfile\.mktemp|input|__import__")


def test_no_module_knows_the_network_or_another_way_to_run_code() -> None:
    for path in MODULES:
        imported = {alias.name for node in nodes(path) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in nodes(path) if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in imported} & (NETWORK | RUNS_CODE), path


def test_no_call_runs_what_it_reads() -> None:
    for path in MODULES:
        for call in (node for node in nodes(path) if isinstance(node, ast.Call)):
            function, given = ast.unparse(call.func), keywords(call)
            assert not RUNS_WHAT_IT_READS.fullmatch(function), path
            assert given.get("shell", "False") == "False", path
            if function == "torch.load":
                assert given["weights_only"] == "True", path
            if function in {"np.load", "np.save"}:
                assert given["allow_pickle"] == "False", path


def test_a_python_that_is_begun_takes_no_module_from_the_working_folder() -> None:
    commands = [
        ast.unparse(node)
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable"
    ]
    assert commands
    assert all(command.startswith("[sys.executable, '-P', ") for command in commands)


# SQL


def test_what_stands_in_sql_is_sql_or_a_number_or_quoted() -> None:
    assert [found for path in SQL_MODULES for found in SqlTexts(path).doubtful()] == []


def test_the_look_at_sql_finds_what_is_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "leaky.py"
    file.write_text('def f(names):\n    wild = ", ".join(names)\n    return f"SELECT {wild} FROM bars"\n')
    assert list(SqlTexts(file).doubtful()) == ["leaky.py:3 wild"]


def test_expressions_put_no_text_of_theirs_into_sql_unquoted() -> None:
    found = {
        (name, ast.unparse(node.value))
        for name in LOWERING
        for node in nodes(PACKAGE / "expr" / f"{name}.py")
        if isinstance(node, ast.FormattedValue)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in ("name", "text", "value")
    }
    assert found == {("lowering", "n.value"), ("stages", "d.name")}  # a number, and a name of our own


@pytest.mark.parametrize(
    "text", [HOSTILE, "a\0b", "'", "''", '"', "\\'", "x" * 10_000, "名\u202e", "{}", "%s", "$1", ""]
)
def test_a_quoted_text_is_the_text(text: str) -> None:
    row = connect(LimitsConfig(threads=1)).execute(f"SELECT {quote_text(text)}").fetchone()
    assert row == (text,)


@pytest.mark.parametrize("name", [HOSTILE, '"', '""', "x" * 10_000, "名 a", "select"])
def test_a_quoted_name_is_the_name(name: str) -> None:
    engine = connect(LimitsConfig(threads=1))
    assert engine.execute(f"SELECT {quote_name(name)} FROM (SELECT 7 AS {quote_name(name)})").fetchone() == (7,)


@pytest.mark.parametrize("quote", [quote_name, quote_text])
def test_half_a_character_is_refused_before_the_engine_sees_it(quote: Callable[[str], str]) -> None:
    with pytest.raises(InputError, match="no Unicode"):
        quote("bars\udcff.parquet")


GROUP, FIELD, NAME = 'sec"tor; --', "col'umn\"", "it's _v0_ <b>"
"""Names that would break out of quotes: of a column of text, of a column of numbers, of an instrument."""

MARKET = f"""
[bars]
path      = '''it's "here"; --/*.parquet'''
groups    = ['{GROUP}', "sector"]
benchmark = "{NAME} I1"
columns   = {{ instrument = '''{HOSTILE}''', amount = '''{FIELD} ''' }}
[store]
path      = "sto're"
[factors]
set       = "mine.toml"
"""
FACTORS = f"""
[factors]
F = 'CSRank($close, by="sector")'
M = '''Mask($close, "{NAME} I1")'''
"""


@pytest.fixture
def hostile(tmp_path: Path) -> LoadedConfig:
    """A market in which every name that data or config may give is one that would break out of quotes."""
    source = tmp_path / 'it\'s "here"; --'
    source.mkdir()
    bars = bars_table()
    names = pa.array([f"{NAME} {name}" for name in bars["instrument"].to_pylist()])
    bars = bars.set_column(0, HOSTILE, names)
    bars = bars.append_column(GROUP, pa.array([f"{HOSTILE}{at % 3}" for at in range(len(bars))]))
    bars = bars.append_column("sector", bars[GROUP])
    bars = bars.append_column(f"{FIELD} ", pa.array([5.0] * len(bars)))
    pq.write_table(bars, source / "bars'.parquet")
    (tmp_path / "qts.toml").write_text(MARKET)
    (tmp_path / "mine.toml").write_text(FACTORS)
    return load_config(tmp_path / "qts.toml", environment={})


def test_names_that_would_break_out_of_quotes_are_names(hostile: LoadedConfig) -> None:
    ingest(hostile, SilentProgress())
    day = "WHERE datetime = DATE '2024-03-01'"
    rows = query(hostile, f"SELECT instrument, M, F FROM mine {day} ORDER BY 1").to_pylist()
    assert [row["instrument"] for row in rows] == [f"{NAME} I{at}" for at in range(9)]
    close = query(hostile, f"SELECT close FROM bars {day} AND instrument = {quote_text(f'{NAME} I1')}")
    assert {row["M"] for row in rows} == {close["close"][0].as_py()}
    assert 0 < min(row["F"] for row in rows) <= max(row["F"] for row in rows) == 1
    assert query(hostile, f"SELECT DISTINCT {quote_name(GROUP)} FROM bars").num_rows == 3
    assert ingest(hostile, SilentProgress(), rescan=True).written == ()


# The engine


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    loaded = load_config(write_market(tmp_path_factory.mktemp("market")), environment={})
    ingest(loaded, SilentProgress())
    return loaded


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('/etc/hostname')", "FROM read_csv('/etc/passwd')", "FROM '/etc/passwd'", "FROM glob('/etc/*')",
        "FROM read_blob('qts.toml')", "FROM sniff_csv('/etc/passwd')", "FROM parquet_metadata('/etc/passwd')",
        "FROM read_text('{store}/manifest.json')", "FROM read_text('{store}/bars/../../qts.toml')",
        "FROM read_parquet('http://127.0.0.1:9/x.parquet')", "FROM read_parquet('s3://bucket/x.parquet')",
        "COPY (SELECT 1) TO '{store}/bars/x.csv'", "COPY (SELECT 1) TO '/tmp/qts-escape.csv'", "EXPORT DATABASE '/tmp/qts-escape'",
        "FROM query('COPY (SELECT 1) TO ''/tmp/qts-escape.csv''')",
        "ATTACH '/tmp/qts-escape.db'", "INSTALL httpfs", "LOAD httpfs", "SET threads = 1", "PRAGMA database_list",
        "SET enable_external_access = true", "RESET lock_configuration", "CREATE TABLE t AS SELECT 1", "DROP VIEW bars",
        "CREATE SECRET (TYPE s3)", "FROM duckdb_secrets()", "SELECT getenv('HOME')", "FROM sql", "FROM views",
        "SELECT 1; SELECT 2", "CALL force_checkpoint()", "EXPLAIN SELECT 1", "SELECT '\udcff'", "",
    ],
)  # fmt: skip
def test_a_query_sees_the_store_s_tables_and_nothing_else(market: LoadedConfig, sql: str) -> None:
    before = sorted(market.folder.rglob("*"))
    with pytest.raises((ConfigError, InputError)):
        query(market, sql.replace("{store}", str(market.folder / ".qts")))
    assert sorted(market.folder.rglob("*")) == before
    assert not list(Path("/tmp").glob("qts-escape*"))  # noqa: S108 - where the query would have written


def test_no_engine_fetches_code_or_takes_names_for_variables_of_ours() -> None:
    leaked = pa.table({"x": [1]})
    engine = connect(LimitsConfig(threads=1))
    with pytest.raises(duckdb.Error, match="does not exist"):
        engine.execute("FROM leaked")
    with pytest.raises(duckdb.Error, match="httpfs"):
        engine.execute("FROM read_parquet('https://127.0.0.1:9/x.parquet')")
    settings = ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions")
    assert engine.execute(f"SELECT {', '.join(f'current_setting({quote_text(name)})' for name in settings)}").fetchone() == (
        False, False, False,
    )  # fmt: skip
    assert len(leaked) == 1


@pytest.fixture
def foreign_database(tmp_path: Path) -> Path:
    """A database whose views and macros read whatever lies about when they are asked."""
    (tmp_path / "secret.txt").write_text("secret")
    with duckdb.connect(str(tmp_path / "market.db")) as database:
        secret = quote_text(str(tmp_path / "secret.txt"))
        database.execute("CREATE TABLE plain AS SELECT 'A' AS instrument")
        database.execute(f"CREATE VIEW leaky AS SELECT content AS instrument FROM read_text({secret})")
        database.execute(f"CREATE MACRO leak() AS TABLE SELECT content AS instrument FROM read_text({secret})")
        database.execute("CREATE VIEW listing AS FROM glob('/etc/*')")
    return tmp_path / "market.db"


@pytest.mark.parametrize(
    "relation", [{"table": "leaky"}, {"table": "listing"}, {"query": "FROM leak()"}, {"query": "FROM glob('/*')"}]
)
def test_a_foreign_database_reads_no_other_file(foreign_database: Path, relation: dict[str, str]) -> None:
    config = BarsConfig(source="duckdb", path=foreign_database, **relation)
    with pytest.raises(InputError, match="disabled by configuration"):
        make_raw(connect(LimitsConfig(threads=1)), config, foreign_database)


def test_a_foreign_database_s_own_rows_are_read(foreign_database: Path) -> None:
    engine = connect(LimitsConfig(threads=1))
    make_raw(engine, BarsConfig(source="duckdb", path=foreign_database, query="FROM plain;"), foreign_database)
    assert engine.execute("SELECT instrument FROM raw").fetchall() == [("A",)]


# What people are shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\u001b[2J"), ("a\rb", r"a\u000db"), ("\x9b31m", r"\u009b31m"), ("\u202egpj", r"\u202egpj"),
        ("\U000e0001", r"\udb40\udc01"), ("\udcff", r"\udcff"), ("a\nb\tc", "a\nb\tc"), ("股票　é", "股票　é"),
    ],
)  # fmt: skip
def test_a_text_gives_a_terminal_no_orders(text: str, shown: str) -> None:
    assert tame(text) == shown


def test_a_table_shows_a_name_as_it_is_and_not_as_markup() -> None:
    table = pa.table({"[red]x[/blue]": ["\\[bold]a[/x]", "\x1b]0;title\x07"]})
    stream = io.BytesIO()
    FORMATS["table"](table, stream)
    lines = stream.getvalue().decode().splitlines()
    assert [line.strip() for line in lines] == ["[red]x[/blue]", "\\[bold]a[/x]", r"\u001b]0;title\u0007"]


def test_an_error_gives_a_terminal_no_orders(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from qts.cli.main import run

    assert run(["check", "--config", str(tmp_path / "\x1b[2J.toml")]) == 4
    captured = capfd.readouterr()
    assert "\x1b" not in captured.err
    assert r"\u001b[2J.toml" in captured.err


def test_a_page_runs_nothing_that_a_name_holds() -> None:
    hostile = {"sheet": f"{SCRIPT}<img src=x onerror=alert(1)>", SCRIPT: SCRIPT}
    page = render_html(replace(DOCUMENT, title=SCRIPT, warnings=(SCRIPT,), verdicts=(SCRIPT,), context=hostile))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "default-src 'none'" in page


def test_markdown_makes_no_link_picture_or_cell_of_a_name() -> None:
    text = render_markdown(replace(DOCUMENT, title="![x](http://example.org/x.png) | `a` <b>", context={}))
    assert text.splitlines()[0] == r"# !\[x](http://example.org/x.png) \| \`a\` \<b>"


# Files


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "bars.parquet").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        init(tmp_path, demo=True)
    assert [file.name for file in tmp_path.iterdir()] == ["bars.parquet"]


def test_init_writes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "qts.toml").symlink_to(tmp_path / "elsewhere.toml")
    with pytest.raises(QtsError):
        init(tmp_path / "here", demo=False)
    assert not (tmp_path / "elsewhere.toml").exists()


def test_files_have_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    config = write_market(tmp_path / "study")
    before = os.umask(0o077)
    try:
        ingest(load_config(config, environment={}), SilentProgress())
    finally:
        os.umask(before)
    made = list((tmp_path / "study" / ".qts").rglob("*"))
    assert made
    assert not [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.name != LOCK]  # it is empty


# What is installed


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_no_version_with_a_known_advisory_is_allowed() -> None:
    known = {package: as_numbers(first) for package, (first, _) in KNOWN.items()}
    assert [(package, floor) for package, floor in floors() if as_numbers(floor) < known.get(package, ())] == []
    assert known.keys() <= {package for package, _ in floors()}


def test_every_requirement_says_its_oldest_version() -> None:
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    groups = [declared["dependencies"], *declared["optional-dependencies"].values()]
    assert all(">=" in requirement for group in groups for requirement in group)


def test_the_threat_note_names_tests_that_exist() -> None:
    tests = PACKAGE.parent / "tests"
    written = "".join(file.read_text(encoding="utf-8") for file in tests.rglob("test_*.py"))
    note = (tests.parent / "docs" / "threats.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)`", note)
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in written] == []
    assert [file for file in re.findall(r"`(tests/[\w/]+\.py)`", note) if not (tests.parent / file).is_file()] == []
