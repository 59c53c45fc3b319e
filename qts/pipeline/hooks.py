"""Programs that are told how a night went: run without a shell, with its summary on stdin."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from qts.config import LoadedConfig
from qts.errors import QtsError


def run_hook(loaded: LoadedConfig, key: str, payload: str, variables: Mapping[str, str]) -> list[str]:
    """Run the program of a `[nightly]` key in the config's folder; return the lines it wrote, none if there is no program.

    Raises QtsError if it cannot be started, fails, or takes longer than `hook_seconds`: then it and what it began is
    ended.
    """
    command: Sequence[str] = getattr(loaded.config.nightly, key)
    if not command:
        return []
    where, seconds = loaded.where("nightly", key), loaded.config.nightly.hook_seconds
    try:
        hook = subprocess.Popen(  # noqa: S603 - the user's own program, named in the user's own config
            command, cwd=loaded.folder, env={**os.environ, **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise QtsError(
            f"{command[0]} cannot be started: {reason}", where=where, hint=f"check [nightly] {key}"
        ) from error
    with hook:
        said = _heard(hook, payload, command[0], where, seconds)
    if hook.returncode:
        last = (said.strip().splitlines() or [""])[-1]
        raise QtsError(
            f"{command[0]} failed with code {hook.returncode}{': ' + last if last else ''}", where=where,
            hint=f"run it by hand; [nightly] {key} names it",
        )  # fmt: skip
    return said.splitlines()


def _heard(hook: "subprocess.Popen[str]", payload: str, name: str, where: str, seconds: float) -> str:
    """Return what a program said until its end; one that takes too long is ended with all that it began."""
    try:
        return hook.communicate(payload, timeout=seconds)[0]
    except BaseException as error:
        os.killpg(hook.pid, signal.SIGKILL)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        message = f"{name} took longer than {seconds:g} s and was ended"
        raise QtsError(message, where=where, hint="raise [nightly] hook_seconds") from None
