"""The generated parts of README and docs: `python -m tests.docs_blocks` checks them, `--write` writes them."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from qts.backtest.fees import STAMP_DUTY
from qts.backtest.price_limits import PRICE_LIMITS
from qts.backtest.statistics import STATISTICS
from qts.cli.commands import app
from qts.config import CheckActions, Config
from qts.pipeline.listing import describe_keys, describe_model, list_models, list_operators, list_processors
from qts.rendering.headline import FIGURES
from qts.rendering.report_schema import REPORT_SCHEMA
from qts.training.losses import LOSSES
from qts.training.optimizers import OPTIMIZERS
from qts.training.schedules import SCHEDULES

ROOT = Path(__file__).parents[1]


def table(rows: list[dict[str, Any]], *columns: str) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = (str("" if row[c] is None else row[c]).replace("|", "\\|").replace("\n", " ") for c in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def commands() -> str:
    rows = [{"command": f"`qts {name}`", "does": about} for name, about in commands_of(typer.main.get_command(app))]
    return table(rows, "command", "does")


def commands_of(group: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield each command's name, that of its group before it, and what it does."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", (command.help or "").strip()


def models() -> str:
    rows = [{"model": f"`{row['model']}`", "about": row["about"]} for row in list_models()]
    keys = [
        {**key, "key": f"`{key['key']}`", "model": f"`{row['model']}`"}
        for row in list_models()
        for key in describe_model(row["model"])
    ]
    return f"{table(rows, 'model', 'about')}\n\n{table(keys, 'model', 'key', 'default', 'about')}"


def processors() -> str:
    rows = [
        {**row, "processor": f"`{row['processor']}`", "keys": f"`{row['keys']}`" if row["keys"] else ""}
        for row in list_processors()
    ]
    return table(rows, "processor", "keys", "about")


def operators() -> str:
    rows = [{"operator": f"`{row['written']}`", "about": row["about"]} for row in list_operators()]
    return table(rows, "operator", "about")


def config() -> str:
    parts = []
    for name, field in Config.model_fields.items():
        inner = next(
            (a for a in [field.annotation, *getattr(field.annotation, "__args__", ())] if hasattr(a, "model_fields")),
            None,
        )
        if inner is None:
            continue
        rows = [{**key, "key": f"`{key['key']}`"} for key in describe_keys(inner)]
        for row in rows:
            row["default"] = "" if row["default"] is None else f"`{row['default']}`"
        parts.append(f"## [{name}]\n\n{(inner.__doc__ or '').strip()}\n\n{table(rows, 'key', 'default', 'about')}")
    return "\n\n".join(parts)


def rules() -> str:
    rows = [
        {"rule": f"`{key['key']}`", "default": f"`{key['default']}`", "what breaks it": key["about"]}
        for key in describe_keys(CheckActions)
    ]
    return table(rows, "rule", "default", "what breaks it")


def losses() -> str:
    return table([{"loss": f"`{row.name}`", "about": row.about} for row in LOSSES.values()], "loss", "about")


def optimizers() -> str:
    rows = [{"optimizer": f"`{row.name}`", "about": row.about} for row in OPTIMIZERS.values()]
    return table(rows, "optimizer", "about")


def schedules() -> str:
    return table([{"schedule": f"`{row.name}`", "lr": row.about} for row in SCHEDULES.values()], "schedule", "lr")


def figures() -> str:
    rows = [{"key": f"`{key}`", "figure": told.name, "what it is": told.about} for key, told in FIGURES.items()]
    return table(rows, "key", "figure", "what it is")


def statistics() -> str:
    rows = [
        {"section": row.section, "key": f"`{row.key}`", "statistic": row.head, "what it is": row.about}
        for row in STATISTICS.values()
    ]
    return table(rows, "section", "key", "statistic", "what it is")


def percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def price_limits() -> str:
    rows = [
        {
            "board": row.board or "any other",
            "since": row.since,
            "limit": percent(row.share),
            "under special treatment": percent(row.special_share),
            "first bars without a limit": row.free_days,
        }
        for row in PRICE_LIMITS
    ]
    return table(rows, *rows[0])


def stamp_duty() -> str:
    rows = [
        {"since": row.since, "of a purchase": percent(row.buy), "of a sale": percent(row.sell)} for row in STAMP_DUTY
    ]
    return table(rows, *rows[0])


def report_schema() -> str:
    """Return what every object of a report's JSON holds, the report itself first."""
    objects = {"report": REPORT_SCHEMA, **REPORT_SCHEMA["$defs"]}
    rows = [
        {
            "object": f"`{name}`",
            "keys": ", ".join(f"`{key}`" for key in of.get("properties", of.get("enum", ()))),
            "what": of.get("description", ""),
        }
        for name, of in objects.items()
    ]
    return table(rows, "object", "keys", "what")


BLOCKS = {
    ("README.md", "commands"): commands,
    ("README.md", "models"): models,
    ("README.md", "processors"): processors,
    ("docs/operators.md", "operators"): operators,
    ("docs/config.md", "config"): config,
    ("docs/data-gate.md", "rules"): rules,
    ("docs/training.md", "losses"): losses,
    ("docs/training.md", "optimizers"): optimizers,
    ("docs/training.md", "schedules"): schedules,
    ("docs/evaluation.md", "figures"): figures,
    ("docs/backtest.md", "statistics"): statistics,
    ("docs/backtest.md", "price limits"): price_limits,
    ("docs/backtest.md", "stamp duty"): stamp_duty,
    ("docs/reports.md", "report schema"): report_schema,
}


def stale(*, write: bool) -> list[str]:
    """Return the blocks that are not what the code says; write them if asked to."""
    found = []
    for (file, name), make in BLOCKS.items():
        path = ROOT / file
        text = path.read_text(encoding="utf-8")
        pattern = re.compile(rf"(<!-- {name}: generated by just docs -->\n).*?(<!-- end -->)", re.DOTALL)
        made = make()
        fresh = pattern.sub(lambda m, made=made: f"{m[1]}{made}\n{m[2]}", text)
        assert pattern.search(text), f"{file} has no block {name}"
        if fresh != text:
            found.append(f"{file}: {name}")
            if write:
                path.write_text(fresh, encoding="utf-8")
    return found


if __name__ == "__main__":
    outdated = stale(write="--write" in sys.argv)
    if outdated and "--write" not in sys.argv:
        sys.exit(f"stale: {', '.join(outdated)}; run: just docs")
