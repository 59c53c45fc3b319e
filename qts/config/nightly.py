"""The table of the nightly run."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from qts.config.table import Day, Names, Table


class NightlyConfig(Table):
    """Tonight's scores: what they must be to be published, and who is told."""

    since: Day | None = None
    """First day that is scored. None: the last day there is when the first night runs."""
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Scores that a new day needs, as a share of the usual number, the median of the 20 days before; a day with fewer is
    not published: a part of its bars may still be on the way."""
    drift: Literal["fail", "warn", "ignore"] = "warn"
    """What is done once scores do worse than the test segment led one to expect; with `fail` they are published all the
    same, and the exit code is 3."""
    drift_days: PositiveInt = 60
    """Latest days with known labels that are compared with as many of the test segment; under 20 nothing is said."""
    on_success: Annotated[Names, Field(examples=[["./send.sh", "--all"]])] = ()
    """A program and its arguments, run without a shell after scores were published or there was nothing new."""
    on_failure: Names = ()
    """The same after any failure."""
    hook_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0
    """Seconds after which such a program is ended."""
