"""Trains every architecture on real bars with its benchmark sizes and judges it on valid and test: a table in Markdown.

    python benchmarks/models.py FOLDER --work STUDY [--models gru lstm …] [--seed 0]

FOLDER holds bars.parquet, members.csv and index.parquet; STUDY keeps store and runs, so that a second call takes up
what a first one left. Slow architectures get fewer epochs, as the table says. Figures of valid and test are over all
member rows of the segment, against the raw label.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from measure import measure, qts_command
from path import ALPHA158, BARS, CONFIG, SEGMENTS, WINDOWS

RAW = """
[factors]
set = "raw"

[processors]
features = []
"""
WHOLE_WINDOWS = """
[window]
step_len    = 60
relative_to = {{ CLOSE = "CLOSE", OPEN = "CLOSE", HIGH = "CLOSE", LOW = "CLOSE", VWAP = "CLOSE", VOLUME = "VOLUME" }}
standardise = "robust"
"""
DATA = {
    "158: 20 x 20": ("158", CONFIG),
    "158: 1 x 158": ("158", BARS + ALPHA158 + SEGMENTS + WINDOWS.format(1)),
    "360: 60 x 6": ("raw", BARS + RAW + SEGMENTS + WHOLE_WINDOWS),
}
"""What the model sees → the store it is in, and the config."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    model: str
    keys: dict[str, object] = field(default_factory=dict)
    epochs: int = 5
    data: str = "158: 20 x 20"


def _like(lr: float, batch_size: int = 800, **model: object) -> dict[str, object]:
    return {"train.lr": lr, "train.batch_size": batch_size, **{f"model.{key}": value for key, value in model.items()}}


CASES = {
    "linear": Case("linear", {"model.alpha": 1.0, "model.n_steps": 20}, 1),
    "lightgbm": Case("lightgbm", {}, 1, "158: 1 x 158"),
    "mlp": Case("mlp", _like(1e-3, 2000), 5),
    "gru": Case("gru", _like(2e-4), 5),
    "lstm": Case("lstm", _like(1e-3), 5),
    "alstm": Case("alstm", _like(1e-3), 3),
    "krnn": Case("krnn", _like(1e-3, 2000, n_channels=8, hidden_size=8, n_rnns=2), 2),
    "tcn": Case("tcn", _like(1e-4, 2000), 5),
    "stacked_lstm": Case("stacked_lstm", _like(1e-3, hidden_sizes=[64, 32]), 2),
    "bilstm": Case("bilstm", _like(1e-3, closed_windows=True), 2),
    "attention_lstm": Case("attention_lstm", _like(1e-3), 3),
    "gats": Case("gats", _like(1e-4), 5),
    "transformer": Case("transformer", {**_like(1e-4, 8192), "train.weight_decay": 1e-3}, 3),
    "localformer": Case("localformer", {**_like(1e-4, 8192), "train.weight_decay": 1e-3}, 1),
    "gru-360": Case("gru", _like(1e-3), 2, "360: 60 x 6"),
    "mlp-360": Case("mlp", {**_like(1e-3, 2000), "model.n_steps": 60}, 5, "360: 60 x 6"),
    "lstm-360": Case("lstm", _like(1e-3), 2, "360: 60 x 6"),
}
FIGURES = ("ic", "icir", "rank_ic", "rank_icir")


def write_study(work: Path, folder: Path, data: str) -> Path:
    """Write the config of one kind of data; return its folder."""
    store, config = DATA[data]
    study = work / data.partition(":")[2].replace(" ", "")
    study.mkdir(parents=True, exist_ok=True)
    place = f'[store]\npath = "../store-{store}"\n'
    (study / "qts.toml").write_text(place + config.format(folder=folder.resolve()), encoding="utf-8")
    return study


def settings(case: Case, seed: int) -> list[str]:
    """Return the arguments that make a case of the common config."""
    keys = {"model.name": case.model, **case.keys, "train.epochs": case.epochs, "train.seed": seed}
    given = [f"{key}={json.dumps(value)}" for key, value in keys.items()]
    return [argument for key in given for argument in ("--set", key)]


def judge(study: Path, run: Path, segment: str, arguments: list[str]) -> dict[str, float]:
    """Return the figures of a run's scores of one segment."""
    scores = study / f"{segment}.parquet"
    measure(qts_command("predict", "--run", str(run), "--segment", segment, "--out", str(scores), *arguments), study)
    found = measure(
        qts_command("eval", "--scores", str(scores), "--out", str(study / "report"), *arguments), study
    ).found
    return found["summary"]  # type: ignore[return-value]


def row(study: Path, name: str, case: Case, seed: int) -> str:
    """Train and judge one case; return its row."""
    arguments = settings(case, seed)
    started = time.perf_counter()
    measure(qts_command("ingest", "--wait", "300", *arguments), study)
    found = measure(qts_command("train", *arguments), study).found
    run = Path(str(found["run"]))
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    seconds = sorted(line["train_seconds"] + line["valid_seconds"] for line in lines)[len(lines) // 2]
    cells = [
        name,
        case.data,
        f"{found['n_parameters']:,}",
        f"{found['best_epoch']} of {found['n_epochs']}",
        f"{seconds:.1f}",
    ]
    for segment in ("valid", "test"):
        figures = judge(study, run, segment, arguments)
        cells += [f"{figures[key]:.4f}" for key in FIGURES]
    print(f"{name}: {time.perf_counter() - started:.0f} s in all", flush=True)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the cases that are asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    heads = [f"{segment} {figure}" for segment in ("valid", "test") for figure in ("IC", "ICIR", "RankIC", "RankICIR")]
    table = [
        f"| {' | '.join(['model', 'data', 'parameters', 'best epoch', 's an epoch', *heads])} |",
        "|" + "---|" * 13,
    ]
    for name in given.models:
        table.append(row(write_study(given.work, given.folder, CASES[name].data), name, CASES[name], given.seed))
        print(table[-1], flush=True)
    print("\n".join(table))


if __name__ == "__main__":
    main()
