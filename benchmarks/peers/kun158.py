"""KunQuant at work: bars from Parquet, Alpha158 by code it compiles, every row back into Parquet.

    python kun158.py BARS OUT [--dtype float32] [--threads 2] [--groups 8]

Runs in the peers' environment and needs a C++ compiler. Arrays are in KunQuant's own blocked layout, which is its fastest.
Stocks go through in groups that share their buffers: faster than all at once, in a fraction of the memory. In float32 the
regression factors (BETA, RSQR, RESI) drift far from their definition over a long history; in float64 they hold. What is
written is float32 either way, VWAP0 as missing, for the bars have no vwap. Prints one JSON object.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa  # noqa: TID253 - a peer's script is no part of the package
import pyarrow.parquet as pq  # noqa: TID253 - as above
from KunQuant.Driver import KunCompilerConfig
from KunQuant.jit import cfake
from KunQuant.Op import Builder, Input, Output
from KunQuant.predefined.Alpha158 import AllData
from KunQuant.runner import KunRunner
from KunQuant.Stage import Function

FIELDS = ("open", "high", "low", "close", "volume")
DTYPES = {"float32": ("float", 8), "float64": ("double", 4)}
"""numpy's name → KunQuant's, and how many stocks lie side by side in a block: the lanes of AVX2."""


def compile_factors(dtype: str) -> KunRunner.Library:
    """Generate and compile the C++ of the 157 factors that need no vwap."""
    builder = Builder()
    with builder:
        data = AllData(**{field: Input(field) for field in FIELDS}, vwap="absent")
        prices = [("OPEN", data.open), ("HIGH", data.high), ("LOW", data.low)]
        factors = data.build({"kbar": {}, "price": {"windows": [0], "feature": prices}, "rolling": {}})
        for factor, name in zip(*factors, strict=True):
            Output(factor, name)
    name, lanes = DTYPES[dtype]
    config = KunCompilerConfig(
        dtype=name,
        partition_factor=4,
        blocking_len=lanes,
        input_layout="STs",
        output_layout="STs",
        options={"opt_reduce": True, "fast_log": True, "no_fast_stat": True},
    )
    return cfake.compileit([("alpha158", Function(builder.ops), config)], "alpha158", cfake.CppCompilerConfig())


def write_rows(bars: pa.Table, rows: np.ndarray, cells: np.ndarray, out: dict[str, np.ndarray], file: Path) -> None:
    """Gather the cells of some rows from every factor's blocks and write them with their keys."""
    columns = {name: bars[name].take(pa.array(rows)) for name in ("instrument", "date")}
    columns |= {
        name: pa.array(blocks.reshape(-1).take(cells).astype(np.float32, copy=False)) for name, blocks in out.items()
    }
    columns["VWAP0"] = pa.nulls(len(rows), pa.float32())
    pq.write_table(pa.table(columns), file, use_dictionary=["instrument"])


def compute(bars_file: Path, out_folder: Path, dtype: str, n_threads: int, n_groups: int) -> dict[str, object]:
    """Do the whole job; returns what its parts took."""
    started = time.perf_counter()
    lanes = DTYPES[dtype][1]
    library = compile_factors(dtype)
    compiled = time.perf_counter()
    module = library.getModule("alpha158")
    names = module.getOutputNames()
    executor = KunRunner.createMultiThreadExecutor(n_threads)
    bars = pq.read_table(bars_file, columns=["instrument", "date", *FIELDS], read_dictionary=["instrument"])
    bars = bars.unify_dictionaries().combine_chunks()
    stock = bars["instrument"].chunk(0).indices.to_numpy()
    days, day = np.unique(bars["date"].to_numpy(), return_inverse=True)
    n_days = len(days)
    n_blocks = -(-(int(stock.max()) + 1) // (lanes * n_groups))  # of a group
    shape = (n_blocks, n_days, lanes)
    inputs = {field: np.empty(shape, dtype=dtype) for field in FIELDS}
    buffer = np.empty((len(names), *shape), dtype=dtype)
    out = dict(zip(names, buffer, strict=True))
    fields = {field: bars[field].to_numpy() for field in FIELDS}
    group, within = np.divmod(stock, n_blocks * lanes)
    cell = within // lanes * (n_days * lanes) + day * lanes + within % lanes
    out_folder.mkdir(parents=True)
    running = 0.0
    with ThreadPoolExecutor(n_threads) as pool:
        for at in range(n_groups):
            rows = np.flatnonzero(group == at)
            for field, blocks in inputs.items():
                blocks.fill(np.nan)
                blocks.reshape(-1)[cell[rows]] = fields[field][rows]
            before = time.perf_counter()
            KunRunner.runGraph(executor, module, inputs, 0, n_days, out)
            running += time.perf_counter() - before
            parts = np.array_split(rows, n_threads)
            files = (out_folder / f"part-{at:05d}-{part}.parquet" for part in range(n_threads))
            list(pool.map(lambda part, file: write_rows(bars, part, cell[part], out, file), parts, files))
    return {
        "rows": len(bars),
        "columns": len(names) + 1,
        "compile_seconds": compiled - started,
        "compute_seconds": running,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    """Do the job and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--groups", type=int, default=8)
    given = parser.parse_args()
    print(json.dumps(compute(given.bars, given.out, given.dtype, given.threads, given.groups)))


if __name__ == "__main__":
    main()
