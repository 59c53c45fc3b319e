"""pyqlib at work: bars into its bin store, and its own factors and label out of it.

    python qlib158.py dump BARS MEMBERS STORE
    python qlib158.py all STORE OUT [--what alpha158] [--every 1] [--batches 4]
    python qlib158.py members STORE [--what alpha158]

Runs in the peers' environment. It computes with two processes and without caches on disk; `all` writes every row to
Parquet, `members` keeps the rows of the universe in memory, as its handlers do. Each prints one JSON object.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import pandas as pd
import qlib
from qlib.contrib.data.handler import Alpha158, Alpha360
from qlib.contrib.data.loader import Alpha158DL, Alpha360DL
from qlib.data import D

FIELDS = ("open", "high", "low", "close", "volume")
LABEL_EXPRESSION = "Ref($close, -2)/Ref($close, -1) - 1"
WHATS = {"alpha158": (Alpha158DL, Alpha158), "alpha360": (Alpha360DL, Alpha360)}
"""Name → the loader that lists the expressions, the handler people use."""


def dump(bars: Path, members: Path, store: Path) -> dict[str, object]:
    """Write the bin store: a calendar, dated instruments, and one float32 file an instrument and field."""
    started = time.perf_counter()
    table = pd.read_parquet(bars)
    days, table["day"] = np.unique(table["date"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    for folder in ("calendars", "instruments", "features"):
        (store / folder).mkdir(parents=True)
    (store / "calendars/day.txt").write_text("\n".join(days.astype(str)) + "\n", encoding="utf-8")
    spans = []
    for name, own in table.sort_values(["instrument", "day"]).groupby("instrument"):
        day = own["day"].to_numpy()
        spans.append(f"{name}\t{days[day[0]]}\t{days[day[-1]]}")
        folder = store / "features" / str(name).lower()
        folder.mkdir()
        for field in FIELDS:
            values = np.full(day[-1] - day[0] + 2, np.nan, dtype="<f4")
            values[0] = day[0]  # the format's first number is where in the calendar the rest begins
            values[1 + day - day[0]] = own[field]
            values.tofile(folder / f"{field}.day.bin")
    (store / "instruments/all.txt").write_text("\n".join(spans) + "\n", encoding="utf-8")
    pd.read_csv(members).to_csv(store / "instruments/members.txt", sep="\t", header=False, index=False)
    return {"seconds": time.perf_counter() - started, "rows": len(table)}


def compute_all(out: Path, what: str, every: int, batches: int) -> dict[str, object]:
    """Compute factors and label of every `every`th instrument and write them, a file a batch."""
    expressions, names = WHATS[what][0].get_feature_config()
    instruments = sorted(D.list_instruments(D.instruments("all"), as_list=True))[::every]
    out.mkdir(parents=True)
    n_rows = 0
    for at, batch in enumerate(np.array_split(np.array(instruments, dtype=object), batches)):
        frame = D.features(list(batch), [*expressions, LABEL_EXPRESSION], freq="day", disk_cache=0)
        frame.columns = [*names, "LABEL0"]
        frame.reset_index().to_parquet(out / f"part-{at:05d}.parquet", index=False, use_dictionary=["instrument"])
        n_rows += len(frame)
    return {"rows": n_rows, "columns": len(names) + 1}


def compute_members(what: str) -> dict[str, object]:
    """Load the handler over the universe's rows, without processors; nothing is written."""
    calendar = D.calendar(freq="day")
    handler = WHATS[what][1](
        instruments="members",
        start_time=calendar[0],
        end_time=calendar[-1],
        infer_processors=[],
        learn_processors=[],
    )
    frame = handler.fetch(col_set="__all")
    return {"rows": len(frame), "columns": frame.shape[1]}


def main() -> None:
    """Do one job and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    for job, paths in {"dump": ("bars", "members", "store"), "all": ("store", "out"), "members": ("store",)}.items():
        added = jobs.add_parser(job)
        for path in paths:
            added.add_argument(path, type=Path)
        added.add_argument("--what", choices=WHATS, default="alpha158")
        added.add_argument("--every", type=int, default=1, help="take each instrument so many names after the last")
        added.add_argument("--batches", type=int, default=4)
    given = parser.parse_args()
    if given.job == "dump":
        print(json.dumps(dump(given.bars, given.members, given.store)))
        return
    qlib.init(
        provider_uri=str(given.store),
        region="cn",
        kernels=2,
        expression_cache=None,
        dataset_cache=None,
        logging_level=logging.ERROR,
    )
    is_all = given.job == "all"
    found = compute_all(given.out, given.what, given.every, given.batches) if is_all else compute_members(given.what)
    print(json.dumps({**found, "qlib": qlib.__version__, "pandas": pd.__version__, "numpy": np.__version__}))


if __name__ == "__main__":
    main()
