"""A ready qts.toml and, if asked for, the sample market; offline."""

from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path

from qts.errors import ConfigError, InputError, QtsError

SAMPLE_FILES = ("bars.parquet", "index.parquet", "universe.csv", "qts.toml")

TEMPLATE = """\
# qts schema prints every key; qts check says what is wrong here.

[bars]
source   = "parquet"                # parquet | csv | duckdb | qlib_bin
path     = "bars.parquet"           # a file, a glob or a folder
# columns  = { instrument = "symbol", datetime = "date" }   # only where names differ
# universe = "universe.csv"         # instrument,start,end: dated membership

[factors]
set = "alpha158"

# [factors.custom]
# MOM12_1 = "Ref($close, 21)/Ref($close, 252) - 1"

[label]
expr = "Ref($close, -2)/Ref($close, -1) - 1"   # buy at tomorrow's close, sell a day later

[segments]
train = ["2010-01-01", "2017-12-31"]
valid = ["2018-01-01", "2019-12-31"]
test  = ["2020-01-01", "2024-12-31"]

[window]
step_len = 20

[model]
name = "gru"

[train]
lr = 2e-4
"""


def init(folder: Path, *, demo: bool) -> list[Path]:
    """Write a config, and the sample market with `demo`; return the files. Nothing that exists is overwritten."""
    wanted = {name: folder / name for name in (SAMPLE_FILES if demo else ("qts.toml",))}
    existing = [path for path in wanted.values() if path.exists() or path.is_symlink()]
    if existing:
        raise ConfigError(f"{existing[0]} exists already", hint="choose another folder: qts init DIR")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in wanted.items():
            if demo:
                with sample_file(name) as source:
                    content = source.read_bytes()
            else:
                content = TEMPLATE.encode()
            with path.open("xb") as stream:
                stream.write(content)
    except OSError as error:
        raise QtsError(f"cannot write to {folder}: {error.strerror}", hint="choose another folder") from error
    return list(wanted.values())


def sample_file(name: str) -> AbstractContextManager[Path]:
    """Return a context manager with the path of a file of the sample market."""
    installed = files("qts").joinpath("_sample", name)
    if installed.is_file():
        return as_file(installed)
    checkout = Path(str(files("qts"))).parent / "sample_data" / name
    if not checkout.is_file():
        raise InputError(f"this installation has no sample file {name}", hint="install qts again")
    return as_file(checkout)
