"""Times the whole path on real bars: wall and processor seconds and peak memory of each step, then the test figures.

    python benchmarks/path.py FOLDER [--seeds 0 1 2]

FOLDER holds bars.parquet, members.csv and index.parquet. Steps run one after the other, each in a process of its own,
as a user would type them; the machine should be doing nothing else.
"""

import argparse
import json
import tempfile
from pathlib import Path

from measure import measure, qts_command

BARS = """
[bars]
path      = "{folder}/bars.parquet"
universe  = "{folder}/members.csv"
benchmark = "{folder}/index.parquet"
benchmark_instrument = "SH000300"
"""
ALPHA158 = """
[factors]
set    = "alpha158"
"""
COLUMNS = """\
select = ["RESI5", "WVMA5", "RSQR5", "KLEN", "RSQR10", "CORR5", "CORD5", "CORR10", "ROC60", "RESI10",
          "VSTD5", "RSQR60", "CORR60", "WVMA60", "STD5", "RSQR20", "CORD60", "CORD10", "CORR20", "KLOW"]
"""
"""What the reference's benchmarks select of Alpha158."""
SEGMENTS = """
[segments]
train = ["2010-01-01", "2017-12-31"]
valid = ["2018-01-01", "2019-12-31"]
test  = ["2020-01-01", "2026-05-06"]
"""
GRU = """
[model]
name        = "gru"
hidden_size = 64
num_layers  = 2

[train]
lr         = 2e-4
batch_size = 800
"""
WINDOWS = """
[window]
step_len = {}
"""
CONFIG = BARS + ALPHA158 + COLUMNS + SEGMENTS + WINDOWS.format(20) + GRU


def step(study: Path, *arguments: str) -> dict[str, object]:
    """Run one command, print what it cost, return its JSON."""
    cost = measure(qts_command(*arguments), study)
    print(f"{' '.join(arguments):<34} {cost}", flush=True)
    return cost.found


def main() -> None:
    """Run the steps and print the figures of each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        study = Path(name)
        (study / "qts.toml").write_text(CONFIG.format(folder=given.folder.resolve()), encoding="utf-8")
        step(study, "ingest")
        print(json.dumps(step(study, "window")["samples"]))
        for seed in given.seeds:
            trained = step(study, "train", "--seed", str(seed))
            print(json.dumps({key: trained[key] for key in ("best", "best_epoch", "n_epochs")}))
            step(study, "predict", "--out", "scores.parquet")
            print(json.dumps({"seed": seed, "summary": step(study, "eval")["summary"]}))


if __name__ == "__main__":
    main()
