"""Files and folders that appear whole, or not at all, whatever ends the process or the machine.

What is being written lies beside its place as `.NAME.PID.tmp`. It is on the disk before it takes the name, and the name
before anybody is told. What a killed process left behind is swept by the next that writes the same name.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qts.errors import WriteError


class TakenError(Exception):
    """Files lie in a folder of that name already."""


_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.tmp")


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Give a path to write to; at the end what lies there takes the place of `file`, in one atomic step.

    Raises WriteError, and leaves `file` as it was, if anything about it fails.
    """
    temporary = temporary_of(file)
    with said_as_written(file):
        sweep_leftovers(file.parent, file.name)
        temporary.unlink(missing_ok=True)  # were it a link, we would write where it leads
        try:
            yield temporary
            sync(temporary)
            temporary.replace(file)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync(file.parent)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; at the end it has the name `folder`, with everything in it on the disk.

    An empty folder of that name is replaced; where files lie in it, TakenError is raised and they stay. Leftovers of
    whatever name are swept from the folder around it. Raises WriteError if anything else fails.
    """
    temporary = temporary_of(folder)
    with said_as_written(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(folder.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            for path in (*temporary.rglob("*"), temporary):
                sync(path)
            _rename(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync(folder.parent)


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.replace(folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise TakenError(str(folder)) from error
        raise


@contextmanager
def said_as_written(place: Path) -> Iterator[None]:
    """Turn what the system says of a place that cannot be written to into a WriteError."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise WriteError.of(place, reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """Return why the system refused, in one line; numpy and Arrow raise OSErrors without the system's words."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said.partition("\n")[0] or type(error).__name__


def replace_file(file: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part of it."""
    with whole_file(file) as temporary:
        temporary.write_bytes(content)


def write_table(table: pa.Table, file: Path) -> None:
    """Write a Parquet file in one atomic step."""
    with whole_file(file) as temporary:
        pq.write_table(table, temporary)


def temporary_of(place: Path) -> Path:
    """Return where this process writes what is to become `place`."""
    return place.with_name(f".{place.name}.{os.getpid()}.tmp")


def sweep_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what dead processes of this machine left in a folder while they wrote `name`, or whatever name."""
    with suppress(OSError):
        for path in folder.glob(".*.tmp"):
            found = _TEMPORARY.fullmatch(path.name)
            if found and (name is None or found["name"] == name) and not is_alive(int(found["pid"])):
                remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder if that can be done."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine has that number."""
    if pid <= 0:  # a group of processes
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
