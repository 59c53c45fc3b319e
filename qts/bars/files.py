"""Which files a path of the config means."""

import glob
from pathlib import Path

from qts.errors import InputError
from qts.plain_file import is_file, is_folder


def expand(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files behind a file, a glob or a folder, sorted; raises InputError if there are none."""
    if is_file(path):
        return [path]
    if is_folder(path):
        named = (file for file in path.rglob("*") if file.name.endswith(suffixes))
        found = sorted(file for file in named if not _is_hidden(file, path) and file.is_file())
        if not found:
            raise InputError(
                f"no {' or '.join(suffixes)} file in the folder {path}", hint="check [bars] path and source"
            )
        return found
    if glob.has_magic(str(path)):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern
        if found:
            return found
        raise InputError(f"no file matches {path}", hint="check [bars] path")
    raise InputError(
        f"no file or folder {path}", hint="check [bars] path; a relative one starts at the config file's folder"
    )


def _is_hidden(file: Path, folder: Path) -> bool:
    """Whether a file, or a folder on the way to it, is hidden, as a store in `.qts` is."""
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
