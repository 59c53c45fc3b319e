"""Everything that can go wrong in a way a user can mend, and the exit code of each.

QtsError                      1  the run failed
├── WriteError                1  a file cannot be written: the disk is full, or may not be written to
├── ConfigError               2  a config file, flag or environment variable is wrong
│   └── ExpressionError       2  a factor or label expression is wrong
├── DataCheckError            3  the data is there, but must not be used as it is
├── InputError                4  an input is missing, unreadable, empty or stale
│   └── StoreError            4  the store or one of its files is missing or damaged
│       └── NoStoreError      4  there is no store yet
├── LockHeldError             5  another process is writing
└── DeviceError               6  the device that was asked for is absent
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process answers to its caller."""

    DONE = 0
    """Done; also when there was nothing new to do."""
    FAILED = 1
    """The run failed."""
    USAGE = 2
    """The command line or the config is wrong."""
    DATA_CHECK = 3
    """A check of the data failed."""
    INPUT = 4
    """An input is missing, empty or stale."""
    LOCK_HELD = 5
    """Another process holds the store's lock."""
    DEVICE = 6
    """The device that was asked for is absent."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""
    TERMINATED = 143
    """Stopped by SIGTERM."""


class QtsError(Exception):
    """A failure that says what happened, where, and what to do now."""

    code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.where})" if self.where else self.message

    def parts(self) -> "Sequence[QtsError]":
        """Return the single problems this error is made of: itself, unless it collects others."""
        return (self,)


class WriteError(QtsError):
    """A file cannot be written: the disk is full, or may not be written to. The work itself may be sound."""

    @classmethod
    def of(cls, place: object, reason: str) -> "WriteError":
        """Return the error of a file or folder that could not be written."""
        hint = "is the disk full, or the folder read-only? mend that and run it again: what was whole is kept"
        return cls(f"cannot write {place}: {reason}", hint=hint)


class ConfigError(QtsError):
    """A config file, flag or environment variable is wrong."""

    code = ExitCode.USAGE


class ConfigProblems(ConfigError):  # noqa: N818 - it is many
    """All problems of one config, reported at once."""

    def __init__(self, problems: Sequence[QtsError]) -> None:
        count = len(problems)
        super().__init__(f"{count} problems in the config" if count > 1 else problems[0].message)
        self.problems = tuple(problems)

    def parts(self) -> Sequence[QtsError]:
        """Return every problem, in the order of the file."""
        return self.problems


class ExpressionError(ConfigError):
    """A factor or label expression is wrong; the message ends in the text with a caret under the fault."""

    def __init__(
        self, message: str, text: str, position: int, *, where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(f"{message}\n  {text}\n  {' ' * position}^", where=where, hint=hint)
        self.reason = message
        self.text = text
        self.position = position

    def at(self, where: str, subject: str = "") -> "ExpressionError":
        """Return the same error with the place the expression came from, and what it is an expression of."""
        reason = f"{subject}: {self.reason}" if subject else self.reason
        return ExpressionError(reason, self.text, self.position, where=where, hint=self.hint)

    def __str__(self) -> str:
        head, _, drawing = self.message.partition("\n")
        return f"{head} ({self.where})\n{drawing}" if self.where else self.message


class DataCheckError(QtsError):
    """The data is there, but must not be used as it is."""

    code = ExitCode.DATA_CHECK


class InputError(QtsError):
    """An input is missing, unreadable, empty or stale."""

    code = ExitCode.INPUT


class StoreError(InputError):
    """The store or one of its files is missing or damaged."""


class NoStoreError(StoreError):
    """There is no store yet."""


class LockHeldError(QtsError):
    """Another process is writing to the store."""

    code = ExitCode.LOCK_HELD


class DeviceError(QtsError):
    """The device that was asked for is absent."""

    code = ExitCode.DEVICE
