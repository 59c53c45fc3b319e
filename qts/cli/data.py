"""Commands that bring bars in: init, ingest, check, window."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qts.cli.options import Wait
from qts.cli.session import Session, command
from qts.errors import ConfigError, QtsError

if TYPE_CHECKING:
    from qts.bars.gate import GateReport
    from qts.pipeline.check import CheckResult

group = typer.Typer()


@command(group, ("qts init", "qts init my-study", "qts init demo --demo"), "qts run")
def init(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write.")] = Path(),
    demo: Annotated[bool, typer.Option("--demo", help="With the synthetic sample market.")] = False,
) -> None:
    """Write a ready qts.toml and, with --demo, a synthetic sample market; offline."""
    from qts.pipeline.init import init as work

    files = work(folder, demo=demo)
    place = "" if folder == Path() else f"cd {folder} && "
    next_step = f"next: {place}qts run" if demo else f"next: edit {files[0]}, then {place}qts check"
    session.show(
        "init", {"files": [str(file) for file in files]}, "\n".join([f"wrote {file}" for file in files] + [next_step])
    )


@command(
    group,
    ("qts ingest", "qts ingest --dry-run", "qts ingest --config study/qts.toml --wait 600 -q"),
    "qts check, qts window, qts status",
)
def ingest(
    session: Session,
    wait: Wait = 0,
    rescan: Annotated[
        bool, typer.Option("--rescan", help="Read all files, even those with the size and time they had.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do and take; write nothing.")] = False,
) -> None:
    """Bring the store up to date: bars pass the data gate, factors and label are computed where they are new or stale."""
    from qts.pipeline.ingest import ingest as work
    from qts.rendering.texts import ingest_text

    if dry_run:
        show_forecast(session, rescan=rescan)
        return
    with session.progress() as progress:
        result = work(session.config(), progress, wait_seconds=wait, rescan=rescan)
    payload = {**vars(result), "up_to_date": result.is_up_to_date}
    session.show("ingest", payload, ingest_text(payload))


def show_forecast(
    session: Session,
    command_name: str = "ingest",
    *,
    rescan: bool = False,
    more: Mapping[str, Any] | None = None,
    last_line: str = "",
) -> None:
    """Show what an ingest, or a command that begins with one, would do; then fail if it would be refused."""
    from qts.pipeline.forecast import refusal_of
    from qts.pipeline.ingest import forecast_ingest
    from qts.rendering.texts import forecast_text

    loaded = session.config()
    with session.progress() as progress:
        found = forecast_ingest(loaded, progress, rescan=rescan)
    refusal = refusal_of(found, loaded)
    datasets = [vars(planned) for planned in found.datasets]
    payload = {
        **vars(found), "datasets": datasets, "dry_run": True, "up_to_date": not found.written, "stages": found.stages,
        "written": found.written, "n_files": found.n_files, "n_bytes": found.n_bytes, **(more or {}),
    }  # fmt: skip
    text = "\n".join(line for line in (forecast_text(payload), last_line) if line)
    session.show_with_refusal(command_name, payload, text, refusal)


@command(group, ("qts check", "qts check --config-only", "qts check --html gate.html --json"), "qts schema, qts ingest")
def check(
    session: Session,
    config_only: Annotated[bool, typer.Option("--config-only", help="Do not read the bars.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page of findings there.")] = None,
) -> None:
    """Check the whole config, both passes, and pass the bars through the data gate; every finding is told."""
    from qts.pipeline.check import check_all

    if config_only and html:
        raise ConfigError("--html shows what is found in the bars, which --config-only does not read")
    with session.progress() as progress:
        result = check_all(session.config(), progress, config_only=config_only, with_coverage=html is not None)
    payload = {"n_factors": result.n_factors, "model": result.model, "n_bars": result.n_bars,
               "n_instruments": result.n_instruments, "fields": result.fields}  # fmt: skip
    sound = f"config is sound: {result.n_factors} factors, model {result.model}"
    if result.gate is None:
        session.show("check", payload, sound)
    else:
        _show_gate(session, result, result.gate, payload, sound, html)


def _show_gate(
    session: Session, result: "CheckResult", gate: "GateReport", payload: dict[str, Any], sound: str, html: Path | None
) -> None:
    """Show every finding, then fail if the gate refuses the bars."""
    from qts.rendering.check_page import findings_text, render_check_page

    refusal = gate.refusal()
    findings = gate.rows()
    bars = f"{result.n_bars:,} rows, {result.n_instruments:,} instruments, fields {', '.join(result.fields)}"
    if html is not None and result.coverage is not None:
        seen = result.coverage
        context = {**payload, "fields": ", ".join(result.fields), "n_quarantined": gate.n_quarantined}
        _write_page(html, render_check_page(f"Bars: {bars}", context, findings, seen.names, seen.periods, seen.percent))
    verdict = "bars do not pass" if refusal else "bars pass, with findings" if findings else "bars are sound"
    lines = [sound, f"{verdict}: {bars}", *([findings_text(findings)] if findings else [])]
    if gate.n_quarantined:
        lines.append(f"rows that an ingest puts aside: {gate.n_quarantined:,}")
    payload |= {"passes": refusal is None, "n_quarantined": gate.n_quarantined, "findings": findings}
    payload |= {"html": html} if html else {}
    session.show_with_refusal("check", payload, "\n".join(lines), refusal)


def _write_page(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise QtsError(f"cannot write {file}: {error.strerror}", where="--html", hint="choose another file") from error


@command(group, ("qts window", "qts window --step-len 60", "qts window --json"), "qts train", flags=("step_len",))
def window(session: Session) -> None:
    """Build the windows: fit the processors on the train segment and lay out one memory-mapped matrix."""
    from qts.pipeline.window import build_windows
    from qts.rendering.texts import windows_text

    with session.progress() as progress:
        result = build_windows(session.config(), progress)
    payload = {
        "folder": result.folder, "rows": result.windows.matrix.shape[0], "features": list(result.windows.features),
        "up_to_date": result.is_up_to_date,
        "samples": {name: vars(counts) for name, counts in result.counts.items()}, "seconds": result.seconds,
    }  # fmt: skip
    session.show("window", payload, windows_text(payload))
