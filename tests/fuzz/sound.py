"""The sound study of which each case gets a copy: its store, windows, a run, scores, and every kind of file that qts reads."""

import os
import shutil
from pathlib import Path

from tests.bad_input_market import calendar, write_study
from tests.forked import run_forked

_INDEX = "instrument,datetime,open,high,low,close,volume\n" + "".join(
    f"IDX,{day},10,11,9,10,100\n" for day in calendar()
)
_COMMANDS = (
    "ingest", "train", "predict", "predict --out scores.csv", "predict --out scores.parquet", "eval",
    "runs pin LATEST", "nightly",
)  # fmt: skip


def write_sound(folder: Path) -> None:
    """Write `study` and, beside it, `outside`, which no command may touch."""
    study = folder / "study"
    write_study(study)
    (folder / "outside").mkdir()
    (folder / "outside" / "keep.txt").write_text("keep\n", encoding="utf-8")
    (study / "index.csv").write_text(_INDEX, encoding="utf-8")
    config = (study / "qts.toml").read_text(encoding="utf-8")
    config = config.replace('universe = "universe.csv"', 'universe = "universe.csv"\nbenchmark = "index.csv"')
    (study / "qts.toml").write_text(config, encoding="utf-8")
    _write_qlib(study)
    for command in _COMMANDS:
        line = command.replace("LATEST", _latest(study)).split()
        outcome = run_forked(line, study)
        if outcome.code != 0:
            raise RuntimeError(f"qts {command}: {outcome.err}")
    for page in study.glob("runs/*/report.html"):
        page.write_text("five megabytes that no command reads", encoding="utf-8")
    weights = next(study.glob("runs/*/model.safetensors"))
    shutil.copy(weights, study / "weights.safetensors")
    shutil.copytree(folder / "study" / ".qts", folder / "outside" / "store")
    shutil.copytree(folder / "study" / "runs", folder / "outside" / "runs")


def _latest(study: Path) -> str:
    file = study / "runs" / "latest"
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _write_qlib(study: Path) -> None:
    """Write a Qlib data folder of one instrument."""
    import numpy as np

    folder = study / "qlib"
    for part in ("calendars", "instruments", "features/s1"):
        os.makedirs(folder / part)  # noqa: PTH103 - three at once
    (folder / "calendars/day.txt").write_text("\n".join(calendar()) + "\n", encoding="utf-8")
    (folder / "instruments/all.txt").write_text(f"S1\t{calendar()[0]}\t{calendar()[-1]}\n", encoding="utf-8")
    for name in ("open", "high", "low", "close", "volume"):
        np.array([0, *[10.0] * 60], dtype="<f4").tofile(folder / f"features/s1/{name}.day.bin")
