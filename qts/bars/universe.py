"""The universe: which instruments count on which day, from a CSV or from Qlib's `instruments/<market>.txt`."""

from pathlib import Path

import duckdb

from qts.columns import END, INSTRUMENT, START
from qts.errors import DataCheckError, InputError
from qts.expr.quote import quote_name, quote_text
from qts.plain_file import is_file


def read_universe(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Make the table `universe` (instrument, start, end; both days included); return its rows.

    A file without the header instrument,start,end is read as Qlib's: tab-separated, first three columns.
    Raises InputError if the file is missing or empty, DataCheckError for a day or an interval that is none.
    """
    if not is_file(path):
        raise InputError(f"no universe file {path}", hint="check [bars] universe")
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    if not any(line.strip() for line in lines):
        raise InputError(f"the universe {path} is empty", hint="it needs a row for each membership interval")
    header = [name.strip().strip('"').lower() for name in lines[0].replace("\t", ",").split(",")]
    has_header = bool({INSTRUMENT, START, END} & set(header))
    if has_header and not {INSTRUMENT, START, END} <= set(header):
        missing = ", ".join(sorted({INSTRUMENT, START, END} - set(header)))
        raise InputError(
            f"the universe {path} has no column {missing}", hint=f"its header must be {INSTRUMENT},{START},{END}"
        )
    scan = (
        f"read_csv({quote_text(str(path))}, all_varchar = true, header = {str(has_header).lower()}, "
        f"delim = {quote_text(_delimiter(lines[0]))}, strict_mode = false, null_padding = true)"
    )
    wanted = (INSTRUMENT, START, END) if has_header else ("column0", "column1", "column2")
    try:
        connection.execute(_table(scan, wanted))
    except duckdb.Error as error:
        raise InputError(
            f"cannot read the universe {path}: {str(error).partition(chr(10))[0]}",
            hint=f"a CSV with {INSTRUMENT},{START},{END}, or Qlib's tab-separated instruments file",
        ) from error
    _refuse_bad_rows(connection, path)
    row = connection.execute("SELECT count(*) FROM universe").fetchone()
    if not row or not row[0]:
        raise InputError(f"the universe {path} is empty", hint="it needs a row for each membership interval")
    return int(row[0])


def _delimiter(line: str) -> str:
    return "\t" if "\t" in line else ","


def _table(scan: str, columns: tuple[str, str, str]) -> str:
    """An open end of a membership is the end of time."""
    instrument, start, end = map(quote_name, columns)
    return (
        f"CREATE TABLE universe AS SELECT trim({instrument}) AS {INSTRUMENT}, "
        f'TRY_CAST({start} AS DATE) AS "{START}", '
        f"CASE WHEN {end} IS NULL OR trim({end}) = '' THEN DATE '9999-12-31' ELSE TRY_CAST({end} AS DATE) END AS \"{END}\", "
        f"row_number() OVER () AS row FROM {scan} WHERE {instrument} IS NOT NULL OR {start} IS NOT NULL"
    )


def _refuse_bad_rows(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    bad = connection.execute(
        f'SELECT row, {INSTRUMENT}, "{START}", "{END}" FROM universe '
        f"WHERE coalesce({INSTRUMENT}, '') = '' "
        f'OR "{START}" IS NULL OR "{END}" IS NULL OR "{START}" > "{END}" ORDER BY row LIMIT 1'
    ).fetchone()
    if bad:
        row, instrument, start, end = bad
        shown = f"{start or 'no day'} to {end or 'no day'}"
        raise DataCheckError(
            f"row {row} of the universe {path}: {instrument or 'nobody'} is a member from {shown}",
            hint="write days as 2024-12-31, the start not after the end",
        )
