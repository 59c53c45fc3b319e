"""The whole config, both passes, and the bars at the data gate; every problem of either at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from qts import clock
from qts.bars.door import bars_select, said_plainly
from qts.bars.gate import GateReport, judge
from qts.bars.sources import make_raw
from qts.bars.universe import read_universe
from qts.columns import DATETIME, INSTRUMENT
from qts.config import LoadedConfig
from qts.errors import ConfigProblems, InputError, QtsError
from qts.pipeline.coverage import Coverage, cover
from qts.pipeline.features import check_segments, needed_segments
from qts.pipeline.recipes import check_fields, expand_factors, read_label
from qts.processors import check_processors
from qts.progress import Progress
from qts.store.engine import connect, engine_limits

Found = TypeVar("Found")


@dataclass(frozen=True)
class CheckResult:
    """What was looked at."""

    n_factors: int
    model: str
    n_bars: int | None
    n_instruments: int | None
    fields: tuple[str, ...]
    gate: GateReport | None = None
    """What the data gate found; None if the bars were not read."""
    coverage: Coverage | None = None
    """Who has bars when, if it was asked for."""


def check_all(
    loaded: LoadedConfig, progress: Progress, *, config_only: bool = False, with_coverage: bool = False
) -> CheckResult:
    """Return what the data gate finds; raises ConfigProblems with all that is wrong in the config.

    Bars that the gate would refuse are a result, not an error: `gate.refusal()`.
    """
    # torch takes a second; what is wrong in the first pass needs none
    from qts.pipeline.train import model_options  # noqa: PLC0415
    from qts.training.device import resolve_device  # noqa: PLC0415

    problems: list[QtsError] = []
    for look in (
        lambda: read_label(loaded),
        lambda: needed_segments(loaded),
        lambda: check_processors(loaded, "features"),
        lambda: check_processors(loaded, "label"),
        lambda: model_options(loaded),
        lambda: resolve_device(loaded.config.train.device),
    ):
        _collect(look, problems)
    sets = _collect(lambda: expand_factors(loaded), problems)
    if problems:
        raise problems[0] if len(problems) == 1 else ConfigProblems(problems)
    n_factors = sum(len(factors.factors) for factors in sets or [])
    if config_only:
        return CheckResult(n_factors, loaded.config.model.name, None, None, ())
    with engine_limits():
        return _check_bars(loaded, progress, n_factors, with_coverage=with_coverage)


def _collect(look: Callable[[], Found], problems: list[QtsError]) -> Found | None:
    try:
        return look()
    except QtsError as error:
        problems.extend(error.parts())
    return None


def _check_bars(loaded: LoadedConfig, progress: Progress, n_factors: int, *, with_coverage: bool) -> CheckResult:
    bars = loaded.config.bars
    progress.stage("read bars")
    connection = connect(loaded.config.limits)
    path = loaded.path(bars.path)
    make_raw(connection, bars, path)
    select = bars_select(connection, bars, str(path))
    arrived = f"SELECT *, true AS is_new FROM ({select.sql}) ORDER BY {INSTRUMENT}, {DATETIME}"
    with said_plainly(str(path)):
        connection.execute(f"CREATE TABLE bars AS {arrived}")
    if bars.universe is not None:
        read_universe(connection, loaded.path(bars.universe))
    n_bars, n_instruments, first, last = connection.execute(
        f"SELECT count(*), count(DISTINCT {INSTRUMENT}), min({DATETIME}), max({DATETIME}) FROM bars"
    ).fetchall()[0]
    progress.count(rows=n_bars)
    if not n_bars:
        raise InputError(f"{path} has no rows", hint="a header alone is not enough")
    check_segments(loaded, first, last)
    for text in check_fields(expand_factors(loaded), read_label(loaded)[0], select.fields, select.groups):
        progress.warn(text)
    progress.stage("judge bars")
    progress.count(rows=n_bars)
    source = f"({select.sql})"
    gate = judge(
        connection, loaded.config.check, select.fields, relation="bars", today=clock.today_somewhere(), source=source
    )
    coverage = cover(connection, "bars") if with_coverage else None
    return CheckResult(n_factors, loaded.config.model.name, n_bars, n_instruments, select.fields, gate, coverage)
